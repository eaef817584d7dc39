//! GraphQL: the manager's legacy schema over the same `app` as REST.
//!
//! `schema.graphql` says which fields there are, in the manager's own words; [`schema`] makes it
//! answer. A resolver gives a JSON record and the schema picks from it what was asked for; what costs
//! something to know is computed only when it is asked for.

mod admin;
mod filter;
mod folder;
mod image;
mod image_change;
mod kernel;
mod mutation;
mod parsed;
mod plain;
mod project;
mod query;
mod record;
mod registry;
mod resource;
mod schema;
mod session;
mod session_record;
mod session_row;
mod user;

use async_graphql::parser::types::ExecutableDocument;
use async_graphql::{Request, Response, ServerError, Variables};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response as HttpResponse};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::error::Problem;
use crate::rest::extract::Body;
use crate::state::App;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/admin/gql", post(lenient))
        .route("/admin/graphql", post(strict))
}

#[derive(Deserialize)]
struct Asked {
    query: String,
    variables: Option<Value>,
    #[serde(alias = "operationName")]
    operation_name: Option<String>,
}

/// What a query came to.
enum Outcome {
    /// The whole answer as JSON, without errors.
    Written(Vec<u8>),
    Executed(Response),
}

async fn execute(app: App, caller: Caller, asked: Asked) -> Result<Outcome, Problem> {
    let Asked {
        query,
        variables,
        operation_name,
    } = asked;
    let variables = variables.unwrap_or_default();
    let mut request = Request::new(query);
    // What can't be parsed is refused in the words of the general way.
    if let Ok(document) = parsed::parsed(&request.query) {
        let list = plain::recognise(&document, &variables).filter(|_| operation_name.is_none());
        if let Some(list) = list
            && let Ok(answer) = list.answer(&app, &caller).await
        {
            return Ok(Outcome::Written(answer));
        }
        request.set_parsed_query(ExecutableDocument::clone(&document));
    }
    request = request
        .variables(Variables::from_json(variables))
        .data(app)
        .data(caller);
    if let Some(name) = operation_name {
        request = request.operation_name(name);
    }
    Ok(Outcome::Executed(schema::get()?.execute(request).await))
}

fn written(answer: Vec<u8>) -> HttpResponse {
    ([(CONTENT_TYPE, "application/json")], answer).into_response()
}

/// What is answered. Fields keep the order in which they were asked for: the official client prints
/// them by it.
#[derive(Serialize)]
struct Answer {
    data: async_graphql::Value,
    errors: Option<Vec<ServerError>>,
}

/// Failures are in the answer's `errors`; the status is 200 whatever happens.
async fn lenient(
    State(app): State<App>,
    caller: Caller,
    Body(asked): Body<Asked>,
) -> Result<HttpResponse, Problem> {
    Ok(match execute(app, caller, asked).await? {
        Outcome::Written(answer) => written(answer),
        Outcome::Executed(Response { data, errors, .. }) => {
            let errors = (!errors.is_empty()).then_some(errors);
            Json(Answer { data, errors }).into_response()
        }
    })
}

/// The oldest endpoint: any failure is an HTTP 400.
async fn strict(
    State(app): State<App>,
    caller: Caller,
    Body(asked): Body<Asked>,
) -> Result<HttpResponse, Problem> {
    let Response { data, errors, .. } = match execute(app, caller, asked).await? {
        Outcome::Written(answer) => return Ok(written(answer)),
        Outcome::Executed(response) => response,
    };
    if errors.is_empty() {
        return Ok(Json(Answer { data, errors: None }).into_response());
    }
    Err(Problem::new(
        StatusCode::BAD_REQUEST,
        "graphql-error",
        "GraphQL-generated error.",
        "api_generic_internal-error",
    )
    .data(json!(errors)))
}

#[cfg(test)]
mod properties {
    use async_graphql::parser::parse_query;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_query_is_understood_or_refused(text in "(\\{|\\}|\\(|\\)|\\[|\\]|query|\\$a|:|[a-z]{1,2}|\"|\\.\\.\\.| ){0,30}|\\PC{0,40}") {
            let _ = parse_query(text);
        }
    }

    /// Each level takes a piece of the stack.
    #[test]
    fn a_query_that_is_too_deep_is_refused() {
        for (open, close) in [("{a", "}"), ("{a(b:[", "])}"), ("[", "]")] {
            let deep = format!("{}{}", open.repeat(20_000), close.repeat(20_000));
            assert!(parse_query(&deep).is_err());
            let inner = format!("{{a(b:{}{})}}", open.repeat(20_000), close.repeat(20_000));
            let _ = parse_query(&inner);
        }
    }
}

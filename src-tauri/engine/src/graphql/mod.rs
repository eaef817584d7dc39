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
mod project;
mod query;
mod record;
mod registry;
mod resource;
mod schema;
mod session;
mod user;

use async_graphql::{Request, Response, ServerError, Variables};
use axum::extract::State;
use axum::http::StatusCode;
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

async fn execute(app: App, caller: Caller, asked: Asked) -> Result<Response, Problem> {
    let schema = schema::get()?;
    let variables = Variables::from_json(asked.variables.unwrap_or_default());
    let mut request = Request::new(asked.query)
        .variables(variables)
        .data(app)
        .data(caller);
    if let Some(name) = asked.operation_name {
        request = request.operation_name(name);
    }
    Ok(schema.execute(request).await)
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
) -> Result<Json<Answer>, Problem> {
    let Response { data, errors, .. } = execute(app, caller, asked).await?;
    let errors = (!errors.is_empty()).then_some(errors);
    Ok(Json(Answer { data, errors }))
}

/// The oldest endpoint: any failure is an HTTP 400.
async fn strict(
    State(app): State<App>,
    caller: Caller,
    Body(asked): Body<Asked>,
) -> Result<Json<Answer>, Problem> {
    let Response { data, errors, .. } = execute(app, caller, asked).await?;
    if errors.is_empty() {
        return Ok(Json(Answer { data, errors: None }));
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

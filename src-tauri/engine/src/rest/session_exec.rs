//! Running commands and code in a session over HTTP.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use protocol::api::session::{Execute, ExecuteMode, Executed};
use serde_json::{Value, json};

use super::extract::{Body, Params};
use super::session::Owner;
use crate::app::{execute as run, session};
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;
use crate::store;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/session/{s}/interrupt", post(interrupt))
        .route("/session/{s}/complete", post(complete))
}

pub(crate) async fn execute(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Params(owner): Params<Owner>,
    Body(request): Body<Execute>,
) -> Result<Response, Problem> {
    let (found, kernels) =
        session::find(&app, &caller, &reference, owner.owner_access_key.as_deref()).await?;
    let kernel = session::main_kernel(&app, &found, &kernels)?;
    if request.mode == ExecuteMode::Complete {
        return Ok(Json(json!({ "result": no_suggestions() })).into_response());
    }
    if matches!(request.mode, ExecuteMode::Query | ExecuteMode::Batch) {
        count(&app, found.id).await?;
    }
    app.activity.touch(found.id);
    let result = run::execute(&app.runs, found.id, kernel, request).await?;
    app.activity.touch(found.id);
    Ok(Json(Executed { result }).into_response())
}

/// Counts a query for the session's own statistics.
pub(crate) async fn count(app: &App, id: uuid::Uuid) -> Result<(), Problem> {
    app.store
        .write(move |tx| -> Result<_, Problem> { Ok(store::session::count_query(tx, id)?) })
        .await
}

async fn interrupt(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<StatusCode, Problem> {
    let (found, kernels) = session::find(&app, &caller, &reference, None).await?;
    let kernel = session::main_kernel(&app, &found, &kernels)?;
    kernel
        .interrupt(None)
        .await
        .map_err(session::runtime_problem)?;
    Ok(StatusCode::NO_CONTENT)
}

/// A session keeps no interpreter that could know what may follow.
fn no_suggestions() -> Value {
    json!({ "suggestions": [] })
}

async fn complete(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Json<Value>, Problem> {
    let (found, kernels) = session::find(&app, &caller, &reference, None).await?;
    session::main_kernel(&app, &found, &kernels)?;
    Ok(Json(json!({ "result": no_suggestions() })))
}

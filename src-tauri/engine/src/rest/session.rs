//! Sessions over HTTP: making, describing, renaming and ending them.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use protocol::api::session::{Create, Created, Matches};
use protocol::version::ApiVersion;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::extract::{Body, Params, flag};
use crate::app::{abuse, session, session_create, session_info, session_restart};
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/session", post(create))
        .route("/session/_/create", post(create))
        .route("/session/_/create-from-template", post(no_templates))
        .route("/session/_/create-cluster", post(no_templates))
        .route("/session/_/match", get(matches))
        .route("/session/_/transit-status", post(no_transit))
        .route(
            "/session/{s}",
            get(info)
                .delete(destroy)
                .patch(restart)
                .post(super::session_exec::execute),
        )
        .route("/session/{s}/logs", get(logs))
        .route("/session/{s}/rename", post(rename))
        .route("/session/{s}/status-history", get(status_history))
        .route("/session/{s}/direct-access-info", get(direct_access_info))
        .route("/session/{s}/abusing-report", get(abusing_report))
        .route("/session/{s}/dependency-graph", get(dependency_graph))
}

/// On whose behalf.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Owner {
    #[serde(default, alias = "ownerAccessKey")]
    pub(crate) owner_access_key: Option<String>,
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<Create>,
) -> Result<(StatusCode, Json<Created>), Problem> {
    let created = session_create::create(&app, &caller, request).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

async fn no_templates(_: Caller) -> Problem {
    Problem::not_implemented("This engine has no session templates.")
}

async fn no_transit(_: Caller) -> Problem {
    Problem::not_implemented("Sessions change their status by themselves.")
}

async fn restart(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Params(owner): Params<Owner>,
) -> Result<StatusCode, Problem> {
    let (found, _) =
        session::find(&app, &caller, &reference, owner.owner_access_key.as_deref()).await?;
    session_restart::restart(&app, &found).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct MatchQuery {
    id: String,
}

async fn matches(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<MatchQuery>,
) -> Result<Json<Matches>, Problem> {
    session::matches(&app, &caller, &query.id).await.map(Json)
}

async fn info(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Params(owner): Params<Owner>,
) -> Result<Json<Value>, Problem> {
    let (session, kernels) =
        session::find(&app, &caller, &reference, owner.owner_access_key.as_deref()).await?;
    session_info::info(&app, &session, &kernels).await.map(Json)
}

#[derive(Deserialize)]
struct DestroyQuery {
    #[serde(default, deserialize_with = "flag")]
    forced: bool,
    #[serde(default, deserialize_with = "flag")]
    recursive: bool,
    #[serde(default, alias = "ownerAccessKey")]
    owner_access_key: Option<String>,
}

async fn destroy(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Params(query): Params<DestroyQuery>,
) -> Result<Json<Value>, Problem> {
    let (found, _) =
        session::find(&app, &caller, &reference, query.owner_access_key.as_deref()).await?;
    let stats = session::destroy(&app, &found, query.forced).await?;
    if query.recursive {
        for dependent in session::dependents(&app, found.id).await? {
            session::destroy(&app, &dependent, query.forced).await?;
        }
    }
    Ok(Json(json!({ "stats": stats })))
}

#[derive(Deserialize)]
struct LogsQuery {
    #[serde(default, alias = "ownerAccessKey")]
    owner_access_key: Option<String>,
    #[serde(default, alias = "kernelId")]
    kernel_id: Option<Uuid>,
}

async fn logs(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Params(query): Params<LogsQuery>,
) -> Result<Json<Value>, Problem> {
    let (_, kernels) =
        session::find(&app, &caller, &reference, query.owner_access_key.as_deref()).await?;
    let logs = session::logs(&app, &kernels, query.kernel_id).await?;
    Ok(Json(json!({ "result": { "logs": logs } })))
}

#[derive(Deserialize)]
struct RenameBody {
    #[serde(alias = "name", alias = "clientSessionToken")]
    session_name: String,
}

async fn rename(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    request: axum::extract::Request,
) -> Result<StatusCode, Problem> {
    // Clients of two ages: the new name in the body, or in the query with an empty body.
    let in_query = Params::<RenameBody>::of(request.uri());
    let new_name = match in_query {
        Ok(Params(body)) => body.session_name,
        Err(_) => Body::<RenameBody>::of(request, &app).await?.0.session_name,
    };
    let (found, _) = session::find(&app, &caller, &reference, None).await?;
    session::rename(&app, &found, &new_name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn status_history(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Params(owner): Params<Owner>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let (found, _) =
        session::find(&app, &caller, &reference, owner.owner_access_key.as_deref()).await?;
    let history = json!(session::status_history(&found));
    let version = headers
        .get("x-backendai-version")
        .and_then(|text| text.to_str().ok());
    // Before v8 it came wrapped, like most answers of that time.
    let wrapped = version
        .and_then(|text| text.parse::<ApiVersion>().ok())
        .is_some_and(|version| version.major < 8);
    Ok(Json(if wrapped {
        json!({ "result": history })
    } else {
        history
    }))
}

/// Only sessions of the type `system` have any, and this engine makes none.
async fn direct_access_info(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Json<Value>, Problem> {
    session::find(&app, &caller, &reference, None).await?;
    Ok(Json(json!({})))
}

async fn abusing_report(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Json<Value>, Problem> {
    let (_, kernels) = session::find(&app, &caller, &reference, None).await?;
    Ok(Json(match kernels.first() {
        Some(kernel) => abuse::report(&app, kernel.id).await,
        None => json!({}),
    }))
}

async fn dependency_graph(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Json<Value>, Problem> {
    let (found, _) = session::find(&app, &caller, &reference, None).await?;
    session::dependency_graph(&app, found).await.map(Json)
}

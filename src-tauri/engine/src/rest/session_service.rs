//! Apps of a session over HTTP.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use protocol::api::session::StartService;
use protocol::service_port::ServicePort;
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{Body, Params};
use crate::app::service::{self, Wish};
use crate::app::session;
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/session/{s}/start-service", post(start))
        .route("/session/{s}/shutdown-service", post(shutdown))
        .route("/stream/session/{s}/apps", get(apps))
}

/// Starts the app. There is no app proxy behind this engine, so there is no token for one: apps are
/// reached through `/stream/session/{s}/tcpproxy`.
async fn start(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Body(body): Body<StartService>,
) -> Result<Json<Value>, Problem> {
    let (found, kernels) = session::find(&app, &caller, &reference, None).await?;
    let wish = Wish::parse(
        body.app,
        body.port,
        body.envs.as_deref(),
        body.arguments.as_deref(),
    )?;
    let started = service::start(&app, &found, &kernels, &wish).await?;
    let status = if started.was_running {
        "running"
    } else {
        "started"
    };
    Ok(Json(
        json!({ "token": "", "wsproxy_addr": "", "status": status, "port": started.port }),
    ))
}

#[derive(Deserialize)]
struct ShutdownQuery {
    service_name: String,
}

async fn shutdown(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Params(query): Params<ShutdownQuery>,
) -> Result<StatusCode, Problem> {
    let (found, kernels) = session::find(&app, &caller, &reference, None).await?;
    let service = service::find(&found, &kernels, &query.service_name)?;
    let kernel = session::main_kernel(&app, &found, &kernels)?;
    kernel
        .shutdown_service(&service.name)
        .await
        .map_err(session::runtime_problem)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn apps(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Json<Vec<ServicePort>>, Problem> {
    let (_, kernels) = session::find(&app, &caller, &reference, None).await?;
    Ok(Json(session::main_ports(&kernels)))
}

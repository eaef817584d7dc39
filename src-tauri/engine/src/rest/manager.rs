//! `/manager` over HTTP: its status and announcement (protocol page "Administrative REST" §2).

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use protocol::version::ApiVersion;
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{Body, flag};
use super::root::MANAGER;
use crate::app::manager::{self, Announcement, ManagerStatus};
use crate::auth::Superadmin;
use crate::error::Problem;
use crate::state::App;

/// Seconds after which a node of a manager counts as lost; this one is alone and never does.
const HEARTBEAT_TIMEOUT: f64 = 10.0;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/manager/status", get(status).put(set_status))
        .route("/manager/announcement", get(announcement).post(announce))
        .route("/manager/scheduler/trigger", post(gone))
        .route("/manager/scheduler/status", get(gone))
}

async fn status(State(app): State<App>, _: Superadmin) -> Result<Json<Value>, Problem> {
    let active = manager::active_sessions(&app).await?;
    let status = app.freezer.status();
    Ok(Json(json!({
        "nodes": [{
            "id": "gangway-engine",
            "num_proc": 1,
            "service_addr": app.endpoint.trim_start_matches("http://"),
            "heartbeat_timeout": HEARTBEAT_TIMEOUT,
            "ssl_enabled": false,
            "active_sessions": active,
            "status": status,
            "version": MANAGER,
            "api_version": ApiVersion::CURRENT.to_string(),
        }],
        "status": status,
        "active_sessions": active,
    })))
}

#[derive(Deserialize)]
struct NewStatus {
    status: ManagerStatus,
    #[serde(default, deserialize_with = "flag")]
    force_kill: bool,
}

async fn set_status(
    State(app): State<App>,
    _: Superadmin,
    Body(new): Body<NewStatus>,
) -> Result<StatusCode, Problem> {
    manager::set_status(&app, new.status, new.force_kill).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn announcement(
    State(app): State<App>,
    _: Superadmin,
) -> Result<Json<Announcement>, Problem> {
    manager::announcement(&app).await.map(Json)
}

#[derive(Deserialize)]
struct NewAnnouncement {
    #[serde(default, deserialize_with = "flag")]
    enabled: bool,
    message: Option<String>,
}

async fn announce(
    State(app): State<App>,
    _: Superadmin,
    Body(new): Body<NewAnnouncement>,
) -> Result<StatusCode, Problem> {
    manager::announce(&app, new.enabled, new.message).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The manager itself has them no more.
async fn gone(_: Superadmin) -> Problem {
    Problem::bad_request("This is no longer supported.")
}

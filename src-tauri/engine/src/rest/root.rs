//! `GET /`: which protocol is spoken here, and what this engine can do beyond it.

use axum::routing::get;
use axum::{Json, Router};
use protocol::version::ApiVersion;
use serde_json::{Value, json};

use protocol::api::gangway::capability;

use crate::state::App;

/// The release of the manager whose behaviour is followed.
pub(crate) const MANAGER: &str = "26.8.0";

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/", get(root))
}

async fn root() -> Json<Value> {
    Json(json!({
        "version": ApiVersion::CURRENT,
        "manager": MANAGER,
        "gangway": { "version": env!("CARGO_PKG_VERSION"), "capabilities": capability::ALL },
    }))
}

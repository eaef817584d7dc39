//! `/scaling-groups` over HTTP; the protocol's older word for resource groups.

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::Params;
use crate::app::{resource, resource_group};
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/scaling-groups", get(list))
        .route("/scaling-groups/{name}/wsproxy-version", get(proxy_version))
}

#[derive(Deserialize)]
struct GroupQuery {
    #[serde(alias = "group_id", alias = "group_name")]
    group: Option<String>,
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<GroupQuery>,
) -> Result<Json<Value>, Problem> {
    let project = match query.group.filter(|group| !group.is_empty()) {
        Some(group) => Some(resource::project(&app, &caller, &group).await?.id),
        None => None,
    };
    let groups = resource_group::groups(&app, &caller, project).await?;
    let names: Vec<Value> = groups
        .iter()
        .map(|group| json!({ "name": group.name }))
        .collect();
    Ok(Json(json!({ "scaling_groups": names })))
}

/// Apps are reached through the manager itself: no resource group has a proxy of its own.
async fn proxy_version(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    resource_group::group(&app, &caller, &name).await?;
    Ok(Json(json!({ "wsproxy_version": "v1" })))
}

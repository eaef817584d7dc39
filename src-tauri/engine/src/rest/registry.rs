//! `/container-registries` over HTTP: where images come from. All of it is superadmins'.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::extract::Body;
use crate::app::{image_rescan, registry};
use crate::auth::Superadmin;
use crate::error::Problem;
use crate::state::App;
use crate::store::registry::Registry;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/container-registries", get(list).post(add))
        .route("/container-registries/", get(list).post(add))
        .route("/container-registries/rescan", post(rescan))
        .route("/container-registries/{id}", patch(modify).delete(remove))
}

fn shown(registry: &Registry) -> Value {
    let secret = (!registry.password.is_empty()).then_some("*****");
    json!({
        "id": registry.id,
        "url": registry.url,
        "registry_name": registry.name,
        "type": registry.kind,
        "project": registry.project,
        "username": registry.username,
        "password": secret,
        "ssl_verify": registry.ssl_verify,
        "is_global": registry.is_global,
        "extra": registry.extra,
    })
}

async fn list(State(app): State<App>, _: Superadmin) -> Result<Json<Value>, Problem> {
    let all = registry::list(&app).await?;
    let items: Vec<Value> = all.iter().map(shown).collect();
    Ok(Json(json!({ "items": items })))
}

async fn add(
    State(app): State<App>,
    _: Superadmin,
    Body(change): Body<registry::Change>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let added = registry::add(&app, change).await?;
    Ok((StatusCode::CREATED, Json(shown(&added))))
}

async fn modify(
    State(app): State<App>,
    _: Superadmin,
    Path(id): Path<Uuid>,
    Body(change): Body<registry::Change>,
) -> Result<Json<Value>, Problem> {
    let changed = registry::modify(&app, id, change).await?;
    Ok(Json(shown(&changed)))
}

async fn remove(
    State(app): State<App>,
    _: Superadmin,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    registry::remove(&app, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    registry: Option<String>,
    #[serde(default)]
    project: Option<String>,
}

async fn rescan(
    State(app): State<App>,
    Superadmin(caller): Superadmin,
    Body(wanted): Body<Wanted>,
) -> Result<Json<Value>, Problem> {
    let task = image_rescan::rescan(&app, &caller, wanted.registry, wanted.project).await?;
    Ok(Json(json!({ "task_id": task })))
}

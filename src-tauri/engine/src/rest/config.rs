//! `/config` over HTTP: what kinds of resources and folders there are.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use protocol::slots::{CPU, MEM, unit};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::extract::{Body, Params, flag};
use crate::app::{config, resource, resource_group};
use crate::auth::{Caller, Superadmin};
use crate::error::Problem;
use crate::state::App;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/config/resource-slots", get(slots))
        .route("/config/resource-slots/details", get(details))
        .route("/config/vfolder-types", get(folder_types))
        .route("/config/docker-registries", get(registries))
        .route("/config/get", post(get_key))
        .route("/config/set", post(set_key))
        .route("/config/delete", post(delete_key))
}

async fn slots(State(app): State<App>, _: Caller) -> Result<Json<Value>, Problem> {
    let slots = resource::slots(&app).await?;
    let units: Map<String, Value> = slots
        .into_iter()
        .map(|slot| (slot.clone(), json!(unit(&slot))))
        .collect();
    Ok(Json(Value::Object(units)))
}

#[derive(Deserialize)]
struct DetailsQuery {
    sgroup: Option<String>,
}

async fn details(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<DetailsQuery>,
) -> Result<Json<Value>, Problem> {
    if let Some(group) = &query.sgroup {
        resource_group::group(&app, &caller, group).await?;
    }
    let slots = resource::slots(&app).await?;
    Ok(Json(Value::Object(
        slots
            .into_iter()
            .map(|slot| (slot.clone(), detail(&slot)))
            .collect(),
    )))
}

/// How a slot is shown (protocol page "Administrative REST" §1).
fn detail(slot: &str) -> Value {
    let (name, description, display_unit, icon, digits) = match slot {
        CPU => ("CPU", "CPU", "Core", "cpu", 0),
        MEM => ("RAM", "Memory", "GiB", "ram", 0),
        "cuda.device" => ("GPU", "CUDA-capable GPU", "GPU", "gpu1", 0),
        "cuda.shares" => ("fGPU", "CUDA-capable GPU (fractional)", "fGPU", "gpu1", 2),
        "rocm.device" => ("GPU", "ROCm-capable GPU", "GPU", "gpu2", 0),
        other => (other, other, other, "npu_generic", 0),
    };
    json!({
        "slot_name": slot,
        "human_readable_name": name,
        "description": description,
        "display_unit": display_unit,
        "number_format": { "binary": slot == MEM, "round_length": digits },
        "display_icon": icon,
    })
}

async fn folder_types(_: Caller) -> Json<Value> {
    Json(json!(["user", "group"]))
}

/// There are none: images come with the runtime.
async fn registries(_: Superadmin) -> Json<Value> {
    Json(json!({}))
}

#[derive(Deserialize)]
struct Key {
    key: String,
    #[serde(default, deserialize_with = "flag")]
    prefix: bool,
}

async fn get_key(
    State(app): State<App>,
    _: Superadmin,
    Body(body): Body<Key>,
) -> Result<Json<Value>, Problem> {
    let value = config::get(&app, &body.key, body.prefix).await?;
    Ok(Json(json!({ "result": value })))
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    value: Value,
}

async fn set_key(
    State(app): State<App>,
    _: Superadmin,
    Body(body): Body<KeyValue>,
) -> Result<Json<Value>, Problem> {
    config::set(&app, &body.key, &body.value).await?;
    Ok(Json(json!({ "result": "ok" })))
}

async fn delete_key(
    State(app): State<App>,
    _: Superadmin,
    Body(body): Body<Key>,
) -> Result<Json<Value>, Problem> {
    config::remove(&app, &body.key, body.prefix).await?;
    Ok(Json(json!({ "result": "ok" })))
}

//! `/resource` over HTTP.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::extract::{Body, Params};
use crate::app::resource::{self, Availability};
use crate::auth::{Caller, Superadmin};
use crate::error::Problem;
use crate::state::App;
use crate::store::preset::Preset;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/resource/presets", get(presets))
        .route("/resource/check-presets", post(check_presets))
        .route("/resource/container-registries", get(registries))
}

#[derive(Deserialize)]
struct PresetsQuery {
    #[serde(alias = "resource_group")]
    scaling_group: Option<String>,
}

fn preset(preset: &Preset) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("id".into(), json!(preset.id));
    map.insert("name".into(), json!(preset.name));
    map.insert("resource_slots".into(), json!(preset.resource_slots));
    let shared_memory = preset.shared_memory.map(|bytes| bytes.to_string());
    map.insert("shared_memory".into(), json!(shared_memory));
    map
}

async fn presets(
    State(app): State<App>,
    _: Caller,
    Params(query): Params<PresetsQuery>,
) -> Result<Json<Value>, Problem> {
    let presets = resource::presets(&app, query.scaling_group).await?;
    let presets: Vec<_> = presets.iter().map(preset).collect();
    Ok(Json(json!({ "presets": presets })))
}

#[derive(Deserialize)]
struct CheckPresets {
    #[serde(alias = "group_name", alias = "groupName")]
    group: String,
    #[serde(alias = "scalingGroup", alias = "resource_group")]
    scaling_group: Option<String>,
}

async fn check_presets(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<CheckPresets>,
) -> Result<Json<Value>, Problem> {
    let group = body.scaling_group.as_deref();
    let found = resource::check_presets(&app, &caller, &body.group, group).await?;
    let Availability {
        presets,
        keypair,
        project,
        groups_remaining,
        groups,
    } = found;
    let presets: Vec<Value> = presets
        .iter()
        .map(|(one, allocatable)| {
            let mut map = preset(one);
            map.insert("allocatable".into(), json!(allocatable));
            Value::Object(map)
        })
        .collect();
    let groups: Map<String, Value> = groups
        .into_iter()
        .map(|(name, (using, left))| (name, json!({ "using": using, "remaining": left })))
        .collect();
    Ok(Json(json!({
        "presets": presets,
        "keypair_limits": keypair.limits,
        "keypair_using": keypair.using,
        "keypair_remaining": keypair.remaining,
        "group_limits": project.limits,
        "group_using": project.using,
        "group_remaining": project.remaining,
        "scaling_group_remaining": groups_remaining,
        "scaling_groups": groups,
    })))
}

/// There are none: images come with the runtime.
async fn registries(_: Superadmin) -> Json<Value> {
    Json(json!({}))
}

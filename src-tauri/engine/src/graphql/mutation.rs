//! What GraphQL may change.

use protocol::binary_size::BinarySize;
use protocol::slots::ResourceSlots;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::record::{Ask, raw_id};
use super::{admin, folder, image_change, registry, resource, session};
use crate::app;
use crate::error::Problem;
use crate::store::preset::Preset;

/// Answers a mutation. Most say `{ok, msg}`: a failure of theirs is an answer, not a GraphQL error.
pub(super) async fn root(ask: &Ask<'_>, field: &str) -> Result<Value, Problem> {
    if field == "modify_compute_session" {
        return modify_session(ask).await;
    }
    if let Some(answer) = image_change::root(ask, field).await {
        return answer;
    }
    if let Some(answer) = registry::change(ask, field).await {
        return answer;
    }
    if let Some(answer) = folder::change(ask, field).await {
        return answer;
    }
    if let Some(answer) = admin::change(ask, field).await? {
        return Ok(answer);
    }
    ask.superadmin()?;
    let done = match field {
        "create_resource_preset" => create_preset(ask).await,
        "modify_resource_preset" => modify_preset(ask).await.map(|()| Value::Null),
        "delete_resource_preset" => delete_preset(ask).await.map(|()| Value::Null),
        other => Err(Problem::not_implemented(format!(
            "{other} is not done by this engine"
        ))),
    };
    Ok(match done {
        Ok(made) => json!({ "ok": true, "msg": "success", "resource_preset": made }),
        Err(problem) => json!({ "ok": false, "msg": problem.text() }),
    })
}

fn input<'a>(ask: &'a Ask<'_>, name: &str) -> Result<&'a Map<String, Value>, Problem> {
    let missing = || Problem::invalid_params(format!("{name} is missing"));
    ask.args
        .get(name)
        .and_then(Value::as_object)
        .ok_or_else(missing)
}

async fn modify_session(ask: &Ask<'_>) -> Result<Value, Problem> {
    let input = input(ask, "input")?;
    let text = |key: &str| input.get(key).and_then(Value::as_str);
    let reference = raw_id(text("id").unwrap_or_default());
    let (found, _) = app::session::find(ask.app, ask.caller, &reference, None).await?;
    if let Some(name) = text("name") {
        app::session::rename(ask.app, &found, name).await?;
    }
    if let Some(priority) = input.get("priority").and_then(Value::as_u64) {
        let priority = u8::try_from(priority)
            .ok()
            .filter(|priority| *priority <= 100);
        let priority = priority
            .ok_or_else(|| Problem::invalid_params("priority: a number from 0 to 100 is needed"))?;
        app::session::set_priority(ask.app, &found, priority).await?;
    }
    let item = session::changed(ask, found.id).await?;
    Ok(json!({ "item": item, "clientMutationId": text("clientMutationId") }))
}

fn amounts(props: &Map<String, Value>) -> Result<Option<ResourceSlots>, Problem> {
    let Some(value) = props.get("resource_slots").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let unread =
        |error: serde_json::Error| Problem::invalid_params(format!("resource_slots: {error}"));
    let slots = match value {
        Value::String(text) => serde_json::from_str(text),
        other => serde_json::from_value(other.clone()),
    };
    slots.map(Some).map_err(unread)
}

fn shared_memory(props: &Map<String, Value>) -> Result<Option<u64>, Problem> {
    let Some(text) = props.get("shared_memory").and_then(Value::as_str) else {
        return Ok(None);
    };
    let size: BinarySize = text
        .parse()
        .map_err(|error| Problem::invalid_params(format!("shared_memory: {error}")))?;
    Ok(Some(size.0))
}

fn group(props: &Map<String, Value>) -> Option<String> {
    Some(props.get("scaling_group_name")?.as_str()?.to_owned())
}

async fn create_preset(ask: &Ask<'_>) -> Result<Value, Problem> {
    let props = input(ask, "props")?;
    let preset = Preset {
        id: Uuid::now_v7(),
        name: ask.needed("name")?.to_owned(),
        resource_slots: amounts(props)?.unwrap_or_default(),
        shared_memory: shared_memory(props)?,
        resource_group: group(props),
    };
    app::resource::add_preset(ask.app, preset.clone()).await?;
    Ok(resource::preset_record(&preset).into())
}

async fn wanted(ask: &Ask<'_>) -> Result<Preset, Problem> {
    let id = ask.text("id").map(raw_id);
    let name = ask.text("name");
    let all = app::resource::all_presets(ask.app).await?;
    let same = |preset: &Preset| match &id {
        Some(id) => preset.id.to_string() == *id,
        None => Some(preset.name.as_str()) == name,
    };
    all.into_iter()
        .find(same)
        .ok_or_else(|| Problem::not_found("resource preset", "resource-preset_read_not-found"))
}

async fn modify_preset(ask: &Ask<'_>) -> Result<(), Problem> {
    let mut preset = wanted(ask).await?;
    let props = input(ask, "props")?;
    if let Some(name) = props.get("name").and_then(Value::as_str) {
        preset.name = name.to_owned();
    }
    if let Some(slots) = amounts(props)? {
        preset.resource_slots = slots;
    }
    if props.contains_key("shared_memory") {
        preset.shared_memory = shared_memory(props)?;
    }
    if props.contains_key("scaling_group_name") {
        preset.resource_group = group(props);
    }
    app::resource::change_preset(ask.app, preset).await
}

async fn delete_preset(ask: &Ask<'_>) -> Result<(), Problem> {
    let id = wanted(ask).await?.id;
    app::resource::remove_preset(ask.app, id).await
}

//! What GraphQL changes of images.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::image::node_of;
use super::record::{Ask, raw_id};
use crate::app::{image, image_forget, image_pull, image_rescan};
use crate::error::Problem;
use crate::store::image::Image;

const MIN: &str = "ai.backend.resource.min.";
const MAX: &str = "ai.backend.resource.max.";

/// Answers a mutation of images; `None` when it is none.
pub(super) async fn root(ask: &Ask<'_>, field: &str) -> Option<Result<Value, Problem>> {
    Some(match field {
        "alias_image" | "dealias_image" => done(alias(ask, field).await, json!({})),
        "rescan_images" => task(rescan(ask).await),
        "preload_image" => task(preload(ask).await),
        "unload_image" => task(unload(ask, "references").await),
        "purge_images" => task(purge_from_agents(ask).await),
        "modify_image" => done(modify(ask).await, json!({})),
        "clear_image_custom_resource_limit" => clear_limits(ask).await,
        "forget_image" => {
            let found = match ask.needed("reference") {
                Ok(reference) => image::find(ask.app, reference, ask.text("architecture")).await,
                Err(problem) => Err(problem),
            };
            forgotten(ask, found).await
        }
        "forget_image_by_id" | "untag_image_from_registry" => {
            let found = wanted(ask).await;
            forgotten(ask, found).await
        }
        "purge_image_by_id" => purge(ask).await,
        "clear_images" => done(clear(ask).await, json!({})),
        _ => return None,
    })
}

fn done(outcome: Result<(), Problem>, more: Value) -> Result<Value, Problem> {
    let mut answer = more;
    match outcome {
        Ok(()) => (answer["ok"], answer["msg"]) = (json!(true), json!("success")),
        Err(problem) => (answer["ok"], answer["msg"]) = (json!(false), json!(problem.text())),
    }
    Ok(answer)
}

fn task(outcome: Result<Uuid, Problem>) -> Result<Value, Problem> {
    Ok(match outcome {
        Ok(id) => json!({ "ok": true, "msg": "", "task_id": id }),
        Err(problem) => json!({ "ok": false, "msg": problem.text(), "task_id": null }),
    })
}

async fn alias(ask: &Ask<'_>, field: &str) -> Result<(), Problem> {
    ask.superadmin()?;
    let alias = ask.needed("alias")?.to_owned();
    if field == "dealias_image" {
        return image::remove_alias(ask.app, alias).await;
    }
    image::set_alias(ask.app, alias, ask.needed("target")?).await
}

async fn rescan(ask: &Ask<'_>) -> Result<Uuid, Problem> {
    if !ask.is_admin() {
        return Err(Problem::forbidden("Forbidden operation."));
    }
    let text = |name: &str| ask.text(name).map(str::to_owned);
    image_rescan::rescan(ask.app, ask.caller, text("registry"), text("project")).await
}

fn references(ask: &Ask<'_>, name: &str) -> Vec<String> {
    let list = ask.args.get(name).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|one| one.as_str().map(str::to_owned))
        .collect()
}

async fn preload(ask: &Ask<'_>) -> Result<Uuid, Problem> {
    ask.superadmin()?;
    let references = references(ask, "references");
    for reference in &references {
        image::find(ask.app, reference, None).await?;
    }
    Ok(image_pull::fetch(ask.app, ask.caller, references))
}

async fn unload(ask: &Ask<'_>, name: &str) -> Result<Uuid, Problem> {
    ask.superadmin()?;
    unload_all(ask, references(ask, name)).await
}

/// Nothing is far away, so it is done when the task begins.
async fn unload_all(ask: &Ask<'_>, references: Vec<String>) -> Result<Uuid, Problem> {
    for reference in &references {
        let found = image::find(ask.app, reference, None).await?;
        image_forget::unload(ask.app, &found).await?;
    }
    let words = format!("{} left this computer", references.join(", "));
    let owner = ask.caller.user_id();
    Ok(crate::app::background::start(
        ask.app,
        owner,
        |_, _| async move { Ok(words) },
    ))
}

async fn purge_from_agents(ask: &Ask<'_>) -> Result<Uuid, Problem> {
    if !ask.is_admin() {
        return Err(Problem::forbidden("Forbidden operation."));
    }
    let keys = ask.args.get("keys").and_then(Value::as_array);
    let names = keys
        .into_iter()
        .flatten()
        .filter_map(|key| key.get("images")?.as_array())
        .flatten()
        .filter_map(|one| Some(one.get("name")?.as_str()?.to_owned()))
        .collect();
    unload_all(ask, names).await
}

/// What an administrator says of an image in place of what it says itself.
async fn modify(ask: &Ask<'_>) -> Result<(), Problem> {
    ask.superadmin()?;
    let image = image::find(ask.app, ask.needed("target")?, ask.text("architecture")).await?;
    let props = ask.args.get("props").and_then(Value::as_object);
    let props = props.ok_or_else(|| Problem::invalid_params("props is missing"))?;
    for fixed in ["name", "registry", "image", "tag", "architecture", "digest"] {
        if props.get(fixed).is_some_and(|value| !value.is_null()) {
            return Err(Problem::invalid_params(format!(
                "{fixed}: what an image is can't be changed; give it an alias instead."
            )));
        }
    }
    let mut changes = BTreeMap::new();
    let list = |name: &str| props.get(name).and_then(Value::as_array);
    for pair in list("labels").into_iter().flatten() {
        let text = |name: &str| pair.get(name).and_then(Value::as_str);
        if let Some(key) = text("key") {
            changes.insert(key.to_owned(), text("value").map(str::to_owned));
        }
    }
    for limit in list("resource_limits").into_iter().flatten() {
        let text = |name: &str| limit.get(name).and_then(Value::as_str);
        let Some(key) = text("key") else { continue };
        if let Some(min) = text("min") {
            amount(key, min)?;
            changes.insert(format!("{MIN}{key}"), Some(min.to_owned()));
        }
        if let Some(max) = text("max") {
            changes.insert(format!("{MAX}{key}"), Some(max.to_owned()));
        }
    }
    if let Some(accelerators) = list("supported_accelerators") {
        let names: Vec<&str> = accelerators.iter().filter_map(Value::as_str).collect();
        let key = "ai.backend.accelerators".to_owned();
        changes.insert(key, Some(names.join(",")));
    }
    image::override_labels(ask.app, &image, changes).await
}

fn amount(slot: &str, text: &str) -> Result<(), Problem> {
    let read = if slot == "mem" {
        text.parse::<protocol::binary_size::BinarySize>().is_ok()
    } else {
        text.parse::<protocol::slots::Quantity>().is_ok()
    };
    read.then_some(())
        .ok_or_else(|| Problem::invalid_params(format!("{slot}: {text} is no amount.")))
}

async fn clear_limits(ask: &Ask<'_>) -> Result<Value, Problem> {
    ask.superadmin()?;
    let key = ask.args.get("key").and_then(Value::as_object);
    let text = |name: &str| key.and_then(|key| key.get(name)?.as_str());
    let reference = text("image_canonical").unwrap_or_default();
    let found = image::find(ask.app, reference, text("architecture")).await?;
    let changes = found
        .labels
        .keys()
        .filter(|key| key.starts_with(MIN) || key.starts_with(MAX))
        .map(|key| (key.clone(), None))
        .collect();
    image::override_labels(ask.app, &found, changes).await?;
    let now = image::find(ask.app, reference, text("architecture")).await?;
    Ok(json!({ "image_node": node_of(ask, &now).await? }))
}

async fn wanted(ask: &Ask<'_>) -> Result<Image, Problem> {
    let text = raw_id(ask.needed("image_id")?);
    let id = text
        .parse()
        .map_err(|_| Problem::invalid_params(format!("image_id: {text} is not a UUID")))?;
    image_forget::wanted(ask.app, id).await
}

async fn forgotten(ask: &Ask<'_>, found: Result<Image, Problem>) -> Result<Value, Problem> {
    let outcome = match found {
        Ok(image) => image_forget::forget(ask.app, ask.caller, image).await,
        Err(problem) => Err(problem),
    };
    match outcome {
        Ok(image) => Ok(json!({ "ok": true, "msg": "", "image": node_of(ask, &image).await? })),
        Err(problem) => Ok(json!({ "ok": false, "msg": problem.text(), "image": null })),
    }
}

async fn purge(ask: &Ask<'_>) -> Result<Value, Problem> {
    let options = ask.args.get("options").and_then(Value::as_object);
    let remote = options.and_then(|it| it.get("remove_from_registry")?.as_bool());
    let image = wanted(ask).await?;
    if remote == Some(true) && image.registry != crate::app::registry::LOCAL {
        return Err(Problem::not_implemented(
            "This engine takes nothing out of registries.",
        ));
    }
    let node = node_of(ask, &image).await?;
    image_forget::purge(ask.app, ask.caller, image).await?;
    Ok(json!({ "image": node }))
}

async fn clear(ask: &Ask<'_>) -> Result<(), Problem> {
    ask.superadmin()?;
    let registry = ask.text("registry");
    for found in image::list(ask.app).await? {
        let fits = registry.is_none_or(|name| name == found.registry);
        if fits
            && found.registry != crate::app::registry::LOCAL
            && !image_pull::is_elsewhere(&found)
        {
            image_forget::purge(ask.app, ask.caller, found).await?;
        }
    }
    Ok(())
}

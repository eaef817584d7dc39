//! Images as GraphQL objects.

use serde_json::{Value, json};

use super::record::{Ask, Record, node, pairs, record};
use crate::app;
use crate::error::Problem;
use crate::store::image::Image;

const NODE: &str = "ImageNode";

fn image_record(image: &Image) -> Record {
    // `<registry>/<name>:<tag>`: the registry is a field of its own.
    let (path, tag) = image
        .name
        .rsplit_once(':')
        .unwrap_or((&image.name, "latest"));
    let name = path
        .strip_prefix(&image.registry)
        .unwrap_or(path)
        .trim_start_matches('/');
    let (project, base) = name.rsplit_once('/').unwrap_or(("", name));
    let (version, rest) = tag.split_once('-').unwrap_or((tag, ""));
    let tags: Vec<Value> = rest
        .split('-')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let digits = part
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(part.len());
            let (key, value) = part.split_at(digits);
            json!({ "key": key, "value": value })
        })
        .collect();
    let limits: Vec<Value> = app::image::minimums(image)
        .into_iter()
        .map(|(key, min)| json!({ "key": key, "min": min, "max": "Infinity" }))
        .collect();
    let accelerators = image
        .labels
        .get("ai.backend.accelerators")
        .map_or("", String::as_str);
    let accelerators: Vec<&str> = accelerators
        .split(',')
        .filter(|one| !one.is_empty())
        .collect();
    record(json!({
        "id": image.id,
        "name": name,
        "namespace": name,
        "base_image_name": base,
        "project": project,
        "humanized_name": name,
        "tag": tag,
        "tags": tags,
        "version": version,
        "registry": image.registry,
        "architecture": image.architecture,
        "is_local": true,
        "digest": image.digest,
        "hash": image.digest,
        "labels": pairs(&image.labels),
        "aliases": image.aliases,
        "size_bytes": image.size_bytes,
        "status": "ALIVE",
        "type": "COMPUTE",
        "resource_limits": limits,
        "supported_accelerators": accelerators,
        "installed": true,
        "installed_agents": [],
        "permissions": ["read_attribute", "create_container"],
    }))
}

pub(super) async fn one(ask: &Ask<'_>, field: &str) -> Result<Value, Problem> {
    let reference = match ask.text("reference") {
        Some(reference) => reference.to_owned(),
        None => ask.id("id")?,
    };
    let image = app::image::find(ask.app, &reference, ask.text("architecture")).await?;
    let fields = image_record(&image);
    Ok(if field == "image" {
        fields.into()
    } else {
        node(NODE, fields).into()
    })
}

async fn all(ask: &Ask<'_>) -> Result<Vec<Image>, Problem> {
    // Every image is there and none is for the system's own use.
    let statuses = ask.args.get("filter_by_statuses").and_then(Value::as_array);
    let alive = statuses.is_none_or(|list| list.iter().any(|one| one.as_str() == Some("ALIVE")));
    if !alive || ask.flag("is_operation") == Some(true) || ask.flag("is_installed") == Some(false) {
        return Ok(Vec::new());
    }
    app::image::list(ask.app).await
}

pub(super) async fn list(ask: &Ask<'_>, field: &str) -> Result<Value, Problem> {
    let customized = |image: &Image| {
        image
            .labels
            .contains_key("ai.backend.customized-image.owner")
    };
    let images = all(ask).await?;
    let records: Vec<Record> = match field {
        "images" => images.iter().map(image_record).collect(),
        _ => {
            let own = images.iter().filter(|image| customized(image));
            own.map(|image| node(NODE, image_record(image))).collect()
        }
    };
    Ok(json!(records))
}

pub(super) async fn nodes(ask: &Ask<'_>) -> Result<Value, Problem> {
    let images = all(ask).await?;
    ask.connection(
        images
            .iter()
            .map(|image| node(NODE, image_record(image)))
            .collect(),
    )
}

/// The image of a kernel; null when the engine no longer has it.
pub(super) async fn of_kernel(ask: &Ask<'_>, parent: &Record) -> Result<Value, Problem> {
    let text = |key: &str| parent.get(key).and_then(Value::as_str);
    let Some(reference) = text("image_reference") else {
        return Ok(Value::Null);
    };
    let image = app::image::find(ask.app, reference, text("architecture")).await;
    Ok(image
        .map(|image| node(NODE, image_record(&image)).into())
        .unwrap_or_default())
}

//! Images as GraphQL objects.

use protocol::api::image::LABEL_ROLE;
use serde_json::{Value, json};

use super::record::{Ask, Record, node, pairs, record};
use crate::app;
use crate::app::image_state::ImageState;
use crate::error::Problem;
use crate::store::image::Image;

const NODE: &str = "ImageNode";
/// Label of images for the system's own sessions.
const OPERATION: &str = "operation";

/// An image with what is known of it.
struct Shown {
    image: Image,
    is_forgotten: bool,
    is_installed: bool,
    /// Where it is installed.
    agent: String,
}

async fn agent(ask: &Ask<'_>) -> String {
    let nodes = ask.app.runtime.nodes().await.unwrap_or_default();
    nodes
        .into_iter()
        .next()
        .map_or_else(String::new, |node| node.name)
}

fn shown(image: Image, state: ImageState, agent: &str) -> Shown {
    Shown {
        is_forgotten: state.is_forgotten,
        is_installed: state.content.is_some() || app::image_pull::is_elsewhere(&image),
        agent: agent.to_owned(),
        image,
    }
}

/// The protocol's kinds of images, by the role that their label says.
fn kind(image: &Image) -> &'static str {
    match image.labels.get(LABEL_ROLE).map(String::as_str) {
        Some("SYSTEM") => "SYSTEM",
        Some("INFERENCE") => "SERVICE",
        _ => "COMPUTE",
    }
}

/// The node of one image.
pub(super) async fn node_of(ask: &Ask<'_>, image: &Image) -> Result<Record, Problem> {
    let state = app::image_state::image_state(ask.app, image.id).await?;
    let shown = shown(image.clone(), state, &agent(ask).await);
    Ok(node(NODE, image_record(&shown)))
}

fn image_record(shown: &Shown) -> Record {
    let image = &shown.image;
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
        "is_local": image.registry == app::registry::LOCAL,
        "digest": image.digest,
        "hash": image.digest,
        "labels": pairs(&image.labels),
        "aliases": image.aliases,
        "size_bytes": image.size_bytes,
        "status": if shown.is_forgotten { "DELETED" } else { "ALIVE" },
        "type": kind(image),
        "resource_limits": limits,
        "supported_accelerators": accelerators,
        "installed": shown.is_installed,
        "installed_agents": if shown.is_installed { vec![shown.agent.as_str()] } else { Vec::new() },
        "permissions": ["read_attribute", "create_container"],
    }))
}

pub(super) async fn one(ask: &Ask<'_>, field: &str) -> Result<Value, Problem> {
    let reference = match ask.text("reference") {
        Some(reference) => reference.to_owned(),
        None => ask.id("id")?,
    };
    let image = app::image::find(ask.app, &reference, ask.text("architecture")).await?;
    if !may_see(ask, &image) {
        return Err(Problem::not_found(
            "environment image",
            "image_read_not-found",
        ));
    }
    if field == "image_node" {
        return Ok(node_of(ask, &image).await?.into());
    }
    let state = app::image_state::image_state(ask.app, image.id).await?;
    Ok(image_record(&shown(image, state, &agent(ask).await)).into())
}

/// What somebody made of a session is theirs alone.
fn may_see(ask: &Ask<'_>, image: &Image) -> bool {
    ask.caller.is_superadmin() || app::image::is_for(image, ask.caller.user_id())
}

async fn all(ask: &Ask<'_>) -> Result<Vec<Shown>, Problem> {
    let statuses = ask.args.get("filter_by_statuses").and_then(Value::as_array);
    let wants = |status: &str| match statuses {
        None => status == "ALIVE",
        Some(list) => list.iter().any(|one| one.as_str() == Some(status)),
    };
    let (alive, forgotten) = (wants("ALIVE"), wants("DELETED"));
    let (installed, operation) = (ask.flag("is_installed"), ask.flag("is_operation"));
    let mut states = app::image_state::all(ask.app).await?;
    let agent = agent(ask).await;
    Ok(app::image::list(ask.app)
        .await?
        .into_iter()
        .filter(|image| may_see(ask, image))
        .map(|image| {
            let state = states.remove(&image.id).unwrap_or_default();
            shown(image, state, &agent)
        })
        .filter(|one| if one.is_forgotten { forgotten } else { alive })
        .filter(|one| installed.is_none_or(|wanted| wanted == one.is_installed))
        .filter(|one| {
            let features = one.image.labels.get("ai.backend.features");
            let is_operation = features.is_some_and(|it| it.split(' ').any(|it| it == OPERATION));
            operation.is_none_or(|wanted| wanted == is_operation)
        })
        .collect())
}

pub(super) async fn list(ask: &Ask<'_>, field: &str) -> Result<Value, Problem> {
    let images = all(ask).await?;
    let records: Vec<Record> = match field {
        "images" => images.iter().map(image_record).collect(),
        _ => images
            .iter()
            .filter(|one| app::image::is_owned_by(&one.image, ask.caller.user_id()))
            .map(|one| node(NODE, image_record(one)))
            .collect(),
    };
    Ok(json!(records))
}

pub(super) async fn nodes(ask: &Ask<'_>) -> Result<Value, Problem> {
    let images = all(ask).await?;
    ask.connection(
        images
            .iter()
            .map(|one| node(NODE, image_record(one)))
            .collect(),
    )
}

/// The image of a kernel; null when the engine no longer has it.
pub(super) async fn of_kernel(ask: &Ask<'_>, parent: &Record) -> Result<Value, Problem> {
    let text = |key: &str| parent.get(key).and_then(Value::as_str);
    let Some(reference) = text("image_reference") else {
        return Ok(Value::Null);
    };
    match app::image::find(ask.app, reference, text("architecture")).await {
        Ok(image) => Ok(node_of(ask, &image).await?.into()),
        Err(_) => Ok(Value::Null),
    }
}

//! Registries of images as GraphQL objects.

use serde_json::{Value, json};

use super::record::{Ask, Record, global_id, raw_id, record};
use crate::app::registry::{self, Change};
use crate::error::Problem;
use crate::store::registry::Registry;

/// Shown in place of a password.
const HIDDEN: &str = "*****";

fn node(registry: &Registry) -> Record {
    let secret = (!registry.password.is_empty()).then_some(HIDDEN);
    record(json!({
        "id": global_id("ContainerRegistryNode", &registry.id.to_string()),
        "row_id": registry.id,
        "name": registry.name,
        "url": registry.url,
        "type": registry.kind,
        "registry_name": registry.name,
        "is_global": registry.is_global,
        "project": registry.project,
        "username": registry.username,
        "password": secret,
        "ssl_verify": registry.ssl_verify,
        "extra": registry.extra,
    }))
}

/// The older object: one for each host, with all of its projects.
fn by_host(registries: &[Registry]) -> Vec<Value> {
    let mut names: Vec<&str> = registries.iter().map(|it| it.name.as_str()).collect();
    names.dedup();
    names
        .into_iter()
        .filter_map(|name| {
            let all: Vec<&Registry> = registries.iter().filter(|it| it.name == name).collect();
            let first = all.first()?;
            let projects: Vec<&str> = all
                .iter()
                .map(|it| it.project.as_str())
                .filter(|project| !project.is_empty())
                .collect();
            let secret = (!first.password.is_empty()).then_some(HIDDEN);
            Some(json!({
                "id": name,
                "hostname": name,
                "config": {
                    "url": first.url,
                    "type": first.kind,
                    "project": projects,
                    "username": first.username,
                    "password": secret,
                    "ssl_verify": first.ssl_verify,
                    "is_global": first.is_global,
                },
            }))
        })
        .collect()
}

pub(super) async fn query(ask: &Ask<'_>, field: &str) -> Result<Value, Problem> {
    ask.superadmin()?;
    let all = registry::list(ask.app).await?;
    match field {
        "container_registry_node" => {
            let id = ask.uuid("id")?;
            let found = all.iter().find(|one| one.id == id);
            Ok(found.map(|one| node(one).into()).unwrap_or_default())
        }
        "container_registry_nodes" => ask.connection(all.iter().map(node).collect()),
        "container_registry" => {
            let name = ask.needed("hostname")?;
            let found = by_host(&all).into_iter().find(|one| one["id"] == name);
            Ok(found.unwrap_or_default())
        }
        _ => Ok(by_host(&all).into()),
    }
}

/// Answers a mutation of registries; `None` when it is none.
pub(super) async fn change(ask: &Ask<'_>, field: &str) -> Option<Result<Value, Problem>> {
    let (verb, is_new) = match field {
        "create_container_registry_node"
        | "modify_container_registry_node"
        | "delete_container_registry_node" => (field.split('_').next()?, false),
        "create_container_registry_node_v2"
        | "modify_container_registry_node_v2"
        | "delete_container_registry_node_v2" => (field.split('_').next()?, true),
        _ => return None,
    };
    Some(apply(ask, verb, is_new).await)
}

async fn apply(ask: &Ask<'_>, verb: &str, is_new: bool) -> Result<Value, Problem> {
    ask.superadmin()?;
    // The newer ones have everything in one argument.
    let props = if is_new {
        ask.args.get("props").cloned().unwrap_or_default()
    } else {
        Value::Object(ask.args.clone())
    };
    let mut props = match props {
        Value::Object(props) => props,
        _ => Record::new(),
    };
    props.retain(|_, value| !value.is_null());
    if let Some(Value::String(text)) = props.get("extra") {
        let extra: Value = serde_json::from_str(text)
            .map_err(|error| Problem::invalid_params(format!("extra: {error}")))?;
        props.insert("extra".to_owned(), extra);
    }
    let change: Change = serde_json::from_value(props.into())
        .map_err(|error| Problem::invalid_params(error.to_string()))?;
    let id = || {
        let text = raw_id(ask.needed("id")?);
        text.parse()
            .map_err(|_| Problem::invalid_params(format!("id: {text} is not a UUID")))
    };
    let changed = match verb {
        "create" => registry::add(ask.app, change).await?,
        "modify" => registry::modify(ask.app, id()?, change).await?,
        _ => registry::remove(ask.app, id()?).await?,
    };
    Ok(json!({ "container_registry": node(&changed) }))
}

//! Domains and projects as GraphQL objects.

use serde_json::{Value, json};
use uuid::Uuid;

use super::record::{Ask, Record, global_id, node, raw_id, record};
use crate::error::Problem;
use crate::store;
use crate::store::domain::Domain;
use crate::store::project::Project;

const NODE: &str = "GroupNode";

fn domain_record(domain: &Domain, groups: &[String]) -> Record {
    record(json!({
        "id": domain.name,
        "name": domain.name,
        "description": domain.description,
        "is_active": domain.is_active,
        "created_at": domain.created_at.iso(),
        "modified_at": domain.created_at.iso(),
        "total_resource_slots": domain.total_resource_slots,
        "allowed_vfolder_hosts": domain.allowed_vfolder_hosts,
        "allowed_docker_registries": domain.allowed_docker_registries,
        "integration_id": domain.integration_id,
        "scaling_groups": groups,
    }))
}

async fn domain_records(ask: &Ask<'_>) -> Result<Vec<Record>, Problem> {
    let own = (!ask.caller.is_superadmin()).then(|| ask.caller.user.domain.clone());
    ask.app
        .store
        .read(move |db| {
            let mut records = Vec::new();
            for domain in store::domain::list(db)? {
                if own.as_ref().is_none_or(|own| domain.name == *own) {
                    let groups = store::access::groups(db, Some(&domain.name), &[], None)?;
                    records.push(domain_record(&domain, &groups));
                }
            }
            Ok(records)
        })
        .await
}

/// The record of a domain that a mutation has changed.
pub(super) async fn one_domain(ask: &Ask<'_>, name: &str) -> Result<Value, Problem> {
    let all = domain_records(ask).await?;
    let found = all
        .into_iter()
        .find(|record| record.get("name") == Some(&json!(name)));
    Ok(found.map(Value::from).unwrap_or_default())
}

/// The record of a project that a mutation has changed.
pub(super) async fn changed(ask: &Ask<'_>, project: &Project) -> Result<Value, Problem> {
    let records = project_records(ask, vec![project.clone()]).await?;
    Ok(records
        .into_iter()
        .next()
        .map(Value::from)
        .unwrap_or_default())
}

/// The records of projects, each with the resource groups that are open to it or its domain.
async fn project_records(ask: &Ask<'_>, projects: Vec<Project>) -> Result<Vec<Record>, Problem> {
    ask.app
        .store
        .read(move |db| {
            let mut records = Vec::new();
            for project in projects {
                let groups = store::access::groups(db, Some(&project.domain), &[project.id], None)?;
                records.push(project_record(&project, &groups));
            }
            Ok(records)
        })
        .await
}

fn domain_node(mut fields: Record) -> Record {
    let name = fields
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    fields.insert("id".into(), global_id("DomainNode", &name).into());
    fields
}

pub(super) async fn domain(ask: &Ask<'_>, field: &str) -> Result<Value, Problem> {
    let wanted = match ask.text("name").or_else(|| ask.text("id")) {
        Some(text) => raw_id(text),
        None => ask.caller.user.domain.clone(),
    };
    let all = domain_records(ask).await?;
    let found = all
        .into_iter()
        .find(|record| record.get("name") == Some(&json!(wanted)));
    Ok(match found {
        Some(fields) if field == "domain_node" => domain_node(fields).into(),
        Some(fields) => fields.into(),
        None => Value::Null,
    })
}

pub(super) async fn domains(ask: &Ask<'_>, field: &str) -> Result<Value, Problem> {
    let mut records = domain_records(ask).await?;
    if field == "domain_nodes" {
        return ask.connection(records.into_iter().map(domain_node).collect());
    }
    ask.superadmin()?;
    if let Some(active) = ask.flag("is_active") {
        records.retain(|record| record.get("is_active") == Some(&json!(active)));
    }
    Ok(json!(records))
}

fn project_record(project: &Project, groups: &[String]) -> Record {
    record(json!({
        "id": project.id,
        "name": project.name,
        "description": project.description,
        "is_active": project.is_active,
        "created_at": project.created_at.iso(),
        "modified_at": project.created_at.iso(),
        "domain_name": project.domain,
        "total_resource_slots": project.total_resource_slots,
        "allowed_vfolder_hosts": project.allowed_vfolder_hosts,
        "integration_id": project.integration_id,
        "resource_policy": project.resource_policy,
        "type": project.kind.to_uppercase().replace('-', "_"),
        "container_registry": project.container_registry,
        "scaling_groups": groups,
    }))
}

/// The projects that the caller may see: the own ones, or all of a domain for administrators.
async fn records(ask: &Ask<'_>) -> Result<Vec<Record>, Problem> {
    ask.own_domain()?;
    let (me, admin, superadmin) = (
        ask.caller.user_id(),
        ask.is_admin(),
        ask.caller.is_superadmin(),
    );
    let (domain, own) = (
        ask.text("domain_name").map(str::to_owned),
        ask.caller.user.domain.clone(),
    );
    let projects = ask
        .app
        .store
        .read(move |db| -> Result<Vec<Project>, Problem> {
            if !admin {
                return Ok(store::project::of_user(db, me)?);
            }
            let mut projects = Vec::new();
            for one in store::domain::list(db)? {
                let wanted = domain.as_ref().is_none_or(|domain| one.name == *domain);
                if wanted && (superadmin || one.name == own) {
                    projects.extend(store::project::list(db, &one.name)?);
                }
            }
            Ok(projects)
        })
        .await?;
    project_records(ask, projects).await
}

pub(super) async fn one(ask: &Ask<'_>, field: &str) -> Result<Value, Problem> {
    let id = ask.uuid("id")?;
    let found = records(ask)
        .await?
        .into_iter()
        .find(|record| record.get("id") == Some(&json!(id)));
    Ok(match found {
        Some(fields) if field == "group_node" => node(NODE, fields).into(),
        Some(fields) => fields.into(),
        None => Value::Null,
    })
}

pub(super) async fn list(ask: &Ask<'_>, field: &str) -> Result<Value, Problem> {
    let mut records = records(ask).await?;
    if let Some(name) = ask.text("name") {
        records.retain(|record| record.get("name") == Some(&json!(name)));
    }
    if let Some(active) = ask.flag("is_active") {
        records.retain(|record| record.get("is_active") == Some(&json!(active)));
    }
    if let Some(Value::Array(types)) = ask.args.get("type") {
        records.retain(|record| record.get("type").is_some_and(|kind| types.contains(kind)));
    }
    if field == "group_nodes" {
        return ask.connection(
            records
                .into_iter()
                .map(|fields| node(NODE, fields))
                .collect(),
        );
    }
    Ok(json!(records))
}

pub(super) async fn of_user(ask: &Ask<'_>, parent: &Record) -> Result<Value, Problem> {
    let user: Option<Uuid> = parent.get("uuid").and_then(|id| id.as_str()?.parse().ok());
    let Some(user) = user else {
        return ask.connection(Vec::new());
    };
    let projects = ask
        .app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::project::of_user(db, user)?) })
        .await?;
    let records = project_records(ask, projects).await?;
    let nodes = records.into_iter().map(|fields| node(NODE, fields));
    ask.connection(nodes.collect())
}

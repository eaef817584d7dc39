//! Projects and their members.

use db::rusqlite::Connection;
use uuid::Uuid;

use super::props::Kind;
use super::{Props, conflict, missing};
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;
use crate::store::access::Scope;
use crate::store::change::Change;
use crate::store::project::Project;
use crate::store::{self, At};

const COLUMNS: [(&str, Kind); 7] = [
    ("description", Kind::Text),
    ("is_active", Kind::Flag),
    ("total_resource_slots", Kind::Slots),
    ("allowed_vfolder_hosts", Kind::Hosts),
    ("integration_id", Kind::NullableText),
    ("resource_policy", Kind::Text),
    ("container_registry", Kind::Json),
];

fn no_project(id: Uuid) -> Problem {
    missing("project", &id.to_string())
}

/// Administrators of a domain act within it.
fn check_domain(caller: &Caller, domain: &str) -> Result<(), Problem> {
    if caller.is_superadmin() || caller.user.domain == domain {
        return Ok(());
    }
    Err(Problem::forbidden("Forbidden operation."))
}

fn check_references(tx: &Connection, domain: &str, policy: Option<&str>) -> Result<(), Problem> {
    if store::domain::get(tx, domain)?.is_none() {
        return Err(missing("domain", domain));
    }
    let policies = store::policy::of_projects(tx)?;
    match policy {
        Some(name) if !policies.iter().any(|policy| policy.name == name) => {
            Err(missing("project resource policy", name))
        }
        _ => Ok(()),
    }
}

fn check_name(tx: &Connection, domain: &str, name: &str) -> Result<(), Problem> {
    let taken = store::project::list(tx, domain)?;
    if name.trim().is_empty() || name.chars().count() > 64 {
        return Err(Problem::invalid_params(
            "name: 1 to 64 characters are needed.",
        ));
    }
    if taken.iter().any(|project| project.name == name) {
        return Err(conflict(format!(
            "There is a project \"{name}\" in the domain already."
        )));
    }
    Ok(())
}

/// `GENERAL` or `MODEL_STORE`, as it is kept.
fn kind(props: &Props<'_>) -> Result<String, Problem> {
    let kind = props
        .text("type")?
        .unwrap_or_default()
        .to_lowercase()
        .replace('_', "-");
    match kind.as_str() {
        "" | "general" => Ok("general".to_owned()),
        "model-store" => Ok(kind),
        other => Err(Problem::invalid_params(format!(
            "type: \"{other}\" is not a type of project."
        ))),
    }
}

/// Makes a project.
pub(crate) async fn create(
    app: &App,
    caller: &Caller,
    name: &str,
    props: Props<'_>,
) -> Result<Project, Problem> {
    let domain = props
        .text("domain_name")?
        .unwrap_or_else(|| caller.user.domain.clone());
    check_domain(caller, &domain)?;
    let policy = props
        .text("resource_policy")?
        .unwrap_or_else(|| "default".to_owned());
    let id = Uuid::now_v7();
    let mut change = props.change(&COLUMNS)?;
    change.set("id", store::Id(id));
    change.set("name", name.to_owned());
    change.set("domain", domain.clone());
    change.set("type", kind(&props)?);
    change.set("created_at", At::now());
    if props.text("resource_policy")?.is_none() {
        change.set("resource_policy", policy.clone());
    }
    let name = name.to_owned();
    app.store
        .write(move |tx| {
            check_references(tx, &domain, Some(&policy))?;
            check_name(tx, &domain, &name)?;
            change.insert(tx, "project")?;
            store::project::get(tx, id)?.ok_or_else(|| no_project(id))
        })
        .await
}

/// Changes a project, and adds or removes members.
pub(crate) async fn modify(
    app: &App,
    caller: &Caller,
    id: Uuid,
    props: Props<'_>,
) -> Result<Project, Problem> {
    let mut change = props.change(&COLUMNS)?;
    let (renamed, moved) = (props.text("name")?, props.text("domain_name")?);
    let policy = props.text("resource_policy")?;
    let members = members(&props)?;
    let caller = caller.clone();
    app.store
        .write(move |tx| {
            let project = store::project::get(tx, id)?.ok_or_else(|| no_project(id))?;
            check_domain(&caller, &project.domain)?;
            let domain = moved.unwrap_or_else(|| project.domain.clone());
            check_domain(&caller, &domain)?;
            check_references(tx, &domain, policy.as_deref())?;
            let name = renamed.unwrap_or_else(|| project.name.clone());
            if name != project.name || domain != project.domain {
                check_name(tx, &domain, &name)?;
                change.set("name", name);
                change.set("domain", domain);
            }
            change.update(tx, "project", "id", &id.to_string())?;
            if let Some((add, users)) = members {
                for user in users {
                    if store::user::get(tx, user)?.is_none() {
                        return Err(missing("user", &user.to_string()));
                    }
                    if add {
                        store::project::add_member(tx, id, user)?;
                    } else {
                        store::project::remove_member(tx, id, user)?;
                    }
                }
            }
            store::project::get(tx, id)?.ok_or_else(|| no_project(id))
        })
        .await
}

/// Whether members are added, and which.
fn members(props: &Props<'_>) -> Result<Option<(bool, Vec<Uuid>)>, Problem> {
    let Some(mode) = props.text("user_update_mode")? else {
        return Ok(None);
    };
    let add = match mode.as_str() {
        "add" => true,
        "remove" => false,
        other => {
            return Err(Problem::invalid_params(format!(
                "user_update_mode: \"{other}\" is neither \"add\" nor \"remove\"."
            )));
        }
    };
    let users = props.texts("user_uuids")?.unwrap_or_default();
    let parsed: Result<Vec<Uuid>, _> = users.iter().map(|user| user.parse()).collect();
    parsed
        .map(|users| Some((add, users)))
        .map_err(|_| Problem::invalid_params("user_uuids: a list of UUIDs is needed."))
}

/// Switches a project off; what belongs to it stays.
pub(crate) async fn delete(app: &App, caller: &Caller, id: Uuid) -> Result<(), Problem> {
    let caller = caller.clone();
    app.store
        .write(move |tx| {
            let project = store::project::get(tx, id)?.ok_or_else(|| no_project(id))?;
            check_domain(&caller, &project.domain)?;
            let mut off = Change::default();
            off.set("is_active", false);
            off.update(tx, "project", "id", &id.to_string())?;
            Ok(())
        })
        .await
}

/// Forgets a project that nothing belongs to any more.
pub(crate) async fn purge(app: &App, caller: &Caller, id: Uuid) -> Result<(), Problem> {
    let caller = caller.clone();
    app.store
        .write(move |tx| {
            let project = store::project::get(tx, id)?.ok_or_else(|| no_project(id))?;
            check_domain(&caller, &project.domain)?;
            if store::project::in_use(tx, id)? {
                return Err(conflict(
                    "The project has active sessions or folders. Terminate and delete them first.",
                ));
            }
            store::access::close(tx, Scope::Project, &id.to_string(), None)?;
            store::project::remove(tx, id)?;
            Ok(())
        })
        .await
}

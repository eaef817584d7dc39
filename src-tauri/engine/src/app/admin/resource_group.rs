//! Resource groups, who may use them, and the agents that serve them.

use serde_json::Value;

use super::props::Kind;
use super::{Props, conflict, missing};
use crate::app::bootstrap::DEFAULT;
use crate::error::Problem;
use crate::state::App;
use crate::store::access::{AgentSetting, Scope};
use crate::store::change;
use crate::store::resource_group::ResourceGroup;
use crate::store::session::Filter;
use crate::store::{self, At};

const COLUMNS: [(&str, Kind); 10] = [
    ("description", Kind::Text),
    ("is_active", Kind::Flag),
    ("is_public", Kind::Flag),
    ("wsproxy_addr", Kind::NullableText),
    ("wsproxy_api_token", Kind::NullableText),
    ("driver", Kind::Text),
    ("driver_opts", Kind::Json),
    ("scheduler", Kind::Text),
    ("scheduler_opts", Kind::Json),
    ("use_host_network", Kind::Flag),
];

fn no_group(name: &str) -> Problem {
    missing("scaling group", name)
}

fn check(props: &Props<'_>) -> Result<(), Problem> {
    match props.json("scheduler_opts")? {
        None | Some(Value::Object(_)) => Ok(()),
        Some(_) => Err(Problem::invalid_params(
            "scheduler_opts: an object is needed.",
        )),
    }
}

/// Makes a resource group. Nobody may use it before it is opened to them.
pub(crate) async fn create(
    app: &App,
    name: &str,
    props: Props<'_>,
) -> Result<ResourceGroup, Problem> {
    check(&props)?;
    if name.trim().is_empty() || name.chars().count() > 64 {
        return Err(Problem::invalid_params(
            "name: 1 to 64 characters are needed.",
        ));
    }
    let mut row = props.change(&COLUMNS)?;
    row.set("name", name.to_owned());
    row.set("created_at", At::now());
    let name = name.to_owned();
    app.store
        .write(move |tx| {
            if store::resource_group::get(tx, &name)?.is_some() {
                return Err(conflict(format!(
                    "There is a scaling group \"{name}\" already."
                )));
            }
            row.insert(tx, "resource_group")?;
            store::resource_group::get(tx, &name)?.ok_or_else(|| no_group(&name))
        })
        .await
}

/// Changes a resource group.
pub(crate) async fn modify(app: &App, name: &str, props: Props<'_>) -> Result<(), Problem> {
    check(&props)?;
    let change = props.change(&COLUMNS)?;
    let name = name.to_owned();
    app.store
        .write(
            move |tx| match change.update(tx, "resource_group", "name", &name)? {
                true => Ok(()),
                false => Err(no_group(&name)),
            },
        )
        .await?;
    app.nudge.schedule.notify_one();
    Ok(())
}

/// Forgets a resource group in which nothing is.
pub(crate) async fn delete(app: &App, name: &str) -> Result<(), Problem> {
    if name == DEFAULT {
        return Err(conflict("The first scaling group can't be removed."));
    }
    let name = name.to_owned();
    app.store
        .write(move |tx| {
            let in_group = Filter {
                resource_group: Some(name.clone()),
                statuses: Some(store::session::live_statuses()),
                ..Filter::default()
            };
            if store::session::count(tx, &in_group)? > 0 {
                return Err(conflict(
                    "The scaling group has sessions that are not over.",
                ));
            }
            match change::remove(tx, "resource_group", "name", &name)? {
                true => Ok(()),
                false => Err(no_group(&name)),
            }
        })
        .await
}

fn check_target(tx: &db::rusqlite::Connection, scope: Scope, target: &str) -> Result<(), Problem> {
    let there = match scope {
        Scope::Domain => store::domain::get(tx, target)?.is_some(),
        Scope::Keypair => store::keypair::get(tx, target)?.is_some(),
        Scope::Project => match target.parse() {
            Ok(id) => store::project::get(tx, id)?.is_some(),
            Err(_) => false,
        },
    };
    let kind = match scope {
        Scope::Domain => "domain",
        Scope::Keypair => "keypair",
        Scope::Project => "project",
    };
    if there {
        Ok(())
    } else {
        Err(missing(kind, target))
    }
}

/// Opens resource groups to a domain, a project or a keypair.
pub(crate) async fn open(
    app: &App,
    scope: Scope,
    target: String,
    groups: Vec<String>,
) -> Result<(), Problem> {
    app.store
        .write(move |tx| {
            check_target(tx, scope, &target)?;
            for group in groups {
                if store::resource_group::get(tx, &group)?.is_none() {
                    return Err(no_group(&group));
                }
                store::access::open(tx, scope, &target, &group)?;
            }
            Ok(())
        })
        .await
}

/// Closes resource groups again, or every one.
pub(crate) async fn close(
    app: &App,
    scope: Scope,
    target: String,
    groups: Option<Vec<String>>,
) -> Result<(), Problem> {
    app.store
        .write(move |tx| {
            match groups {
                None => {
                    store::access::close(tx, scope, &target, None)?;
                }
                Some(groups) => {
                    for group in groups {
                        if store::access::close(tx, scope, &target, Some(&group))? == 0 {
                            return Err(no_group(&group));
                        }
                    }
                }
            }
            Ok(())
        })
        .await
}

/// Gives an agent to another resource group, or keeps new sessions away from it.
pub(crate) async fn modify_agent(app: &App, id: &str, props: Props<'_>) -> Result<(), Problem> {
    let (schedulable, group) = (props.flag("schedulable")?, props.text("scaling_group")?);
    let agents = super::super::resource::agents(app).await?;
    let agent = agents
        .into_iter()
        .find(|agent| agent.id == id)
        .ok_or_else(|| missing("agent", id))?;
    app.store
        .write(move |tx| {
            let resource_group = group.unwrap_or(agent.group);
            if store::resource_group::get(tx, &resource_group)?.is_none() {
                return Err(no_group(&resource_group));
            }
            let setting = AgentSetting {
                agent: agent.id,
                resource_group: Some(resource_group),
                schedulable: schedulable.unwrap_or(agent.schedulable),
            };
            Ok(store::access::set_agent(tx, &setting)?)
        })
        .await?;
    app.nudge.schedule.notify_one();
    Ok(())
}

//! What a request about resources means: slots, agents, presets, and who may still have how much.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use db::rusqlite::Connection;
use protocol::binary_size::BinarySize;
use protocol::session::SessionStatus;
use protocol::slots::{CPU, MEM, Quantity, ResourceSlots};
use runtime::Node;
use uuid::Uuid;

use super::resource_group::{group, groups, serves};
use super::session::runtime_problem;
use super::session_check::{capacity, policy_of};
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;
use crate::store;
use crate::store::preset::Preset;
use crate::store::project::Project;
use crate::store::session::Session;

/// An agent: a machine of the runtime, and what sessions have of it.
#[derive(Debug, Clone)]
pub(crate) struct Agent {
    pub(crate) id: String,
    pub(crate) node: Node,
    /// The resource group that it serves.
    pub(crate) group: String,
    /// Whether new sessions may go to it.
    pub(crate) schedulable: bool,
    pub(crate) capacity: ResourceSlots,
    pub(crate) occupied: ResourceSlots,
    pub(crate) containers: usize,
}

/// The agents of all resource groups.
pub(crate) async fn agents(app: &App) -> Result<Vec<Agent>, Problem> {
    let nodes = app.runtime.nodes().await.map_err(runtime_problem)?;
    let kernels = app
        .store
        .read(|db| -> Result<_, Problem> { Ok(store::kernel::occupying(db)?) })
        .await?;
    let settings = app
        .store
        .read(|db| -> Result<_, Problem> { Ok(store::access::agents(db)?) })
        .await?;
    Ok(nodes
        .into_iter()
        .map(|node| {
            let here: Vec<_> = kernels
                .iter()
                .filter(|kernel| kernel.agent.as_ref() == Some(&node.name))
                .collect();
            let occupied = here.iter().fold(ResourceSlots::default(), |sum, kernel| {
                sum.plus(&kernel.occupied_slots)
            });
            let (group, schedulable) = serves(&settings, &node.name);
            Agent {
                id: node.name.clone(),
                group,
                schedulable,
                capacity: capacity(&node),
                occupied,
                containers: here.len(),
                node,
            }
        })
        .collect())
}

fn occupying_of(db: &Connection) -> Result<Vec<Session>, Problem> {
    let statuses: Vec<SessionStatus> = SessionStatus::ALL
        .iter()
        .copied()
        .filter(|status| status.occupies_resources())
        .collect();
    Ok(store::session::in_status(db, &statuses)?)
}

/// The sessions that have resources now.
pub(crate) async fn occupying(app: &App) -> Result<Vec<Session>, Problem> {
    app.store.read(occupying_of).await
}

/// The slots that this installation serves.
pub(crate) async fn slots(app: &App) -> Result<Vec<String>, Problem> {
    let nodes = app.runtime.nodes().await.map_err(runtime_problem)?;
    let mut slots = vec![CPU.to_owned(), MEM.to_owned()];
    for slot in nodes.iter().flat_map(|node| node.accelerators.keys()) {
        if !slots.contains(slot) {
            slots.push(slot.clone());
        }
    }
    Ok(slots)
}

/// Makes the presets of a fresh engine.
pub(crate) fn seed(db: &Connection) -> Result<(), Problem> {
    const SEEDED: &str = "preset.seeded";
    if store::setting::get(db, SEEDED)?.is_some() {
        return Ok(());
    }
    for (name, cpu, gib) in [
        ("small", 1, 2),
        ("medium", 2, 4),
        ("large", 4, 8),
        ("huge", 8, 16),
    ] {
        store::preset::insert(
            db,
            &Preset {
                id: Uuid::now_v7(),
                name: name.to_owned(),
                resource_slots: ResourceSlots::cpu_mem(cpu, BinarySize::gib(gib)),
                shared_memory: None,
                resource_group: None,
            },
        )?;
    }
    Ok(store::setting::set(db, SEEDED, "1")?)
}

/// The presets that are offered, in one resource group or everywhere.
pub(crate) async fn presets(app: &App, group: Option<String>) -> Result<Vec<Preset>, Problem> {
    app.store
        .read(move |db| Ok(store::preset::list(db, group.as_deref())?))
        .await
}

/// Every preset of every resource group.
pub(crate) async fn all_presets(app: &App) -> Result<Vec<Preset>, Problem> {
    app.store.read(|db| Ok(store::preset::all(db)?)).await
}

/// Offers another preset.
pub(crate) async fn add_preset(app: &App, preset: Preset) -> Result<(), Problem> {
    app.store
        .write(move |tx| {
            let same = |other: &Preset| {
                other.name == preset.name && other.resource_group == preset.resource_group
            };
            if store::preset::all(tx)?.iter().any(same) {
                return Err(Problem::new(
                    StatusCode::CONFLICT,
                    "duplicate-resource",
                    "Duplicate Resource Preset",
                    "resource-preset_generic_conflict",
                )
                .msg(format!("There is a preset \"{}\" already.", preset.name)));
            }
            Ok(store::preset::insert(tx, &preset)?)
        })
        .await
}

/// Changes a preset.
pub(crate) async fn change_preset(app: &App, preset: Preset) -> Result<(), Problem> {
    let there = app
        .store
        .write(move |tx| -> Result<bool, Problem> { Ok(store::preset::update(tx, &preset)?) });
    if there.await? {
        Ok(())
    } else {
        Err(no_preset())
    }
}

/// Stops offering a preset.
pub(crate) async fn remove_preset(app: &App, id: Uuid) -> Result<(), Problem> {
    let there = app
        .store
        .write(move |tx| -> Result<bool, Problem> { Ok(store::preset::remove(tx, id)?) });
    if there.await? {
        Ok(())
    } else {
        Err(no_preset())
    }
}

fn no_preset() -> Problem {
    Problem::not_found("resource preset", "resource-preset_read_not-found")
}

/// A project that the caller belongs to, by name or id; superadmins reach every one.
pub(crate) async fn project(
    app: &App,
    caller: &Caller,
    reference: &str,
) -> Result<Project, Problem> {
    let (who, wanted) = (caller.clone(), reference.to_owned());
    let projects = app
        .store
        .read(move |db| -> Result<_, Problem> {
            Ok(if who.is_superadmin() {
                store::project::list(db, &who.user.domain)?
            } else {
                store::project::of_user(db, who.user.id)?
            })
        })
        .await?;
    projects
        .into_iter()
        .find(|project| project.name == wanted || project.id.to_string() == wanted)
        .ok_or_else(|| {
            Problem::new(
                StatusCode::NOT_FOUND,
                "project-not-found",
                "No such project.",
                "group_read_not-found",
            )
            .msg(format!(
                "There is no project \"{reference}\" that you belong to."
            ))
        })
}

/// What somebody may have, has, and may still have.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    pub(crate) limits: ResourceSlots,
    pub(crate) using: ResourceSlots,
    pub(crate) remaining: ResourceSlots,
}

/// What [`check_presets`] finds.
#[derive(Debug, Clone)]
pub(crate) struct Availability {
    /// Each preset, and whether a session of its size would start now.
    pub(crate) presets: Vec<(Preset, bool)>,
    pub(crate) keypair: Standing,
    pub(crate) project: Standing,
    /// What is left on the agents of the asked resource groups, within the caller's own rest.
    pub(crate) groups_remaining: ResourceSlots,
    /// By resource group: what the caller has there, and may still have.
    pub(crate) groups: BTreeMap<String, (ResourceSlots, ResourceSlots)>,
}

/// Says what the caller may still start (protocol page "Administrative REST" §3.1).
pub(crate) async fn check_presets(
    app: &App,
    caller: &Caller,
    project_ref: &str,
    group_name: Option<&str>,
) -> Result<Availability, Problem> {
    let project = project(app, caller, project_ref).await?;
    let groups = match group_name {
        Some(name) => vec![group(app, caller, name).await?],
        None => groups(app, caller, Some(project.id)).await?,
    };
    let slots = slots(app).await?;
    let agents = agents(app).await?;
    let sessions = occupying(app).await?;
    let who = caller.clone();
    let (policy, domain) = app
        .store
        .read(move |db| -> Result<_, Problem> {
            Ok((
                policy_of(db, &who.user, Some(&who.keypair))?,
                store::domain::get(db, &who.user.domain)?,
            ))
        })
        .await?;

    let used = |wanted: &dyn Fn(&Session) -> bool| {
        let theirs = sessions.iter().filter(|session| wanted(session));
        theirs.fold(ResourceSlots::default(), |sum, session| {
            sum.plus(&session.occupied_slots)
        })
    };
    let standing = |limits: ResourceSlots, using: ResourceSlots| Standing {
        remaining: limits.minus(&using),
        limits,
        using: named(&slots, |slot| using.get(slot)),
    };
    let unlimited = policy
        .as_ref()
        .is_some_and(|policy| policy.unspecified_is_unlimited);
    let keypair_limits = policy
        .map(|policy| policy.total_resource_slots)
        .unwrap_or_default();
    let mut keypair = standing(
        limits(&slots, &keypair_limits, unlimited),
        used(&|session| session.user == caller.user_id()),
    );
    let of_project = standing(
        limits(&slots, &project.total_resource_slots, true),
        used(&|session| session.project == project.id),
    );
    let domain_limits = domain
        .map(|domain| domain.total_resource_slots)
        .unwrap_or_default();
    let of_domain = standing(
        limits(&slots, &domain_limits, true),
        used(&|session| session.domain == caller.user.domain),
    );
    keypair.remaining = least(
        &slots,
        &[
            &keypair.remaining,
            &of_project.remaining,
            &of_domain.remaining,
        ],
    );

    let mut all_free = ResourceSlots::default();
    let mut by_group = BTreeMap::new();
    for group in groups {
        let free = agents
            .iter()
            .filter(|agent| agent.schedulable && agent.group == group.name)
            .fold(ResourceSlots::default(), |sum, agent| {
                sum.plus(&agent.free())
            });
        let remaining = least(&slots, &[&keypair.remaining, &free]);
        let using = used(&|session| {
            session.resource_group == group.name && session.user == caller.user_id()
        });
        all_free = all_free.plus(&free);
        by_group.insert(
            group.name,
            (named(&slots, |slot| using.get(slot)), remaining),
        );
    }
    let presets = presets(app, group_name.map(str::to_owned)).await?;
    let in_groups = |agent: &&Agent| agent.schedulable && by_group.contains_key(&agent.group);
    let presets = presets
        .into_iter()
        .map(|preset| {
            let wanted = &preset.resource_slots;
            let somewhere = agents
                .iter()
                .filter(in_groups)
                .any(|a| wanted.fits(&a.free()));
            let allocatable = somewhere && wanted.fits(&keypair.remaining);
            (preset, allocatable)
        })
        .collect();
    Ok(Availability {
        presets,
        groups_remaining: least(&slots, &[&keypair.remaining, &all_free]),
        keypair,
        project: of_project,
        groups: by_group,
    })
}

impl Agent {
    /// What no session has.
    pub(crate) fn free(&self) -> ResourceSlots {
        self.capacity.minus(&self.occupied)
    }
}

/// An amount for each of the slots.
fn named(slots: &[String], amount: impl Fn(&str) -> Quantity) -> ResourceSlots {
    slots
        .iter()
        .map(|slot| (slot.clone(), amount(slot)))
        .collect()
}

fn limits(slots: &[String], written: &ResourceSlots, unnamed_unlimited: bool) -> ResourceSlots {
    let unnamed = if unnamed_unlimited {
        Quantity::INFINITE
    } else {
        Quantity::ZERO
    };
    named(slots, |slot| {
        written.0.get(slot).copied().unwrap_or(unnamed)
    })
}

/// Slot by slot the least, and nothing where it would be less than nothing.
fn least(slots: &[String], amounts: &[&ResourceSlots]) -> ResourceSlots {
    named(slots, |slot| {
        let least = amounts
            .iter()
            .map(|one| one.get(slot))
            .min()
            .unwrap_or_default();
        least.max(Quantity::ZERO)
    })
}

//! Gives waiting sessions their places, or writes down why they wait.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use db::rusqlite::Connection;
use protocol::session::{Event, SessionResult, SessionStatus, SessionType};
use protocol::slots::ResourceSlots;
use runtime::Node;
use scheduler::fair_share::Factors;
use scheduler::{
    Account, Agent, AgentChoice, Decision, Dependency, Kernel, Outcome, Session as Waiting,
    SessionsLimit, Snapshot, StartsAt, Strategy, Usage,
};
use uuid::Uuid;

use super::{IDLE, Work, gpu, preempt, reason};
use crate::app::fair_share;
use crate::app::resource_group::nodes_of;
use crate::app::session::runtime_problem;
use crate::app::session_check::{WAITING, capacity, policy_of};
use crate::app::transition::advance;
use crate::error::Problem;
use crate::state::App;
use crate::store::session::Session;
use crate::store::{self, At};

/// The order in which slots count as precious, as in a manager that was not told otherwise.
const SLOT_PRIORITY: [&str; 5] = ["cuda", "rocm", "tpu", "cpu", "mem"];

pub(super) async fn step(work: &Work) -> Result<Duration, Problem> {
    let app = &work.app;
    let (mut waiting, holds_place) = app
        .store
        .read(|db| -> Result<_, Problem> {
            let reserved = store::session::in_status(db, &[SessionStatus::Reserved])?;
            Ok((
                store::session::in_status(db, &WAITING)?,
                !reserved.is_empty(),
            ))
        })
        .await?;
    let groups: BTreeSet<_> = waiting
        .iter()
        .map(|session| session.resource_group.clone())
        .collect();
    app.queues.keep_only(&groups);
    if waiting.is_empty() && !holds_place {
        return Ok(IDLE);
    }
    let nodes = app.runtime.nodes().await.map_err(runtime_problem)?;
    preempt::release(app, &nodes).await?;
    let mut pause = until_first(&waiting, app);
    // Those whose start failed just now are not in the way of the others.
    waiting.retain(|session| match work.pauses.left(session.id) {
        None => true,
        Some(left) => {
            pause = pause.min(left);
            false
        }
    });
    let rows: HashMap<Uuid, &Session> = waiting.iter().map(|row| (row.id, row)).collect();
    for group in groups {
        let mine: Vec<_> = waiting
            .iter()
            .filter(|session| session.resource_group == group)
            .cloned()
            .collect();
        let (nodes, now, name) = (nodes.clone(), At((app.clock)()), group.clone());
        let (mut snapshot, tries) = app
            .store
            .read(move |db| snapshot(db, &group, &mine, &nodes, now))
            .await?;
        // What is being made into an image is not ended.
        if let Some(rules) = &mut snapshot.preemption {
            rules.candidates.retain(|one| !app.commits.has(one.id));
        }
        let decisions = scheduler::decide(&snapshot);
        let waits = |decision: &&Decision| matches!(decision.outcome, Outcome::Wait(_));
        let queue = decisions.iter().filter(waits).map(|it| it.session);
        app.queues.set(name, queue.collect());
        let mut notes = Vec::new();
        for Decision { session, outcome } in decisions {
            let Some(row) = rows.get(&session) else {
                continue;
            };
            match outcome {
                Outcome::Start(placements) => {
                    let gpus = gpu::choose(app, row, placements.len()).await?;
                    let Some(gpus) = gpus else {
                        // One broke since the computer was looked at; the next look knows.
                        tracing::warn!(%session, "there are fewer GPUs than there were");
                        continue;
                    };
                    advance(
                        app,
                        session,
                        &[Event::Scheduled],
                        "",
                        move |session, kernels| {
                            for (kernel, gpus) in kernels.iter_mut().zip(gpus) {
                                kernel.gpus = gpus;
                                kernel.agent = placements
                                    .iter()
                                    .find(|placement| placement.kernel == kernel.id)
                                    .map(|placement| placement.agent.clone());
                            }
                            reason::placed(session);
                        },
                    )
                    .await?;
                    app.nudge.start.notify_one();
                }
                Outcome::Reserve {
                    placements,
                    victims,
                } => preempt::reserve(app, session, placements, &victims).await?,
                Outcome::Wait(why) if reason::gives_up(row, &why, tries) => {
                    reason::deprioritize(app, session, why).await?;
                }
                Outcome::Wait(why) if reason::is_news(row, &why) => notes.push((session, why)),
                Outcome::Wait(_) => {}
            }
        }
        reason::note(app, notes).await?;
    }
    Ok(pause)
}

/// Until the first session whose time is still to come.
fn until_first(waiting: &[Session], app: &App) -> Duration {
    let now = (app.clock)();
    waiting
        .iter()
        .filter_map(|session| Duration::try_from(session.starts_at?.0.duration_since(now)).ok())
        .min()
        .map_or(IDLE, |first| first.clamp(Duration::from_millis(100), IDLE))
}

/// A group as it is now, and after how many tries its sessions lose their rank.
fn snapshot(
    db: &Connection,
    group: &str,
    mine: &[Session],
    nodes: &[Node],
    now: At,
) -> Result<(Snapshot, Option<u64>), Problem> {
    let nodes = nodes_of(db, group, nodes)?;
    let group = store::resource_group::get(db, group)?;
    let kernels = store::kernel::occupying(db)?;
    let agents: Vec<Agent> = nodes
        .iter()
        .map(|node| {
            let here = || {
                kernels
                    .iter()
                    .filter(|kernel| kernel.agent.as_deref() == Some(&node.name))
            };
            Agent {
                id: node.name.clone(),
                architecture: node.architecture.clone(),
                capacity: capacity(node),
                occupied: here().fold(ResourceSlots::default(), |sum, kernel| {
                    sum.plus(&kernel.occupied_slots)
                }),
                containers: here().count(),
                max_containers: None,
            }
        })
        .collect();
    let mut users: BTreeMap<Uuid, Account> = BTreeMap::new();
    let mut projects: BTreeMap<Uuid, Account> = BTreeMap::new();
    let mut domains: BTreeMap<String, Account> = BTreeMap::new();
    for session in mine {
        if let Entry::Vacant(user) = users.entry(session.user) {
            user.insert(user_account(db, session.user)?);
        }
        if let Entry::Vacant(project) = projects.entry(session.project) {
            project.insert(project_account(db, session.project)?);
        }
        if let Entry::Vacant(domain) = domains.entry(session.domain.clone()) {
            domain.insert(domain_account(db, &session.domain)?);
        }
    }
    let strategy = group.as_ref().map_or(Strategy::Fifo, |group| {
        Strategy::from_name(&group.scheduler)
    });
    let choice = group
        .as_ref()
        .and_then(|group| {
            group
                .scheduler_opts
                .get("agent_selection_strategy")?
                .as_str()
        })
        .map_or(AgentChoice::Dispersed, AgentChoice::from_name);
    let scheduler_opts = group.as_ref().map(|group| &group.scheduler_opts);
    let retries_to_skip = scheduler_opts
        .and_then(|options| options.pointer("/config/num_retries_to_skip"))
        .and_then(|retries| u32::try_from(retries.as_u64()?).ok());
    let factors = match &group {
        Some(group) if strategy == Strategy::FairShare => {
            let mut capacity = ResourceSlots::default();
            for agent in &agents {
                capacity.add(&agent.capacity);
            }
            let spec = fair_share::spec(&group.fair_share_spec);
            fair_share::shares(db, &group.name, &spec, &capacity, now)?
                .factors(mine.iter().map(|session| (session.user, session.project)))
        }
        _ => Factors::default(),
    };
    let preemption = match &group {
        Some(group) => preempt::rules(db, group, &kernels)?,
        None => None,
    };
    let tries = reason::tries_of(group.as_ref());
    let snapshot = Snapshot {
        strategy,
        choice,
        retries_to_skip: retries_to_skip.unwrap_or_default(),
        last_agent: store::kernel::last_placed(db)?,
        factors,
        slot_priority: SLOT_PRIORITY.map(str::to_owned).into(),
        now_millis: now.0.as_millisecond(),
        agents,
        waiting: waiting(db, mine)?,
        users,
        projects,
        domains,
        preemption,
    };
    Ok((snapshot, tries))
}

fn waiting(db: &Connection, mine: &[Session]) -> Result<Vec<Waiting>, Problem> {
    let ids: Vec<_> = mine.iter().map(|session| session.id).collect();
    let mut kernels: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
    for kernel in store::kernel::of_sessions(db, &ids)? {
        kernels.entry(kernel.session).or_default().push(kernel.id);
    }
    mine.iter()
        .map(|session| one(db, session, kernels.remove(&session.id).unwrap_or_default()))
        .collect()
}

fn one(db: &Connection, session: &Session, kernels: Vec<Uuid>) -> Result<Waiting, Problem> {
    let dependencies = session
        .dependencies
        .iter()
        .map(|id| {
            let found = store::session::get(db, *id)?;
            Ok(Dependency {
                id: *id,
                name: found
                    .as_ref()
                    .map(|found| found.name.clone())
                    .unwrap_or_default(),
                succeeded: found.is_some_and(|found| {
                    found.status.is_terminal() && found.result == SessionResult::Success
                }),
            })
        })
        .collect::<Result<_, Problem>>()?;
    Ok(Waiting {
        id: session.id,
        created_millis: session.created_at.0.as_millisecond(),
        priority: session.priority,
        job_priority: session.job_priority,
        tries: session
            .status_data
            .pointer("/scheduler/retries")
            .and_then(|tries| u32::try_from(tries.as_u64()?).ok())
            .unwrap_or_default(),
        user: session.user,
        project: session.project,
        domain: session.domain.clone(),
        architecture: session.architecture.clone(),
        mode: session.cluster_mode,
        kernels: kernels
            .into_iter()
            .map(|id| Kernel {
                id,
                slots: session.requested_slots.clone(),
            })
            .collect(),
        agents: session.agents.clone(),
        private: session.kind == SessionType::System,
        dependencies,
        starts_at: session.starts_at.map(|at| StartsAt {
            millis: at.0.as_millisecond(),
            text: at.iso(),
        }),
    })
}

fn used(db: &Connection, filter: &store::session::Filter) -> Result<Usage, Problem> {
    let mut usage = Usage::default();
    for session in store::session::list(db, filter, None, 0)? {
        if !session.status.occupies_resources() {
            continue;
        }
        usage.slots = usage.slots.plus(&session.occupied_slots);
        if session.kind == SessionType::System {
            usage.private_sessions += 1;
        } else {
            usage.sessions += 1;
        }
    }
    Ok(usage)
}

fn live() -> store::session::Filter {
    let statuses = SessionStatus::ALL
        .iter()
        .copied()
        .filter(|status| status.occupies_resources())
        .collect();
    store::session::Filter {
        statuses: Some(statuses),
        ..store::session::Filter::default()
    }
}

/// The limits of a user are those of the main keypair's policy.
fn user_account(db: &Connection, id: Uuid) -> Result<Account, Problem> {
    let used = used(
        db,
        &store::session::Filter {
            user: Some(id),
            ..live()
        },
    )?;
    let policy = match store::user::get(db, id)? {
        Some(user) => policy_of(db, &user, None)?,
        None => None,
    };
    let Some(policy) = policy else {
        return Ok(Account {
            used,
            ..Account::unlimited()
        });
    };
    let limit = |count: u32| (count > 0).then_some(count);
    Ok(Account {
        used,
        limit: policy.total_resource_slots,
        unnamed_unlimited: policy.unspecified_is_unlimited,
        sessions_limit: SessionsLimit {
            ordinary: limit(policy.max_concurrent_sessions),
            private: limit(policy.max_concurrent_sftp_sessions),
        },
    })
}

fn project_account(db: &Connection, id: Uuid) -> Result<Account, Problem> {
    let used = used(
        db,
        &store::session::Filter {
            project: Some(id),
            ..live()
        },
    )?;
    let limit = store::project::get(db, id)?.map(|project| project.total_resource_slots);
    Ok(Account {
        used,
        limit: limit.unwrap_or_default(),
        ..Account::unlimited()
    })
}

fn domain_account(db: &Connection, name: &str) -> Result<Account, Problem> {
    let used = used(
        db,
        &store::session::Filter {
            domain: Some(name.to_owned()),
            ..live()
        },
    )?;
    let limit = store::domain::get(db, name)?.map(|domain| domain.total_resource_slots);
    Ok(Account {
        used,
        limit: limit.unwrap_or_default(),
        ..Account::unlimited()
    })
}

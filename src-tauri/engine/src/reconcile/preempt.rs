//! Sessions that give way to another: their victims' end or return to the queue, and the start of
//! whoever waits for them (protocol page "Sessions" §3.2).
//!
//! The places of a session that others make room for are kept for it from the moment of the
//! decision. It starts when what it was promised is really free; where nobody is leaving any more
//! and there is still no room, it goes back to the queue.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use db::rusqlite::Connection;
use protocol::session::{Event, KernelStatus, SessionStatus, SessionType};
use protocol::slots::{Quantity, ResourceSlots};
use runtime::Node;
use scheduler::{Candidate, Held, Placement, Preemption, VictimOrder, VictimScope};
use serde_json::Value;
use uuid::Uuid;

use super::{InHand, Work, failure, gpu, insist, reason, stop};
use crate::app::session_check::capacity;
use crate::app::transition::advance;
use crate::error::Problem;
use crate::state::App;
use crate::store;
use crate::store::kernel::Kernel as KernelRow;
use crate::store::resource_group::ResourceGroup;
use crate::store::session::{Filter, Session};

/// Why a session holds places that are not free yet.
const RESERVED: &str = "preemption-reservation";
/// Why it holds them no longer.
const EXPIRED: &str = "reservation-expired";
/// Why a session is to give way.
const CHOSEN: &str = "preempted-by-reservation";
/// Why it ended, or is on its way back to the queue.
pub(super) const PREEMPTED: &str = "PREEMPTED_BY_SCHEDULER";
/// Why it is in the queue again.
const RESCHEDULED: &str = "RESCHEDULED";
/// How long processes may take to end by themselves.
const GRACE: Duration = Duration::from_secs(3);

/// The rules of a group in which sessions give way, with all of its sessions that may; `None` where
/// none does.
pub(super) fn rules(
    db: &Connection,
    group: &ResourceGroup,
    kernels: &[KernelRow],
) -> Result<Option<Preemption>, Problem> {
    let said = |key: &str| group.scheduler_opts.pointer(&format!("/preemption/{key}"));
    if said("enabled").and_then(Value::as_bool) != Some(true) {
        return Ok(None);
    }
    let word = |key: &str| said(key).and_then(Value::as_str).unwrap_or_default();
    let seconds = said("preemption_min_runtime").and_then(Value::as_f64);
    let min_runtime = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let running = Filter {
        resource_group: Some(group.name.clone()),
        statuses: Some(vec![SessionStatus::Running, SessionStatus::RunningDegraded]),
        ..Filter::default()
    };
    let mut candidates = Vec::new();
    for session in store::session::list(db, &running, None, 0)? {
        if session.is_preemptible && session.kind != SessionType::System {
            candidates.push(candidate(&session, kernels));
        }
    }
    let chosen = chosen(db)?;
    let mut leaving: BTreeMap<String, Held> = BTreeMap::new();
    for kernel in kernels.iter().filter(|kernel| is_leaving(kernel, &chosen)) {
        hold(&mut leaving, kernel);
    }
    Ok(Some(Preemption {
        order: VictimOrder::from_name(word("order")),
        scope: VictimScope::from_name(word("victim_scope")),
        min_runtime_millis: min_runtime
            .and_then(|least| i64::try_from(least.as_millis()).ok())
            .unwrap_or_default(),
        candidates,
        leaving,
    }))
}

/// Adds what a kernel holds.
fn hold(held: &mut BTreeMap<String, Held>, kernel: &KernelRow) {
    if let Some(agent) = &kernel.agent {
        let held = held.entry(agent.clone()).or_default();
        held.slots.add(&kernel.occupied_slots);
        held.containers += 1;
    }
}

/// Sessions that are to give way and do not know it yet.
fn chosen(db: &Connection) -> Result<HashSet<Uuid>, Problem> {
    let chosen = store::session::in_status(db, &[SessionStatus::Preempted])?;
    Ok(chosen.into_iter().map(|session| session.id).collect())
}

/// Whether a kernel that still holds its place is on the way out.
fn is_leaving(kernel: &KernelRow, chosen: &HashSet<Uuid>) -> bool {
    let goes = matches!(
        kernel.status,
        KernelStatus::Terminating
            | KernelStatus::Terminated
            | KernelStatus::Cancelled
            | KernelStatus::Error
    );
    goes || chosen.contains(&kernel.session)
}

fn candidate(session: &Session, kernels: &[KernelRow]) -> Candidate {
    let mut held: BTreeMap<String, Held> = BTreeMap::new();
    for kernel in kernels.iter().filter(|it| it.session == session.id) {
        hold(&mut held, kernel);
    }
    Candidate {
        id: session.id,
        job_priority: session.job_priority,
        user: session.user,
        project: session.project,
        domain: session.domain.clone(),
        running_since_millis: session.entered(SessionStatus::Running).unwrap_or(i64::MAX),
        held,
    }
}

/// Keeps places for a session, and tells those who hold them to go.
pub(super) async fn reserve(
    app: &App,
    session: Uuid,
    placements: Vec<Placement>,
    victims: &[Uuid],
) -> Result<(), Problem> {
    let edit = move |_: &mut Session, kernels: &mut [KernelRow]| {
        for kernel in kernels {
            kernel.agent = placements
                .iter()
                .find(|placement| placement.kernel == kernel.id)
                .map(|placement| placement.agent.clone());
        }
    };
    let held = advance(app, session, &[Event::Reserved], RESERVED, edit).await?;
    if held.is_none() {
        return Ok(());
    }
    for id in victims.iter().copied() {
        let victim = app
            .store
            .read(move |db| -> Result<_, Problem> { Ok(store::session::get(db, id)?) })
            .await?;
        let Some(victim) = victim else { continue };
        // Being made into an image by now: who needs its place asks again.
        let Ok(_stopping) = app.commits.let_end(&victim, false) else {
            continue;
        };
        tracing::info!(session = %id, for_session = %session, "gives way");
        advance(app, id, &[Event::Preempted], CHOSEN, |_, _| {}).await?;
    }
    app.nudge.stop.notify_one();
    Ok(())
}

/// What a look at those who hold places finds.
struct Seen {
    /// With their kernels, the first who was promised something first.
    reserved: Vec<(Session, Vec<KernelRow>)>,
    /// What others have of each agent.
    held: BTreeMap<String, ResourceSlots>,
    /// Agents from which somebody is going.
    leaving: HashSet<String>,
}

fn look(db: &Connection) -> Result<Seen, Problem> {
    let mut reserved = Vec::new();
    for session in store::session::in_status(db, &[SessionStatus::Reserved])? {
        let kernels = store::kernel::of_session(db, session.id)?;
        reserved.push((session, kernels));
    }
    reserved.sort_by_key(|(session, _)| session.entered(SessionStatus::Reserved));
    let waiting: HashSet<Uuid> = reserved.iter().map(|(session, _)| session.id).collect();
    let chosen = chosen(db)?;
    let mut held: BTreeMap<String, ResourceSlots> = BTreeMap::new();
    let mut leaving = HashSet::new();
    for kernel in store::kernel::occupying(db)? {
        let goes = is_leaving(&kernel, &chosen);
        let Some(agent) = kernel.agent.filter(|_| !waiting.contains(&kernel.session)) else {
            continue;
        };
        if goes {
            leaving.insert(agent.clone());
        }
        held.entry(agent).or_default().add(&kernel.occupied_slots);
    }
    Ok(Seen {
        reserved,
        held,
        leaving,
    })
}

/// Starts those whose places are free by now.
pub(super) async fn release(app: &App, nodes: &[Node]) -> Result<(), Problem> {
    let mut seen = app.store.read(look).await?;
    for (session, kernels) in seen.reserved {
        let mut asked: BTreeMap<String, ResourceSlots> = BTreeMap::new();
        for kernel in &kernels {
            let agent = kernel.agent.clone().unwrap_or_default();
            asked
                .entry(agent)
                .or_default()
                .add(&session.requested_slots);
        }
        let has_room = asked.iter().all(|(agent, slots)| {
            let node = nodes.iter().find(|node| node.name == *agent);
            let taken = seen.held.get(agent).cloned().unwrap_or_default();
            node.is_some_and(|node| has_room(&capacity(node).minus(&taken), slots))
        });
        if has_room {
            if !start(app, &session, kernels.len()).await? {
                continue;
            }
        } else if !asked.keys().any(|agent| seen.leaving.contains(agent)) {
            tracing::warn!(session = %session.id, "nobody is leaving its place any more");
            advance(app, session.id, &[Event::Rescheduled], EXPIRED, |_, _| {}).await?;
            app.nudge.schedule.notify_one();
            continue;
        }
        // Whoever was promised something later does not get ahead.
        for (agent, slots) in asked {
            seen.held.entry(agent).or_default().add(&slots);
        }
    }
    Ok(())
}

fn has_room(free: &ResourceSlots, asked: &ResourceSlots) -> bool {
    let mut asked = asked.0.iter();
    asked.all(|(slot, amount)| *amount <= Quantity::ZERO || *amount <= free.get(slot))
}

async fn start(app: &App, session: &Session, kernels: usize) -> Result<bool, Problem> {
    let Some(gpus) = gpu::choose(app, session, kernels).await? else {
        return Ok(false);
    };
    let edit = move |session: &mut Session, kernels: &mut [KernelRow]| {
        for (kernel, gpus) in kernels.iter_mut().zip(gpus) {
            kernel.gpus = gpus;
        }
        reason::placed(session);
    };
    advance(app, session.id, &[Event::Scheduled], "", edit).await?;
    app.nudge.start.notify_one();
    Ok(true)
}

/// Moves on those who were chosen to give way.
pub(super) async fn step(work: &Work) -> Result<(), Problem> {
    let found = work
        .app
        .store
        .read(|db| -> Result<_, Problem> {
            let statuses = [SessionStatus::Preempted, SessionStatus::Rescheduling];
            let mut found = Vec::new();
            for session in store::session::in_status(db, &statuses)? {
                let group = store::resource_group::get(db, &session.resource_group)?;
                let mode = group.and_then(|group| {
                    let mode = group.scheduler_opts.pointer("/preemption/mode")?;
                    Some(mode.as_str()? == "reschedule")
                });
                found.push((session, mode.unwrap_or_default()));
            }
            Ok(found)
        })
        .await?;
    for (session, comes_back) in found {
        if session.status == SessionStatus::Preempted && !comes_back {
            let edit = |session: &mut Session, _: &mut [KernelRow]| {
                let reason = &mut session.terminate_reason;
                reason.get_or_insert_with(|| PREEMPTED.to_owned());
            };
            advance(&work.app, session.id, &[Event::Terminate], PREEMPTED, edit).await?;
        } else if let Some(in_hand) = work.take(session.id) {
            work.tasks.spawn(requeue(work.clone(), session, in_hand));
        }
    }
    Ok(())
}

/// Ends what runs of a session and puts it into the queue again, where it begins from scratch. Cut
/// off at any line, it simply begins anew.
async fn requeue(work: Work, session: Session, in_hand: InHand) {
    let app = &work.app;
    let id = session.id;
    if session.status == SessionStatus::Preempted {
        insist(app, |app| async move {
            advance(&app, id, &[Event::Rescheduling], PREEMPTED, |_, _| {}).await
        })
        .await;
    }
    let ends = async |app: &App, rows: &[KernelRow]| {
        failure::end(app, rows, GRACE).await?;
        for row in rows {
            if let Err(problem) = stop::keep_log(app, row.id).await {
                tracing::debug!(kernel = %row.id, %problem, "its log is not kept");
            }
            // Kept with its run, which ends here.
            if let Some(stats) = app.measured.take(row.id) {
                let kept = stop::update(app, row.id, move |row| row.last_stat = Some(stats));
                if let Err(problem) = kept.await {
                    tracing::debug!(kernel = %row.id, %problem, "its statistics are not kept");
                }
            }
        }
        failure::clear(app, rows).await
    };
    if failure::is_done(app, id, ends).await {
        insist(app, |app| async move {
            advance(&app, id, &[Event::Rescheduled], RESCHEDULED, |_, _| {}).await
        })
        .await;
        app.nudge.schedule.notify_one();
    }
    drop(in_hand);
}

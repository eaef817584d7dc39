//! Who runs where.
//!
//! [`decide`] takes a picture of one resource group (agents, the queue, what everybody uses and may
//! use) and says for every waiting session either where each of its kernels goes or, in words, why it
//! waits. Hidden here: the order of the queue, the order of the checks, how an agent is chosen, and
//! the texts that people and older clients read. No clock, no input or output: the same picture gives
//! the same decisions.

pub mod fair_share;
mod order;
mod pool;
mod preempt;
mod reason;
mod select;
mod snapshot;
mod validate;

pub use preempt::{Candidate, Held, Preemption, VictimOrder, VictimScope};
pub use reason::{Exceeded, Over, Requirement, Unplaced, WaitReason};
pub use snapshot::{
    Account, Agent, AgentChoice, Dependency, Kernel, Session, SessionsLimit, Snapshot, StartsAt,
    Strategy, Usage,
};

use uuid::Uuid;

/// What is decided about one waiting session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The session.
    pub session: Uuid,
    /// What becomes of it.
    pub outcome: Outcome,
}

/// What becomes of a waiting session in this cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It starts: every kernel has its agent.
    Start(Vec<Placement>),
    /// Others are to make room for it: its places are kept for it from now on, and it starts once
    /// these sessions have left them.
    Reserve {
        /// Every kernel's agent.
        placements: Vec<Placement>,
        /// The sessions that have to go, each of which is needed.
        victims: Vec<Uuid>,
    },
    /// It stays in the queue. [`WaitReason::is_skip`] says whether this counts as a try.
    Wait(WaitReason),
}

/// Where one kernel goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The kernel.
    pub kernel: Uuid,
    /// The agent's id.
    pub agent: String,
}

/// Decides about every waiting session of a resource group, in the order of the queue.
///
/// A session that the agents have no room for ends the cycle: the ones behind it are not tried, or
/// small sessions would starve a large one ([`Snapshot::retries_to_skip`] may soften that). Any
/// other hindrance concerns that session alone.
pub fn decide(snapshot: &Snapshot) -> Vec<Decision> {
    let queue = order::queue(snapshot);
    let mut accounts = validate::Accounts::of(snapshot);
    let mut pool = pool::Pool::of(snapshot);
    let asked = select::Asked::all(&mut pool, &queue);
    let mut victims = preempt::Victims::of(snapshot);
    let mut exhausted_by = None;
    queue
        .into_iter()
        .zip(asked)
        .map(|(session, asked)| {
            let outcome = match exhausted_by {
                Some(earlier) => Outcome::Wait(WaitReason::Exhausted { earlier }),
                None => attempt(&mut accounts, &mut pool, &mut victims, session, &asked),
            };
            if let Outcome::Wait(WaitReason::NoRoom(_)) = &outcome
                && !gives_way(snapshot, session)
            {
                exhausted_by = Some(session.id);
            }
            Decision {
                session: session.id,
                outcome,
            }
        })
        .collect()
}

/// Whether those behind a session without room are tried nevertheless.
fn gives_way(snapshot: &Snapshot, session: &Session) -> bool {
    snapshot.strategy == Strategy::Fifo
        && snapshot.retries_to_skip > 0
        && session.tries >= snapshot.retries_to_skip
}

/// Tries one session, and takes what it gets out of the picture.
fn attempt(
    accounts: &mut validate::Accounts,
    pool: &mut pool::Pool<'_>,
    victims: &mut preempt::Victims<'_>,
    session: &Session,
    asked: &select::Asked<'_>,
) -> Outcome {
    if let Err(reason) = validate::check(accounts, session, &asked.total) {
        return Outcome::Wait(reason);
    }
    let outcome = match select::place(pool, session, asked) {
        Ok(placements) => Outcome::Start(placements),
        Err(reason @ WaitReason::NoRoom(_)) => victims
            .make_room(pool, session, asked)
            .unwrap_or(Outcome::Wait(reason)),
        Err(reason) => Outcome::Wait(reason),
    };
    if !matches!(outcome, Outcome::Wait(_)) {
        accounts.take(session, &asked.total);
    }
    outcome
}

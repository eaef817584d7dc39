//! Who runs where.
//!
//! [`decide`] takes a picture of one resource group (agents, the queue, what everybody uses and may
//! use) and says for every waiting session either where each of its kernels goes or, in words, why it
//! waits. Hidden here: the order of the queue, the order of the checks, how an agent is chosen, and
//! the texts that people and older clients read. No clock, no input or output: the same picture gives
//! the same decisions.

mod order;
mod reason;
mod select;
mod snapshot;
mod validate;

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
/// small sessions would starve a large one. Any other hindrance concerns that session alone.
pub fn decide(snapshot: &Snapshot) -> Vec<Decision> {
    let mut now = snapshot.clone();
    let mut exhausted_by = None;
    order::queue(snapshot)
        .into_iter()
        .map(|session| {
            let outcome = match exhausted_by {
                Some(earlier) => Outcome::Wait(WaitReason::Exhausted { earlier }),
                None => attempt(&mut now, session),
            };
            if let Outcome::Wait(WaitReason::NoRoom(_)) = &outcome {
                exhausted_by = Some(session.id);
            }
            Decision {
                session: session.id,
                outcome,
            }
        })
        .collect()
}

/// Tries one session, and takes what it gets out of the picture.
fn attempt(now: &mut Snapshot, session: &Session) -> Outcome {
    if let Err(reason) = validate::check(now, session) {
        return Outcome::Wait(reason);
    }
    match select::place(now, session) {
        Ok(placements) => {
            now.occupy(session, &placements);
            Outcome::Start(placements)
        }
        Err(reason) => Outcome::Wait(reason),
    }
}

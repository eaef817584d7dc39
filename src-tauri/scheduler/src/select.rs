//! Which agent takes which kernel (protocol page "Semantics" §3.4).

use std::cmp::Reverse;

use protocol::session::ClusterMode;
use protocol::slots::{Quantity, ResourceSlots};

use crate::Placement;
use crate::reason::{Requirement, Unplaced, WaitReason};
use crate::snapshot::{Agent, AgentChoice, Kernel, Session, Snapshot};

/// Kernels that must go to one agent together.
struct Part<'a> {
    kernels: &'a [Kernel],
    slots: ResourceSlots,
}

/// Finds an agent for every kernel, or says why there is none. Takes nothing yet.
pub(crate) fn place(now: &Snapshot, session: &Session) -> Result<Vec<Placement>, WaitReason> {
    let mut agents = compatible(now, session)?;
    let mut placements = Vec::with_capacity(session.kernels.len());
    let mut unplaced = Vec::new();
    for (index, part) in parts(session).into_iter().enumerate() {
        let Some(agent) = choose(now, &mut agents, &part) else {
            unplaced.push(explain(index, &part, session, &agents));
            continue;
        };
        agent.occupied = agent.occupied.plus(&part.slots);
        agent.containers += part.kernels.len();
        placements.extend(part.kernels.iter().map(|kernel| Placement {
            kernel: kernel.id,
            agent: agent.id.clone(),
        }));
    }
    if unplaced.is_empty() {
        Ok(placements)
    } else {
        Err(WaitReason::NoRoom(unplaced))
    }
}

/// The agents that could ever take the session; copies, since trying takes from them.
fn compatible(now: &Snapshot, session: &Session) -> Result<Vec<Agent>, WaitReason> {
    if now.agents.is_empty() {
        return Err(WaitReason::NoAgents);
    }
    let fitting: Vec<&Agent> = now
        .agents
        .iter()
        .filter(|agent| agent.architecture == session.architecture)
        .collect();
    if fitting.is_empty() {
        return Err(WaitReason::NoCompatibleAgent {
            filter: "architecture",
            detail: format!("the image needs {}", session.architecture),
        });
    }
    let named: Vec<Agent> = fitting
        .into_iter()
        .filter(|agent| session.agents.is_empty() || session.agents.contains(&agent.id))
        .cloned()
        .collect();
    if named.is_empty() {
        return Err(WaitReason::NoCompatibleAgent {
            filter: "designated-strict",
            detail: format!("none of {} is available", session.agents.join(", ")),
        });
    }
    Ok(named)
}

fn parts(session: &Session) -> Vec<Part<'_>> {
    match session.mode {
        ClusterMode::SingleNode => {
            vec![Part {
                kernels: &session.kernels,
                slots: session.requested(),
            }]
        }
        ClusterMode::MultiNode => session
            .kernels
            .iter()
            .map(|kernel| Part {
                kernels: std::slice::from_ref(kernel),
                slots: kernel.slots.clone(),
            })
            .collect(),
    }
}

fn has_place(agent: &Agent, part: &Part<'_>) -> bool {
    agent
        .max_containers
        .is_none_or(|max| agent.containers + part.kernels.len() <= max)
}

fn choose<'a>(now: &Snapshot, agents: &'a mut [Agent], part: &Part<'_>) -> Option<&'a mut Agent> {
    agents
        .iter_mut()
        .filter(|agent| has_place(agent, part) && part.slots.fits(&agent.free()))
        .min_by_key(|agent| rank(now, agent, &part.slots))
}

/// The lower, the better: first the fewest free kinds of slots that the session has no use for (an
/// agent with GPUs is not for work without), then the room by slot priority, then the id.
fn rank(
    now: &Snapshot,
    agent: &Agent,
    requested: &ResourceSlots,
) -> (usize, Vec<Reverse<Quantity>>, Vec<Quantity>, String) {
    let free = agent.free();
    let unused = free
        .0
        .iter()
        .filter(|(slot, left)| **left > Quantity::ZERO && requested.get(slot) == Quantity::ZERO)
        .count();
    let room: Vec<Quantity> = now
        .slot_priority
        .iter()
        .map(|prefix| by_prefix(&free, prefix))
        .collect();
    let (most, least) = match now.choice {
        AgentChoice::Dispersed => (room.into_iter().map(Reverse).collect(), Vec::new()),
        AgentChoice::Concentrated => (Vec::new(), room),
    };
    (unused, most, least, agent.id.clone())
}

/// `cuda` stands for `cuda.device`, `cuda.shares` and the like.
fn by_prefix(slots: &ResourceSlots, prefix: &str) -> Quantity {
    slots
        .0
        .iter()
        .filter(|(slot, _)| slot.split('.').next() == Some(prefix))
        .fold(Quantity::ZERO, |sum, (_, amount)| sum.plus(*amount))
}

/// Says what the agent that comes nearest lacks.
fn explain(index: usize, part: &Part<'_>, session: &Session, agents: &[Agent]) -> Unplaced {
    let lacks = |agent: &Agent| -> ResourceSlots {
        let free = agent.free();
        part.slots
            .0
            .iter()
            .filter(|(slot, wanted)| **wanted > free.get(slot))
            .map(|(slot, wanted)| (slot.clone(), wanted.minus(free.get(slot))))
            .collect()
    };
    let missing = agents
        .iter()
        .filter(|agent| has_place(agent, part))
        .map(lacks)
        .min_by_key(|missing| {
            (
                missing.0.len(),
                missing.0.values().copied().collect::<Vec<_>>(),
            )
        })
        .unwrap_or_default();
    Unplaced {
        index,
        requirement: Requirement {
            containers: part.kernels.len(),
            architecture: session.architecture.clone(),
            slots: part.slots.clone(),
        },
        missing,
    }
}

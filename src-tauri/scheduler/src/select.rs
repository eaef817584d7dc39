//! Which agent takes which kernel (protocol page "Semantics" §3.4).

use std::borrow::Cow;

use protocol::session::ClusterMode;
use protocol::slots::ResourceSlots;

use crate::Placement;
use crate::pool::{Pool, Request};
use crate::reason::{Requirement, Unplaced, WaitReason};
use crate::snapshot::{Kernel, Session};

/// What a session asks for, ready to be looked for.
pub(crate) struct Asked<'a> {
    /// All kernels together.
    pub(crate) total: Cow<'a, ResourceSlots>,
    pub(crate) parts: Vec<Request>,
}

impl<'a> Asked<'a> {
    /// Those of all sessions, in their order.
    pub(crate) fn all(pool: &mut Pool<'_>, sessions: &[&'a Session]) -> Vec<Self> {
        sessions
            .iter()
            .map(|session| {
                let total = match session.kernels.as_slice() {
                    [only] => Cow::Borrowed(&only.slots),
                    _ => Cow::Owned(session.requested()),
                };
                let parts = match session.mode {
                    ClusterMode::SingleNode => {
                        vec![pool.request(&session.architecture, &total, session.kernels.len())]
                    }
                    ClusterMode::MultiNode => session
                        .kernels
                        .iter()
                        .map(|kernel| pool.request(&session.architecture, &kernel.slots, 1))
                        .collect(),
                };
                Self { total, parts }
            })
            .collect()
    }
}

/// The kernels of a part.
pub(crate) fn kernels(session: &Session, part: usize) -> &[Kernel] {
    match session.mode {
        ClusterMode::SingleNode => &session.kernels,
        ClusterMode::MultiNode => std::slice::from_ref(&session.kernels[part]),
    }
}

/// Finds an agent for every kernel and takes it, or says why there is none and takes nothing.
pub(crate) fn place(
    pool: &mut Pool<'_>,
    session: &Session,
    asked: &Asked<'_>,
) -> Result<Vec<Placement>, WaitReason> {
    let only = compatible(pool, session)?;
    let mut placements = Vec::with_capacity(session.kernels.len());
    let mut taken = Vec::with_capacity(asked.parts.len());
    let mut unplaced = Vec::new();
    for (index, part) in asked.parts.iter().enumerate() {
        let Some(place) = pool.choose(part, only.as_deref()) else {
            unplaced.push(Unplaced {
                index,
                requirement: requirement(session, index),
                missing: pool.missing(part, only.as_deref()).into_iter().collect(),
            });
            continue;
        };
        pool.take(place, part);
        taken.push((place, part));
        let agent = &pool.hosts()[place].agent.id;
        placements.extend(kernels(session, index).iter().map(|kernel| Placement {
            kernel: kernel.id,
            agent: agent.clone(),
        }));
    }
    if unplaced.is_empty() {
        return Ok(placements);
    }
    for (place, part) in taken {
        pool.give_back(place, part);
    }
    Err(WaitReason::NoRoom(unplaced))
}

/// The only agents that the session may go to, if it names some; refused where none could ever
/// take it.
pub(crate) fn compatible(
    pool: &Pool<'_>,
    session: &Session,
) -> Result<Option<Vec<usize>>, WaitReason> {
    if pool.is_empty() {
        return Err(WaitReason::NoAgents);
    }
    if !pool.has_architecture(&session.architecture) {
        return Err(WaitReason::NoCompatibleAgent {
            filter: "architecture",
            detail: format!("the image needs {}", session.architecture),
        });
    }
    if session.agents.is_empty() {
        return Ok(None);
    }
    let named = pool.named(&session.architecture, &session.agents);
    if named.is_empty() {
        return Err(WaitReason::NoCompatibleAgent {
            filter: "designated-strict",
            detail: format!("none of {} is available", session.agents.join(", ")),
        });
    }
    Ok(Some(named))
}

fn requirement(session: &Session, index: usize) -> Requirement {
    let kernels = kernels(session, index);
    let mut slots = ResourceSlots::default();
    for kernel in kernels {
        slots.add(&kernel.slots);
    }
    Requirement {
        containers: kernels.len(),
        architecture: session.architecture.clone(),
        slots,
    }
}

//! Why a session waits, in the words that clients show (protocol page "Semantics" §3).

use std::fmt;

use protocol::slots::{Quantity, ResourceSlots};
use uuid::Uuid;

use crate::snapshot::Dependency;

/// Why a session stays in the queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WaitReason {
    /// An earlier session found no room, which ended the cycle.
    #[error(
        "Not attempted: the resource group ran out of resources at the earlier session {earlier}"
    )]
    Exhausted {
        /// The session that found no room.
        earlier: Uuid,
    },
    /// Sessions that must succeed first.
    #[error("Waiting dependency sessions to finish as success. ({})", list(.0))]
    Dependencies(Vec<Dependency>),
    /// One or more limits are reached.
    #[error("{}", exceeded(.0))]
    Quota(Vec<Exceeded>),
    /// Its time has not come.
    #[error("Batch session is scheduled to start at {0}")]
    StartsLater(String),
    /// The group has no agent that is alive and schedulable.
    #[error("no agents are available in the resource group")]
    NoAgents,
    /// No agent can ever take it.
    #[error("no agents passed the '{filter}' filter: {detail}")]
    NoCompatibleAgent {
        /// Which condition ruled the last agents out.
        filter: &'static str,
        /// What was asked for and not there.
        detail: String,
    },
    /// No agent has room now.
    #[error("{}", unplaced(.0))]
    NoRoom(Vec<Unplaced>),
}

impl WaitReason {
    /// Whether the session was not tried at all, which does not count as a failed try.
    pub const fn is_skip(&self) -> bool {
        matches!(self, Self::Exhausted { .. })
    }

    /// The name under which older clients know the failed check, if they do
    /// (`status_data.scheduler.failed_predicates`).
    pub const fn predicate(&self) -> &'static str {
        match self {
            Self::Exhausted { .. } => "skipped",
            Self::Dependencies(_) => "dependencies",
            Self::Quota(_) => "resource_policy",
            Self::StartsLater(_) => "reserved_time",
            Self::NoAgents | Self::NoCompatibleAgent { .. } | Self::NoRoom(_) => "agent_selection",
        }
    }
}

/// A limit that a session would break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exceeded {
    /// The user's slots.
    User(Vec<(String, Over)>),
    /// The user's number of sessions.
    Concurrency {
        /// How many may run.
        limit: u32,
        /// Whether the limit is that on system (SFTP) sessions.
        private: bool,
    },
    /// The project's slots.
    Project(Vec<(String, Over)>),
    /// The domain's slots.
    Domain(Vec<(String, Over)>),
}

/// By how much one slot goes over its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over {
    /// In use.
    pub used: Quantity,
    /// Asked for.
    pub requested: Quantity,
    /// Allowed.
    pub limit: Quantity,
}

impl Exceeded {
    fn class(&self) -> &'static str {
        match self {
            Self::User(_) => "UserResourceQuotaExceeded",
            Self::Concurrency { .. } => "ConcurrencyLimitExceeded",
            Self::Project(_) => "ProjectResourceQuotaExceeded",
            Self::Domain(_) => "DomainResourceQuotaExceeded",
        }
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whose, slots) = match self {
            Self::User(slots) => ("default-keypair", slots),
            Self::Project(slots) => ("project", slots),
            Self::Domain(slots) => ("domain", slots),
            Self::Concurrency { limit, private } => {
                let kind = if *private { "SFTP" } else { "concurrent" };
                return write!(f, "You cannot run more than {limit} {kind} sessions");
            }
        };
        write!(f, "Your {whose} resource quota is exceeded.")?;
        for (slot, over) in slots {
            let Over {
                used,
                requested,
                limit,
            } = over;
            let excess = used.plus(*requested).minus(*limit);
            write!(
                f,
                "\n  - {slot}: used {used} + requested {requested} > limit {limit} (over by {excess})"
            )?;
        }
        Ok(())
    }
}

/// Something that had to go to one agent as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// How many kernels it is.
    pub containers: usize,
    /// What they were made for.
    pub architecture: String,
    /// What they ask for together.
    pub slots: ResourceSlots,
}

/// A requirement that no agent has room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unplaced {
    /// Its place among the session's requirements, from 0.
    pub index: usize,
    /// What was asked for.
    pub requirement: Requirement,
    /// What the best agent lacks of each slot; empty when agents may take no more kernels.
    pub missing: ResourceSlots,
}

fn list(dependencies: &[Dependency]) -> String {
    let texts: Vec<String> = dependencies
        .iter()
        .map(|other| format!("{} ({})", other.name, other.id))
        .collect();
    texts.join(", ")
}

fn exceeded(limits: &[Exceeded]) -> String {
    if let [only] = limits {
        return only.to_string();
    }
    let lines: Vec<String> = limits
        .iter()
        .map(|limit| format!("\n- {}: {limit}", limit.class()))
        .collect();
    format!("Multiple validation errors occurred:{}", lines.concat())
}

fn unplaced(parts: &[Unplaced]) -> String {
    let mut text = format!("{} requirement(s) could not be placed:", parts.len());
    for part in parts {
        let Requirement {
            containers,
            architecture,
            slots,
        } = &part.requirement;
        let filter = if part.missing.0.is_empty() {
            "container-limit"
        } else {
            "resource"
        };
        text += &format!(
            "\n- requirement #{} (containers={containers}, arch={architecture}, slots={}): \
             no agents passed the '{filter}' filter",
            part.index,
            amounts(slots, ", "),
        );
        for (slot, missing) in &part.missing.0 {
            text += &format!("\n  - {slot}: missing={missing}");
        }
    }
    text
}

fn amounts(slots: &ResourceSlots, between: &str) -> String {
    let texts: Vec<String> = slots
        .0
        .iter()
        .map(|(slot, amount)| format!("{slot}={amount}"))
        .collect();
    texts.join(between)
}

//! The picture that decisions are made from.

use std::collections::BTreeMap;

use protocol::session::ClusterMode;
use protocol::slots::ResourceSlots;
use uuid::Uuid;

use crate::fair_share::Factors;
use crate::preempt::Preemption;

/// The order of the queue among sessions of one priority (protocol page "Semantics" §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// Oldest first.
    Fifo,
    /// Newest first.
    Lifo,
    /// Whose owner has the smallest dominant share of the group first.
    #[default]
    Drf,
    /// Whose domain, then project, then owner has used the least of late first; see
    /// [`crate::fair_share`].
    FairShare,
}

impl Strategy {
    /// From a resource group's `scheduler`; an unknown word means [`Strategy::Drf`], as in the
    /// manager.
    pub fn from_name(name: &str) -> Self {
        match name {
            "fifo" => Self::Fifo,
            "lifo" => Self::Lifo,
            "fair-share" | "fair_share" | "FAIR_SHARE" => Self::FairShare,
            _ => Self::Drf,
        }
    }
}

/// Which of several fitting agents is taken (protocol page "Semantics" §3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AgentChoice {
    /// The emptiest, so that sessions disturb each other little.
    Dispersed,
    /// The fullest, so that large sessions find room.
    #[default]
    Concentrated,
    /// The next one by id after [`Snapshot::last_agent`].
    RoundRobin,
    /// The one with the most of the precious slots, whatever else it has.
    Legacy,
}

impl AgentChoice {
    /// From `agent_selection_strategy`; an unknown word means [`AgentChoice::Concentrated`], as in
    /// the manager.
    pub fn from_name(name: &str) -> Self {
        match name {
            "dispersed" => Self::Dispersed,
            "roundrobin" => Self::RoundRobin,
            "legacy" => Self::Legacy,
            _ => Self::Concentrated,
        }
    }
}

/// One resource group at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The order of the queue.
    pub strategy: Strategy,
    /// How agents are chosen.
    pub choice: AgentChoice,
    /// After how many failed tries a session without room no longer holds back those behind it;
    /// 0 is never. Counts with [`Strategy::Fifo`] only.
    pub retries_to_skip: u32,
    /// The agent that [`AgentChoice::RoundRobin`] took last.
    pub last_agent: Option<String>,
    /// The factors of [`Strategy::FairShare`].
    pub factors: Factors,
    /// Prefixes of slot names, the most precious first (`cuda`, …, `cpu`, `mem`).
    pub slot_priority: Vec<String>,
    /// The moment, in milliseconds since 1970.
    pub now_millis: i64,
    /// The agents that are alive and schedulable.
    pub agents: Vec<Agent>,
    /// The waiting sessions, in any order.
    pub waiting: Vec<Session>,
    /// What each user uses and may use.
    pub users: BTreeMap<Uuid, Account>,
    /// What each project uses and may use.
    pub projects: BTreeMap<Uuid, Account>,
    /// What each domain uses and may use.
    pub domains: BTreeMap<String, Account>,
    /// Who may be made to give way; `None` where nobody is.
    pub preemption: Option<Preemption>,
}

/// A computer that sessions run on.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    /// Its id.
    pub id: String,
    /// `x86_64`, `aarch64`.
    pub architecture: String,
    /// What it has.
    pub capacity: ResourceSlots,
    /// What sessions have of it.
    pub occupied: ResourceSlots,
    /// How many kernels it runs.
    pub containers: usize,
    /// How many kernels it may run; none means any number.
    pub max_containers: Option<usize>,
}

impl Agent {
    /// What is left.
    pub fn free(&self) -> ResourceSlots {
        self.capacity.minus(&self.occupied)
    }
}

/// A session that waits for resources.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// Its id.
    pub id: Uuid,
    /// When it was asked for, in milliseconds since 1970.
    pub created_millis: i64,
    /// 0 to 100; the higher goes first.
    pub priority: u8,
    /// Its rank among those that it may make give way; only the lower ones do. It has nothing to do
    /// with the order of the queue.
    pub job_priority: i32,
    /// How often it was tried and found no place.
    pub tries: u32,
    /// Its owner.
    pub user: Uuid,
    /// Its project.
    pub project: Uuid,
    /// Its domain.
    pub domain: String,
    /// What its image was made for.
    pub architecture: String,
    /// Whether all its kernels go to one agent.
    pub mode: ClusterMode,
    /// Its kernels, at least one.
    pub kernels: Vec<Kernel>,
    /// The only agents that it may go to; empty means any.
    pub agents: Vec<String>,
    /// Whether it counts against the limit on system (SFTP) sessions.
    pub private: bool,
    /// The sessions that must have succeeded before.
    pub dependencies: Vec<Dependency>,
    /// Before this moment it does not start.
    pub starts_at: Option<StartsAt>,
}

impl Session {
    /// What all its kernels ask for together.
    pub fn requested(&self) -> ResourceSlots {
        let mut sum = ResourceSlots::default();
        for kernel in &self.kernels {
            sum.add(&kernel.slots);
        }
        sum
    }
}

/// One kernel of a waiting session.
#[derive(Debug, Clone, PartialEq)]
pub struct Kernel {
    /// Its id.
    pub id: Uuid,
    /// What it asks for.
    pub slots: ResourceSlots,
}

/// Another session that must have succeeded first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Whether it ended with success.
    pub succeeded: bool,
}

/// A moment that a batch session waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartsAt {
    /// In milliseconds since 1970.
    pub millis: i64,
    /// The same for people, ISO 8601.
    pub text: String,
}

/// A limit on how many sessions may run at once; none means any number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionsLimit {
    /// Ordinary sessions.
    pub ordinary: Option<u32>,
    /// System (SFTP) sessions.
    pub private: Option<u32>,
}

/// What a user, project or domain has now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usage {
    /// Slots, over all resource groups.
    pub slots: ResourceSlots,
    /// Ordinary sessions that run or start.
    pub sessions: u32,
    /// System sessions that run or start.
    pub private_sessions: u32,
}

/// What somebody uses and may use.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Account {
    /// What is in use.
    pub used: Usage,
    /// The most of each slot. Slots that are not named follow [`Account::unnamed_unlimited`].
    pub limit: ResourceSlots,
    /// Whether a slot that the limit does not name is free of limits rather than forbidden.
    pub unnamed_unlimited: bool,
    /// The most sessions at once.
    pub sessions_limit: SessionsLimit,
}

impl Account {
    /// An account without any limit.
    pub fn unlimited() -> Self {
        Self {
            unnamed_unlimited: true,
            ..Self::default()
        }
    }

    /// Counts a session that starts.
    pub(crate) fn take(&mut self, session: &Session, slots: &ResourceSlots) {
        self.used.slots.add(slots);
        if session.private {
            self.used.private_sessions += 1;
        } else {
            self.used.sessions += 1;
        }
    }
}

//! Why a session waits, and when it is taken for idle.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Why a session waits for its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Waiting {
    /// What lacks, in the manager's words.
    pub message: String,
    /// How often a place was looked for.
    pub tries: u32,
    /// When that was tried last.
    #[ts(type = "string | null")]
    pub last_try: Option<Timestamp>,
}

/// How far a session's image is on its way to where the session is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Pulling {
    /// Bytes that came.
    #[ts(type = "number")]
    pub bytes: u64,
    /// Bytes that there are, as far as that is known.
    #[ts(type = "number")]
    pub total: u64,
}

/// What one idle check says of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct IdleCheck {
    /// `session_lifetime`, `network_timeout`, `utilization`.
    pub name: String,
    /// Seconds that are left, 0 when they are over; `None` when nothing is counted.
    pub remaining_s: Option<f64>,
    /// Whether the time that is left is only that until the check begins.
    pub grace: bool,
    /// Metric → average and threshold, in per cent.
    pub resources: BTreeMap<String, [f64; 2]>,
}

/// Signals what runs in a session, as Ctrl-C does.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct SessionInterrupt {
    /// The session.
    pub session: String,
}

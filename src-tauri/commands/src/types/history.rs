//! Recent launches.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use uuid::Uuid;

use super::{LaunchRequest, SessionStatus};

/// A launch that can be done again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Launch {
    /// Its id.
    pub id: String,
    /// Name of the session then.
    pub name: String,
    /// Name that the user gave this entry.
    pub title: Option<String>,
    /// Whether it stays on top and is not cleared.
    pub pinned: bool,
    /// What was asked for.
    pub request: LaunchRequest,
    /// The session that came of it.
    pub session_id: Option<Uuid>,
    /// When.
    #[ts(type = "string")]
    pub launched_at: Timestamp,
    /// Status of that session when last seen.
    pub last_status: Option<SessionStatus>,
}

/// Recent launches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct LaunchList {
    /// Pinned ones first, then newest first.
    pub launches: Vec<Launch>,
}

/// Names one launch.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct LaunchRef {
    /// The launch.
    pub id: String,
}

/// Gives an entry a name.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct LaunchRename {
    /// The launch.
    pub id: String,
    /// The new name; empty takes it away.
    pub title: String,
}

/// Launches again.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct Relaunch {
    /// The launch.
    pub id: String,
    /// Another name for the session; the old one when it is free.
    #[serde(default)]
    pub name: Option<String>,
    /// Wait until it can be used.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub wait: bool,
}

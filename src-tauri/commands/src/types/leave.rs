//! Leaving the desktop app while something is under way.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What becomes of live work when the user quits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum LeaveChoice {
    /// Quit, and ask when something is under way.
    Ask,
    /// Do not quit after all.
    Stay,
    /// Quit when the transfers are over and what was saved in editors has arrived; tunnels and
    /// editors go on in the background.
    Wait,
    /// Quit now; everything goes on in the background.
    Background,
    /// Stop everything and quit; what was marked to come back does so at the next start.
    Stop,
}

/// Says what becomes of live work.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, TS)]
pub struct Leave {
    /// What.
    pub choice: LeaveChoice,
}

/// Whether the program is about to quit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Leaving {
    /// It quits when all that is on its way has arrived.
    pub waiting: bool,
}

/// How the program's last run ended, when it did not end in peace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum EndKind {
    /// The desktop session ended, or somebody sent it a signal.
    Logout,
    /// Without a word: it crashed, or the computer did.
    Crash,
}

/// What was under way when the last run of the program was ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct LastEnd {
    /// How it ended.
    pub kind: EndKind,
    /// When; for a crash, when it was last known to run.
    #[ts(type = "string")]
    pub at: Timestamp,
    /// Tunnels that were open.
    pub tunnels: Vec<String>,
    /// Transfers that were not over.
    pub transfers: Vec<String>,
    /// Files that were open in an editor.
    pub files: Vec<String>,
}

/// The last end, if there is anything to say about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct LastEndShown {
    /// It.
    pub last_end: Option<LastEnd>,
}

//! What `gangway doctor` learns of a computer: the engine's findings, and what the runner tried.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What `gangway-runner probe` is to try.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProbeOrder {
    /// Host user and group that sandboxes run as; absent when the engine is no root.
    pub become_user: Option<(u32, u32)>,
    /// The bubblewrap program.
    pub bubblewrap: PathBuf,
}

/// What came of it: each is absent when it worked, else why it did not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeAnswer {
    /// A user and a network namespace, without any right.
    pub namespaces: Option<String>,
    /// A sandbox of bubblewrap in them.
    pub bubblewrap: Option<String>,
}

/// How good something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// As it should be.
    Ok,
    /// Sessions run, but lack something.
    Warning,
    /// No session can run.
    Failed,
}

/// One thing that was looked at; `gangway-engine probe` writes a list of them as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its key, such as `namespaces`.
    pub name: String,
    /// How good it is.
    pub grade: Grade,
    /// One sentence.
    pub detail: String,
    /// What to do about it.
    pub fix: Option<String>,
}

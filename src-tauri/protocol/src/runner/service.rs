//! Starting an app, and how far it is.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Options of a caller for an app, checked against the service definition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceOptions {
    /// Command line options; a value may be null, a string or a list of strings.
    #[serde(default)]
    pub arguments: BTreeMap<String, Option<ArgumentValue>>,
    /// Environment variables.
    #[serde(default)]
    pub envs: BTreeMap<String, String>,
    /// Seconds that the caller wants to wait until its port answers, at most [`LONGEST_START`];
    /// 30 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_s: Option<u32>,
}

/// Nobody waits longer than this for an app.
pub const LONGEST_START: Duration = Duration::from_secs(3600);

/// How far an app is that is being started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartProgress {
    /// What it waits for.
    pub stage: StartStage,
    /// Milliseconds since it was begun.
    pub elapsed_ms: u64,
    /// The last lines that it printed.
    pub lines: Vec<String>,
}

/// What an app waits for that is being started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartStage {
    /// The steps before its process.
    Preparing,
    /// Its process runs; its port does not answer yet.
    Waiting,
    /// It came to nothing.
    Failed,
}

/// Value of a command line option.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ArgumentValue {
    /// `--name value`
    One(String),
    /// `--name a b c`
    Many(Vec<String>),
}

/// Outcome of starting an app, in the words of the manager API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum ServiceAnswer {
    /// Started just now, and its port answers.
    Started,
    /// Was running already.
    Running,
    /// Not running.
    Failed {
        /// In words, for people.
        error: String,
    },
}

//! What only our engine offers. Clients find the names in [`crate::api::auth::Extensions`].

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

pub use crate::runner::{LONGEST_START, StartProgress, StartStage};
use crate::service_port::ServiceProtocol;

/// Names in [`crate::api::auth::Extensions::capabilities`].
pub mod capability {
    /// Login over the owner-only socket.
    pub const LOCAL_LOGIN: &str = "local-login";
    /// The host key and user of a session's SSH server.
    pub const SSH_INFO: &str = "ssh-info";
    /// Which apps are there and which run.
    pub const APP_STATE: &str = "app-state";
    /// Installing a missing app into a session.
    pub const APP_INSTALL: &str = "app-install";
    /// What is lost when a session ends.
    pub const UNSAVED: &str = "unsaved";
    /// Copying that into a folder.
    pub const SAVE_HOME: &str = "save-home";
    /// Live statistics over REST.
    pub const LIVE_STATS: &str = "live-stats";
    /// Notices of a session.
    pub const NOTICES: &str = "notices";
    /// Python environments of the computer in a session: `host_environments` of
    /// [`crate::api::session::CreateConfig`].
    pub const HOST_ENVIRONMENTS: &str = "host-environments";
    /// Fetching and importing images.
    pub const IMAGES: &str = "images";
    /// `hold=1` at a service's stream: the manager connects when the first frame arrives.
    pub const STREAM_HOLD: &str = "stream-hold";
    /// A port number in the place of a service's name: whatever listens there.
    pub const ANY_PORT: &str = "any-port";
    /// Shells that a session keeps: [`crate::runner::shell`].
    pub const SHELLS: &str = "shells";
    /// A session's log as it is written.
    pub const LOG_STREAM: &str = "log-stream";
    /// `start_limit` at a service's stream, and how far its start is.
    pub const START_PROGRESS: &str = "start-progress";
    /// All of them.
    pub const ALL: [&str; 15] = [
        LOCAL_LOGIN,
        SSH_INFO,
        APP_STATE,
        APP_INSTALL,
        UNSAVED,
        SAVE_HOME,
        LIVE_STATS,
        NOTICES,
        HOST_ENVIRONMENTS,
        IMAGES,
        STREAM_HOLD,
        ANY_PORT,
        SHELLS,
        LOG_STREAM,
        START_PROGRESS,
    ];
}

/// `GET /gangway/status` on the owner-only socket.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EngineStatus {
    /// The engine's process.
    pub pid: u32,
    /// Where the manager API is served.
    pub endpoint: String,
    /// The folder of its data.
    pub data_dir: String,
    /// Its version.
    pub version: String,
    /// Sessions that are not over.
    pub sessions: u64,
}

/// `GET /gangway/session/{s}/ssh`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SshInfo {
    /// Always `work`.
    pub user: String,
    /// One line of a known-hosts file without the host: `ssh-ed25519 AAAA…`.
    pub host_key: String,
    /// The service that reaches it: `sshd`.
    pub service: String,
}

/// Whether an app can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AppPresence {
    /// It runs.
    Running,
    /// It can be started.
    Ready,
    /// Its program is not there.
    Missing,
}

/// One row of `GET /gangway/session/{s}/apps`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct App {
    /// The service.
    pub name: String,
    /// For people: `JupyterLab`.
    pub title: String,
    /// How it is spoken to.
    pub protocol: ServiceProtocol,
    /// Its ports inside the session.
    pub ports: Vec<u16>,
    /// Whether it can be opened.
    pub state: AppPresence,
    /// Whether the session can install it.
    pub installable: bool,
    /// Program without which it can't be installed, when the session lacks that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
}

/// `POST /gangway/session/{s}/install`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Install {
    /// The service.
    pub app: String,
}

/// A frame `line` of an installation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InstallLine {
    /// What the installer printed.
    pub text: String,
}

/// The frame `done` of an installation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InstallDone {
    /// Whether the app is there now.
    pub ok: bool,
    /// How the installer ended.
    pub exit_code: Option<i32>,
}

/// A frame `text` of `GET /gangway/session/{s}/log`: what was written next. The first one comes at
/// once, even without any; after the last one comes a frame `done`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogPiece {
    /// Whole characters.
    pub text: String,
}

/// `GET /gangway/session/{s}/unsaved`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Unsaved {
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// There were too many to count them all.
    pub truncated: bool,
    /// The largest, at most 20.
    pub largest: Vec<UnsavedFile>,
}

/// A file that ends with its session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnsavedFile {
    /// Relative to `/home/work`.
    pub path: String,
    /// Bytes.
    pub size: u64,
}

/// `POST /gangway/session/{s}/save`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Save {
    /// The data folder.
    pub folder: String,
    /// Where in it; its root when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// What it answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Saved {
    /// How many files were copied.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// `POST /gangway/image/pull`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImagePull {
    /// `registry/project/name:tag`, or an alias.
    pub reference: String,
}

/// `POST /gangway/image/import`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageImport {
    /// An archive or a folder on the engine's computer, absolute.
    pub path: String,
    /// What to call it; without one what it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What has begun in the background: `GET /events/background-task` tells how it goes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct TaskStarted {
    /// The task.
    pub task_id: Uuid,
}

/// `GET /gangway/session/{s}/stats`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stats {
    /// When it was measured.
    pub at: Timestamp,
    /// By kernel: metric name to its `live_stat` object (protocol page "Kernel runner" §8.3).
    pub kernels: BTreeMap<Uuid, Value>,
}

/// Something about a session that its user should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// `limits-advisory`, `no-network`, `oom-killed`, …
    pub code: String,
    /// In English; clients translate by code.
    pub message: String,
    /// When it came up.
    pub at: Timestamp,
}

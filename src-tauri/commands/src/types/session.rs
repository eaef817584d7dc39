//! Sessions: what the manager says of them, and what may be asked of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use uuid::Uuid;

use super::{Failure, IdleCheck, Pulling, ServicePort, Waiting};

/// Status of a session, as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(
    missing_docs,
    reason = "the names are those of the wire; protocol::session says more"
)]
pub enum SessionStatus {
    Pending,
    Deprioritizing,
    Reserved,
    Scheduled,
    Preparing,
    Pulling,
    Prepared,
    Creating,
    Running,
    Restarting,
    RunningDegraded,
    Preempted,
    Rescheduling,
    Terminating,
    Terminated,
    Error,
    Cancelled,
}

/// What a session is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum SessionType {
    /// Worked in by a person.
    #[default]
    Interactive,
    /// Runs one command and ends.
    Batch,
    /// Serves a model.
    Inference,
    /// Moves files for the manager.
    System,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum SessionResult {
    /// Not yet, or not a batch job.
    Undefined,
    /// Exit code 0.
    Success,
    /// Any other end.
    Failure,
}

/// Whether something may be done now, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Allowed {
    /// Whether it may be done.
    pub allowed: bool,
    /// Key of the reason (`not_running`, `ended`, …); `None` when allowed.
    pub reason: Option<String>,
}

/// What may be done with a session in its present status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SessionActions {
    /// End it.
    pub terminate: Allowed,
    /// Open an app, a terminal, its files.
    pub open_app: Allowed,
    /// Give it another name.
    pub rename: Allowed,
    /// Read its log.
    pub logs: Allowed,
    /// Save files of its home to a data folder.
    pub save: Allowed,
    /// Start it again in its home.
    #[serde(default)]
    #[ts(optional)]
    pub restart: Option<Allowed>,
}

/// Something that the user should know about a session (limits are advisory, no network, …).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Notice {
    /// Key of its text.
    pub code: String,
    /// The engine's own words.
    pub message: String,
    /// When it happened.
    #[ts(type = "string | null")]
    pub at: Option<Timestamp>,
}

/// One of the containers that a session is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SessionKernel {
    /// Its id.
    pub id: Uuid,
    /// Its host name: `main1`, `sub1`, …
    pub hostname: String,
    /// `main` or `sub`.
    pub role: String,
    /// Status, as on the wire.
    pub status: String,
}

/// A session as the manager tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Session {
    /// Its id; survives a rename.
    pub id: Uuid,
    /// Its name; unique among the owner's live sessions.
    pub name: String,
    /// Where it is in its life.
    pub status: SessionStatus,
    /// Short reason of the last change (`user-requested`, `idle-timeout`, …).
    pub status_info: Option<String>,
    /// What it is for.
    #[serde(rename = "type")]
    pub session_type: SessionType,
    /// Canonical reference of the image.
    pub image: String,
    /// Project that it is counted in.
    pub project: String,
    /// Resource group that it runs in.
    pub resource_group: Option<String>,
    /// E-mail address of the owner.
    pub owner: Option<String>,
    /// When it was asked for.
    #[ts(type = "string | null")]
    pub created_at: Option<Timestamp>,
    /// When it ended.
    #[ts(type = "string | null")]
    pub terminated_at: Option<Timestamp>,
    /// What it holds: slot → amount, `mem` in bytes.
    pub occupied_slots: BTreeMap<String, String>,
    /// What was asked for.
    pub requested_slots: BTreeMap<String, String>,
    /// Its apps.
    pub service_ports: Vec<ServicePort>,
    /// How a batch job ended.
    pub result: SessionResult,
    /// Exit code of a batch job.
    pub exit_code: Option<i32>,
    /// How many containers it is made of.
    pub cluster_size: u32,
    /// They, where one session was asked for and it has several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(optional, as = "Option<_>")]
    pub kernels: Vec<SessionKernel>,
    /// Names of the mounted data folders.
    pub mounts: Vec<String>,
    /// What the user should know.
    pub notices: Vec<Notice>,
    /// Why it waits for its place, while it does.
    #[serde(default)]
    #[ts(optional)]
    pub waiting: Option<Waiting>,
    /// How far its image is, while that is fetched and the manager tells.
    #[serde(default)]
    #[ts(optional)]
    pub pulling: Option<Pulling>,
    /// What the idle checks say.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub idle_checks: Vec<IdleCheck>,
    /// What may be done now.
    pub actions: SessionActions,
}

/// A list of sessions with its age.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct SessionList {
    /// Newest first, or in the order that was asked for.
    pub sessions: Vec<Session>,
    /// How many there are; more than the list when only a part was asked for.
    pub total: u64,
    /// When the manager said so.
    #[ts(type = "string")]
    pub as_of: Timestamp,
    /// True when the manager can't be reached and this is what was seen last.
    pub stale: bool,
    /// Why it can't be reached.
    pub failure: Option<Failure>,
}

/// Which sessions to list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, TS)]
#[serde(default)]
#[ts(optional_fields = nullable)]
pub struct SessionListRequest {
    /// Also those that have ended.
    #[ts(optional, as = "Option<_>")]
    pub all: bool,
    /// Only those that have ended.
    #[ts(optional, as = "Option<_>")]
    pub ended: bool,
    /// Only these statuses.
    #[ts(optional, as = "Option<_>")]
    pub statuses: Vec<SessionStatus>,
    /// At most so many (500), and in pages; all when absent.
    pub limit: Option<u32>,
    /// So many are left out at the beginning.
    #[ts(optional, as = "Option<_>")]
    pub offset: u32,
    /// Part of the name; with `limit` only.
    pub search: Option<String>,
    /// `name`, `status`, `image`, `type`, `created_at` or `terminated_at`, with `-` for the other
    /// way round; with `limit` only.
    pub order: Option<String>,
}

/// Names one session: name, id, or a unique start of one.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct SessionRef {
    /// Name, id, or a unique start of one.
    pub session: String,
}

/// A data folder in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct Mount {
    /// Name or id of the folder.
    pub folder: String,
    /// Where it appears; `/home/work/<name>` by default.
    #[serde(default)]
    pub path: Option<String>,
    /// Whether the session may only read it.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub read_only: bool,
}

/// A job that runs by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct BatchJob {
    /// Shell command.
    pub command: String,
    /// Not before this time (ISO 8601), or after this delay (`2h`).
    #[serde(default)]
    pub starts_at: Option<String>,
    /// Ends it after this long (`30m`, or seconds).
    #[serde(default)]
    pub timeout: Option<String>,
}

/// What to launch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, TS)]
#[serde(default)]
#[ts(optional_fields = nullable)]
pub struct LaunchRequest {
    /// 4 to 64 characters; made up when absent.
    pub name: Option<String>,
    /// Canonical reference of the image; the first installed one when absent.
    pub image: Option<String>,
    /// What for.
    #[serde(rename = "type")]
    pub session_type: Option<SessionType>,
    /// CPU cores.
    pub cpu: Option<f64>,
    /// Memory in bytes.
    pub mem: Option<u64>,
    /// Shared memory in bytes, part of `mem`.
    pub shmem: Option<u64>,
    /// Accelerators (`cuda.device`).
    pub gpu: Option<f64>,
    /// Other slots by name.
    #[ts(optional, as = "Option<_>")]
    pub resources: BTreeMap<String, String>,
    /// Data folders to mount.
    #[ts(optional, as = "Option<_>")]
    pub mounts: Vec<Mount>,
    /// Environment variables.
    #[ts(optional, as = "Option<_>")]
    pub environ: BTreeMap<String, String>,
    /// Ports to make reachable beyond those of the image.
    #[ts(optional, as = "Option<_>")]
    pub preopen_ports: Vec<u16>,
    /// Python environments of this computer that the session may read, as absolute paths. Naming
    /// one is the user's consent.
    #[ts(optional, as = "Option<_>")]
    pub environments: Vec<String>,
    /// Resource group; the manager's default when absent.
    pub resource_group: Option<String>,
    /// Project; the account's when absent.
    pub project: Option<String>,
    /// Turns it into a batch session.
    pub batch: Option<BatchJob>,
    /// Script that runs first.
    pub bootstrap: Option<String>,
    /// Sessions that must succeed before it begins.
    #[ts(optional, as = "Option<_>")]
    pub depends_on: Vec<String>,
    /// E-mail address of its owner, when an administrator launches it for somebody else.
    pub owner: Option<String>,
    /// 0 to 100, higher goes first; 10 when absent.
    pub priority: Option<i32>,
    /// Address that is called when its status changes.
    pub callback_url: Option<String>,
    /// Containers; 1 when absent.
    pub cluster_size: Option<u32>,
    /// Wait until it can be used.
    #[ts(optional, as = "Option<_>")]
    pub wait: bool,
    /// How long to wait, in seconds.
    pub wait_timeout_s: Option<u64>,
}

/// Gives a session another name.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct SessionRename {
    /// The session.
    pub session: String,
    /// 4 to 64 characters.
    pub name: String,
}

/// Ends a session.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct SessionTerminate {
    /// The session.
    pub session: String,
    /// Do not wait for it to end in order.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub forced: bool,
    /// Answer when it has ended, not when the manager has taken note.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub wait: bool,
}

/// What would be lost: files outside mounted folders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Unsaved {
    /// How many files.
    pub files: u64,
    /// Their size together.
    pub bytes: u64,
    /// Whether counting stopped early.
    pub truncated: bool,
    /// The largest of them, at most 20.
    pub largest: Vec<UnsavedFile>,
}

/// One file that would be lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct UnsavedFile {
    /// Path below `/home/work`.
    pub path: String,
    /// Bytes.
    pub size: u64,
}

/// Copies the files that would be lost into a data folder.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct SessionSave {
    /// The session.
    pub session: String,
    /// Name of the data folder.
    pub folder: String,
    /// Directory in it; the session's name when absent.
    #[serde(default)]
    pub path: Option<String>,
}

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Saved {
    /// Files copied.
    pub files: u64,
    /// Their size together.
    pub bytes: u64,
}

/// Names a session's log.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct SessionLogsRequest {
    /// The session.
    pub session: String,
    /// One of its kernels; the main one when absent.
    #[serde(default)]
    pub kernel: Option<Uuid>,
}

/// The log of a session's main process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SessionLogs {
    /// Text with terminal colours.
    pub text: String,
}

/// Live use of a session: kernel id → metric → values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Stats {
    /// When measured.
    #[ts(type = "string")]
    pub at: Timestamp,
    /// Kernel id → metric (`cpu_used`, `mem`, `net_rx`, …).
    pub kernels: BTreeMap<String, BTreeMap<String, Metric>>,
}

/// One metric of a kernel; numbers are decimal texts as on the wire.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, TS)]
#[serde(default)]
pub struct Metric {
    /// Now.
    pub current: Option<String>,
    /// The most there can be.
    pub capacity: Option<String>,
    /// Share in per cent.
    pub pct: Option<String>,
    /// `bytes`, `percent`, `msec`, `count`, …
    pub unit_hint: Option<String>,
}

/// Runs a command in a session and waits for it.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct SessionExec {
    /// The session.
    pub session: String,
    /// Program and arguments; a single word with spaces is a shell line.
    pub command: Vec<String>,
}

/// How a command in a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ExecResult {
    /// Exit code of the command.
    pub exit_code: i32,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

/// Waits for a status.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct SessionWait {
    /// The session.
    pub session: String,
    /// Wait until it has this status.
    pub status: SessionStatus,
    /// At most this long, in seconds.
    #[serde(default)]
    pub timeout_s: Option<u64>,
}

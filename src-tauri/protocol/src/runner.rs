//! What the engine and the runner inside a session say to each other.
//!
//! The channel is a Unix stream socket that only the engine can reach. Each connection carries one
//! request and its answer (or its stream of answers), so nothing waits behind anything else and a
//! dropped connection is a cancelled request. A frame is a big-endian `u32` length and that many
//! bytes of JSON; a frame may carry one descriptor (`SCM_RIGHTS`): a connected socket or an open
//! file, so that bulk bytes never pass through the runner.
//!
//! The engine opens with [`Hello`]; the runner answers with [`Welcome`]. A runner that was started
//! by an older engine keeps running, so fields may be added but never change their meaning.

pub mod ids;
pub mod launch;
mod service;
pub mod shell;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::service_port::ServicePort;

pub use service::{
    ArgumentValue, LONGEST_START, ServiceAnswer, ServiceOptions, StartProgress, StartStage,
};

/// Version of this protocol that this build speaks.
pub const VERSION: u32 = 1;
/// Oldest version that this build still understands.
pub const OLDEST_VERSION: u32 = 1;
/// Longest frame that either side accepts, in bytes.
pub const MAX_FRAME: usize = 8 << 20;

/// First frame of every connection, from the engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// Newest protocol version that the engine speaks.
    pub version: u32,
    /// What it wants.
    pub request: Request,
}

/// Opens every answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// Version that the runner speaks on this connection.
    pub version: u32,
    /// Release of the runner, for messages to people.
    pub release: String,
}

/// What the engine can ask of a runner.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Request {
    /// Answers [`Answer::Status`] as soon as the session can take work.
    Status,
    /// Connects to a port inside the session and hands the connected socket over.
    Connect {
        /// TCP port inside the session.
        port: u16,
    },
    /// Starts an app and waits until its port answers.
    StartService {
        /// Name of the service port.
        name: String,
        /// What the caller passes to it.
        #[serde(default)]
        options: ServiceOptions,
    },
    /// How far an app is that is being started.
    StartProgress {
        /// Name of the service port.
        name: String,
    },
    /// Ends an app that was started, or is being started.
    ShutdownService {
        /// Name of the service port.
        name: String,
    },
    /// States of all apps.
    Apps,
    /// How to reach the SSH server.
    Ssh,
    /// Runs a command and streams its output.
    Execute(Execute),
    /// Interrupts what [`Request::Execute`] runs at the moment.
    Interrupt {
        /// The run to interrupt; all of them when absent.
        run_id: Option<String>,
    },
    /// Statistics of the session, in the form of the manager API's `live_stat`.
    Stats,
    /// What the session wants its owner to know.
    Notices,
    /// Lists a directory.
    ListFiles {
        /// Path inside the session; relative to the home.
        path: String,
    },
    /// Opens a regular file and hands the descriptor over.
    OpenFile {
        /// Path inside the session; relative to the home.
        path: String,
        /// What to do with it.
        mode: OpenMode,
    },
    /// Makes a directory with its parents.
    MakeDirectory {
        /// Path inside the session; relative to the home.
        path: String,
    },
    /// Renames a file or directory.
    RenameFile {
        /// Path inside the session; relative to the home.
        from: String,
        /// Path inside the session; relative to the home.
        to: String,
    },
    /// Removes a file, or a directory with all in it.
    RemoveFile {
        /// Path inside the session; relative to the home.
        path: String,
    },
    /// Files of the home that are lost when the session ends.
    Unsaved {
        /// Most files to name; counting stops there too.
        limit: usize,
    },
    /// Installs an app into the session, streaming what the installer prints.
    Install {
        /// Name of the app.
        app: String,
    },
    /// Ends the session.
    Terminate {
        /// How long processes may take to end by themselves, in milliseconds.
        grace_ms: u64,
    },
}

/// What a runner answers; streams end with [`Answer::Done`] or [`Answer::Failed`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Answer {
    /// Done; nothing to tell.
    Done,
    /// Could not be done.
    Failed(Fault),
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::StartService`].
    Service(ServiceAnswer),
    /// To [`Request::StartProgress`].
    StartProgress {
        /// Nothing when the app is not on its way.
        progress: Option<StartProgress>,
    },
    /// To [`Request::Apps`].
    Apps {
        /// One entry for each service port.
        apps: Vec<AppState>,
    },
    /// To [`Request::Ssh`].
    Ssh(SshInfo),
    /// Output of [`Request::Execute`].
    Output(Output),
    /// To [`Request::Stats`].
    Stats {
        /// Metric name to value.
        metrics: BTreeMap<String, Metric>,
    },
    /// To [`Request::Notices`].
    Notices {
        /// Oldest first.
        notices: Vec<Notice>,
    },
    /// To [`Request::ListFiles`].
    Files {
        /// Entries, by name.
        entries: Vec<FileEntry>,
    },
    /// A descriptor comes with this frame.
    Descriptor,
    /// To [`Request::Unsaved`].
    Unsaved(Unsaved),
    /// One line of an installer.
    Line {
        /// Without the line end.
        text: String,
    },
    /// Exit code of an installer.
    Installed {
        /// 0 is success.
        exit_code: i32,
    },
}

/// Why a runner could not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What kind of failure it is.
    pub kind: FaultKind,
    /// In words, for people.
    pub message: String,
}

/// Kinds of [`Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The file, app or run is not there.
    NotFound,
    /// It is there already.
    Exists,
    /// The session's user may not.
    Denied,
    /// Nothing listens on that port.
    Refused,
    /// The request makes no sense.
    Invalid,
    /// No space left, or a quota.
    Full,
    /// The runner is older than the request.
    Unsupported,
    /// Anything else.
    Other,
}

/// A runner that is ready for work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Seconds since the session began.
    pub uptime: f64,
    /// Service ports of the session, built-in ones included.
    pub service_ports: Vec<ServicePort>,
    /// Ended already: the batch job's exit code.
    pub batch_exit: Option<i32>,
}

/// An app as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppState {
    /// Service name, ports, protocol, and what a caller may pass.
    #[serde(flatten)]
    pub port: ServicePort,
    /// Whether it runs or could.
    pub state: AppPhase,
    /// Whether [`Request::Install`] can bring it.
    pub installable: bool,
    /// Program without which it can't be installed, when the session lacks that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
    /// Name for people.
    pub title: String,
}

/// State of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AppPhase {
    /// Started.
    Running,
    /// Can be started.
    Ready,
    /// Its program is not in the session.
    Missing,
}

/// How to reach the SSH server of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshInfo {
    /// Login name.
    pub user: String,
    /// Host key, as in a `known_hosts` line (`ssh-ed25519 AAAA…`).
    pub host_key: String,
    /// Service port that leads there.
    pub service: String,
}

/// A command to run in the session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Execute {
    /// Names this run, for [`Request::Interrupt`].
    pub run_id: String,
    /// Shell text, or the source of a program.
    pub code: ExecuteCode,
    /// Fed to standard input, then end of file.
    #[serde(default)]
    pub stdin: Option<String>,
    /// Whether the output is kept in the session's log as well.
    #[serde(default)]
    pub log: bool,
}

/// What kind of text [`Execute`] carries.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExecuteCode {
    /// Given to a shell.
    Shell(String),
    /// Python source (query mode). A session keeps no interpreter state between runs.
    Python(String),
    /// A program and its arguments, without a shell.
    Argv(Vec<String>),
}

/// Output of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Output {
    /// Text of standard output; bytes that are not UTF-8 are replaced.
    Stdout {
        /// The text.
        text: String,
    },
    /// Text of standard error.
    Stderr {
        /// The text.
        text: String,
    },
    /// Last one: it ended.
    Finished {
        /// Exit code; 128 + n when signal n ended it.
        exit_code: i32,
    },
}

/// One metric, in the manager API's form (decimal strings).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// At most three digits after the point.
    pub current: String,
    /// Limit, where there is one.
    pub capacity: Option<String>,
    /// `current / capacity · 100`, two digits.
    pub pct: String,
    /// `count`, `bytes`, `msec`, `percent` or `bps` (bytes per second).
    pub unit_hint: String,
    /// Highest value so far.
    #[serde(rename = "stats.max", default, skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
    /// Mean so far.
    #[serde(rename = "stats.avg", default, skip_serializing_if = "Option::is_none")]
    pub avg: Option<String>,
    /// Change per second.
    #[serde(
        rename = "stats.rate",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub rate: Option<String>,
}

impl Metric {
    /// A value without a limit.
    #[must_use]
    pub fn plain(current: impl ToString, unit: &str) -> Self {
        Self {
            current: current.to_string(),
            capacity: None,
            pct: "0.00".to_owned(),
            unit_hint: unit.to_owned(),
            max: None,
            avg: None,
            rate: None,
        }
    }
}

/// What the owner of a session should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Kind of notice.
    pub code: NoticeCode,
    /// In words.
    pub message: String,
    /// ISO 8601, UTC.
    pub at: String,
}

/// Kinds of [`Notice`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeCode {
    /// CPU, memory and process limits are not enforced for the session as a whole.
    LimitsAdvisory,
    /// The session reaches no network.
    NoNetwork,
    /// A process was killed because the session ran out of memory.
    OomKilled,
    /// The bootstrap script failed.
    BootstrapFailed,
    /// The files of the image can't be changed.
    ImageReadOnly,
    /// Not everything of the image could be kept: owners, devices, extended attributes.
    ImageSimplified,
}

/// An entry of a directory in the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Name without directory.
    pub name: String,
    /// Kind of entry; links are not followed.
    pub kind: FileKind,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970 (UTC).
    pub modified: i64,
    /// Permission bits, `0o644`.
    pub mode: u32,
    /// Where a link leads.
    #[serde(default)]
    pub target: Option<String>,
}

/// Kinds of [`FileEntry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link.
    Symlink,
    /// Socket, pipe or device.
    Other,
}

/// How [`Request::OpenFile`] opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpenMode {
    /// To read.
    Read,
    /// To write from the start; made when missing, emptied when not.
    Create,
}

/// Files of the home that are in no mounted folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsaved {
    /// How many.
    pub files: u64,
    /// Their size together.
    pub bytes: u64,
    /// There are more than were counted.
    pub truncated: bool,
    /// Path (relative to the home) and size of each, largest first.
    pub listed: Vec<UnsavedFile>,
}

/// One file of [`Unsaved`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsavedFile {
    /// Relative to the home.
    pub path: String,
    /// Bytes.
    pub size: u64,
}

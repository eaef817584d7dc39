//! The nouns of the queue, as they are shown and stored.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// A place where files are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Location {
    /// On this computer.
    Local {
        /// Absolute path.
        path: String,
    },
    /// In a session.
    Session {
        /// Its id; a name as well where a user says it.
        session: String,
        /// Absolute, or below the session's home.
        path: String,
    },
    /// In a data folder.
    Folder {
        /// Name or id.
        folder: String,
        /// Path in the folder; empty for its root.
        path: String,
    },
}

impl Location {
    /// The path alone.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Local { path } | Self::Session { path, .. } | Self::Folder { path, .. } => path,
        }
    }

    /// What holds it.
    #[must_use]
    pub fn place(&self) -> Place {
        match self {
            Self::Local { .. } => Place::Local,
            Self::Session { session, .. } => Place::Session(session.clone()),
            Self::Folder { folder, .. } => Place::Folder(folder.clone()),
        }
    }

    /// Another path at the same place.
    #[must_use]
    pub fn with_path(&self, path: impl Into<String>) -> Self {
        let path = path.into();
        match self {
            Self::Local { .. } => Self::Local { path },
            Self::Session { session, .. } => Self::Session {
                session: session.clone(),
                path,
            },
            Self::Folder { folder, .. } => Self::Folder {
                folder: folder.clone(),
                path,
            },
        }
    }
}

/// What holds files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// This computer.
    Local,
    /// The session with this id.
    Session(String),
    /// The data folder with this name or id.
    Folder(String),
}

/// What to do when a file is in the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Overwrite {
    /// Stop and ask.
    #[default]
    Ask,
    /// Replace it.
    Always,
    /// Leave it.
    Never,
    /// Replace it when the source was changed later.
    Newer,
}

/// What becomes of symbolic links in a folder that is copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Links {
    /// Those that stay inside the folder are made again; others are left out.
    #[default]
    Keep,
    /// What they lead to is copied in their place.
    Follow,
    /// They are left out.
    Skip,
}

/// What happens when nothing is left to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFinish {
    /// Nothing.
    #[default]
    Nothing,
    /// The program ends.
    Quit,
}

/// Where a transfer is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(rename = "TransferState")]
pub enum State {
    /// Waits for its turn.
    Queued,
    /// Moves bytes.
    Running,
    /// Stopped by the user; goes on where it was.
    Paused,
    /// The session or the manager is away; goes on by itself.
    Waiting,
    /// All there, and checked.
    Done,
    /// Stopped by an error; a retry goes on where it was.
    Failed,
    /// Given up by the user; nothing unfinished is left.
    Cancelled,
    /// A file is in the way; the user has to say what to do.
    Conflict,
}

impl State {
    /// Nothing more happens without the user.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// From where to where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The file or folder.
    pub src: Location,
    /// Its new place: the final path, or an existing folder (or any path that ends with `/`) that
    /// it is put into under its own name.
    pub dst: Location,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The profile (site and account) that sessions and data folders belong to.
    pub profile: String,
    /// What goes where; each becomes a transfer of its own.
    pub items: Vec<Item>,
    /// What happens to files that are there already.
    pub overwrite: Overwrite,
    /// What becomes of symbolic links.
    pub links: Links,
    /// SHA-256 of source and copy are compared, file by file.
    pub checksum: bool,
    /// Bytes per second at most.
    pub limit_bps: Option<u64>,
    /// What was copied is removed from the source once all of it has arrived, unless it was
    /// changed meanwhile.
    pub remove_source: bool,
}

/// A look at one transfer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Transfer {
    /// Its id, unique over time.
    pub id: String,
    /// The profile that it belongs to.
    pub profile: String,
    /// From where.
    pub src: Location,
    /// To where.
    pub dst: Location,
    /// How it is doing.
    pub state: State,
    /// Bytes that have arrived, those of files that were there already included.
    pub bytes: u64,
    /// All bytes; unknown until the source was looked through.
    pub total: Option<u64>,
    /// Files that are done.
    pub files: u64,
    /// All files; unknown until the source was looked through.
    pub files_total: Option<u64>,
    /// Files that were left out: links that lead out of the folder, devices, sockets, and files
    /// that stay because of [`Overwrite`].
    pub skipped: u64,
    /// What was copied is removed from the source.
    pub remove_source: bool,
    /// Entries that stay at the source of one that is done and removes it: they came or were
    /// changed after the source was looked through, were left out, or can't be removed.
    pub source_left: u64,
    /// Bytes per second, smoothed over some seconds; only while running.
    pub speed: Option<u64>,
    /// Seconds to go at that speed; only while running and once the total is known.
    pub eta_s: Option<u64>,
    /// Time spent moving bytes, pauses left out.
    pub seconds: f64,
    /// SHA-256 in hex; of a single file, when asked for.
    pub sha256: Option<String>,
    /// Why it failed, or what it waits for.
    pub failure: Option<Failure>,
    /// What the user is asked.
    pub conflict: Option<Conflict>,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
}

/// Why a transfer failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind.
    pub code: FailureCode,
    /// One sentence for people.
    pub message: String,
    /// The file in question.
    pub path: Option<String>,
    /// A retry may help without anything being changed.
    pub retryable: bool,
}

/// Kinds of failures, of stores and of transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureCode {
    /// The file or folder does not exist.
    NotFound,
    /// The account may not do that.
    PermissionDenied,
    /// The disk is full.
    NoSpace,
    /// The account's share of the disk is used up.
    QuotaExceeded,
    /// It is there already.
    AlreadyExists,
    /// A folder was expected.
    NotADirectory,
    /// A file was expected.
    IsADirectory,
    /// A name would lead out of the folder, or can't be written on this system.
    UnsafeName,
    /// What arrived has another length than what was sent.
    SizeMismatch,
    /// What arrived has other content than what was sent.
    ChecksumMismatch,
    /// The source was changed while it was being read.
    SourceChanged,
    /// The other end can't be reached.
    Unreachable,
    /// The session has ended: what held the files is no more.
    Gone,
    /// The session does not accept the login.
    NotLoggedIn,
    /// The manager's login is over: it goes on as soon as somebody has logged in again.
    LoginExpired,
    /// This place can't do that.
    Unsupported,
    /// The disk or the system failed.
    Io,
    /// The other end does not keep to the protocol.
    Protocol,
}

/// A file that is in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Conflict {
    /// Where.
    pub path: String,
    /// Bytes of the source.
    pub src_size: u64,
    /// Bytes of what is there.
    pub dst_size: u64,
    /// When the source was changed.
    #[ts(type = "string | null")]
    pub src_modified: Option<Timestamp>,
    /// When what is there was changed.
    #[ts(type = "string | null")]
    pub dst_modified: Option<Timestamp>,
}

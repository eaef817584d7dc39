//! A place that holds files, with what all such places can do.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::item::{Failure, FailureCode, Location, Place};

/// Opens what is not on this computer. Called again when a store has died.
pub trait Places: Send + Sync + 'static {
    /// Reaches `place` with the login of `profile`.
    fn open<'a>(
        &'a self,
        profile: &'a str,
        place: &'a Place,
    ) -> BoxFuture<'a, Result<Arc<dyn Store>, StoreError>>;

    /// Where the same file can be reached once `location` is gone: a session's mounted data folder
    /// has an address of its own. Asked while `location` is in reach.
    fn elsewhere<'a>(
        &'a self,
        _profile: &'a str,
        _location: &'a Location,
    ) -> BoxFuture<'a, Option<Location>> {
        async { None }.boxed()
    }
}

/// A place that holds files. Paths have `/` between names; what a relative one begins at, the
/// store decides (see [`Store::resolve`]).
pub trait Store: Send + Sync {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// `false` once it is known to be out of reach: open another.
    fn is_alive(&self) -> bool;

    /// Whether the other side answers: asked when nothing has come for long.
    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The absolute form of `path`; `.` is where a user begins.
    fn resolve<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<String, StoreError>>;

    /// The absolute form of `path` with all links followed, where there are links.
    fn real_path<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<String, StoreError>> {
        self.resolve(path)
    }

    /// The entries of a folder, in any order.
    fn list<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Vec<Entry>, StoreError>>;

    /// One entry; the link itself unless `follow`.
    fn stat<'a>(&'a self, path: &'a str, follow: bool) -> BoxFuture<'a, Result<Entry, StoreError>>;

    /// Makes a folder whose parent exists. [`FailureCode::AlreadyExists`] when it is there.
    fn make_dir<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Removes a file or a link.
    fn remove_file<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Removes an empty folder.
    fn remove_dir<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Moves within the store; a file at `to` is replaced.
    fn rename<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Makes the symbolic link `path`.
    fn link<'a>(&'a self, target: &'a str, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Reads from `offset`; `size` is how long the file is believed to be.
    fn read<'a>(
        &'a self,
        path: &'a str,
        offset: u64,
        size: u64,
    ) -> BoxFuture<'a, Result<Box<dyn Source>, StoreError>>;

    /// How much is there of the unfinished file `path`, to be gone on with: never more than is sure.
    /// `arrived` bytes were confirmed before the interruption, `ticket` was the sink's.
    fn resume_at<'a>(
        &'a self,
        path: &'a str,
        arrived: u64,
        _ticket: Option<&'a Ticket>,
    ) -> BoxFuture<'a, Result<Begin, StoreError>> {
        async move {
            match self.stat(path, false).await {
                Ok(there) if there.kind == Kind::File => Ok(Begin::at(there.size.min(arrived))),
                Ok(_) => Ok(Begin::default()),
                Err(error) if error.retry => Err(error),
                Err(_) => Ok(Begin::default()),
            }
        }
        .boxed()
    }

    /// Writes a file.
    fn write<'a>(
        &'a self,
        path: &'a str,
        options: WriteOptions,
    ) -> BoxFuture<'a, Result<Box<dyn Sink>, StoreError>>;

    /// Sets permission bits and time of change.
    fn set_attributes<'a>(
        &'a self,
        path: &'a str,
        mode: Option<u32>,
        modified: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Waits until a file is on the disk of the store, so that a power cut there does not take it.
    /// `false`: the store can't tell, or sees to it by itself.
    fn sync<'a>(&'a self, _path: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        async { Ok(false) }.boxed()
    }

    /// SHA-256 of a file, worked out where the file is; `None` when that can't be done there.
    fn sha256<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<[u8; 32]>, StoreError>>;
}

/// Reads one file from front to back.
pub trait Source: Send {
    /// The next bytes; `None` at the end.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Bytes>>, StoreError>>;
}

/// Writes one file from front to back. Dropping it leaves what has arrived.
pub trait Sink: Send {
    /// Takes the next bytes; waits while too much is on its way. Returns how much has arrived for
    /// sure, counted from the file's start.
    fn write(&mut self, data: Vec<Bytes>) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// What has to be remembered to go on with this file after an interruption.
    fn ticket(&self) -> Option<Ticket> {
        None
    }

    /// Waits until everything has arrived, sets the wanted attributes and closes. Returns the
    /// file's length as the store sees it, where it can tell.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Option<u64>, StoreError>>;
}

/// What a store can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// An unfinished file can be gone on with; see [`Store::resume_at`].
    pub resume_write: bool,
    /// It is known for sure how much of an unfinished file there is: bytes were written in order,
    /// by one writer.
    pub knows_length: bool,
    /// A file can be given its final name when it is whole. Where not, [`Store::write`] itself
    /// must show a file only when it is whole.
    pub rename: bool,
    /// Permission bits and times are kept.
    pub attributes: bool,
    /// Symbolic links can be made.
    pub links: bool,
    /// One entry can be looked at without listing its folder.
    pub looks_at_one: bool,
    /// So many small files at once are of use.
    pub parallel_files: usize,
}

/// How a file is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Where the first byte goes; what lies before it stays. 0 empties the file.
    pub offset: u64,
    /// How long the file will be.
    pub size: Option<u64>,
    /// Permission bits (no more than 0o777) that it gets at the end.
    pub mode: Option<u32>,
    /// Time of change that it gets at the end.
    pub modified: Option<Timestamp>,
    /// The ticket of the sink that wrote what lies before `offset`.
    pub ticket: Option<Ticket>,
}

/// Where a file is begun.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Begin {
    /// At this byte.
    pub offset: u64,
    /// With this ticket.
    pub ticket: Option<Ticket>,
}

impl Begin {
    /// At a byte, without a ticket.
    #[must_use]
    pub fn at(offset: u64) -> Self {
        Self {
            offset,
            ticket: None,
        }
    }
}

/// Leave to go on with one unfinished file, in the store's own words. Whoever has it can write
/// that file: it is kept in the queue's private database and shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket(pub String);

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ticket(…)")
    }
}

/// Kinds of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A plain file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, socket or pipe.
    Other,
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name alone; characters that can't be shown are U+FFFD.
    pub name: String,
    /// `name` is exactly what the store has. When not, the entry can be shown and not opened.
    pub exact: bool,
    /// What it is.
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// When it was changed.
    pub modified: Option<Timestamp>,
    /// Permission bits.
    pub mode: Option<u32>,
    /// Where a link leads, as far as it was asked for.
    pub target: Option<String>,
}

/// Why a store could not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// The kind.
    pub code: FailureCode,
    /// One sentence for people.
    pub message: String,
    /// The store is out of reach for the moment; opening it again may help.
    pub retry: bool,
}

impl StoreError {
    /// An error that trying again does not cure.
    #[must_use]
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry: false,
        }
    }

    /// The store is out of reach for the moment.
    #[must_use]
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self {
            code: FailureCode::Unreachable,
            message: message.into(),
            retry: true,
        }
    }

    /// Nothing is lost, and nothing goes on before somebody has logged in again.
    #[must_use]
    pub fn login_expired(message: impl Into<String>) -> Self {
        Self {
            code: FailureCode::LoginExpired,
            message: message.into(),
            retry: true,
        }
    }

    /// The store has no such operation.
    #[must_use]
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(FailureCode::Unsupported, message)
    }

    pub(crate) fn about(self, path: &str) -> Failure {
        let retryable = self.retry || self.code == FailureCode::SourceChanged;
        Failure {
            code: self.code,
            message: self.message,
            path: Some(path.to_owned()),
            retryable,
        }
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        let code = match error.kind() {
            ErrorKind::NotFound => FailureCode::NotFound,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                FailureCode::PermissionDenied
            }
            ErrorKind::StorageFull => FailureCode::NoSpace,
            ErrorKind::QuotaExceeded => FailureCode::QuotaExceeded,
            ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty => FailureCode::AlreadyExists,
            ErrorKind::NotADirectory => FailureCode::NotADirectory,
            ErrorKind::IsADirectory => FailureCode::IsADirectory,
            ErrorKind::Unsupported => FailureCode::Unsupported,
            ErrorKind::InvalidFilename | ErrorKind::InvalidInput => FailureCode::UnsafeName,
            _ if is_about_a_name(&error) => FailureCode::UnsafeName,
            _ => FailureCode::Io,
        };
        Self::new(code, error.to_string())
    }
}

/// File systems that keep names in Unicode refuse other bytes with a code of its own.
#[cfg(unix)]
fn is_about_a_name(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(nix::errno::Errno::EILSEQ as i32)
}

#[cfg(not(unix))]
fn is_about_a_name(_error: &std::io::Error) -> bool {
    false
}

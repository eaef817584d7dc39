//! Why the storage refused, told apart by what the caller can do about it.

use std::io;

use super::path::InvalidPath;

/// Why an operation on a data folder failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    /// The path can't be one inside a folder.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// A symbolic link on the way leads out of the folder.
    #[error("the path leads out of the folder")]
    Escapes,
    /// The folder's storage is not there.
    #[error("the folder's files are gone from the disk")]
    Gone,
    /// There is no such file or directory.
    #[error("no such file or directory: {0}")]
    NotFound(String),
    /// Something of that name is there already.
    #[error("{0} exists already")]
    Exists(String),
    /// A directory where a file was needed, or the other way round.
    #[error("{0} is {1}")]
    WrongKind(String, &'static str),
    /// The directory still has something in it.
    #[error("{0} is a directory; ask for recursive deletion to remove it with its contents")]
    NeedsRecursive(String),
    /// The disk or the quota is full.
    #[error("there is no space left on the disk")]
    Full,
    /// The room on the disk is too small for what was announced.
    #[error("there is not enough space on the disk: {needed} bytes needed, {free} bytes free")]
    TooLarge {
        /// The announced size.
        needed: u64,
        /// What is free.
        free: u64,
    },
    /// The files' owner may not do this.
    #[error("the files' permissions don't allow this: {0}")]
    Denied(String),
    /// There is no upload with this number, or it was cleaned up.
    #[error("no such upload; it was never begun, or it was given up")]
    UnknownUpload,
    /// The upload is at another offset.
    #[error("the upload is at offset {actual}, not {given}")]
    Offset {
        /// What the client said.
        given: u64,
        /// Where the file ends, in bytes.
        actual: u64,
    },
    /// More bytes came than were announced.
    #[error("more bytes came than the {0} that were announced")]
    Overflow(u64),
    /// The sender went away in the middle.
    #[error("the upload was cut off")]
    CutOff,
    /// The system refused for another reason.
    #[error("the disk refused")]
    Io(#[from] io::Error),
}

impl StorageError {
    /// Sorts what the system said about `path`.
    pub(super) fn at(path: &str, error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        let path = if path.is_empty() { "the folder" } else { path };
        match error.kind() {
            Kind::NotFound => Self::NotFound(path.to_owned()),
            Kind::AlreadyExists => Self::Exists(path.to_owned()),
            Kind::NotADirectory => Self::WrongKind(path.to_owned(), "not a directory"),
            Kind::IsADirectory => Self::WrongKind(path.to_owned(), "a directory"),
            Kind::DirectoryNotEmpty => Self::NeedsRecursive(path.to_owned()),
            Kind::StorageFull | Kind::QuotaExceeded => Self::Full,
            // The resolver refuses an escape itself, without asking the system.
            Kind::PermissionDenied if error.raw_os_error().is_none() => Self::Escapes,
            Kind::PermissionDenied => Self::Denied(path.to_owned()),
            _ => Self::Io(error),
        }
    }

    /// Sorts what the system said where no path is worth naming.
    pub(super) fn sort(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io(error),
        }
    }
}

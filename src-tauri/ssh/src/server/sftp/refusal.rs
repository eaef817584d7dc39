//! Why a request is not done, and how the client is told.

use std::io;

use super::wire::{Code, Malformed};

/// Why a request was not done.
pub(super) enum Refusal {
    Io(io::Error),
    Code(Code),
    Malformed,
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<nix::Error> for Refusal {
    fn from(error: nix::Error) -> Self {
        Self::Io(error.into())
    }
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl Refusal {
    /// How the client is told.
    pub(super) fn told(self) -> (Code, String) {
        match self {
            Self::Io(error) => (code_of(&error), message_of(&error)),
            Self::Code(Code::Eof) => (Code::Eof, "end of file".to_owned()),
            Self::Code(Code::Unsupported) => (Code::Unsupported, "not supported".to_owned()),
            Self::Code(code) => (code, "no such handle".to_owned()),
            Self::Malformed => (Code::BadMessage, "malformed packet".to_owned()),
        }
    }
}

fn code_of(error: &io::Error) -> Code {
    match error.kind() {
        io::ErrorKind::NotFound => Code::NoSuchFile,
        io::ErrorKind::PermissionDenied => Code::PermissionDenied,
        _ => Code::Failure,
    }
}

fn message_of(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::AlreadyExists => "it exists already".to_owned(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "no space left".to_owned(),
        _ => error.to_string(),
    }
}

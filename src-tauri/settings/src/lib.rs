//! Where things are kept and what the user has chosen.
//!
//! Hidden here: the XDG rules and `GANGWAY_HOME`, how long a socket's path may be, the form of
//! `config.toml` (edited in place, comments kept), and how the product's own programs are found.

mod config;
mod engine;
mod paths;
mod programs;

use std::path::PathBuf;

pub use config::{
    AccessMode, Account, Config, ContainerSocket, KeychainKind, LOCAL_PROFILE, Profile,
};
pub use paths::{Paths, private_dir};
pub use programs::{Program, find};

/// Why paths or settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system does not say where the user's home is.
    #[error("the home directory is not known: set HOME or GANGWAY_HOME")]
    NoHome,
    /// A file or directory can't be used.
    #[error("can't use {path}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A directory for secrets or sockets is open to other users.
    #[error("{path} belongs to or is open to other users")]
    NotPrivate {
        /// Which one.
        path: PathBuf,
    },
    /// `config.toml` is not TOML.
    #[error("{path} can't be read: {source}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line and reason.
        #[source]
        source: toml_edit::TomlError,
    },
    /// A value in `config.toml` makes no sense.
    #[error("{path}: [{table}] can't be read: {reason}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The table.
        table: String,
        /// Why.
        reason: String,
    },
    /// A program of the product is not installed.
    #[error("the program {name} is missing")]
    ProgramMissing {
        /// Its name.
        name: &'static str,
    },
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

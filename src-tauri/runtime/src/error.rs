//! What can go wrong between the engine and its kernels.

use std::{io, path::PathBuf};

use protocol::runner::{Fault, FaultKind};

use crate::KernelId;

/// Why a runtime could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A program that this runtime is built on is missing.
    #[error("the program `{program}` was not found; install the package `{package}`")]
    MissingProgram {
        /// Name of the program.
        program: &'static str,
        /// Package that has it, on Debian.
        package: &'static str,
    },
    /// The computer forbids what this runtime needs.
    #[error("this computer does not allow sandboxes: {reason}")]
    NotAllowed {
        /// What is forbidden, and by what, as far as known.
        reason: String,
    },
    /// The order itself makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A folder to mount is not there or is not a plain directory or file.
    #[error("the folder {path} can't be mounted")]
    Mount {
        /// Source on the host.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel ended before it was ready.
    #[error("the session did not start: {reason}")]
    Start {
        /// What the launcher or the runner said last.
        reason: String,
    },
    /// The kernel is gone.
    #[error("kernel {0} is not running")]
    Gone(KernelId),
    /// The runner said no.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The runner speaks a protocol that this engine does not.
    #[error("the session's runner speaks version {theirs}, this engine {ours}")]
    Version {
        /// Of the runner.
        theirs: u32,
        /// Of this engine.
        ours: u32,
    },
    /// The container engine said no, or is not there.
    #[error("the container engine can't {doing}")]
    Container {
        /// What it was asked to do.
        doing: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The operating system said no.
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The runner's words make no sense.
    #[error("the session's runner answered nonsense")]
    Garbled(#[source] serde_json::Error),
}

impl RuntimeError {
    /// The kind of fault, when the runner inside the session named one.
    #[must_use]
    pub fn fault(&self) -> Option<FaultKind> {
        match self {
            Self::Fault(fault) => Some(fault.kind),
            _ => None,
        }
    }

    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

//! Python environments of this computer.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What made an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentKind {
    /// Conda, or one of its relatives.
    Conda,
    /// A version that pyenv has built.
    Pyenv,
    /// A virtual environment.
    Venv,
}

/// An environment that was found at one of the usual places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Environment {
    /// Its directory, absolute.
    pub path: String,
    /// What made it.
    pub kind: EnvironmentKind,
    /// Version of its Python, such as `3.12.4`; `None` when it can't be told from its files.
    pub python: Option<String>,
}

/// The environments of this computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct EnvironmentList {
    /// By path. Empty where the manager is not this computer's own.
    pub environments: Vec<Environment>,
}

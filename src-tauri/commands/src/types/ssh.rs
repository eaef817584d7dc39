//! Reaching a session with the system's own `ssh`.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// How to reach a session by SSH.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SshInfo {
    /// A command that can be pasted into a terminal.
    pub command: String,
    /// Host alias in our `ssh_config`.
    pub host: String,
    /// User inside the session.
    pub user: String,
    /// The block of `ssh_config` for this session.
    pub config_block: String,
    /// Private key on this computer (0600).
    pub key_path: String,
}

/// Whether the user's `~/.ssh/config` includes ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SshConfigStatus {
    /// Whether it does.
    pub installed: bool,
    /// The user's file.
    pub config_path: String,
    /// Our file, which it includes.
    pub include_path: String,
    /// The lines that make it so.
    pub block: String,
}

/// The account's own SSH key pair, which the manager puts into every new session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SshKeypair {
    /// The public half; `None` when each session has a pair of its own.
    pub public_key: Option<String>,
}

/// Has the manager use a key of this computer for new sessions.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct SshKeypairUse {
    /// The private key's file (`~/.ssh/id_ed25519`). It is sent to the manager.
    pub file: String,
}

/// An editor that works inside a session over its SSH server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Editor {
    /// As for `host.open_editor`.
    pub id: String,
    /// Its own name.
    pub title: String,
    /// Whether this computer has it.
    pub installed: bool,
}

/// The editors that are known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct EditorList {
    /// The likeliest first.
    pub editors: Vec<Editor>,
}

/// Opens a session in an editor of this computer.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct OpenEditor {
    /// The session.
    pub session: String,
    /// Id of the editor.
    pub editor: String,
}

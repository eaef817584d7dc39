//! The client end: connections over any byte stream, commands, terminals, SFTP; keys, known hosts
//! and the file that makes the system's own `ssh` find sessions.

mod command;
pub mod config;
mod connection;
mod keys;
mod known_hosts;
pub mod sftp;

pub use command::{Output, Terminal, TerminalReader, TerminalRequest, TerminalWriter};
pub use connection::{Connection, HostKey, Login};
pub use keys::{KeyError, PrivateKey, PublicKey};
pub use known_hosts::{KnownHosts, KnownHostsError};

/// Why an SSH connection could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server's key is not the one that is known for the session. Either the session was made
    /// anew behind our back, or somebody stands between.
    #[error("the host key of {name} is not the one we know")]
    HostKeyChanged {
        /// The session's name in the file of known hosts.
        name: String,
    },
    /// The server does not accept the key.
    #[error("the session's SSH server does not accept our key for user {user}")]
    Refused {
        /// The login name.
        user: String,
    },
    /// The server does not offer what was asked for.
    #[error("the session's SSH server refused {what}")]
    Unsupported {
        /// What was asked for, as in `the sftp subsystem`.
        what: &'static str,
    },
    /// The connection is gone.
    #[error("the SSH connection ended")]
    Closed,
    /// The file of known hosts can't be used.
    #[error(transparent)]
    KnownHosts(#[from] KnownHostsError),
    /// The protocol failed.
    #[error("the SSH protocol failed: {0}")]
    Protocol(#[from] russh::Error),
}

//! The SSH server that a session offers: shells, commands, SFTP and port forwarding.
//!
//! It knows nothing of sessions: whoever embeds it gives a [`Host`], which says whose keys may log
//! in and starts the processes. Only public keys are accepted, and nobody is asked for a user name:
//! the session has one user.

mod agent;
mod channel;
mod forward;
mod handler;
mod inbox;
mod keys;
mod process;
mod sftp;

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use russh::{MethodKind, MethodSet, server::Config};
use tokio::io::{AsyncRead, AsyncWrite};

pub use keys::{HostKey, KeyError, LoginKey};
pub use process::{ChildIo, ExitStatus, Order, Process, ProcessControl, PtySize};

/// Largest window of a channel: what may be on its way before the other side must wait. Long fat
/// lines need megabytes; it costs memory only while data is really waiting.
const WINDOW: u32 = 8 << 20;
/// Largest data packet that is accepted.
const MAX_PACKET: u32 = 64 << 10;
/// Messages of a channel that may wait for its process before russh stops reading the connection
/// altogether. [`inbox`] sees to it that it never comes to that.
const CHANNEL_QUEUE: usize = 1 << 20;

/// What the server needs from the session around it.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// Lines in the form of `authorized_keys`, read anew for each login.
    async fn authorized_keys(&self) -> String;
    /// Starts a process.
    async fn spawn(&self, order: Order) -> std::io::Result<Process>;
    /// Where relative SFTP paths begin.
    fn home(&self) -> PathBuf;
    /// A folder that is the session's own, for sockets of forwarded agents.
    fn sockets(&self) -> PathBuf;
}

/// An SSH server that serves connections that others accepted.
#[derive(Clone)]
pub struct Server {
    config: Arc<Config>,
    host: Arc<dyn Host>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    /// A server that proves itself with `key`.
    pub fn new(key: &HostKey, host: Arc<dyn Host>) -> Self {
        let config = Config {
            methods: MethodSet::from(&[MethodKind::PublicKey][..]),
            // Keys can't be guessed, so slow answers protect nothing; they only punish people whose
            // agent offers many keys.
            auth_rejection_time: Duration::from_millis(20),
            auth_rejection_time_initial: Some(Duration::ZERO),
            max_auth_attempts: 50,
            keys: vec![key.private().clone()],
            window_size: WINDOW,
            maximum_packet_size: MAX_PACKET,
            channel_buffer_size: CHANNEL_QUEUE,
            event_buffer_size: 64,
            inactivity_timeout: None,
            nodelay: true,
            ..Config::default()
        };
        Self {
            config: Arc::new(config),
            host,
        }
    }

    /// Serves one connection to its end.
    pub async fn serve<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handler = handler::Connection::new(self.host.clone());
        let config = self.config.clone();
        match russh::server::run_stream(config, stream, handler).await {
            Ok(session) => {
                if let Err(error) = session.await {
                    tracing::debug!(%error, "ssh connection ended");
                }
            }
            Err(error) => tracing::debug!(%error, "ssh connection refused"),
        }
    }
}

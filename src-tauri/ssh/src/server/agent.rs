//! The client's own agent, lent to what it runs here (`ssh -A`): a socket that leads back to it,
//! for as long as the connection holds.

use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use russh::server::Handle;
use tokio::net::UnixListener;
use tokio::task::AbortHandle;

use super::forward::join;
use super::inbox::Backlogs;

/// The socket, removed with this value.
pub(super) struct Agent {
    folder: PathBuf,
    path: PathBuf,
    task: AbortHandle,
}

impl Agent {
    /// Listens in a new folder of its own below `folder`, which nobody else may enter.
    pub(super) fn listen(folder: &Path, client: Handle, backlogs: Backlogs) -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let own = folder.join(format!("agent-{}-{number}", std::process::id()));
        // What is there already is not ours, or was left behind.
        let _ = std::fs::remove_dir_all(&own);
        std::fs::DirBuilder::new().mode(0o700).create(&own)?;
        let path = own.join("socket");
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let task = tokio::spawn(accept(listener, client, backlogs));
        Ok(Self {
            folder: own,
            path,
            task: task.abort_handle(),
        })
    }

    /// What `SSH_AUTH_SOCK` has to say.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn accept(listener: UnixListener, client: Handle, backlogs: Backlogs) {
    while let Ok((socket, _)) = listener.accept().await {
        let (client, backlogs) = (client.clone(), backlogs.clone());
        tokio::spawn(async move {
            match client.channel_open_agent().await {
                Ok(channel) => join(backlogs.split(channel), socket).await,
                Err(error) => tracing::debug!(%error, "the client's agent does not answer"),
            }
        });
    }
}

//! Further connections to a server, over which a large file goes beside the first. They are made
//! while the file is under way already, and kept for the next.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ssh::client::sftp::{Attributes, File, Open, Sftp, Writer};
use ssh::client::{Connection, Login};
use tokio::sync::{Mutex, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::{Dial, refused};
use crate::store::StoreError;

/// From this round trip on a server's window caps what one connection takes (OpenSSH: 2 MiB, which
/// is 40 MB/s at 50 ms).
const FAR: Duration = Duration::from_millis(8);
/// Bytes from which more connections pay for their logins.
const WORTH_IT_FAR: u64 = 24 << 20;
const WORTH_IT_NEAR: u64 = 64 << 20;
/// So many beside the first, against the window.
const MOST_FAR: usize = 3;
/// Near a server its processes are the limit: each connection has a pair of its own.
const MOST_NEAR: usize = 1;

/// Makes connections, and keeps them.
pub(super) struct Further {
    dial: Dial,
    login: Login,
    open: Mutex<Vec<Sftp>>,
}

/// The same file, opened on one connection after the other.
pub(super) struct Files {
    opened: mpsc::Receiver<File>,
    _opening: AbortOnDropHandle<()>,
}

impl Further {
    pub(super) fn new(dial: Dial, login: Login) -> Self {
        Self {
            dial,
            login,
            open: Mutex::default(),
        }
    }

    /// Begins to open the file at `path`, which is there, on as many connections as are worth it for
    /// `bytes`. `None` when none is.
    pub(super) fn files(
        self: &Arc<Self>,
        path: String,
        bytes: u64,
        round_trip: Duration,
    ) -> Option<Files> {
        let (worth_it, most) = if round_trip < FAR {
            (WORTH_IT_NEAR, MOST_NEAR)
        } else {
            (WORTH_IT_FAR, MOST_FAR)
        };
        if bytes < worth_it {
            return None;
        }
        let (sender, opened) = mpsc::channel(most);
        let further = self.clone();
        let opening = tokio::spawn(async move {
            let sessions = further.sessions(most).await;
            let opening = sessions.iter().map(|sftp| async {
                let none = Attributes::default();
                match sftp.open(&path, Open::Present, &none).await {
                    // Nobody takes it any more: it is closed.
                    Ok(file) => drop(sender.send(file).await),
                    Err(error) => tracing::info!(%error, "one connection less"),
                }
            });
            join_all(opening).await;
        });
        Some(Files {
            opened,
            _opening: AbortOnDropHandle::new(opening),
        })
    }

    async fn sessions(&self, most: usize) -> Vec<Sftp> {
        let mut open = self.open.lock().await;
        open.retain(|sftp| !sftp.is_closed());
        let missing = most.saturating_sub(open.len());
        for made in join_all((0..missing).map(|_| self.connect())).await {
            match made {
                Ok(sftp) => open.push(sftp),
                // One is enough, if a slow one.
                Err(error) => tracing::info!(%error, "no further connection"),
            }
        }
        open.clone()
    }

    async fn connect(&self) -> Result<Sftp, StoreError> {
        let stream = (self.dial)().await?;
        let connection = Connection::connect(stream, &self.login)
            .await
            .map_err(refused)?;
        connection.sftp().await.map_err(refused)
    }
}

impl Files {
    /// Hands the writer what has been opened since the last call.
    pub(super) fn widen(&mut self, writer: &mut Writer) {
        while let Ok(file) = self.opened.try_recv() {
            writer.widen(file);
        }
    }
}

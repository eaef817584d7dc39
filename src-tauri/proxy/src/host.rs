//! The host while it lives.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use db::DbError;
use history::{History, HistoryError, Lease, StoredTunnel};
use settings::Paths;
use tokio::sync::broadcast;
use transfer::{Places, Queue};
use tunnel::{Dial, OpenError, Pages, Request, Tunnel, Tunnels};

use crate::autostart;
use crate::failed;
use crate::lock::{HeldBy, Holder, Lock, Refused};

/// A host of its own ends after so long without work.
const DAEMON_IDLE: Duration = Duration::from_secs(60);
const PARALLEL_TRANSFERS: usize = 3;

/// How a host behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which program it is.
    pub holder: Holder,
    /// Where everything is kept.
    pub paths: Paths,
    /// Where relative local paths begin.
    pub home: PathBuf,
    /// After so long without work [`ProxyHost::idle`] completes.
    pub idle_end: Option<Duration>,
    /// How tunnels behave.
    pub tunnels: tunnel::Options,
    /// Transfers at the same time.
    pub parallel_transfers: usize,
}

impl Config {
    /// The usual behaviour: the app never ends for want of work, a host of its own after a minute.
    #[must_use]
    pub fn new(paths: &Paths, holder: Holder) -> Self {
        Self {
            holder,
            paths: paths.clone(),
            home: std::env::home_dir().unwrap_or_else(|| PathBuf::from("/")),
            idle_end: (holder == Holder::Daemon).then_some(DAEMON_IDLE),
            tunnels: tunnel::Options::default(),
            parallel_transfers: PARALLEL_TRANSFERS,
        }
    }
}

/// Why this process did not become the host.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process is the host.
    #[error("another process{} owns tunnels and transfers", pid_of(.0))]
    Held(Option<HeldBy>),
    /// The lock file can't be used.
    #[error("the lock file of the proxy can't be used")]
    Lock(#[source] std::io::Error),
    /// The state folder can't be used.
    #[error(transparent)]
    Settings(#[from] settings::Error),
    /// The cache can't be used.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The queue can't be opened.
    #[error("the transfer queue can't be opened")]
    Queue(#[source] DbError),
}

fn pid_of(held: &Option<HeldBy>) -> String {
    held.as_ref()
        .map(|held| format!(" (pid {})", held.pid))
        .unwrap_or_default()
}

/// News of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// The tunnel with this id.
    Tunnel(String),
    /// The transfer with this id.
    Transfer(String),
}

/// What would be interrupted if the host ended now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Live {
    /// Open tunnels.
    pub tunnels: usize,
    /// Connections through them.
    pub connections: u64,
    /// Transfers that run or are about to.
    pub transfers: usize,
}

/// The owner of this user's tunnels and transfers. Cheap to clone.
#[derive(Clone)]
pub struct ProxyHost {
    shared: Arc<Shared>,
}

struct Shared {
    paths: Paths,
    idle_end: Option<Duration>,
    lease: Lease,
    tunnels: Tunnels,
    transfers: Queue,
    history: History,
    changes: broadcast::Sender<Changed>,
    lock: Mutex<Option<Lock>>,
}

impl ProxyHost {
    /// Becomes the host: opens stored tunnels again and takes up transfers.
    ///
    /// # Errors
    /// [`StartError`]; [`StartError::Held`] when another process is the host.
    pub async fn start(
        config: Config,
        dial: Arc<dyn Dial>,
        places: Arc<dyn Places>,
        pages: Arc<dyn Pages>,
    ) -> Result<Self, StartError> {
        settings::private_dir(&config.paths.state_dir)?;
        let lock = match Lock::take(&config.paths.proxy_lock(), config.holder) {
            Ok(lock) => lock,
            Err(Refused::Held(by)) => return Err(StartError::Held(by)),
            Err(Refused::Io(error)) => return Err(StartError::Lock(error)),
        };
        let history = History::open(&config.paths.database())?;
        let lease = Lease::mine();
        let options = transfer::Options {
            holder: lease.to_string(),
            boot: lease.boot_id.clone(),
            parallel: config.parallel_transfers,
            home: config.home,
            silence: transfer::Options::SILENCE,
        };
        let file = config.paths.state_dir.join("transfers.db");
        let transfers = Queue::open(&file, options, places)
            .await
            .map_err(StartError::Queue)?;
        let tunnels = Tunnels::new(dial, pages, config.tunnels);
        let host = Self {
            shared: Arc::new(Shared {
                paths: config.paths,
                idle_end: config.idle_end,
                lease,
                tunnels,
                transfers,
                history,
                changes: broadcast::channel(1024).0,
                lock: Mutex::new(Some(lock)),
            }),
        };
        tokio::spawn(forward(Arc::downgrade(&host.shared)));
        let failures = host.shared.tunnels.failures();
        tokio::spawn(failed::keep(
            failures,
            host.shared.history.clone(),
            host.shared.changes.clone(),
        ));
        host.restore_tunnels().await?;
        host.follow().await;
        Ok(host)
    }

    /// The tunnels, to look at.
    #[must_use]
    pub fn tunnels(&self) -> &Tunnels {
        &self.shared.tunnels
    }

    /// The transfers.
    #[must_use]
    pub fn transfers(&self) -> &Queue {
        &self.shared.transfers
    }

    /// The cache.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.shared.history
    }

    /// How a tunnel is doing and what came to nothing there: hops, times, codes. One text without
    /// secrets, to be given to somebody who can help. `None`: unknown id.
    pub async fn report(&self, id: &str) -> Option<String> {
        failed::report(&self.shared.tunnels, &self.shared.history, id).await
    }

    /// Opens a tunnel, and stores it so that it comes back after a crash.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open_tunnel(&self, request: Request) -> Result<Tunnel, OpenError> {
        let tunnel = self.shared.tunnels.open(request).await?;
        self.store(&tunnel, Some(&self.shared.lease)).await;
        self.follow().await;
        Ok(tunnel)
    }

    /// Closes a tunnel for good. `None`: unknown id.
    pub async fn close_tunnel(&self, id: &str) -> Option<Tunnel> {
        let closed = self.shared.tunnels.close(id)?;
        self.forget(id).await;
        self.follow().await;
        Some(closed)
    }

    /// Closes the tunnels for which `which` says so.
    pub async fn close_tunnels(&self, which: impl Fn(&Tunnel) -> bool) -> Vec<Tunnel> {
        let closed = self.shared.tunnels.close_where(which);
        for tunnel in &closed {
            self.forget(&tunnel.id).await;
        }
        self.follow().await;
        closed
    }

    /// Chooses whether a tunnel comes back each time the program starts. `false`: unknown id.
    pub async fn keep_tunnel(&self, id: &str, keep: bool) -> bool {
        if !self.shared.tunnels.set_keep(id, keep) {
            return false;
        }
        if let Some(tunnel) = self.shared.tunnels.get(id) {
            self.store(&tunnel, Some(&self.shared.lease)).await;
        }
        true
    }

    /// What would be interrupted if the host ended now.
    #[must_use]
    pub fn live(&self) -> Live {
        let tunnels = self.shared.tunnels.list();
        Live {
            tunnels: tunnels.len(),
            connections: tunnels.iter().map(|tunnel| tunnel.connections).sum(),
            transfers: self.shared.transfers.live(),
        }
    }

    /// News. A receiver that falls behind loses the oldest.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Changed> {
        self.shared.changes.subscribe()
    }

    /// Completes when there was no work for the configured time; never without one.
    pub async fn idle(&self) {
        let Some(idle_end) = self.shared.idle_end else {
            return std::future::pending().await;
        };
        let mut changes = self.changes();
        loop {
            let busy = self.is_busy();
            tokio::select! {
                () = tokio::time::sleep(idle_end), if !busy => return,
                _ = changes.recv() => {}
            }
        }
    }

    /// A tunnel whose session is gone, with nobody at this end either, is no work: a host of its
    /// own must not live for ever because of it.
    fn is_busy(&self) -> bool {
        let of_use = |tunnel: &Tunnel| {
            let hopeless = matches!(
                tunnel.state,
                tunnel::State::Failed | tunnel::State::PortTaken
            );
            tunnel.keep || tunnel.connections > 0 || !hopeless
        };
        self.shared.transfers.live() > 0 || self.shared.tunnels.list().iter().any(of_use)
    }

    /// Stops everything where it is and lets another process take it up: every open tunnel, on
    /// its port, and every transfer, at its byte. This host is of no use afterwards.
    pub async fn hand_over(&self) {
        self.end(true).await;
    }

    /// Stops everything. Transfers go on at the next start; of the tunnels only the kept ones come
    /// back.
    pub async fn stop(&self) {
        self.end(false).await;
    }

    async fn end(&self, all: bool) {
        let open = self.shared.tunnels.list();
        self.shared.tunnels.hand_over().await;
        self.shared.transfers.close().await;
        for tunnel in open {
            if all || tunnel.keep {
                self.store(&tunnel, None).await;
            } else {
                self.forget(&tunnel.id).await;
            }
        }
        self.follow().await;
        let lock = self
            .shared
            .lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(lock) = lock {
            lock.release();
        }
    }

    /// Opens stored tunnels again, under their ids. They stay stored all the while, so that a
    /// process that is killed right here loses none.
    async fn restore_tunnels(&self) -> Result<(), StartError> {
        for stored in self.shared.history.tunnels_to_restore().await? {
            let mut request = match serde_json::from_value::<Request>(stored.request) {
                Ok(request) => request,
                Err(error) => {
                    tracing::warn!(%error, "a stored tunnel can't be read");
                    self.forget(&stored.id).await;
                    continue;
                }
            };
            request.id = Some(stored.id);
            match self.shared.tunnels.restore(request).await {
                Ok(tunnel) => {
                    tracing::info!(port = tunnel.local_port, "tunnel restored");
                    self.store(&tunnel, Some(&self.shared.lease)).await;
                }
                Err(error) => tracing::warn!(%error, "tunnel not restored"),
            }
        }
        Ok(())
    }

    /// What starts a host at the next login is there exactly while it would have something to do.
    async fn follow(&self) {
        let followed = autostart::follow(&self.shared.paths, &self.shared.history).await;
        if let Err(error) = followed {
            tracing::warn!(%error, "what brings tunnels back at login is not up to date");
        }
    }

    async fn store(&self, tunnel: &Tunnel, lease: Option<&Lease>) {
        let stored = match serde_json::to_value(tunnel.request()) {
            Ok(request) => StoredTunnel {
                id: tunnel.id.clone(),
                request,
                keep: tunnel.keep,
            },
            Err(error) => return tracing::error!(%error, "tunnel not stored"),
        };
        if let Err(error) = self.shared.history.store_tunnel(stored, lease).await {
            tracing::error!(%error, "tunnel not stored");
        }
    }

    async fn forget(&self, id: &str) {
        if let Err(error) = self.shared.history.drop_tunnel(id).await {
            tracing::error!(%error, "tunnel not forgotten");
        }
    }
}

/// Brings the news of tunnels and transfers together, until the host is gone.
async fn forward(host: std::sync::Weak<Shared>) {
    let Some((mut tunnels, mut transfers, changes)) = host.upgrade().map(|host| {
        (
            host.tunnels.subscribe(),
            host.transfers.subscribe(),
            host.changes.clone(),
        )
    }) else {
        return;
    };
    loop {
        use broadcast::error::RecvError;
        let news = tokio::select! {
            news = tunnels.recv() => news.map(|change| Changed::Tunnel(change.id)),
            news = transfers.recv() => news.map(|change| Changed::Transfer(change.id)),
        };
        match news {
            // Nobody listening is fine.
            Ok(changed) => drop(changes.send(changed)),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

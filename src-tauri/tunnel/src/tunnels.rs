//! The tunnels of this computer: open, list, close, hand over.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection;
use crate::dial::{Dial, DialError, Stage, Target};
use crate::entry::Entry;
use crate::page::Pages;
use crate::port::{self, Listeners, LocalPort};
use crate::tunnel::{Change, FailedTry, OpenError, Options, Request, State, Tunnel};

/// How often a port that was taken is tried again.
const PORT_RETRY: Duration = Duration::from_secs(2);

/// All tunnels of one program. Cheap to clone.
#[derive(Clone)]
pub struct Tunnels {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) dial: Arc<dyn Dial>,
    pub(crate) pages: Arc<dyn Pages>,
    pub(crate) options: Options,
    pool: Mutex<Vec<RangeInclusive<u16>>>,
    opening: tokio::sync::Mutex<()>,
    changes: broadcast::Sender<Change>,
    failures: broadcast::Sender<(Tunnel, FailedTry)>,
    table: Mutex<HashMap<String, Arc<Entry>>>,
    pub(crate) tasks: TaskTracker,
    stop: CancellationToken,
}

impl Shared {
    /// Notes how a tunnel is doing, and tells whoever listens when that is news.
    pub(crate) fn note(&self, entry: &Entry, state: State, error: Option<DialError>) {
        let news = {
            let mut status = lock(&entry.status);
            if status.state == State::Closed {
                return;
            }
            let news = status.state != state || status.last_error.is_some() != error.is_some();
            status.state = state;
            status.last_error = error;
            news
        };
        if news {
            self.announce(&entry.id);
        }
    }

    /// Remembers a try that came to nothing, and tells whoever keeps such.
    pub(crate) fn failed(&self, entry: &Entry, took: Duration, error: DialError) {
        let failure = entry.remember(took, error);
        // Nobody listening is fine.
        let _ = self.failures.send((entry.look(), failure));
    }

    fn announce(&self, id: &str) {
        // Nobody listening is fine.
        let _ = self.changes.send(Change { id: id.to_owned() });
    }

    fn entry(&self, id: &str) -> Option<Arc<Entry>> {
        lock(&self.table).get(id).cloned()
    }

    /// Takes a tunnel into the table.
    fn add(self: &Arc<Self>, request: Request, port: u16) -> Arc<Entry> {
        let entry = Arc::new(Entry::new(request, port, self.stop.child_token()));
        lock(&self.table).insert(entry.id.clone(), entry.clone());
        entry
    }

    fn serve(self: &Arc<Self>, entry: &Arc<Entry>, listeners: Listeners) {
        for listener in [Some(listeners.v4), listeners.v6].into_iter().flatten() {
            let (shared, entry) = (self.clone(), entry.clone());
            self.tasks
                .spawn(connection::accept(shared, entry, listener));
        }
        tracing::info!(id = %entry.id, port = entry.port(), session = %entry.target.session_name,
            service = %entry.target.service.label(), "tunnel open");
    }
}

/// Where a tunnel listens on IPv4.
fn address(request: &Request) -> Ipv4Addr {
    match request.public {
        Some(_) => Ipv4Addr::UNSPECIFIED,
        None => Ipv4Addr::LOCALHOST,
    }
}

impl Tunnels {
    /// No tunnels yet. `dial` reaches the far ends; `pages` brings the words of error pages.
    #[must_use]
    pub fn new(dial: Arc<dyn Dial>, pages: Arc<dyn Pages>, options: Options) -> Self {
        let shared = Shared {
            dial,
            pages,
            pool: Mutex::new(options.pool.clone()),
            options,
            opening: tokio::sync::Mutex::default(),
            changes: broadcast::channel(256).0,
            failures: broadcast::channel(256).0,
            table: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// From where ports of tunnels that are opened from now on come; an empty pool stands for the
    /// usual one.
    pub fn set_pool(&self, pool: Vec<RangeInclusive<u16>>) {
        *lock(&self.shared.pool) = match pool.is_empty() {
            true => self.shared.options.pool.clone(),
            false => pool,
        };
    }

    /// Listens for `request` and returns at once; nothing is dialled before the first connection.
    ///
    /// A tunnel to the same target that is open already is returned as it is, unless another
    /// local port is asked for, or only one of them has a secret.
    ///
    /// # Errors
    /// [`OpenError`]: the port is taken or not allowed, or everything is closing.
    pub async fn open(&self, request: Request) -> Result<Tunnel, OpenError> {
        if self.shared.stop.is_cancelled() {
            return Err(OpenError::Closing);
        }
        // Two that ask for the same place at once get the same tunnel.
        let _one = self.shared.opening.lock().await;
        if let Some(same) = self.same(&request) {
            return Ok(same);
        }
        let pool = lock(&self.shared.pool).clone();
        let listeners = port::bind(
            request.local_port,
            &pool,
            &request.target,
            address(&request),
        )
        .await?;
        let entry = self.shared.add(request, listeners.port);
        self.shared.serve(&entry, listeners);
        self.shared.announce(&entry.id);
        Ok(entry.look())
    }

    fn same(&self, request: &Request) -> Option<Tunnel> {
        let table = lock(&self.shared.table);
        let entry = table.values().find(|entry| {
            entry.target.is_same_place(&request.target)
                && entry.protocol == request.protocol
                && entry.public == request.public
                && entry.secret.is_some() == request.secret.is_some()
                && match request.local_port {
                    LocalPort::Fixed(port) | LocalPort::Preferred(port) => entry.port() == port,
                    LocalPort::Stable => true,
                }
        })?;
        if request.keep {
            lock(&entry.status).keep = true;
        }
        Some(entry.look())
    }

    /// Opens a stored tunnel again, under its id and on its old port and no other: where another
    /// program has that, the tunnel says so and waits for it.
    ///
    /// # Errors
    /// [`OpenError::Closing`], or why there is no port at all.
    pub async fn restore(&self, request: Request) -> Result<Tunnel, OpenError> {
        let (LocalPort::Preferred(port) | LocalPort::Fixed(port)) = request.local_port else {
            return self.open(request).await;
        };
        if self.shared.stop.is_cancelled() {
            return Err(OpenError::Closing);
        }
        let fixed = LocalPort::Fixed(port);
        let at = address(&request);
        match port::bind(fixed, &[], &request.target, at).await {
            Ok(listeners) => {
                let entry = self.shared.add(request, listeners.port);
                self.shared.serve(&entry, listeners);
                self.shared.announce(&entry.id);
                Ok(entry.look())
            }
            Err(error) => {
                tracing::warn!(port, %error, "a tunnel waits for its port");
                let entry = self.shared.add(request, port);
                let failure = DialError {
                    stage: Stage::Local,
                    code: "port_busy".to_owned(),
                    message: error.to_string(),
                    detail: None,
                    retry: true,
                };
                self.shared.note(&entry, State::PortTaken, Some(failure));
                let shared = self.shared.clone();
                let waiting = entry.clone();
                self.shared.tasks.spawn(async move {
                    loop {
                        tokio::select! {
                            () = waiting.stop.cancelled() => return,
                            () = tokio::time::sleep(PORT_RETRY) => {}
                        }
                        if let Ok(listeners) = port::bind(fixed, &[], &waiting.target, at).await {
                            shared.note(&waiting, State::Open, None);
                            return shared.serve(&waiting, listeners);
                        }
                    }
                });
                Ok(entry.look())
            }
        }
    }

    /// All open tunnels, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Tunnel> {
        let mut list: Vec<Tunnel> = lock(&self.shared.table)
            .values()
            .map(|entry| entry.look())
            .collect();
        list.sort_by(|a, b| a.id.cmp(&b.id));
        list
    }

    /// One tunnel.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Tunnel> {
        self.shared.entry(id).map(|entry| entry.look())
    }

    /// How a tunnel is doing, as a text without secrets for somebody who can help. `None`: unknown
    /// id.
    #[must_use]
    pub fn report(&self, id: &str) -> Option<String> {
        self.shared.entry(id).map(|entry| entry.report())
    }

    /// What came to nothing at a tunnel of late, the oldest first; nothing for an unknown id.
    #[must_use]
    pub fn failed_tries(&self, id: &str) -> Vec<FailedTry> {
        let entry = self.shared.entry(id);
        entry.map(|entry| entry.failed_tries()).unwrap_or_default()
    }

    /// Tries that come to nothing, with the tunnel as it is then. A receiver that falls behind loses
    /// the oldest.
    #[must_use]
    pub fn failures(&self) -> broadcast::Receiver<(Tunnel, FailedTry)> {
        self.shared.failures.subscribe()
    }

    /// What has to stand in the query of the first address that a browser opens, for a tunnel with
    /// a secret. Good once, for two minutes.
    #[must_use]
    pub fn ticket(&self, id: &str) -> Option<String> {
        let entry = self.shared.entry(id)?;
        entry.secret.is_some().then(|| lock(&entry.tickets).issue())
    }

    /// Chooses whether a tunnel comes back when the program starts again. `false`: unknown id.
    pub fn set_keep(&self, id: &str, keep: bool) -> bool {
        let Some(entry) = self.shared.entry(id) else {
            return false;
        };
        lock(&entry.status).keep = keep;
        self.shared.announce(id);
        true
    }

    /// Closes a tunnel and cuts its connections. Returns its last look; `None`: unknown id.
    pub fn close(&self, id: &str) -> Option<Tunnel> {
        let entry = lock(&self.shared.table).remove(id)?;
        entry.stop.cancel();
        entry.stock.clear();
        lock(&entry.status).state = State::Closed;
        tracing::info!(id, "tunnel closed");
        self.shared.announce(id);
        Some(entry.look())
    }

    /// Closes every tunnel for which `which` says so, and returns their last looks.
    pub fn close_where(&self, which: impl Fn(&Tunnel) -> bool) -> Vec<Tunnel> {
        let chosen: Vec<String> = self
            .list()
            .into_iter()
            .filter(|tunnel| which(tunnel))
            .map(|tunnel| tunnel.id)
            .collect();
        chosen.iter().filter_map(|id| self.close(id)).collect()
    }

    /// Whether a tunnel to `target` would lead anywhere now; connects once, as its first connection
    /// would.
    ///
    /// # Errors
    /// Why not.
    pub async fn reaches(&self, target: &Target) -> Result<(), DialError> {
        self.shared.dial.dial(target).await.map(drop)
    }

    /// Somebody has logged in with `profile`: what is known against its tunnels for lack of that
    /// holds no more.
    pub fn logged_in(&self, profile: &str) {
        let waits = |entry: &Arc<Entry>| {
            let status = lock(&entry.status);
            let stage = status.last_error.as_ref().map(|error| error.stage);
            entry.target.profile == profile && stage == Some(Stage::Login)
        };
        let waiting: Vec<Arc<Entry>> = lock(&self.shared.table)
            .values()
            .filter(|entry| waits(entry))
            .cloned()
            .collect();
        for entry in waiting {
            self.shared.note(&entry, State::Open, None);
        }
    }

    /// Whoever was logged in with `profile` is so no more: connections that were made with that login
    /// end, and nothing that lies ready is used again. The tunnels stay.
    pub fn logged_out(&self, profile: &str) {
        for entry in lock(&self.shared.table).values() {
            if entry.target.profile == profile {
                entry.cut();
            }
        }
    }

    /// Closes every tunnel.
    pub fn close_all(&self) -> Vec<Tunnel> {
        self.close_where(|_| true)
    }

    /// Stops listening everywhere, cuts what is open, and returns what another process needs to
    /// open the same tunnels on the same ports. Nothing can be opened here afterwards.
    pub async fn hand_over(&self) -> Vec<Request> {
        let requests = self.list().iter().map(Tunnel::request).collect();
        self.shared.stop.cancel();
        self.close_all();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        requests
    }

    /// News about tunnels. A receiver that falls behind loses the oldest.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.shared.changes.subscribe()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half-done under these locks, so a panic elsewhere does not spoil them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

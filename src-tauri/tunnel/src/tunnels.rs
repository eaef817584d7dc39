//! The tunnels of this computer: open, list, close, hand over.

use std::collections::HashMap;
use std::io;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection;
use crate::dial::{Dial, DialError, Target};
use crate::page::Pages;
use crate::port::{self, LocalPort};

/// What goes through a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1 and WebSocket: requests are checked for where they come from, and failures are
    /// shown as a page.
    Http,
    /// Any bytes: nothing is looked at and nothing is ever added.
    Tcp,
}

/// What is wanted of a tunnel. It can be stored and opened again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Where it leads.
    pub target: Target,
    /// What goes through it.
    pub protocol: Protocol,
    /// Where it listens.
    pub local_port: LocalPort,
    /// It is opened again when the program starts again.
    pub keep: bool,
}

/// How a tunnel is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It listens, and nothing is known against it.
    Open,
    /// A connection is being made.
    Connecting,
    /// The far end is out of reach for the moment; connections are held and tried again.
    Waiting,
    /// The last connection failed for a reason that waiting does not cure. It listens still, and
    /// the next connection tries again.
    Failed,
    /// It listens no more.
    Closed,
}

/// A look at one tunnel.
#[derive(Debug, Clone)]
pub struct Tunnel {
    /// Its id, unique over time.
    pub id: String,
    /// Where it leads.
    pub target: Target,
    /// What goes through it.
    pub protocol: Protocol,
    /// The port on 127.0.0.1 (and ::1 where there is one).
    pub local_port: u16,
    /// How it is doing.
    pub state: State,
    /// Connections open now.
    pub connections: u64,
    /// Bytes sent into the session since it was opened.
    pub bytes_up: u64,
    /// Bytes that came out of the session since it was opened.
    pub bytes_down: u64,
    /// The last failure; gone after the next success.
    pub last_error: Option<DialError>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// Whether it comes back when the program starts again.
    pub keep: bool,
}

impl Tunnel {
    /// The address for a browser; none for a tunnel that is not HTTP.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        match self.protocol {
            Protocol::Http => Some(format!("http://127.0.0.1:{}/", self.local_port)),
            Protocol::Tcp => None,
        }
    }

    /// What is to be stored so that [`Tunnels::restore`] opens it on the same port.
    #[must_use]
    pub fn request(&self) -> Request {
        Request {
            target: self.target.clone(),
            protocol: self.protocol,
            local_port: LocalPort::Preferred(self.local_port),
            keep: self.keep,
        }
    }
}

/// Why a tunnel could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another program has the port.
    #[error("port {port} is in use{}", holder.as_ref().map(|name| format!(" by {name}")).unwrap_or_default())]
    PortInUse {
        /// The port.
        port: u16,
        /// The program that has it, where the system tells.
        holder: Option<String>,
    },
    /// The system does not let us listen there (ports below 1024, no free port).
    #[error("can't listen on port {port}")]
    Listen {
        /// The port; 0 stands for any.
        port: u16,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The tunnels are being closed or handed over.
    #[error("the proxy is closing")]
    Closing,
}

/// Something about a tunnel changed: opened, closed, or another [`State`]. Counters change
/// without notice; look with [`Tunnels::list`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub id: String,
}

/// How tunnels behave.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where stable ports come from.
    pub pool: RangeInclusive<u16>,
    /// How long a connection is held while the far end is out of reach.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pool: port::POOL,
            patience: Duration::from_secs(10),
        }
    }
}

/// All tunnels of one program. Cheap to clone.
#[derive(Clone)]
pub struct Tunnels {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) dial: Arc<dyn Dial>,
    pub(crate) pages: Arc<dyn Pages>,
    pub(crate) options: Options,
    changes: broadcast::Sender<Change>,
    table: Mutex<HashMap<String, Arc<Entry>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) target: Target,
    pub(crate) protocol: Protocol,
    pub(crate) local_port: u16,
    created_at: Timestamp,
    pub(crate) connections: AtomicU64,
    pub(crate) up: AtomicU64,
    pub(crate) down: AtomicU64,
    status: Mutex<Status>,
    pub(crate) stop: CancellationToken,
}

struct Status {
    state: State,
    last_error: Option<DialError>,
    keep: bool,
}

impl Entry {
    fn look(&self) -> Tunnel {
        let status = lock(&self.status);
        Tunnel {
            id: self.id.clone(),
            target: self.target.clone(),
            protocol: self.protocol,
            local_port: self.local_port,
            state: status.state,
            connections: self.connections.load(Ordering::Relaxed),
            bytes_up: self.up.load(Ordering::Relaxed),
            bytes_down: self.down.load(Ordering::Relaxed),
            last_error: status.last_error.clone(),
            created_at: self.created_at,
            keep: status.keep,
        }
    }
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

    fn announce(&self, id: &str) {
        // Nobody listening is fine.
        let _ = self.changes.send(Change { id: id.to_owned() });
    }
}

impl Tunnels {
    /// No tunnels yet. `dial` reaches the far ends; `pages` brings the words of error pages.
    #[must_use]
    pub fn new(dial: Arc<dyn Dial>, pages: Arc<dyn Pages>, options: Options) -> Self {
        let shared = Shared {
            dial,
            pages,
            options,
            changes: broadcast::channel(256).0,
            table: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Listens for `request` and returns at once; nothing is dialled before the first connection.
    ///
    /// A tunnel to the same target that is open already is returned as it is, unless another
    /// local port is asked for.
    ///
    /// # Errors
    /// [`OpenError`]: the port is taken or not allowed, or everything is closing.
    pub async fn open(&self, request: Request) -> Result<Tunnel, OpenError> {
        if self.shared.stop.is_cancelled() {
            return Err(OpenError::Closing);
        }
        if let Some(same) = self.same(&request) {
            return Ok(same);
        }
        let listeners = port::bind(
            request.local_port,
            &self.shared.options.pool,
            &request.target,
        )
        .await?;
        let entry = Arc::new(Entry {
            id: uuid::Uuid::now_v7().to_string(),
            target: request.target,
            protocol: request.protocol,
            local_port: listeners.port,
            created_at: Timestamp::now(),
            connections: AtomicU64::new(0),
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            status: Mutex::new(Status {
                state: State::Open,
                last_error: None,
                keep: request.keep,
            }),
            stop: self.shared.stop.child_token(),
        });
        lock(&self.shared.table).insert(entry.id.clone(), entry.clone());
        for listener in [Some(listeners.v4), listeners.v6].into_iter().flatten() {
            let (shared, entry) = (self.shared.clone(), entry.clone());
            let tasks = self.shared.tasks.clone();
            self.shared
                .tasks
                .spawn(connection::accept(shared, entry, listener, tasks));
        }
        tracing::info!(id = %entry.id, port = entry.local_port, session = %entry.target.session_name,
            service = %entry.target.service.label(), "tunnel open");
        self.shared.announce(&entry.id);
        Ok(entry.look())
    }

    fn same(&self, request: &Request) -> Option<Tunnel> {
        let table = lock(&self.shared.table);
        let entry = table.values().find(|entry| {
            entry.target == request.target
                && entry.protocol == request.protocol
                && match request.local_port {
                    LocalPort::Fixed(port) | LocalPort::Preferred(port) => entry.local_port == port,
                    LocalPort::Stable => true,
                }
        })?;
        if request.keep {
            lock(&entry.status).keep = true;
        }
        Some(entry.look())
    }

    /// Opens stored tunnels again, each on its old port where that is free. What can't be opened
    /// is returned with the reason.
    pub async fn restore(&self, requests: Vec<Request>) -> Vec<(Request, OpenError)> {
        let mut failed = Vec::new();
        for request in requests {
            if let Err(error) = self.open(request.clone()).await {
                tracing::warn!(?request, %error, "tunnel not restored");
                failed.push((request, error));
            }
        }
        failed
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
        lock(&self.shared.table).get(id).map(|entry| entry.look())
    }

    /// Chooses whether a tunnel comes back when the program starts again. `false`: unknown id.
    pub fn set_keep(&self, id: &str, keep: bool) -> bool {
        let found = match lock(&self.shared.table).get(id) {
            Some(entry) => {
                lock(&entry.status).keep = keep;
                true
            }
            None => false,
        };
        if found {
            self.shared.announce(id);
        }
        found
    }

    /// Closes a tunnel and cuts its connections. Returns its last look; `None`: unknown id.
    pub fn close(&self, id: &str) -> Option<Tunnel> {
        let entry = lock(&self.shared.table).remove(id)?;
        entry.stop.cancel();
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half-done under these locks, so a panic elsewhere does not spoil them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

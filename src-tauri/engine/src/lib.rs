//! The bundled manager: the Backend.AI manager API over real sessions on this computer.
//!
//! Hidden here: tables and their migrations, who may do what, how a session gets from a request to
//! a running kernel and to its end, and how all of that survives being killed. Outside it is an
//! HTTP listener, an owner-only socket and a folder of data.

#![recursion_limit = "256"]

mod activity;
mod app;
mod auth;
mod callback;
mod error;
mod events;
mod graphql;
mod lock;
mod reconcile;
mod rest;
mod state;
mod storage;
mod store;
mod stream;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::serve::ListenerExt;
use db::{Database, DbError, Durability};
use runtime::Runtime;
use runtime::image::{ImageLimits, ImageStore};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use lock::{Beacon, Lock, LockError};
use state::{App, Kernels, Measured, Nudge, Parts, Trouble};

/// How long open requests may take to end when the engine stops.
const PATIENCE: Duration = Duration::from_secs(5);

/// How an engine is started.
pub struct Options {
    /// Where everything lies; made with mode 0700 when missing.
    pub data_dir: PathBuf,
    /// Where the owner's socket is made.
    pub runtime_dir: PathBuf,
    /// The ordinary listener. Port 0: the port used last if it is free, else any.
    pub listen: SocketAddr,
    /// Where sessions run.
    pub runtime: Arc<dyn Runtime>,
    /// Reads the time of day.
    pub clock: fn() -> jiff::Timestamp,
    /// Reads a clock that nobody sets: the time since some moment. [`steady`] unless a test has
    /// another.
    pub steady: fn() -> Duration,
    /// How long a session waits after its first failed start; twice as long after each other one.
    pub start_pause: Duration,
}

/// How long a session waits after its first failed start, unless told otherwise.
pub const START_PAUSE: Duration = Duration::from_secs(1);

/// The time since this was asked first, whatever happens to the time of day.
pub fn steady() -> Duration {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    BEGIN.get_or_init(Instant::now).elapsed()
}

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder is in use.
    #[error("another engine already runs on {0}")]
    Running(PathBuf),
    /// Everyone on the network could reach it.
    #[error("{0} is not a loopback address")]
    NotLoopback(SocketAddr),
    /// The port is in use.
    #[error("can't listen on {address}")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The data folder or the socket can't be used.
    #[error("can't use {path}")]
    Folder {
        /// What can't be used.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The database can't be used.
    #[error("can't open the database")]
    Database(#[from] DbError),
    /// What the database holds, or should hold, is not usable.
    #[error("can't prepare the database: {0}")]
    Prepare(String),
}

/// An engine that answers.
pub struct Engine {
    app: App,
    tasks: TaskTracker,
    socket: PathBuf,
    _lock: Lock,
}

impl Engine {
    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> &str {
        &self.app.endpoint
    }

    /// Resolves when the engine was told to stop, by [`Engine::stop`] or over its socket.
    pub async fn told_to_stop(&self) {
        self.app.stop.cancelled().await;
    }

    /// Stops listening and answering; sessions stay as they are.
    pub async fn stop(self) {
        self.app.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(PATIENCE, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::info!("somebody still waits for an answer; stopping without it");
        }
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Starts an engine; it answers when this returns.
pub async fn start(options: Options) -> Result<Engine, StartError> {
    let Options {
        data_dir,
        runtime_dir,
        listen,
        runtime,
        clock,
        steady,
        start_pause,
    } = options;
    if !listen.ip().is_loopback() {
        return Err(StartError::NotLoopback(listen));
    }
    let lock = Lock::take(&data_dir).map_err(|error| match error {
        LockError::Taken => StartError::Running(data_dir.clone()),
        LockError::Io(source) => StartError::Folder {
            path: data_dir.clone(),
            source,
        },
    })?;
    let store = Database::open(
        &data_dir.join("engine.db"),
        Durability::Full,
        store::MIGRATIONS,
    )?;
    let unix_user = unix_user();
    let prepare = |problem: error::Problem| StartError::Prepare(problem.to_string());
    let (secret, freezer) = store
        .write(move |db| {
            app::bootstrap::first_start(db, &unix_user)?;
            app::image::seed(db)?;
            app::resource::seed(db)?;
            app::folder::clone::give_up(db)?;
            let freezer = app::manager::Freezer::read(db)?;
            Ok::<_, error::Problem>((app::folder::transfer::secret(db)?, freezer))
        })
        .await
        .map_err(prepare)?;
    let folders = data_dir.join("folders");
    let storage =
        storage::Storage::open(folders.clone(), runtime.owner(), &secret).map_err(|source| {
            StartError::Folder {
                path: folders,
                source: io::Error::other(source),
            }
        })?;

    let pictures = data_dir.join("images");
    let images = ImageStore::open(pictures.clone(), runtime.trees(), ImageLimits::default())
        .map_err(|source| StartError::Folder {
            path: pictures,
            source: io::Error::other(source),
        })?;

    let listener = bind(listen, &data_dir).await?;
    let address = listener.local_addr().map_err(|source| StartError::Listen {
        address: listen,
        source,
    })?;
    let socket = runtime_dir.join("engine.sock");
    let local = bind_socket(&runtime_dir, &socket).map_err(|source| StartError::Folder {
        path: socket.clone(),
        source,
    })?;

    let app = App::new(Parts {
        store,
        storage,
        images: Arc::new(images),
        background: app::background::Tasks::default(),
        commits: app::image_commit::Commits::default(),
        runtime,
        kernels: Kernels::default(),
        runs: app::execute::Runs::default(),
        events: events::Events::default(),
        activity: activity::Activity::new(clock, steady),
        idle: app::idle::Idle::default(),
        measured: Measured::default(),
        nudge: Nudge::default(),
        queues: state::Queues::default(),
        trouble: Trouble::default(),
        callers: auth::KnownCallers::default(),
        freezer,
        rate: auth::RateLimiter::default(),
        data_dir: data_dir.clone(),
        endpoint: format!("http://{address}"),
        clock,
        start_pause,
        stop: CancellationToken::new(),
    });
    let tasks = TaskTracker::new();
    reconcile::start(&app, &tasks)
        .await
        .map_err(|problem| StartError::Prepare(problem.to_string()))?;
    tasks.spawn(callback::run(app.clone()));
    let router = rest::router(app.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let stop = app.stop.clone();
    tasks.spawn(async move {
        // Answers are small and somebody waits for each of them.
        let listener = listener.tap_io(|tcp| {
            if let Err(error) = tcp.set_nodelay(true) {
                tracing::debug!(%error, "nodelay");
            }
        });
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "listener");
        }
    });
    tasks.spawn(rest::local::serve(app.clone(), local));
    let looking = app.clone();
    tasks.spawn(async move {
        if let Err(problem) = app::image_container::refresh(&looking).await {
            tracing::warn!(%problem, "images of the container engine");
        }
        app::image_commit::tidy(&looking).await;
    });
    let unneeded = app.clone();
    tasks.spawn(async move { app::image_forget::collect(&unneeded).await });
    let removing = app.clone();
    tasks.spawn(async move {
        if let Err(problem) = app::folder::trash::finish_removals(&removing).await {
            tracing::warn!(%problem, "folders that were being removed");
        }
    });

    let beacon = Beacon {
        pid: std::process::id(),
        start_time: lock::start_time(),
        endpoint: app.endpoint.clone(),
        socket: socket.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    beacon
        .write(&data_dir)
        .map_err(|source| StartError::Folder {
            path: data_dir.clone(),
            source,
        })?;
    tracing::info!(endpoint = app.endpoint, data = %data_dir.display(), "ready");
    Ok(Engine {
        app,
        tasks,
        socket,
        _lock: lock,
    })
}

/// The port used last is taken again when it is free: clients keep it in their profiles.
async fn bind(listen: SocketAddr, data_dir: &std::path::Path) -> Result<TcpListener, StartError> {
    let last = Beacon::read(data_dir).and_then(|beacon| {
        beacon
            .endpoint
            .strip_prefix("http://")?
            .parse::<SocketAddr>()
            .ok()
    });
    if let (0, Some(last)) = (listen.port(), last)
        && let Ok(listener) = TcpListener::bind(SocketAddr::new(listen.ip(), last.port())).await
    {
        return Ok(listener);
    }
    TcpListener::bind(listen)
        .await
        .map_err(|source| StartError::Listen {
            address: listen,
            source,
        })
}

fn bind_socket(
    runtime_dir: &std::path::Path,
    socket: &std::path::Path,
) -> io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    lock::private_folder(runtime_dir)?;
    // The lock says that nobody else listens there: what lies there is left over.
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn unix_user() -> String {
    nix::unistd::User::from_uid(nix::unistd::geteuid())
        .ok()
        .flatten()
        .map_or_else(|| "owner".to_owned(), |user| user.name)
}

/// Loopback, any port: what an engine listens on unless it is told otherwise.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

//! `gangway-engine`: runs the bundled manager until it is told to stop.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use engine::Options;
use runtime::container::{ContainerConfig, Containers};
use runtime::sandbox::{self, Host, Sandbox, SandboxConfig};
use runtime::{Overcommit, Runtimes};
use settings::{ContainerSocket, Paths, Program};
use tokio::signal::unix::{SignalKind, signal};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The bundled manager of Gangway: sessions on this computer, over the Backend.AI manager API.
///
/// Stopping it (SIGTERM, SIGINT) leaves sessions alone; the next engine finds them again.
#[derive(Parser)]
#[command(name = "gangway-engine", version)]
struct Arguments {
    /// Where database, folders and sessions are kept.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Where to listen; loopback only. Port 0: the port used last if it is free, else any.
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = engine::DEFAULT_LISTEN)]
    listen: SocketAddr,
    /// What to log: error, warn, info, debug, or filters such as `engine=debug`.
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "info",
        env = "GANGWAY_LOG"
    )]
    log_level: String,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Looks whether this computer can run sessions, writes what was found as JSON, and ends.
    Probe,
}

/// Days of logs that are kept.
const LOG_FILES: usize = 5;

/// The engine waits most of the time; the database and the disk have threads of their own.
const WORKERS: usize = 2;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut paths = Paths::from_env()?;
    if let Some(data_dir) = &arguments.data_dir {
        paths.engine_dir = std::path::absolute(data_dir)?;
    }
    if let Some(Verb::Probe) = arguments.verb {
        return probe(&paths);
    }
    settings::private_dir(&paths.engine_dir)?;
    let _log = start_log(&paths.engine_dir, &arguments.log_level)?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_keep_alive(std::time::Duration::from_secs(2))
        .enable_all()
        .build()?
        .block_on(run(paths, arguments.listen))
}

fn probe(paths: &Paths) -> Result<()> {
    let host = Host::this(&paths.engine_dir, &settings::find(Program::Runner)?);
    let findings = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(sandbox::probe(&host));
    println!("{}", serde_json::to_string(&findings)?);
    Ok(())
}

async fn run(paths: Paths, listen: SocketAddr) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let runner = settings::find(Program::Runner)?;
    let config = settings::Config::load(&paths)?;
    let mut kernels = SandboxConfig::new(&paths.engine_dir, paths.runtime_dir.join("k"), runner);
    kernels.overcommit = Overcommit {
        cpu: config.cpu_overcommit()?,
        mem: config.mem_overcommit()?,
    };
    let containers = containers(&config, &kernels)?;
    let runtime = Arc::new(Runtimes::new(Sandbox::open(kernels)?, containers));
    let engine = engine::start(Options {
        data_dir: paths.engine_dir.clone(),
        runtime_dir: paths.runtime_dir.clone(),
        listen,
        runtime,
        clock: jiff::Timestamp::now,
        steady: engine::steady,
        start_pause: engine::START_PAUSE,
    })
    .await
    .inspect_err(|error| tracing::error!(error = error as &dyn std::error::Error, "start"))?;
    // Whoever started it may have stopped listening; the engine goes on.
    let _ = writeln!(std::io::stdout(), "ready {}", engine.endpoint());
    tokio::select! {
        () = engine.told_to_stop() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping; sessions go on");
    engine.stop().await;
    Ok(())
}

/// Containers, where the configuration or the computer names a container engine.
fn containers(config: &settings::Config, sandbox: &SandboxConfig) -> Result<Option<Containers>> {
    let socket = match config.container_socket() {
        Some(ContainerSocket::Off) => None,
        Some(ContainerSocket::At(path)) => Some(path),
        None => Containers::find_socket(),
    };
    let Some(socket) = socket else {
        return Ok(None);
    };
    tracing::info!(socket = %socket.display(), "container engine");
    let config = ContainerConfig {
        data_dir: sandbox.data_dir.clone(),
        run_dir: sandbox.run_dir.clone(),
        runner: sandbox.runner.clone(),
        socket,
        environ: std::collections::BTreeMap::new(),
        gpus: Arc::clone(&sandbox.gpus),
    };
    Ok(Some(Containers::open(config)?))
}

/// Logs into a file of the data folder, and to a terminal where there is one.
fn start_log(data_dir: &Path, level: &str) -> Result<tracing_appender::non_blocking::WorkerGuard> {
    let folder = data_dir.join("logs");
    settings::private_dir(&folder)?;
    let file = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("engine")
        .filename_suffix("log")
        .max_log_files(LOG_FILES)
        .build(&folder)?;
    let (writer, guard) = tracing_appender::non_blocking(file);
    let filter = EnvFilter::try_new(level).context("--log-level")?;
    let terminal = std::io::stderr()
        .is_terminal()
        .then(|| tracing_subscriber::fmt::layer().with_writer(std::io::stderr));
    tracing_subscriber::registry()
        .with(filter)
        .with(
            tracing_subscriber::fmt::layer()
                .with_ansi(false)
                .with_writer(writer),
        )
        .with(terminal)
        .init();
    Ok(guard)
}

//! What runs inside a session, as its first process.

mod apps;
mod children;
mod control;
mod definition;
mod environ;
mod execute;
mod files;
mod frame;
mod home;
mod install;
mod job;
mod journal;
mod lifetime;
mod notices;
mod pty;
mod services;
mod shell;
mod starting;
mod stats;
mod tail;
mod terminal;

use std::{
    ffi::OsString,
    fs::File,
    os::unix::net::UnixListener,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use protocol::{
    runner::launch::RunnerPlan,
    service_port::{SSHD_PORT, ServicePort, ServiceProtocol, TTYD_PORT},
};
use ssh::server::{HostKey, LoginKey, Server};
use tokio::net::TcpListener;

use crate::fds;
use children::Children;
use environ::Environ;
use journal::Journal;
use lifetime::Lifetime;
use notices::Notices;
use services::Services;

/// All that the parts of the runner share.
pub(super) struct Session {
    plan: RunnerPlan,
    environ: Environ,
    children: Arc<Children>,
    journal: Arc<Journal>,
    services: Services,
    notices: Arc<Notices>,
    lifetime: Lifetime,
    runs: execute::Runs,
    terminals: terminal::Terminals,
    host_key: HostKey,
    seeded: home::Seeded,
    started: Instant,
}

impl Session {
    /// Built-in service ports, then those of the image and the user.
    fn service_ports(&self) -> Vec<ServicePort> {
        let built_in = [
            ("sshd", ServiceProtocol::Tcp, SSHD_PORT),
            ("ttyd", ServiceProtocol::Http, TTYD_PORT),
        ];
        built_in
            .into_iter()
            .map(|(name, protocol, port)| ServicePort {
                name: name.to_owned(),
                protocol,
                ports: vec![port],
                url_template: None,
                allowed_arguments: None,
                allowed_envs: None,
            })
            .chain(self.plan.service_ports.iter().cloned())
            .collect()
    }
}

/// Runs the session to its end. Arguments: the numbers of the descriptors that the launcher left
/// open (control socket, two log files, exit note, plan).
pub(crate) fn run(arguments: &[OsString]) -> Result<ExitCode, Box<dyn std::error::Error>> {
    // What runs in the session has the same user id: it must not look into this process, which
    // holds the control socket and the keys.
    nix::sys::prctl::set_dumpable(false)?;
    let [control, log_a, log_b, exit, plan] = arguments else {
        return Err("expected five descriptors".into());
    };
    let control = UnixListener::from(fds::inherited(control)?);
    let logs = [
        File::from(fds::inherited(log_a)?),
        File::from(fds::inherited(log_b)?),
    ];
    let exit = File::from(fds::inherited(exit)?);
    let plan: RunnerPlan = serde_json::from_slice(&fds::read_inherited(plan)?)?;
    begin(control, logs, exit, plan)
}

/// The same with everything in hand.
pub(crate) fn begin(
    control: UnixListener,
    logs: [File; 2],
    exit: File,
    plan: RunnerPlan,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::WARN)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let code = runtime.block_on(live(control, logs, exit, plan))?;
    // Blocking threads (an SFTP client, a read) must not hold the session back.
    runtime.shutdown_timeout(Duration::from_millis(50));
    Ok(code)
}

async fn live(
    control: UnixListener,
    logs: [File; 2],
    exit: File,
    plan: RunnerPlan,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let children = Children::new()?;
    let journal = Arc::new(Journal::new(logs, plan.log_limit));
    let host_key = HostKey::from_seed(&plan.seeds[0]);
    let login_key = LoginKey::from_seed(&plan.seeds[1]);
    let seeded = home::prepare(&plan, &login_key)?;
    let environ = Environ::new(&plan);
    let mut ssh_listeners = vec![TcpListener::bind(("127.0.0.1", SSHD_PORT)).await?];
    if let Some(cluster) = &plan.cluster {
        ssh_listeners.push(TcpListener::bind((cluster.address, SSHD_PORT)).await?);
    }
    let web_listener = TcpListener::bind(("127.0.0.1", TTYD_PORT)).await?;
    let session = Arc::new(Session {
        services: Services::new(&plan),
        environ,
        children,
        journal,
        notices: Arc::new(Notices::default()),
        lifetime: Lifetime::new(exit),
        runs: execute::Runs::default(),
        terminals: terminal::Terminals::default(),
        host_key,
        seeded,
        started: Instant::now(),
        plan,
    });
    let server = Server::new(
        &session.host_key,
        Arc::new(shell::Shells::new(session.clone())),
    );
    for listener in ssh_listeners {
        tokio::spawn(accept_ssh(listener, server.clone()));
    }
    tokio::spawn(terminal::serve(web_listener, session.clone()));
    control.set_nonblocking(true)?;
    let control = tokio::net::UnixListener::from_std(control)?;
    job::bootstrap(&session).await;
    tokio::spawn(control::serve(control, session.clone()));
    if session.plan.batch.is_some() {
        tokio::spawn(job::batch(session.clone()));
    }
    session.lifetime.ended().await;
    Ok(ExitCode::SUCCESS)
}

async fn accept_ssh(listener: TcpListener, server: Server) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without it small packets wait for each other; it is a loopback socket.
                let _ = stream.set_nodelay(true);
                let server = server.clone();
                tokio::spawn(async move { server.serve(stream).await });
            }
            Err(error) => {
                tracing::warn!(%error, "no more ssh connections for now");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

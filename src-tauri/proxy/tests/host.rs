//! The host as two processes of one user see it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what went wrong by ending"
)]
#![cfg(unix)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proxy::{Config, Holder, ProxyHost, StartError, held_by, socket};
use settings::Paths;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use transfer::{Place, Places, Store, StoreError};
use tunnel::{
    BoxStream, Dial, DialError, EnglishPages, LocalPort, Protocol, Request, Service, Target,
};

/// Connects to the port that the target names.
struct Direct;

impl Dial for Direct {
    fn dial<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<BoxStream, DialError>> {
        async move {
            let Service::Port { port } = target.service else {
                panic!("a port")
            };
            Ok(Box::new(TcpStream::connect(("127.0.0.1", port)).await.unwrap()) as BoxStream)
        }
        .boxed()
    }
}

struct Nowhere;

impl Places for Nowhere {
    fn open<'a>(
        &'a self,
        _profile: &'a str,
        _place: &'a Place,
    ) -> BoxFuture<'a, Result<Arc<dyn Store>, StoreError>> {
        async { Err(StoreError::unreachable("nowhere")) }.boxed()
    }
}

async fn start(paths: &Paths, holder: Holder) -> Result<ProxyHost, StartError> {
    let config = Config {
        idle_end: Some(Duration::from_millis(300)),
        ..Config::new(paths, holder)
    };
    ProxyHost::start(
        config,
        Arc::new(Direct),
        Arc::new(Nowhere),
        Arc::new(EnglishPages),
    )
    .await
}

fn request(port: u16, keep: bool) -> Request {
    let target = Target {
        profile: "local".to_owned(),
        session: "0190".to_owned(),
        session_name: "train".to_owned(),
        service: Service::Port { port },
    };
    Request {
        local_port: LocalPort::Fixed(0),
        keep,
        ..Request::new(target, Protocol::Tcp)
    }
}

async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    port
}

async fn works(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else {
        return false;
    };
    let mut back = [0; 4];
    stream.write_all(b"ping").await.unwrap();
    stream.read_exact(&mut back).await.is_ok() && &back == b"ping"
}

#[tokio::test]
async fn one_host_at_a_time_and_everything_open_is_handed_over() {
    let home = tempfile::tempdir().unwrap();
    let paths = Paths::under(home.path());
    assert!(held_by(&paths).is_none());
    let app = start(&paths, Holder::App).await.unwrap();
    let (kept, other) = (echo().await, echo().await);
    let kept = app.open_tunnel(request(kept, true)).await.unwrap();
    let other = app.open_tunnel(request(other, false)).await.unwrap();
    assert!(works(kept.local_port).await && works(other.local_port).await);
    assert_eq!((app.live().tunnels, app.live().transfers), (2, 0));

    let held = held_by(&paths).unwrap();
    assert_eq!((held.holder, held.pid), (Holder::App, std::process::id()));
    match start(&paths, Holder::Daemon).await {
        Err(StartError::Held(Some(by))) => assert_eq!(by, held),
        other => panic!("{:?}", other.map(|_| "started")),
    }

    app.hand_over().await;
    assert!(!works(kept.local_port).await);
    let daemon = start(&paths, Holder::Daemon).await.unwrap();
    assert!(works(kept.local_port).await && works(other.local_port).await);

    daemon.stop().await;
    assert!(held_by(&paths).is_none());
    let again = start(&paths, Holder::App).await.unwrap();
    assert!(
        works(kept.local_port).await,
        "the user wants it back each time"
    );
    assert!(!works(other.local_port).await);
    let id = again.tunnels().list()[0].id.clone();
    again.close_tunnel(&id).await.unwrap();
    again.stop().await;
    let last = start(&paths, Holder::App).await.unwrap();
    assert!(last.tunnels().list().is_empty(), "closed means closed");
}

#[tokio::test]
async fn a_host_without_work_becomes_idle_and_one_with_a_tunnel_does_not() {
    let home = tempfile::tempdir().unwrap();
    let host = start(&Paths::under(home.path()), Holder::Daemon)
        .await
        .unwrap();
    let tunnel = host.open_tunnel(request(1, false)).await.unwrap();
    let busy = tokio::time::timeout(Duration::from_secs(1), host.idle()).await;
    assert!(busy.is_err());
    let idle = host.idle();
    tokio::pin!(idle);
    assert!(futures_util::poll!(&mut idle).is_pending());
    host.close_tunnel(&tunnel.id).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), idle)
        .await
        .expect("idle by now");
}

#[tokio::test]
async fn the_socket_is_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let paths = Paths::under(home.path());
    assert!(socket::connect(&paths).await.is_err());
    drop(socket::bind(&paths).unwrap());
    let listener = socket::bind(&paths).expect("a leftover socket is replaced");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&paths.proxy_socket()), 0o600);
    assert_eq!(mode(&paths.runtime_dir), 0o700);
    let (accepted, connected) = tokio::join!(socket::accept(&listener), socket::connect(&paths));
    connected.unwrap().write_all(b"hello").await.unwrap();
    let mut text = String::new();
    accepted.unwrap().read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "hello");
}

/// Not a test of its own: the process that the next one kills.
#[tokio::test]
async fn the_process_that_is_killed() {
    let (Ok(home), Ok(port)) = (
        std::env::var("PROXY_TEST_HOME"),
        std::env::var("PROXY_TEST_PORT"),
    ) else {
        return;
    };
    let host = start(&Paths::under(Path::new(&home)), Holder::App)
        .await
        .unwrap();
    let tunnel = host
        .open_tunnel(request(port.parse().unwrap(), false))
        .await
        .unwrap();
    let id_and_port = format!("{} {}", tunnel.id, tunnel.local_port);
    let file = Path::new(&home).join("port");
    std::fs::write(file.with_extension("new"), id_and_port).unwrap();
    std::fs::rename(file.with_extension("new"), file).unwrap();
    std::future::pending::<()>().await;
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_the_next_host_listens_where_the_last_one_did() {
    let home = tempfile::tempdir().unwrap();
    let paths = Paths::under(home.path());
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process_that_is_killed", "--nocapture"])
        .env("PROXY_TEST_HOME", home.path())
        .env("PROXY_TEST_PORT", echo().await.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let child = Killed(child);
    let (id, port) = loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let text = std::fs::read_to_string(home.path().join("port")).unwrap_or_default();
        if let Some((id, port)) = text.split_once(' ') {
            break (id.to_owned(), port.parse::<u16>().unwrap());
        }
    };
    assert!(works(port).await);
    assert_eq!(held_by(&paths).unwrap().pid, child.0.id());
    drop(child);
    assert!(!works(port).await && held_by(&paths).is_none());
    // Another program takes the port while nobody is there: the tunnel waits for it and takes no
    // other.
    let squatter = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let next = start(&paths, Holder::Daemon).await.unwrap();
    let look = next.tunnels().list().remove(0);
    assert_eq!((&look.id, look.local_port), (&id, port));
    assert_eq!(look.state, tunnel::State::PortTaken);
    let reason = look.last_error.unwrap().message;
    assert!(
        reason.contains(&format!("port {port} is in use")),
        "{reason}"
    );
    drop(squatter);
    while next.tunnels().list()[0].state != tunnel::State::Open {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(works(port).await);
    // Killed in the middle of this, the next one has it all again.
    next.hand_over().await;
    let last = start(&paths, Holder::App).await.unwrap();
    assert_eq!(last.tunnels().list()[0].id, id);
    assert!(works(port).await);
}

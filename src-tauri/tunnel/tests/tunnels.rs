//! Tunnels with real sockets, a real HTTP server and a real client.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what went wrong by ending"
)]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::routing::{get, post};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tunnel::{
    BoxStream, Dial, DialError, EnglishPages, LocalPort, OpenError, Options, Protocol, Request,
    Secret, Service, Stage, State, Target, Tunnel, Tunnels,
};

/// Connects to a port of this computer; fails as often as it is told to, first.
struct Direct {
    port: u16,
    failures: AtomicU32,
    retry: bool,
    dialled: AtomicU64,
}

impl Direct {
    fn to(port: u16) -> Arc<Self> {
        Self::failing(port, 0, false)
    }

    fn failing(port: u16, failures: u32, retry: bool) -> Arc<Self> {
        Arc::new(Self {
            port,
            failures: failures.into(),
            retry,
            dialled: 0.into(),
        })
    }
}

impl Dial for Direct {
    fn dial<'a>(&'a self, _target: &'a Target) -> BoxFuture<'a, Result<BoxStream, DialError>> {
        async move {
            self.dialled.fetch_add(1, Ordering::Relaxed);
            let left = self
                .failures
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(1)
                });
            if left.is_ok() {
                return Err(DialError {
                    stage: Stage::Session,
                    code: "session-gone".to_owned(),
                    message: "the session <b>has ended</b>".to_owned(),
                    detail: Some("status: TERMINATED".to_owned()),
                    retry: self.retry,
                });
            }
            let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
            Ok(Box::new(stream) as BoxStream)
        }
        .boxed()
    }
}

fn tunnels(dial: Arc<Direct>) -> Tunnels {
    let options = Options {
        patience: Duration::from_secs(5),
        ..Options::default()
    };
    Tunnels::new(dial, Arc::new(EnglishPages), options)
}

fn request(protocol: Protocol) -> Request {
    let target = Target {
        profile: "local".to_owned(),
        session: "0190".to_owned(),
        session_name: format!("s{}", std::process::id()),
        service: Service::app("app"),
    };
    Request {
        local_port: LocalPort::Fixed(0),
        ..Request::new(target, protocol)
    }
}

/// Sends everything back and closes its half when the other end does.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            });
        }
    });
    port
}

async fn web() -> u16 {
    let socket = |upgrade: WebSocketUpgrade| async {
        upgrade.on_upgrade(|mut socket| async move {
            while let Some(Ok(Message::Text(text))) = socket.recv().await {
                let _ = socket.send(Message::Text(text)).await;
            }
        })
    };
    let app = Router::new()
        .route("/", get(|| async { "hello from the app" }))
        .route(
            "/sum",
            post(|body: String| async move { body.len().to_string() }),
        )
        .route("/ws", get(socket));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, app).await });
    port
}

async fn connect(tunnel: &Tunnel) -> TcpStream {
    TcpStream::connect(("127.0.0.1", tunnel.local_port))
        .await
        .unwrap()
}

/// Sends `text` and reads to the end.
async fn talk(tunnel: &Tunnel, text: &str) -> String {
    let mut stream = connect(tunnel).await;
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn megabytes_go_both_ways_and_the_last_byte_follows_a_half_close() {
    let tunnels = tunnels(Direct::to(echo().await));
    let tunnel = tunnels.open(request(Protocol::Tcp)).await.unwrap();
    let sent: Vec<u8> = (0..5_000_003u32).map(|i| (i >> 3) as u8).collect();
    let one = |sent: Vec<u8>| async {
        let (mut read, mut write) = connect(&tunnel).await.into_split();
        let up = tokio::spawn(async move {
            write.write_all(&sent).await.unwrap();
            write.shutdown().await.unwrap();
        });
        let mut back = Vec::new();
        read.read_to_end(&mut back).await.unwrap();
        up.await.unwrap();
        back
    };
    let (a, b) = tokio::join!(one(sent.clone()), one(sent.clone()));
    assert!(a == sent && b == sent);
    let look = tunnels.get(&tunnel.id).unwrap();
    assert_eq!((look.bytes_up, look.bytes_down), (10_000_006, 10_000_006));
    assert_eq!(look.state, State::Open);
}

#[tokio::test]
async fn a_reader_that_stalls_stalls_the_sender_and_not_the_memory() {
    let tunnels = tunnels(Direct::to(echo().await));
    let tunnel = tunnels.open(request(Protocol::Tcp)).await.unwrap();
    let mut stream = connect(&tunnel).await;
    let block = vec![0u8; 1 << 20];
    let mut sent = 0u64;
    // Nobody reads the echo: after the sockets' buffers are full, writing must block.
    while let Ok(written) =
        tokio::time::timeout(Duration::from_millis(500), stream.write(&block)).await
    {
        sent += written.unwrap() as u64;
        assert!(sent < 64 << 20, "the tunnel swallows everything");
    }
    let look = tunnels.get(&tunnel.id).unwrap();
    let inside = look.bytes_up - look.bytes_down;
    assert!(inside < 32 << 20, "{inside} bytes are somewhere in between");
}

#[tokio::test]
async fn a_web_app_is_served_with_websockets_and_keep_alive() {
    let tunnels = tunnels(Direct::to(web().await));
    let tunnel = tunnels.open(request(Protocol::Http)).await.unwrap();
    let url = tunnel.url().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for _ in 0..3 {
        let answer = client.get(&url).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "hello from the app");
    }
    let body = "x".repeat(300_000);
    let answer = client
        .post(format!("{url}sum"))
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.text().await.unwrap(), "300000");
    let by_name = format!("http://localhost:{}/", tunnel.local_port);
    assert_eq!(client.get(by_name).send().await.unwrap().status(), 200);

    let port = tunnel.local_port;
    let upgrade = |origin: &str| {
        format!(
            "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: \
             websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
             dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: {origin}\r\n\r\n"
        )
    };
    let mut stream = connect(&tunnel).await;
    stream
        .write_all(upgrade(&format!("http://127.0.0.1:{port}")).as_bytes())
        .await
        .unwrap();
    // One masked text frame with the key 0: "hi".
    stream
        .write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i'])
        .await
        .unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(&[0x81, 2, b'h', b'i']) {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));

    let refused = talk(&tunnel, &upgrade("http://evil.example")).await;
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
    let rebound = format!("GET / HTTP/1.1\r\nHost: evil.example:{port}\r\n\r\n");
    let refused = talk(&tunnel, &rebound).await;
    assert!(refused.starts_with("HTTP/1.1 421 "), "{refused}");
}

#[tokio::test]
async fn nothing_reaches_the_app_before_the_request_is_known_to_be_sound() {
    let dial = Direct::to(web().await);
    let tunnels = tunnels(dial.clone());
    let tunnel = tunnels.open(request(Protocol::Http)).await.unwrap();
    talk(&tunnel, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n").await;
    talk(&tunnel, "SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
    assert_eq!(dial.dialled.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_failure_is_a_page_for_browsers_and_silence_for_others() {
    let tunnels = tunnels(Direct::failing(1, u32::MAX, false));
    let web = tunnels.open(request(Protocol::Http)).await.unwrap();
    let ask = format!(
        "GET / HTTP/1.1\r\nHost: localhost:{}\r\n\r\n",
        web.local_port
    );
    let page = talk(&web, &ask).await;
    assert!(page.starts_with("HTTP/1.1 502 "), "{page}");
    assert!(page.contains("the session &lt;b&gt;has ended") && page.contains("TERMINATED"));
    assert!(!page.contains("<script"));
    let look = tunnels.get(&web.id).unwrap();
    assert_eq!(look.state, State::Failed);
    assert_eq!(look.last_error.unwrap().code, "session-gone");

    let other = Request {
        protocol: Protocol::Tcp,
        ..request(Protocol::Tcp)
    };
    let plain = tunnels.open(other).await.unwrap();
    let mut stream = connect(&plain).await;
    stream.write_all(b"SSH-2.0-x\r\n").await.unwrap();
    let mut answer = Vec::new();
    // A reset is as good as an end here: either way it is over.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty(), "{answer:?}");
}

#[tokio::test]
async fn a_link_that_comes_back_in_time_is_not_noticed() {
    let dial = Direct::failing(web().await, 3, true);
    let tunnels = tunnels(dial.clone());
    let mut changes = tunnels.subscribe();
    let tunnel = tunnels.open(request(Protocol::Http)).await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(tunnel.url().unwrap()).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "hello from the app");
    assert_eq!(dial.dialled.load(Ordering::Relaxed), 4);
    assert_eq!(tunnels.get(&tunnel.id).unwrap().state, State::Open);
    assert_eq!(changes.try_recv().unwrap().id, tunnel.id);
}

#[tokio::test]
async fn an_app_that_closes_without_an_answer_gets_a_page() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
        }
    });
    let tunnels = tunnels(Direct::to(port));
    let tunnel = tunnels.open(request(Protocol::Http)).await.unwrap();
    let ask = format!(
        "GET / HTTP/1.1\r\nHost: localhost:{}\r\n\r\n",
        tunnel.local_port
    );
    let page = talk(&tunnel, &ask).await;
    assert!(
        page.starts_with("HTTP/1.1 502 ") && page.contains("http-equiv=\"refresh\""),
        "{page}"
    );
}

#[tokio::test]
async fn ports_are_stable_and_a_taken_one_names_its_holder() {
    let dial = Direct::to(1);
    let stable = |session: &str| Request {
        target: Target {
            session_name: format!("{session}{}", std::process::id()),
            ..request(Protocol::Tcp).target
        },
        local_port: LocalPort::Stable,
        ..request(Protocol::Tcp)
    };
    let first = tunnels(dial.clone());
    let one = first.open(stable("train")).await.unwrap();
    let two = first.open(stable("other")).await.unwrap();
    assert_ne!(one.local_port, two.local_port);
    assert_eq!(
        first.open(stable("train")).await.unwrap().id,
        one.id,
        "the same tunnel"
    );
    first.close_all();
    let handed = first.hand_over().await;
    assert!(handed.is_empty(), "closed ones are not handed over");
    assert!(matches!(
        first.open(stable("train")).await,
        Err(OpenError::Closing)
    ));

    let second = tunnels(dial);
    // The same session, launched again: another id, the same name.
    let mut again = stable("train");
    again.target.session = "0191".to_owned();
    assert_eq!(second.open(again).await.unwrap().local_port, one.local_port);

    let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = holder.local_addr().unwrap().port();
    let taken = Request {
        local_port: LocalPort::Fixed(port),
        ..stable("x")
    };
    match second.open(taken).await {
        Err(OpenError::PortInUse {
            port: named,
            holder,
        }) => {
            assert_eq!(named, port);
            if cfg!(target_os = "linux") {
                assert!(holder.unwrap().contains(&std::process::id().to_string()));
            }
        }
        other => panic!("{other:?}"),
    }
    let preferred = Request {
        local_port: LocalPort::Preferred(port),
        ..stable("y")
    };
    assert_ne!(second.open(preferred).await.unwrap().local_port, port);
}

#[tokio::test]
async fn closing_cuts_connections_and_frees_the_port_for_the_next_owner() {
    let port = echo().await;
    let first = tunnels(Direct::to(port));
    let tunnel = first.open(request(Protocol::Tcp)).await.unwrap();
    let mut stream = connect(&tunnel).await;
    stream.write_all(b"ping").await.unwrap();
    stream.read_exact(&mut [0; 4]).await.unwrap();
    assert_eq!(first.get(&tunnel.id).unwrap().connections, 1);
    let requests = first.hand_over().await;
    assert_eq!(
        stream.read(&mut [0; 4]).await.unwrap_or(0),
        0,
        "the connection is cut"
    );

    let second = tunnels(Direct::to(port));
    for request in requests {
        second.restore(request).await.unwrap();
    }
    let look = &second.list()[0];
    assert_eq!(look.local_port, tunnel.local_port);
    assert_eq!(look.id, tunnel.id, "it is the same one");
    let mut stream = connect(look).await;
    stream.write_all(b"pong").await.unwrap();
    stream.read_exact(&mut [0; 4]).await.unwrap();
    assert!(second.close(&look.id).is_some());
    assert!(
        TcpStream::connect(("127.0.0.1", tunnel.local_port))
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_the_same_gets_the_same_and_a_secret_is_never_left_out() {
    let tunnels = tunnels(Direct::to(web().await));
    let stable = || Request {
        local_port: LocalPort::Stable,
        ..request(Protocol::Http)
    };
    let at_once = futures_util::future::join_all((0..8).map(|_| tunnels.open(stable()))).await;
    let ids: HashSet<String> = at_once.into_iter().map(|it| it.unwrap().id).collect();
    assert_eq!(ids.len(), 1);

    let guarded = || Request {
        secret: Some(Secret::random()),
        ..stable()
    };
    let mine = tunnels.open(guarded()).await.unwrap();
    assert!(mine.secret.is_some() && !ids.contains(&mine.id));
    assert_eq!(tunnels.open(guarded()).await.unwrap().id, mine.id);
    assert!(ids.contains(&tunnels.open(stable()).await.unwrap().id));
    let url = mine.url().unwrap();
    let client = reqwest::Client::builder().no_proxy();
    let client = client.redirect(reqwest::redirect::Policy::none());
    let client = client.build().unwrap();
    assert_eq!(client.get(&url).send().await.unwrap().status(), 403);
    let ticket = tunnels.ticket(&mine.id).unwrap();
    let let_in = client.get(format!("{url}?{ticket}")).send().await.unwrap();
    let cookie = let_in.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with(&format!("gangway-{}=", mine.local_port)));
}

#[tokio::test]
async fn a_logout_ends_connections_and_leaves_the_tunnel() {
    let tunnels = tunnels(Direct::to(echo().await));
    let tunnel = tunnels.open(request(Protocol::Tcp)).await.unwrap();
    let mut open = connect(&tunnel).await;
    open.write_all(b"hello").await.unwrap();
    let mut said = [0; 5];
    open.read_exact(&mut said).await.unwrap();
    tunnels.logged_out("another");
    open.write_all(b"again").await.unwrap();
    open.read_exact(&mut said).await.unwrap();
    tunnels.logged_out("local");
    let ended = open.read(&mut said).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    // The far end decides who comes next.
    let mut next = connect(&tunnel).await;
    next.write_all(b"hello").await.unwrap();
    next.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"hello");
}

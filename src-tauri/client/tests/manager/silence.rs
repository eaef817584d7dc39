//! Managers that take a connection and say nothing. The clock runs ahead whenever all wait.

use std::sync::atomic::Ordering;
use std::time::Duration;

use client::{EngineError, Error, LocalEngine, Network, StartOptions};
use futures_util::FutureExt;
use tokio::time::{Instant, pause, timeout};

use crate::address::{far, near, play};

/// More than anybody waits before a screen that shows nothing.
const BOUND: Duration = Duration::from_secs(62);

#[tokio::test]
async fn a_silent_manager_is_given_up() {
    let (address, _) = play(|mut exchange| {
        async move {
            match exchange.line.as_str() {
                "GET /auth" => {}
                // Stops in the middle of its answer.
                "GET /config/resource-slots" => {
                    let head = "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{";
                    exchange.say(head).await;
                }
                line => assert!(line.contains("tcpproxy"), "{line}"),
            }
            std::future::pending::<()>().await;
        }
        .boxed()
    })
    .await;
    let client = near(address);
    let gone = |error: Error| {
        assert!(matches!(error, Error::Silent { .. }), "{error:?}");
        assert!(error.is_temporary() && error.to_string().contains("has not answered for"));
    };
    pause();
    let began = Instant::now();
    let login = timeout(BOUND, client.check_login()).await;
    gone(login.expect("a login ends").unwrap_err());
    assert!(
        began.elapsed() >= Duration::from_secs(20),
        "a busy manager is given its time"
    );
    let slots = timeout(BOUND, client.slot_types()).await;
    gone(slots.expect("an answer that stops ends").unwrap_err());
    let options = StartOptions::default();
    let stream = timeout(BOUND, client.connect_service("s", "sshd", &options)).await;
    gone(stream.expect("a tunnel ends").unwrap_err());
}

/// Somebody waits for a wrong address to be named; a session that starts is waited for.
#[tokio::test]
async fn each_kind_of_request_has_its_own_patience() {
    let (address, _) = play(|exchange| {
        async move {
            // Held open.
            let _exchange = exchange;
            std::future::pending::<()>().await;
        }
        .boxed()
    })
    .await;
    let client = near(address);
    pause();
    let began = Instant::now();
    let found = client::discover(&format!("http://{address}"), &Network::default()).await;
    let error = found.unwrap_err();
    assert!(matches!(error, Error::Silent { .. }), "{error:?}");
    assert!(
        began.elapsed() < Duration::from_secs(25),
        "{:?}",
        began.elapsed()
    );

    let began = Instant::now();
    let ended = client.destroy_session("s", false).await;
    assert!(matches!(ended.unwrap_err(), Error::Silent { .. }));
    assert!(
        began.elapsed() > Duration::from_secs(200),
        "{:?}",
        began.elapsed()
    );

    // Nobody is kept who wants to wait no longer.
    let given_up = timeout(Duration::from_secs(1), client.check_login()).await;
    assert!(given_up.is_err());
}

/// Attempts that fail quickly are repeated, and all of them together end within a minute too.
#[tokio::test]
async fn retries_end_with_the_patience() {
    let (address, asked) = play(|exchange| {
        async move {
            tokio::time::sleep(Duration::from_secs(20)).await;
            exchange.answer("503 Service Unavailable", "", "{}").await;
        }
        .boxed()
    })
    .await;
    let client = far(address);
    pause();
    let began = Instant::now();
    client.check_login().await.unwrap_err();
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    assert!(asked.load(Ordering::SeqCst) >= 2);
}

#[tokio::test]
async fn news_without_a_ping_end() {
    let (address, _) = play(|mut exchange| {
        async move {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: ping\n\n";
            exchange.say(head).await;
            std::future::pending::<()>().await;
        }
        .boxed()
    })
    .await;
    let mut feed = near(address).session_events().await.unwrap();
    pause();
    let begin = Instant::now();
    assert!(feed.next().await.is_none());
    let waited = begin.elapsed();
    // Two pings, 15 s apart, may be late.
    assert!(waited > Duration::from_secs(30) && waited < Duration::from_secs(60));
}

#[tokio::test]
async fn an_engine_that_hangs_is_given_up() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("engine.sock");
    let _listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let beacon = serde_json::json!({
        "pid": 1, "start_time": "1", "endpoint": "http://127.0.0.1:1",
        "socket": socket, "version": "0.1.0",
    });
    std::fs::write(home.path().join("engine.json"), beacon.to_string()).unwrap();
    pause();
    let status = timeout(BOUND, LocalEngine::new(home.path()).status()).await;
    let error = status.expect("the question ends").unwrap_err();
    assert!(
        matches!(error, Error::Engine(EngineError::Socket { .. })),
        "{error:?}"
    );
}

/// Killed, it takes connections until its last thread has ended: whoever wants one starts another.
#[tokio::test]
async fn an_engine_that_is_about_to_be_gone_does_not_run() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("engine.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let beacon = serde_json::json!({
        "pid": 1, "start_time": "1", "endpoint": "http://127.0.0.1:1",
        "socket": socket, "version": "0.1.0",
    });
    std::fs::write(home.path().join("engine.json"), beacon.to_string()).unwrap();
    let lock = std::fs::File::create(home.path().join("engine.lock")).unwrap();
    lock.lock().unwrap();
    let dying = tokio::spawn(async move {
        drop(listener.accept().await.unwrap());
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(lock);
    });
    let status = timeout(BOUND, LocalEngine::new(home.path()).status()).await;
    assert!(status.expect("the question ends").unwrap().is_none());
    dying.await.unwrap();
}

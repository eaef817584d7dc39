//! Managers that take a connection and say nothing. The clock runs ahead whenever all wait.

use std::time::Duration;

use client::{EngineError, Error, LocalEngine, StartOptions};
use futures_util::FutureExt;
use tokio::time::{Instant, pause, timeout};

use crate::address::{near, play};

/// More than anybody waits before a screen that shows nothing.
const BOUND: Duration = Duration::from_secs(600);

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
    let gone = |error: Error| assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    pause();
    let login = timeout(BOUND, client.check_login()).await;
    gone(login.expect("a login ends").unwrap_err());
    let slots = timeout(BOUND, client.slot_types()).await;
    gone(slots.expect("an answer that stops ends").unwrap_err());
    let options = StartOptions::default();
    let stream = timeout(BOUND, client.connect_service("s", "sshd", &options)).await;
    gone(stream.expect("a tunnel ends").unwrap_err());
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

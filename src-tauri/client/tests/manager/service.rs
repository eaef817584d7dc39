//! A tunnel's WebSocket: what the manager says before it, through it and at its end.

use std::io::ErrorKind;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::routing::get;
use client::{Client, Error, ServiceStream, StartOptions};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::address::{near, play, serve};

async fn connect(client: &Client) -> Result<ServiceStream, Error> {
    client
        .connect_service("s", "sshd", &StartOptions::default())
        .await
}

/// A stream whose other end does what `service` does.
async fn stream(service: fn(WebSocket) -> BoxFuture<'static, ()>) -> ServiceStream {
    let upgrade = move |upgrade: WebSocketUpgrade| async move { upgrade.on_upgrade(service) };
    let path = "/stream/session/s/tcpproxy";
    let address = serve(Router::new().route(path, get(upgrade))).await;
    connect(&near(address)).await.unwrap()
}

async fn close(socket: &mut WebSocket, code: u16, reason: &'static str) {
    let reason = reason.into();
    let frame = Message::Close(Some(CloseFrame { code, reason }));
    socket.send(frame).await.unwrap();
    // Gone together with the socket otherwise.
    while let Some(Ok(_)) = socket.recv().await {}
}

#[tokio::test]
async fn the_end_of_a_service_is_the_end_of_its_bytes() {
    let mut stream = stream(|mut socket| {
        async move {
            let bytes = Message::Binary("SSH-2.0-x\r\n".into());
            socket.send(bytes).await.unwrap();
            socket
                .send(Message::Text("not for us".into()))
                .await
                .unwrap();
            close(&mut socket, 1001, "").await;
        }
        .boxed()
    })
    .await;
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "SSH-2.0-x\r\n");
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "and stays the end");
}

#[tokio::test]
async fn a_port_on_which_nothing_listens_refuses() {
    let mut stream =
        stream(|mut socket| async move { close(&mut socket, 1013, "").await }.boxed()).await;
    let error = stream.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_connection_that_the_manager_lost_is_reset_with_its_reason() {
    let mut stream = stream(|mut socket| {
        async move {
            socket.send(Message::Binary("abc".into())).await.unwrap();
            close(&mut socket, 1011, "agent lost").await;
        }
        .boxed()
    })
    .await;
    let mut said = Vec::new();
    let error = stream.read_to_end(&mut said).await.unwrap_err();
    assert_eq!(said, b"abc");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(error.to_string(), "agent lost");
}

#[tokio::test]
async fn a_cut_is_an_error_and_no_end() {
    let mut stream = stream(|socket| async move { drop(socket) }.boxed()).await;
    let error = stream.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let error = loop {
        if let Err(error) = stream.write_all(b"more").await {
            break error;
        }
        tokio::task::yield_now().await;
    };
    assert_ne!(error.kind(), ErrorKind::Other);
}

#[tokio::test]
async fn much_goes_through_in_frames_that_a_manager_takes() {
    let stream = stream(|mut socket| {
        async move {
            socket.send(Message::Ping("alive?".into())).await.unwrap();
            let mut answered = false;
            while let Some(Ok(message)) = socket.recv().await {
                match message {
                    Message::Binary(bytes) => {
                        assert!(bytes.len() <= 256 * 1024);
                        socket.send(Message::Binary(bytes)).await.unwrap();
                    }
                    Message::Pong(bytes) => answered = bytes == "alive?",
                    _ => {}
                }
                if answered {
                    answered = false;
                    socket.send(Message::Binary("pong".into())).await.unwrap();
                }
            }
        }
        .boxed()
    })
    .await;
    let content: Vec<u8> = (0..3_000_000u32).map(|n| (n % 253) as u8).collect();
    let sent = content.clone();
    let (mut from, mut to) = tokio::io::split(stream);
    let mut said = [0; 4];
    from.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"pong");
    let writer = tokio::spawn(async move {
        to.write_all(&sent).await.unwrap();
        to.shutdown().await.unwrap();
        to
    });
    let mut back = vec![0; content.len()];
    from.read_exact(&mut back).await.unwrap();
    assert!(back == content);
    writer.await.unwrap();
}

const PROBLEM: &str = r#"{"type":"https://api.backend.ai/probs/app-service-start-failed",
    "title":"The service did not start.","error_code":"session_start_failed",
    "msg":"jupyter: command not found"}"#;

#[tokio::test]
async fn a_refusal_before_the_stream_is_read_to_its_end() {
    for whole in [true, false] {
        let (address, _) = play(move |mut exchange| {
            async move {
                let status = "500 Internal Server Error";
                if whole {
                    return exchange.answer(status, "", PROBLEM).await;
                }
                // Older managers send the head by itself.
                let length = PROBLEM.len();
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n");
                exchange.say(head).await;
                let (begin, end) = PROBLEM.split_at(20);
                for part in [begin, end] {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    exchange.say(part).await;
                }
            }
            .boxed()
        })
        .await;
        let error = connect(&near(address)).await.unwrap_err();
        assert_eq!(error.status(), Some(500));
        assert_eq!(error.slug(), Some("app-service-start-failed"));
        assert_eq!(error.to_string(), "jupyter: command not found");
    }
}

#[tokio::test]
async fn what_is_no_websocket_is_not_taken_for_one() {
    for answer in [
        // A gateway that knows no WebSockets.
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: bm90IHRoZSBhbnN3ZXIgdG8=\r\n\r\n",
    ] {
        let (address, _) =
            play(move |mut exchange| async move { exchange.say(answer).await }.boxed()).await;
        let error = connect(&near(address)).await.unwrap_err();
        assert!(matches!(error, Error::Answer { .. }), "{error:?}");
    }
}

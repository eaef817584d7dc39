//! Both ends against each other, and against another implementation.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what went wrong by ending"
)]

use std::io::ErrorKind;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role as Theirs};
use websocket::{Close, KeepAlive, Role, Socket, code};

fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from(at * 31 % 251).unwrap())
        .collect()
}

fn pair(room: usize) -> (Socket<DuplexStream>, Socket<DuplexStream>) {
    let (one, other) = duplex(room);
    (
        Socket::new(one, Role::Client, None),
        Socket::new(other, Role::Server, None),
    )
}

async fn theirs(
    room: usize,
    role: Theirs,
    ours: Role,
) -> (WebSocketStream<DuplexStream>, Socket<DuplexStream>) {
    let (one, other) = duplex(room);
    let peer = WebSocketStream::from_raw_socket(one, role, None).await;
    (peer, Socket::new(other, ours, None))
}

#[tokio::test]
async fn megabytes_go_both_ways_at_once_and_an_end_leaves_the_other_direction_open() {
    for room in [7, 4000, 70_000] {
        let (client, server) = pair(room);
        let bytes = pattern(if room == 7 { 100_000 } else { 3_000_000 });
        let (mut from_client, mut to_client) = tokio::io::split(server);
        let (mut from_server, mut to_server) = tokio::io::split(client);
        let up = async {
            to_server.write_all(&bytes).await.unwrap();
            to_server.shutdown().await.unwrap();
        };
        let down = async {
            let mut got = Vec::new();
            from_client.read_to_end(&mut got).await.unwrap();
            assert!(got == bytes);
            // The client has said that it is done, and still listens.
            to_client.write_all(&got).await.unwrap();
            to_client.flush().await.unwrap();
            let mut socket = from_client.unsplit(to_client);
            socket.close(code::GOING_AWAY, "").await.unwrap();
        };
        let back = async {
            let mut got = Vec::new();
            from_server.read_to_end(&mut got).await.unwrap();
            assert!(got == bytes);
        };
        let all = async { tokio::join!(up, down, back) };
        tokio::time::timeout(Duration::from_secs(60), all)
            .await
            .expect("nobody waits for the other");
    }
}

#[tokio::test]
async fn another_implementation_understands_us_and_we_it() {
    let bytes = pattern(1_000_000);
    for (role, ours) in [
        (Theirs::Server, Role::Client),
        (Theirs::Client, Role::Server),
    ] {
        let (mut peer, mut socket) = theirs(1 << 20, role, ours).await;
        let sender = async {
            socket.write_all(&bytes).await.unwrap();
            socket.flush().await.unwrap();
        };
        let receiver = async {
            let mut got = Vec::new();
            while got.len() < bytes.len() {
                match peer.next().await.unwrap().unwrap() {
                    Message::Binary(piece) => got.extend_from_slice(&piece),
                    other => panic!("{other:?}"),
                }
            }
            assert!(got == bytes);
        };
        tokio::join!(sender, receiver);

        let sender = async {
            peer.send(Message::text("nobody reads this")).await.unwrap();
            peer.send(Message::Ping("are you there".into()))
                .await
                .unwrap();
            for piece in bytes.chunks(300_000) {
                peer.send(Message::binary(piece.to_vec())).await.unwrap();
            }
            assert_eq!(
                peer.next().await.unwrap().unwrap(),
                Message::Pong("are you there".into())
            );
        };
        let receiver = async {
            let mut got = vec![0; bytes.len()];
            socket.read_exact(&mut got).await.unwrap();
            assert!(got == bytes);
        };
        tokio::join!(sender, receiver);
    }
}

#[tokio::test]
async fn close_codes_are_ends_or_errors() {
    for (sent, kind) in [
        (code::GOING_AWAY, None),
        (code::NORMAL, None),
        (code::TRY_AGAIN, Some(ErrorKind::ConnectionRefused)),
        (code::INTERNAL, Some(ErrorKind::ConnectionReset)),
        (4000, Some(ErrorKind::Other)),
    ] {
        let (mut peer, mut socket) = theirs(1 << 16, Theirs::Server, Role::Client).await;
        peer.send(Message::binary(&b"last words"[..]))
            .await
            .unwrap();
        let frame = CloseFrame {
            code: sent.into(),
            reason: "because".into(),
        };
        peer.close(Some(frame)).await.unwrap();
        let mut got = Vec::new();
        let read = socket.read_to_end(&mut got).await;
        assert_eq!(got, b"last words");
        assert_eq!(read.as_ref().err().map(std::io::Error::kind), kind);
        if let Err(error) = read {
            // The reason is for people; the code stays in the error for programs.
            assert_eq!(error.to_string(), "because");
            let close = error.get_ref().and_then(|it| it.downcast_ref::<Close>());
            assert_eq!(close.map(|close| close.code), Some(sent));
        }
        // The peer hears its own code.
        assert!(matches!(
            peer.next().await,
            Some(Ok(Message::Close(Some(_)))) | None
        ));
    }
}

#[tokio::test]
async fn a_cut_is_an_error_and_not_an_end() {
    let (one, other) = duplex(100);
    let mut socket = Socket::new(other, Role::Client, None);
    drop(one);
    let error = socket.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(socket.read(&mut [0; 8]).await.unwrap(), 0, "told once");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_died_without_a_word_is_noticed_and_a_quiet_one_is_kept() {
    let every = Duration::from_secs(20);
    let (mut peer, other) = {
        let (one, other) = duplex(1 << 16);
        (
            WebSocketStream::from_raw_socket(one, Theirs::Server, None).await,
            other,
        )
    };
    let mut socket = Socket::new(other, Role::Client, Some(KeepAlive { every }));
    let answering = tokio::spawn(async move {
        // Reading answers pings.
        let end = tokio::time::Instant::now() + Duration::from_secs(600);
        while let Ok(Some(_)) = tokio::time::timeout_at(end, peer.next()).await {}
        peer
    });
    let quiet = tokio::time::timeout(Duration::from_secs(599), socket.read_u8()).await;
    assert!(quiet.is_err(), "ten minutes of silence are fine: {quiet:?}");
    let _peer = answering.await.unwrap();
    let gone = tokio::time::timeout(Duration::from_secs(100), socket.read_u8()).await;
    assert_eq!(
        gone.expect("in time").unwrap_err().kind(),
        ErrorKind::TimedOut
    );
}

#[tokio::test]
async fn a_reader_that_stalls_holds_one_frame_and_no_more() {
    let (mut client, _server) = pair(1000);
    let bytes = vec![0; 1 << 20];
    let mut taken = 0;
    loop {
        let write = client.write(&bytes);
        match tokio::time::timeout(Duration::from_millis(200), write).await {
            Ok(written) => taken += written.unwrap(),
            Err(_) => break,
        }
    }
    assert!(taken <= 256 * 1024, "{taken} bytes were taken");
}

mod properties {
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Whatever a peer sends, reading ends: with bytes, with the end or with an error.
        #[test]
        fn nothing_that_arrives_breaks_a_socket(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            client in any::<bool>(),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (mut peer, other) = duplex(1 << 16);
                let role = if client { Role::Client } else { Role::Server };
                let mut socket = Socket::new(other, role, None);
                peer.write_all(&bytes).await.unwrap();
                peer.shutdown().await.unwrap();
                let mut got = Vec::new();
                let read = socket.read_to_end(&mut got);
                let read = tokio::time::timeout(Duration::from_secs(20), read).await;
                prop_assert!(read.is_ok(), "never ends");
                prop_assert!(got.len() <= bytes.len());
                Ok(())
            })?;
        }
    }
}

#[tokio::test]
async fn an_end_that_waits_is_asked_whether_it_is_there() {
    let (mut client, mut server) = pair(4000);
    let (there, begun) = tokio::join!(client.is_there(), async {
        let mut first = [0; 16];
        let begun = tokio::time::timeout(Duration::from_millis(200), server.begun(&mut first));
        begun.await.is_err()
    });
    assert!(there && begun, "a question is no beginning");
    // It can still be used.
    client.write_all(b"hello").await.unwrap();
    client.flush().await.unwrap();
    let mut heard = [0; 16];
    assert_eq!(server.begun(&mut heard).await.unwrap(), Some(5));

    // One that does not read says nothing; one that has gone is not there.
    let asked = tokio::time::timeout(Duration::from_millis(200), client.is_there());
    assert!(asked.await.is_err());
    drop(server);
    assert!(!client.is_there().await);
}

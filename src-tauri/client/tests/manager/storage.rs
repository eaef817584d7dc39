//! Files on their way to and from a storage whose connection breaks.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use client::{Client, Error, Upload};
use futures_util::{FutureExt, StreamExt};
use tokio::io::AsyncReadExt;

use crate::address::{Exchange, all_of, near, play};

pub(crate) const TOKEN: &str = "storage-token-of-the-test";

fn content() -> Bytes {
    (0..1_000_000u32).map(|n| (n * 7 % 251) as u8).collect()
}

/// What the storage does with its `n`th PATCH or HEAD.
#[derive(Clone, Copy)]
enum Act {
    /// As it should.
    Well,
    /// Keeps so many bytes and cuts the connection.
    Cut(usize),
    /// Keeps so many bytes and says so.
    Part(usize),
    /// Refuses the offset.
    Conflict,
    /// Names so much less than has arrived.
    Behind(usize),
    /// Answers as a gateway whose storage is away.
    Away,
}

#[derive(Default)]
struct Storage {
    arrived: Vec<u8>,
    /// Offsets of the PATCH requests.
    offsets: Vec<usize>,
    heads: usize,
}

/// A storage with its manager: acts by `patches` and `heads`, well when there are no more.
async fn storage(
    patches: &'static [Act],
    heads: &'static [Act],
) -> (Client, SocketAddr, Arc<Mutex<Storage>>) {
    let state = Arc::new(Mutex::new(Storage::default()));
    let shared = state.clone();
    let (address, _) = play(move |exchange| {
        let state = shared.clone();
        async move {
            match exchange.line.split(' ').next().unwrap() {
                "POST" => address_of_storage(exchange).await,
                "HEAD" => head(exchange, &state, heads).await,
                _ => patch(exchange, &state, patches).await,
            }
        }
        .boxed()
    })
    .await;
    (near(address), address, state)
}

async fn address_of_storage(mut exchange: Exchange) {
    exchange.body().await;
    let host = exchange.header("host").unwrap().to_owned();
    let body = format!(r#"{{"token":"{TOKEN}","url":"http://{host}/upload"}}"#);
    exchange.answer("200 OK", "", body).await;
}

async fn head(exchange: Exchange, state: &Mutex<Storage>, acts: &[Act]) {
    let (number, arrived) = {
        let mut state = state.lock().unwrap();
        state.heads += 1;
        (state.heads - 1, state.arrived.len())
    };
    let said = match acts.get(number) {
        Some(Act::Cut(_)) => return,
        Some(Act::Behind(less)) => arrived - less,
        _ => arrived,
    };
    let headers = format!("upload-offset: {said}\r\n");
    exchange.answer("200 OK", &headers, "").await;
}

async fn patch(mut exchange: Exchange, state: &Mutex<Storage>, acts: &[Act]) {
    assert!(exchange.line.ends_with(&format!("/upload?token={TOKEN}")));
    assert_eq!(exchange.header("tus-resumable"), Some("1.0.0"));
    let offset: usize = exchange.header("upload-offset").unwrap().parse().unwrap();
    let (number, arrived) = {
        let mut state = state.lock().unwrap();
        state.offsets.push(offset);
        (state.offsets.len() - 1, state.arrived.len())
    };
    let act = match acts.get(number) {
        None if offset != arrived => Act::Conflict,
        None => Act::Well,
        Some(act) => *act,
    };
    match act {
        Act::Cut(count) => {
            let mut bytes = vec![0; count];
            exchange.stream.read_exact(&mut bytes).await.unwrap();
            state.lock().unwrap().arrived.extend(bytes);
        }
        Act::Conflict => {
            exchange.body().await;
            exchange.answer("409 Conflict", "", "").await;
        }
        Act::Away => {
            exchange.body().await;
            exchange.answer("502 Bad Gateway", "", "<html>").await;
        }
        Act::Well | Act::Part(_) | Act::Behind(_) => {
            let mut bytes = exchange.body().await;
            if let Act::Part(count) = act {
                bytes.truncate(count);
            }
            let now = {
                let mut state = state.lock().unwrap();
                state.arrived.extend(bytes);
                state.arrived.len()
            };
            let headers = format!("upload-offset: {now}\r\n");
            exchange.answer("204 No Content", &headers, "").await;
        }
    }
}

async fn begin(client: &Client, size: u64) -> Upload {
    client.upload("data", "a/b.bin", size).await.unwrap()
}

/// Sends everything in two pieces.
async fn send_all(client: &Client) -> Result<(), Error> {
    let content = content();
    let mut upload = begin(client, content.len() as u64).await;
    assert_eq!(upload.send(content.slice(..600_000)).await?, 600_000);
    assert!(!upload.is_complete());
    assert_eq!(upload.send(content.slice(600_000..)).await?, 1_000_000);
    assert!(upload.is_complete());
    Ok(())
}

#[tokio::test]
async fn an_upload_goes_on_where_the_storage_says() {
    let (client, _, state) = storage(&[Act::Well, Act::Cut(1000)], &[]).await;
    send_all(&client).await.unwrap();
    let state = state.lock().unwrap();
    assert_eq!(state.offsets, [0, 600_000, 601_000]);
    assert!(state.arrived == content());
}

#[tokio::test]
async fn a_piece_that_arrived_whole_before_the_cut_is_not_sent_again() {
    let (client, _, state) = storage(&[Act::Cut(600_000)], &[]).await;
    send_all(&client).await.unwrap();
    let state = state.lock().unwrap();
    assert_eq!(state.offsets, [0, 600_000]);
    assert!(state.arrived == content());
}

#[tokio::test]
async fn a_storage_that_is_away_for_longer_is_asked_again() {
    let (client, _, state) = storage(&[Act::Cut(1000), Act::Away], &[Act::Cut(0)]).await;
    send_all(&client).await.unwrap();
    let state = state.lock().unwrap();
    assert_eq!(state.offsets, [0, 1000, 1000, 600_000]);
    assert!(state.arrived == content());
}

#[tokio::test]
async fn a_storage_that_still_writes_what_came_before_the_cut_is_believed_later() {
    let (client, _, state) = storage(&[Act::Cut(1000)], &[Act::Behind(400)]).await;
    send_all(&client).await.unwrap();
    let state = state.lock().unwrap();
    assert_eq!(state.offsets, [0, 600, 1000, 600_000]);
    assert!(state.arrived == content());
}

#[tokio::test]
async fn what_the_storage_did_not_take_is_sent_again() {
    let (client, _, state) = storage(&[Act::Part(250_000)], &[]).await;
    send_all(&client).await.unwrap();
    let state = state.lock().unwrap();
    assert_eq!(state.offsets, [0, 250_000, 600_000]);
    assert!(state.arrived == content());
}

#[tokio::test]
async fn an_upload_that_somebody_else_writes_to_stops() {
    let (client, _, state) = storage(&[Act::Conflict], &[]).await;
    let error = send_all(&client).await.unwrap_err();
    assert!(matches!(&error, Error::UploadDisturbed { path } if path == "a/b.bin"));
    assert_eq!(state.lock().unwrap().offsets, [0]);
}

#[tokio::test]
async fn an_empty_file_takes_one_piece() {
    let (client, _, state) = storage(&[], &[]).await;
    let mut upload = begin(&client, 0).await;
    assert_eq!(upload.send(Bytes::new()).await.unwrap(), 0);
    assert!(upload.is_complete());
    assert_eq!(state.lock().unwrap().offsets, [0]);
}

#[tokio::test]
async fn a_storage_that_stays_away_is_given_up() {
    const AWAY: &[Act] = &[Act::Away; 50];
    let (client, _, state) = storage(AWAY, &[]).await;
    let mut upload = begin(&client, 10).await;
    // The pauses between the tries pass at once.
    tokio::time::pause();
    let error = upload.send(Bytes::from_static(b"0123456789")).await;
    assert_eq!(error.unwrap_err().status(), Some(502));
    let state = state.lock().unwrap();
    assert!(
        (3..=10).contains(&state.offsets.len()),
        "{:?}",
        state.offsets
    );
}

/// A storage to read from: each request is answered by `play` with the range it asks for.
async fn source(
    play_one: fn(Exchange, Option<usize>) -> futures_util::future::BoxFuture<'static, ()>,
) -> Client {
    let (address, _) = play(move |exchange| {
        async move {
            if exchange.line.starts_with("POST") {
                return address_of_storage(exchange).await;
            }
            let range = exchange.header("range").map(|range| {
                let from = range.strip_prefix("bytes=").unwrap();
                from.strip_suffix('-').unwrap().parse().unwrap()
            });
            play_one(exchange, range).await;
        }
        .boxed()
    })
    .await;
    near(address)
}

/// Reads from `offset` on until the end or an error.
async fn read(client: &Client, offset: usize) -> (Vec<u8>, Option<Error>) {
    let stream = client.download("data", "a/b.bin", offset as u64).await;
    let mut stream = stream.unwrap();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => bytes.extend(chunk),
            Err(error) => return (bytes, Some(error)),
        }
    }
    (bytes, None)
}

#[tokio::test]
async fn a_download_that_was_cut_says_so_and_goes_on() {
    let client = source(|mut exchange, range| {
        async move {
            let content = content();
            match range {
                None => {
                    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
                    exchange.say(head).await;
                    exchange.say(&content[..400_000]).await;
                }
                Some(from) => {
                    let headers = format!("content-range: bytes {from}-999999/1000000\r\n");
                    let status = "206 Partial Content";
                    exchange.answer(status, &headers, &content[from..]).await;
                }
            }
        }
        .boxed()
    })
    .await;
    let (mut bytes, error) = read(&client, 0).await;
    let error = error.expect("half a file is no file");
    assert!(error.is_temporary(), "{error:?}");
    assert!(!all_of(&error).contains(TOKEN));
    assert_eq!(bytes.len(), 400_000);
    let (rest, error) = read(&client, bytes.len()).await;
    assert!(error.is_none());
    bytes.extend(rest);
    assert!(bytes == content());
}

#[tokio::test]
async fn a_storage_that_knows_no_ranges_is_read_from_the_beginning() {
    let client =
        source(|exchange, _| async move { exchange.answer("200 OK", "", content()).await }.boxed())
            .await;
    let (bytes, error) = read(&client, 400_001).await;
    assert!(error.is_none());
    assert!(bytes == content()[400_001..]);
}

#[tokio::test]
async fn a_range_that_begins_earlier_or_later_is_noticed() {
    let client = source(|exchange, from| {
        async move {
            let begin = match from.unwrap() {
                400_001 => 400_000,
                from => from + 10,
            };
            let headers = format!("content-range: bytes {begin}-999999/1000000\r\n");
            let rest = content().slice(begin..);
            exchange.answer("206 Partial Content", &headers, rest).await;
        }
        .boxed()
    })
    .await;
    let (bytes, _) = read(&client, 400_001).await;
    assert!(bytes == content()[400_001..]);
    let late = client.download("data", "a/b.bin", 7).await.err().unwrap();
    assert!(matches!(late, Error::Answer { .. }), "{late:?}");
}

#[tokio::test]
async fn a_file_that_has_become_shorter_is_a_refusal() {
    let client = source(|exchange, _| {
        async move { exchange.answer("416 Range Not Satisfiable", "", "").await }.boxed()
    })
    .await;
    let error = client.download("data", "b", 9).await.err().unwrap();
    assert_eq!(error.status(), Some(416));
}

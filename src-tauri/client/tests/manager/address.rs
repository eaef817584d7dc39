//! Managers to play: one that speaks HTTP properly, and one that does to a connection what it
//! likes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use client::{Client, Keypair};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub(crate) const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// A manager that answers by `router`.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// A request of which only the head has been read, and what it came through.
pub(crate) struct Exchange {
    /// The how manieth request this is, from 0.
    pub(crate) number: usize,
    /// `GET /folders?x=y`.
    pub(crate) line: String,
    head: String,
    pub(crate) stream: TcpStream,
}

impl Exchange {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) async fn body(&mut self) -> Vec<u8> {
        let length = self.header("content-length").unwrap_or("0");
        let mut body = vec![0; length.parse().unwrap()];
        self.stream.read_exact(&mut body).await.unwrap();
        body
    }

    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Answers and ends the connection.
    pub(crate) async fn answer(mut self, status: &str, headers: &str, body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let head = format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        self.say(head).await;
        // A client that has gone is the business of the test.
        let _ = self.stream.write_all(body).await;
        let _ = self.stream.shutdown().await;
    }
}

/// A manager that does with every connection what `play` does.
pub(crate) async fn play<P>(play: P) -> (SocketAddr, Arc<AtomicUsize>)
where
    P: Fn(Exchange) -> BoxFuture<'static, ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            // A connection kept for later and then closed carries no request.
            if head.is_empty() {
                continue;
            }
            let head = String::from_utf8(head).unwrap();
            let line = head.split(" HTTP/").next().unwrap().to_owned();
            let number = count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(play(Exchange {
                number,
                line,
                head,
                stream,
            }));
        }
    });
    (address, asked)
}

pub(crate) fn keypair() -> Keypair {
    Keypair {
        access_key: ACCESS_KEY.to_owned(),
        secret_key: SECRET_KEY.into(),
    }
}

/// A client of a manager on this computer.
pub(crate) fn near(address: SocketAddr) -> Client {
    Client::new(&format!("http://{address}"), Some(keypair())).unwrap()
}

/// A client that does not know that its manager is on this computer: between the two is a network
/// that may fail.
pub(crate) fn far(address: SocketAddr) -> Client {
    Client::new(
        &format!("http://0.0.0.0:{}", address.port()),
        Some(keypair()),
    )
    .unwrap()
}

/// All that a log or a report of `error` could show.
pub(crate) fn all_of(error: &client::Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += &format!(" {error} {error:?}");
        cause = error.source();
    }
    text
}

//! A manager and an app proxy that only the organisation's proxy can reach.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use client::{Client, Keypair, Network, StartOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::address::{ACCESS_KEY, SECRET_KEY, serve};
use crate::app_proxy::{ID, NO_UPGRADE, manager, service_port, talk};

/// A SOCKS 5 proxy without a password (RFC 1928) for which every name is this computer; which names
/// it was asked for.
pub(crate) async fn socks() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass(client, seen.clone()));
        }
    });
    (port, asked)
}

async fn pass(mut client: TcpStream, asked: Arc<Mutex<Vec<String>>>) {
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting).await.unwrap();
    let mut methods = vec![0; greeting[1].into()];
    client.read_exact(&mut methods).await.unwrap();
    client.write_all(&[5, 0]).await.unwrap();
    let mut request = [0; 5];
    client.read_exact(&mut request).await.unwrap();
    assert_eq!(request[3], 3, "a name, not an address");
    let mut name = vec![0; request[4].into()];
    client.read_exact(&mut name).await.unwrap();
    let port = client.read_u16().await.unwrap();
    asked.lock().unwrap().push(String::from_utf8(name).unwrap());
    let mut upstream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port)))
        .await
        .unwrap();
    client
        .write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
        .await
        .unwrap();
    let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
}

fn through(port: u16) -> Network {
    Network {
        proxy: Some(format!("socks5h://127.0.0.1:{port}")),
        ..Network::default()
    }
}

#[tokio::test]
async fn requests_and_events_go_through_the_proxy() {
    let (port, asked) = socks().await;
    let events = || async {
        let body = "event: session_started\ndata: {\"reason\":\"\",\"sessionName\":\"one\",\
            \"ownerAccessKey\":\"A\",\"sessionId\":\"00000000-0000-0000-0000-000000000001\",\
            \"exitCode\":null}\n\n";
        ([("content-type", "text/event-stream")], body).into_response()
    };
    let root = r#"{"version": "v9.20250722", "manager": "26.9.6"}"#;
    let router = Router::new()
        .route("/", get(move || async move { root }))
        .route("/events/session", get(events));
    let address = serve(router).await;
    let keypair = Keypair {
        access_key: ACCESS_KEY.to_owned(),
        secret_key: SECRET_KEY.to_owned().into(),
    };
    let endpoint = format!("http://manager.corp.test:{}", address.port());
    let client = Client::new(&endpoint, Some(keypair))
        .unwrap()
        .through(through(port));
    assert_eq!(client.announcement().await.unwrap().manager, "26.9.6");
    let mut feed = client.session_events().await.unwrap();
    assert_eq!(feed.next().await.unwrap().event.session_name, "one");
    let asked = asked.lock().unwrap();
    assert!(!asked.is_empty() && asked.iter().all(|name| name == "manager.corp.test"));
}

#[tokio::test]
async fn the_port_of_an_app_proxy_is_reached_through_the_proxy() {
    let (port, asked) = socks().await;
    let refused = get(|| async { (axum::http::StatusCode::BAD_REQUEST, NO_UPGRADE) });
    let gateway = format!("tcp%3A%2F%2Fworker.corp.test%3A{}", service_port().await);
    let (client, _) = manager(refused, gateway).await;
    let client = client.through(through(port));
    let stream = client
        .connect_service(ID, "sshd", &StartOptions::default())
        .await
        .unwrap();
    assert_eq!(talk(stream).await, "hello world");
    // The manager itself is on this computer, which no proxy knows.
    assert_eq!(*asked.lock().unwrap(), ["worker.corp.test"]);
}

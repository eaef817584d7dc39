//! A manager that has no stream to give, and the app proxy beside it, as those of 26.9 answer.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{StatusCode, header};
use axum::routing::get;
use client::{Client, ServiceStream, StartOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::address::{near, serve};

const ROOT: &str = r#"{"version": "v9.20250722", "manager": "26.9.6"}"#;
pub(crate) const ID: &str = "db34d72a-9a0f-4228-84b5-704a2fe45d55";
/// What the manager answers to an upgrade that a gateway has made an ordinary request of.
pub(crate) const NO_UPGRADE: &str = r#"{"type":"https://api.backend.ai/probs/generic-bad-request","title":"Bad request.","error_code":"backendai_generic_bad-request"}"#;
const NO_SERVICE: &str = r#"{"type":"https://api.backend.ai/probs/object-not-found","title":"No such app service.","error_code":"backendai_read_not-found","msg":"second-run:sshd"}"#;
const NO_PROXY: &str = r#"{"type":"https://api.backend.ai/probs/service-unavailable","title":"Service unavailable.","msg":"No coordinator configured for this resource group"}"#;

/// What was asked for, without the root.
pub(crate) type Asked = Arc<Mutex<Vec<String>>>;

/// The rest of a manager and of its app proxy, whose TCP worker leads to `gateway`.
fn answer(asked: &Asked, request: &Request, gateway: &str) -> (StatusCode, String) {
    let path = request.uri().path().to_owned();
    if path == "/" {
        return (StatusCode::OK, ROOT.to_owned());
    }
    let host = request.headers()[header::HOST].to_str().unwrap();
    let start = format!("/session/{ID}/start-service");
    let add = format!("/v2/proxy/the-token/{ID}/add");
    let body = match path.as_str() {
        _ if path == start => {
            format!(r#"{{"token": "the-token", "wsproxy_addr": "http://{host}"}}"#)
        }
        _ if path == add => {
            assert_eq!(request.uri().query(), Some("app=sshd&protocol=tcp"));
            format!(
                r#"{{"code": 200, "url": "http://{host}/v2/proxy/auth?app=sshd&token=the-token"}}"#
            )
        }
        "/v2/proxy/auth" => {
            assert_eq!(request.headers()[header::ACCEPT], "application/json");
            format!(r#"{{"redirect_url": "http://{host}/setup?token=jwt", "reuse": false}}"#)
        }
        "/setup" => {
            let to = format!(
                "http://localhost:45678/start?directTCP=true&auth=jwt&proto=tcp&gateway={gateway}"
            );
            format!(r#"{{"redirect": "{to}", "redirectURI": "{to}"}}"#)
        }
        "/session/_/match" => format!(
            r#"{{"matches": [{{"id": "{ID}", "name": "second-run", "status": "RUNNING"}}]}}"#
        ),
        other => panic!("{other}"),
    };
    asked.lock().unwrap().push(path);
    (StatusCode::OK, body)
}

/// A service that says hello and sends back what it hears.
async fn service() -> String {
    format!("tcp%3A%2F%2F127.0.0.1%3A{}", service_port().await)
}

/// The port of one.
pub(crate) async fn service_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(b"hello ").await.unwrap();
            let mut heard = [0; 5];
            stream.read_exact(&mut heard).await.unwrap();
            stream.write_all(&heard).await.unwrap();
        }
    });
    port
}

pub(crate) async fn manager(
    stream: axum::routing::MethodRouter,
    gateway: String,
) -> (Client, Asked) {
    let asked = Asked::default();
    let seen = asked.clone();
    let router = Router::new()
        .route("/stream/session/{session}/tcpproxy", stream)
        .fallback(move |request: Request| async move { answer(&seen, &request, &gateway) });
    (near(serve(router).await), asked)
}

async fn connect(client: &Client, session: &str) -> Result<ServiceStream, client::Error> {
    let options = StartOptions::default();
    client.connect_service(session, "sshd", &options).await
}

pub(crate) async fn talk(mut stream: ServiceStream) -> String {
    stream.write_all(b"world").await.unwrap();
    stream.flush().await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    said
}

#[tokio::test]
async fn a_gateway_without_websockets_is_gone_round() {
    let refused = get(|| async { (StatusCode::BAD_REQUEST, NO_UPGRADE) });
    let (client, asked) = manager(refused, service().await).await;
    assert_eq!(
        talk(connect(&client, ID).await.unwrap()).await,
        "hello world"
    );
    assert_eq!(asked.lock().unwrap().len(), 4);
    // The app proxy wants an id.
    let stream = connect(&client, "second-run").await.unwrap();
    assert_eq!(talk(stream).await, "hello world");
}

/// The app proxy's port is open to everybody, and most web apps believe whoever comes.
#[tokio::test]
async fn what_guards_itself_not_is_never_put_on_the_app_proxy() {
    let refused = get(|| async { (StatusCode::BAD_REQUEST, NO_UPGRADE) });
    let (client, asked) = manager(refused, service().await).await;
    assert!(!client.is_past_manager());
    let options = StartOptions::default();
    for _ in 0..2 {
        let error = client
            .connect_service(ID, "jupyterlab", &options)
            .await
            .unwrap_err();
        assert_eq!(error.slug(), Some("generic-bad-request"));
    }
    assert!(client.is_past_manager(), "found out");
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_page_in_place_of_a_stream_is_gone_round_too() {
    let page = get(|| async { (StatusCode::BAD_GATEWAY, "<html>502</html>") });
    let (client, _) = manager(page, service().await).await;
    assert_eq!(
        talk(connect(&client, ID).await.unwrap()).await,
        "hello world"
    );
}

#[tokio::test]
async fn a_manager_that_reaches_no_session_is_asked_once() {
    let closed = get(|upgrade: WebSocketUpgrade| async {
        upgrade.on_upgrade(|mut socket: WebSocket| async move {
            let frame = CloseFrame {
                code: 1011,
                reason: "".into(),
            };
            let _ = socket.send(Message::Close(Some(frame))).await;
            while let Some(Ok(_)) = socket.recv().await {}
        })
    });
    let (client, asked) = manager(closed, service().await).await;
    let mut first = connect(&client, ID).await.unwrap();
    first.read(&mut [0]).await.unwrap_err();
    assert!(asked.lock().unwrap().is_empty());
    assert_eq!(
        talk(connect(&client, ID).await.unwrap()).await,
        "hello world"
    );
}

#[tokio::test]
async fn what_the_manager_itself_refuses_stays_refused() {
    let refused = get(|| async { (StatusCode::NOT_FOUND, NO_SERVICE) });
    let (client, asked) = manager(refused, String::new()).await;
    let error = connect(&client, ID).await.unwrap_err();
    assert!(error.is_not_found());
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn without_an_app_proxy_the_first_refusal_is_told() {
    let refused = get(|| async { (StatusCode::BAD_REQUEST, NO_UPGRADE) });
    let router = Router::new()
        .route("/stream/session/{session}/tcpproxy", refused)
        .route("/", get(|| async { ROOT }))
        .fallback(|| async { (StatusCode::SERVICE_UNAVAILABLE, NO_PROXY) });
    let client = near(serve(router).await);
    let error = connect(&client, ID).await.unwrap_err();
    assert_eq!(error.slug(), Some("generic-bad-request"));
}

#[tokio::test]
async fn a_gateway_that_is_no_plain_tcp_is_not_taken() {
    let refused = get(|| async { (StatusCode::BAD_REQUEST, NO_UPGRADE) });
    let gateway = "wss%3A%2F%2Fworker.example.com%3A443".to_owned();
    let (client, asked) = manager(refused, gateway).await;
    let error = connect(&client, ID).await.unwrap_err();
    assert_eq!(error.slug(), Some("generic-bad-request"));
    assert_eq!(asked.lock().unwrap().len(), 4);
}

//! A web app at an app proxy whose workers pass nothing but HTTP, as those of 26.9 answer.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use client::{StartOptions, WebApp};
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite;

use crate::address::{near, serve};
use crate::app_proxy::ID;

const ROOT: &str = r#"{"version": "v9.20250722", "manager": "26.9.6"}"#;

/// The head of the request that came last.
type Last = Arc<Mutex<HeaderMap>>;

/// A worker that serves one app, and lets in whoever shows the permit.
fn worker(last: Last) -> Router {
    let echo = |upgrade: WebSocketUpgrade| async {
        upgrade.on_upgrade(|mut socket: WebSocket| async move {
            while let Some(Ok(Message::Text(text))) = socket.recv().await {
                socket.send(Message::Text(text)).await.unwrap();
            }
        })
    };
    let guard = move |request: Request, next: Next| {
        let last = last.clone();
        async move {
            let headers = request.headers().clone();
            let cookies = headers.get_all(header::COOKIE);
            let mut cookies = cookies
                .iter()
                .flat_map(|it| it.to_str().unwrap().split("; "));
            let known = cookies.any(|it| it == "appproxy_permit=the-permit");
            *last.lock().unwrap() = headers;
            match known {
                true => next.run(request).await,
                false => (StatusCode::FORBIDDEN, "E20004").into_response(),
            }
        }
    };
    Router::new()
        .route(
            "/hello",
            get(|| async {
                let cookies = [
                    (header::SET_COOKIE, "theme=dark"),
                    (header::SET_COOKIE, "appproxy_permit=another; HttpOnly"),
                ];
                let mut response = "hello".into_response();
                for (name, value) in cookies {
                    response.headers_mut().append(name, value.parse().unwrap());
                }
                response
            }),
        )
        .route("/echo", post(|body: Body| async { Response::new(body) }))
        .route(
            "/old",
            get(|headers: HeaderMap| async move {
                let host = headers[header::HOST].to_str().unwrap().to_owned();
                let to = format!("http://{host}/new?a=b");
                (StatusCode::FOUND, [(header::LOCATION, to)])
            }),
        )
        .route("/ws", get(echo))
        .layer(from_fn(guard))
}

/// The manager, its coordinator, and the step at the worker that gives the permit.
async fn app(last: Last) -> (WebApp, String) {
    let origin = format!("http://{}", serve(worker(last)).await);
    let to = format!("{origin}/lab?from=setup");
    let answer = move |request: Request| {
        let to = to.clone();
        async move {
            let host = request.headers()[header::HOST].to_str().unwrap().to_owned();
            let query = request.uri().query().unwrap_or_default();
            let path = request.uri().path().to_owned();
            if path == "/" {
                return ROOT.into_response();
            }
            if path == "/setup" {
                let permit = "appproxy_permit=the-permit; Path=/; HttpOnly; SameSite=Lax";
                let headers = [
                    (header::LOCATION, to.as_str()),
                    (header::SET_COOKIE, permit),
                ];
                return (StatusCode::FOUND, headers).into_response();
            }
            let body = match path.rsplit('/').next() {
                Some("start-service") => {
                    format!(r#"{{"token": "the-token", "wsproxy_addr": "http://{host}"}}"#)
                }
                Some("add") => {
                    assert_eq!(query, "app=jupyterlab&protocol=http&port=8888");
                    format!(r#"{{"code": 200, "url": "http://{host}/v2/proxy/auth?app=a"}}"#)
                }
                Some("auth") => {
                    format!(r#"{{"redirect_url": "http://{host}/setup?token=jwt", "reuse": true}}"#)
                }
                other => panic!("{other:?}"),
            };
            body.into_response()
        }
    };
    let client = near(serve(Router::new().fallback(answer)).await);
    let options = StartOptions {
        port: Some(8888),
        ..StartOptions::default()
    };
    let app = client.web_app(ID.parse().unwrap(), "jupyterlab", &options);
    (app.await.unwrap(), origin)
}

async fn ask(
    app: &WebApp,
    request: hyper::http::request::Builder,
    body: &str,
) -> Response<Vec<u8>> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(app.connect()))
            .await
            .unwrap();
    tokio::spawn(connection);
    let body = Full::new(bytes::Bytes::from(body.to_owned()));
    let response = sender
        .send_request(request.body(body).unwrap())
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes().to_vec())
}

fn local(path: &str) -> hyper::http::request::Builder {
    hyper::Request::builder()
        .uri(path)
        .header(header::HOST, "jupyterlab.first.localhost:8081")
}

#[tokio::test]
async fn an_app_takes_who_shows_the_permit_for_its_owner() {
    let last = Last::default();
    let (app, origin) = app(last.clone()).await;
    let host = origin.strip_prefix("http://").unwrap();
    let request = local("/hello?x=y")
        .header(header::COOKIE, "theme=light")
        .header(header::ORIGIN, "http://jupyterlab.first.localhost:8081")
        .header(
            header::REFERER,
            "http://jupyterlab.first.localhost:8081/lab?a=b",
        )
        .header(header::CONNECTION, "keep-alive, x-of-this-hop")
        .header("x-of-this-hop", "1");
    let answer = ask(&app, request, "").await;
    assert_eq!(
        (answer.status(), answer.body().as_slice()),
        (StatusCode::OK, &b"hello"[..])
    );
    // What the app sees is its own name, and no trace of this computer's.
    let seen = last.lock().unwrap().clone();
    assert_eq!(seen[header::HOST], host);
    assert_eq!(seen[header::ORIGIN], origin);
    assert_eq!(seen[header::REFERER], format!("{origin}/lab?a=b"));
    assert_eq!(
        seen[header::COOKIE],
        "theme=light; appproxy_permit=the-permit"
    );
    assert!(!seen.contains_key("x-of-this-hop"));
    // The permit stays here.
    let cookies: Vec<_> = answer
        .headers()
        .get_all(header::SET_COOKIE)
        .iter()
        .collect();
    assert_eq!(cookies, ["theme=dark"]);
    assert!(!format!("{app:?}").contains("the-permit"));

    let moved = ask(&app, local("/old"), "").await;
    assert_eq!(moved.headers()[header::LOCATION], "/new?a=b");
    let missing = ask(&app, local("/nowhere"), "").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn bodies_pass_as_they_are() {
    let (app, _) = app(Last::default()).await;
    let big = "word ".repeat(300_000);
    let answer = ask(&app, local("/echo").method("POST"), &big).await;
    assert!(answer.into_body() == big.as_bytes());
}

#[tokio::test]
async fn web_sockets_pass() {
    let last = Last::default();
    let (app, origin) = app(last.clone()).await;
    let address = "ws://jupyterlab.first.localhost:8081/ws";
    let (mut socket, _) = tokio_tungstenite::client_async(address, app.connect())
        .await
        .unwrap();
    assert_eq!(
        last.lock().unwrap()[header::HOST],
        origin.strip_prefix("http://").unwrap()
    );
    for word in ["one", "two"] {
        socket.send(tungstenite::Message::text(word)).await.unwrap();
        assert_eq!(
            socket.next().await.unwrap().unwrap(),
            tungstenite::Message::text(word)
        );
    }
}

#[tokio::test]
async fn a_worker_that_is_gone_closes_without_an_answer() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let router = Router::new().fallback(|request: Request| async move {
        let host = request.headers()[header::HOST].to_str().unwrap().to_owned();
        match request.uri().path().rsplit('/').next() {
            Some("") => ROOT.into_response(),
            Some("start-service") => {
                format!(r#"{{"token": "t", "wsproxy_addr": "http://{host}"}}"#).into_response()
            }
            Some("add") => format!(r#"{{"url": "http://{host}/auth"}}"#).into_response(),
            Some("auth") => format!(r#"{{"redirect_url": "http://{host}/setup"}}"#).into_response(),
            _ => {
                // Nobody listens on the discard port.
                let to = (header::LOCATION, "http://127.0.0.1:9/");
                let permit = (header::SET_COOKIE, "appproxy_permit=p");
                (StatusCode::FOUND, [to, permit]).into_response()
            }
        }
    });
    let client = near(serve(router).await);
    let options = StartOptions::default();
    let app = client.web_app(ID.parse().unwrap(), "jupyterlab", &options);
    let mut stream = app.await.unwrap().connect();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "");
}

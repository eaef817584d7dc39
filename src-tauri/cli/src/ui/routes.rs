//! What the page in the browser asks for.

use axum::Json;
use axum::Router;
use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket, WebSocketUpgrade};
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use commands::table::{self, Effect};
use commands::types::{Failure, FailureCode};
use commands::{Message, Surface};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::Value;

use super::Bridge;
use super::guard::Refusal;
use super::pages;

/// Keys typed into a terminal and text pasted into it; files do not pass here.
const LARGEST_BODY: usize = 8 * 1024 * 1024;
/// The header with which the page says that the user has confirmed a command that reaches out of
/// the program. A foreign page can't send it without asking first, which we refuse.
const CONFIRMED: &str = "x-gangway-confirmed";
/// Close code for a stream that ended with a failure (4000 to 4999 are for programs).
const STREAM_FAILED: u16 = 4000;
/// Bytes that a stream may have sent without the page having taken them, as in the window.
const WINDOW: usize = 1024 * 1024;
/// What the WebSocket protocol leaves for the reason.
const LONGEST_REASON: usize = 123;

pub(crate) fn router(bridge: Bridge) -> Router {
    Router::new()
        .route("/api/enter", post(enter))
        .route("/api/call/{name}", post(call))
        .route("/api/stream/{name}", any(stream))
        .fallback(pages::serve)
        .layer(middleware::from_fn_with_state(
            bridge.clone(),
            at_our_address,
        ))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(bridge)
}

fn turned_away(refusal: Refusal) -> Response {
    let (status, message) = match refusal {
        Refusal::Host => (
            StatusCode::MISDIRECTED_REQUEST,
            "this is not the address of this page",
        ),
        Refusal::Origin => (
            StatusCode::FORBIDDEN,
            "another web page can't use this program",
        ),
        Refusal::Session => (
            StatusCode::UNAUTHORIZED,
            "open the address that the terminal shows",
        ),
    };
    let code = match refusal {
        Refusal::Session => FailureCode::NotLoggedIn,
        Refusal::Host | Refusal::Origin => FailureCode::NotAllowedHere,
    };
    (status, Json(Failure::new(code, message))).into_response()
}

async fn at_our_address(State(bridge): State<Bridge>, request: Request, next: Next) -> Response {
    match bridge.guard.check_address(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => turned_away(refusal),
    }
}

#[derive(Deserialize)]
struct Enter {
    token: String,
}

async fn enter(State(bridge): State<Bridge>, Json(enter): Json<Enter>) -> Response {
    match bridge.guard.exchange(&enter.token) {
        Some(cookie) => ([(header::SET_COOKIE, cookie)], StatusCode::NO_CONTENT).into_response(),
        None => turned_away(Refusal::Session),
    }
}

async fn call(
    State(bridge): State<Bridge>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(payload): Json<Value>,
) -> Response {
    if let Err(refusal) = bridge.guard.check(&headers) {
        return turned_away(refusal);
    }
    let host = table::command(&name).is_some_and(|command| command.effect == Effect::Host);
    if host && !headers.contains_key(CONFIRMED) {
        let message = format!("\"{name}\" reaches out of the program and has to be confirmed");
        return failed(&Failure::new(FailureCode::ConfirmationNeeded, message));
    }
    match bridge.table.call(Surface::Http, &name, payload).await {
        Ok(answer) => Json(answer).into_response(),
        Err(failure) => failed(&failure),
    }
}

/// The status is for whoever watches the traffic; the page reads the body.
fn failed(failure: &Failure) -> Response {
    let status = match failure.code.exit_status() {
        2 => StatusCode::BAD_REQUEST,
        3 => StatusCode::NOT_FOUND,
        4 => StatusCode::FORBIDDEN,
        5 => StatusCode::BAD_GATEWAY,
        6 => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, Json(failure)).into_response()
}

async fn stream(
    State(bridge): State<Bridge>,
    Path(name): Path<String>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    // WebSockets know no same-origin rule of their own.
    if !headers.contains_key(header::ORIGIN) {
        return turned_away(Refusal::Origin);
    }
    match bridge.guard.check(&headers) {
        Ok(()) => upgrade.on_upgrade(move |socket| converse(bridge, name, socket)),
        Err(refusal) => turned_away(refusal),
    }
}

/// The first frame is the payload; then the stream runs until one side ends it.
async fn converse(bridge: Bridge, name: String, mut socket: WebSocket) {
    let payload = match socket.recv().await {
        Some(Ok(Frame::Text(text))) => serde_json::from_str(&text).unwrap_or(Value::Null),
        _ => return,
    };
    let mut messages = match bridge.table.stream(Surface::Http, &name, payload).await {
        Ok(messages) => messages,
        Err(failure) => return close(socket, Some(&failure)).await,
    };
    // Bytes that the page has not taken yet.
    let mut under_way = 0_usize;
    loop {
        tokio::select! {
            message = messages.next(), if under_way < WINDOW => {
                let frame = match message {
                    Some(Ok(Message::Json(value))) => Frame::Text(value.to_string().into()),
                    Some(Ok(Message::Binary(bytes))) => {
                        under_way += bytes.len();
                        Frame::Binary(bytes)
                    }
                    Some(Err(failure)) => return close(socket, Some(&failure)).await,
                    None => return close(socket, None).await,
                };
                if socket.send(frame).await.is_err() {
                    return;
                }
            }
            frame = socket.recv() => match frame {
                Some(Ok(Frame::Close(_)) | Err(_)) | None => return,
                Some(Ok(Frame::Text(text))) => {
                    if let Ok(Taken { taken }) = serde_json::from_str(&text) {
                        under_way = under_way.saturating_sub(taken);
                    }
                }
                Some(Ok(_)) => {}
            }
        }
    }
}

/// The page has taken so many bytes.
#[derive(Deserialize)]
struct Taken {
    taken: usize,
}

async fn close(mut socket: WebSocket, failure: Option<&Failure>) {
    let (code, reason) = match failure {
        None => (axum::extract::ws::close_code::NORMAL, String::new()),
        // The page looks its own words up by the code, which is a word without spaces.
        Some(failure) => {
            let reason = format!("{}: {}", failure.code.key(), failure.message);
            (STREAM_FAILED, reason)
        }
    };
    let end = reason.floor_char_boundary(LONGEST_REASON);
    let frame = CloseFrame {
        code,
        reason: reason[..end].into(),
    };
    let _ = socket.send(Frame::Close(Some(frame))).await;
}

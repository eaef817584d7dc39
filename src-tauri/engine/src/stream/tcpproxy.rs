//! A WebSocket for one connection to a port of a session (protocol page "Sessions" §12.2).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use runtime::{FaultKind, RuntimeError};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use uuid::Uuid;
use websocket::{Role, Socket, code, copy};

use crate::activity::OpenConnection;
use crate::app::service::{self, Started, Wish};
use crate::app::session;
use crate::auth::Caller;
use crate::error::Problem;
use crate::rest::extract::Params;
use crate::state::App;
use crate::store::kernel::Kernel as KernelRow;
use crate::store::session::Session;

/// A client may keep a stream in stock for so long before it uses it.
const HOLD_LIMIT: Duration = Duration::from_secs(120);

type Line = Socket<TokioIo<Upgraded>>;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/stream/session/{s}/tcpproxy", get(open))
        .route("/stream/session/{s}/httpproxy", get(open))
}

#[derive(Deserialize)]
struct Query {
    app: String,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    envs: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
    /// Our own: seconds that the app's start may take.
    #[serde(default)]
    start_limit: Option<u32>,
    /// Our own: connect when the first frame arrives.
    #[serde(default)]
    hold: Option<u8>,
}

async fn open(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Params(query): Params<Query>,
    mut request: Request,
) -> Result<Response, Problem> {
    let accept = accept_key(request.headers())?;
    let upgrade = request
        .extensions_mut()
        .remove::<OnUpgrade>()
        .ok_or_else(|| Problem::bad_request("This connection can not be upgraded."))?;
    let (found, kernels) = session::find(&app, &caller, &reference, None).await?;
    let wish = Wish::parse(
        query.app,
        query.port,
        query.envs.as_deref(),
        query.arguments.as_deref(),
    )?
    .within(query.start_limit);
    let started = service::start(&app, &found, &kernels, &wish).await?;
    let hold = query.hold == Some(1);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => {
                let socket = Socket::new(TokioIo::new(upgraded), Role::Server, None);
                let id = found.id;
                let again = hold.then_some(Again {
                    session: found,
                    kernels,
                    wish,
                });
                proxy(app, id, socket, started, again).await;
            }
            Err(error) => tracing::debug!(%error, "the client left during the handshake"),
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// Checks the client's half of the handshake (RFC 6455 §4.2.1) and gives the answer to its key.
fn accept_key(headers: &HeaderMap) -> Result<HeaderValue, Problem> {
    let names = |name: header::HeaderName, wanted: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    if !names(header::CONNECTION, "upgrade") || !names(header::UPGRADE, "websocket") {
        return Err(Problem::bad_request("A WebSocket upgrade is needed here."));
    }
    if !names(header::SEC_WEBSOCKET_VERSION, "13") {
        return Err(Problem::bad_request("Only WebSocket version 13 is known."));
    }
    headers
        .get(header::SEC_WEBSOCKET_KEY)
        .and_then(|key| HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok())
        .ok_or_else(|| Problem::bad_request("The WebSocket key is missing."))
}

/// What it takes to start the service once more.
struct Again {
    session: Session,
    kernels: Vec<KernelRow>,
    wish: Wish,
}

/// Carries one connection; with `again` one after the other, each from the first frame on.
async fn proxy(app: App, session: Uuid, mut socket: Line, started: Started, again: Option<Again>) {
    loop {
        let mut first = Vec::new();
        if again.is_some() {
            first = vec![0; 16 * 1024];
            let begun = tokio::select! {
                begun = socket.begun(&mut first) => begun,
                () = tokio::time::sleep(HOLD_LIMIT) => Ok(None),
                () = app.stop.cancelled() => Ok(None),
            };
            match begun {
                Ok(Some(length)) => first.truncate(length),
                Ok(None) => return close(&mut socket, code::GOING_AWAY, "").await,
                Err(_) => return,
            }
        }
        let mut tcp = match connect(&app, &started, again.as_ref()).await {
            Ok(tcp) => tcp,
            Err(error) => {
                let code = match error.fault() {
                    Some(FaultKind::Refused) => code::TRY_AGAIN,
                    _ => code::INTERNAL,
                };
                let reason = session::chain(&error);
                tracing::debug!(port = started.port, reason, "no connection");
                return close(&mut socket, code, &reason).await;
            }
        };
        // Small messages go out at once: a terminal's key strokes must not wait for each other.
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "nodelay");
        }
        if tcp.write_all(&first).await.is_err() {
            return close(&mut socket, code::GOING_AWAY, "").await;
        }
        drop(first);
        let activity = app.activity.open(session);
        match pump(&app, socket, tcp, again.is_some(), &activity).await {
            Some(reusable) => socket = reusable,
            None => return,
        }
    }
}

async fn connect(
    app: &App,
    started: &Started,
    again: Option<&Again>,
) -> Result<TcpStream, RuntimeError> {
    let refused = match started.kernel.connect(started.port).await {
        Err(error) if matches!(error.fault(), Some(FaultKind::Refused)) => error,
        other => return other,
    };
    // The service may have ended since it was started for this stream.
    let Some(again) = again else {
        return Err(refused);
    };
    let Again {
        session,
        kernels,
        wish,
    } = again;
    match service::start(app, session, kernels, wish).await {
        Ok(started) if !started.was_running => started.kernel.connect(started.port).await,
        _ => Err(refused),
    }
}

/// Copies both ways until one side ends. A side that is slow to take slows the other one down:
/// nothing is read before the last piece is written. The socket comes back where `hold` and both
/// sides have ended as they should.
async fn pump(
    app: &App,
    socket: Line,
    tcp: TcpStream,
    hold: bool,
    activity: &OpenConnection,
) -> Option<Line> {
    let (mut from_client, mut to_client) = tokio::io::split(socket);
    let (mut from_session, mut to_session) = tcp.into_split();
    // What each direction has come to; the client may begin the next connection as soon as both
    // are over.
    let (said, heard) = (AtomicBool::new(false), AtomicBool::new(false));
    let outward = async {
        if let Err(error) = copy(&mut from_session, &mut to_client, |_| activity.packet()).await {
            tracing::debug!(%error, "session side");
        } else if hold {
            said.store(to_client.shutdown().await.is_ok(), Ordering::Relaxed);
        }
    };
    let inward = async {
        let copied = copy(&mut from_client, &mut to_session, |_| activity.packet()).await;
        // It has nothing more to say, and may still listen.
        let _ = to_session.shutdown().await;
        heard.store(copied.is_ok(), Ordering::Relaxed);
        if copied.is_err() || !said.load(Ordering::Relaxed) {
            // Reading goes on so that pings are answered until the session's last byte is out.
            let mut rest = [0; 1024];
            while from_client.read(&mut rest).await.is_ok_and(|read| read > 0) {}
            heard.store(false, Ordering::Relaxed);
        }
    };
    let gone = {
        let mut stopped = std::pin::pin!(app.stop.cancelled());
        tokio::pin!(outward, inward);
        let gone = tokio::select! {
            () = &mut inward => true,
            () = &mut outward => false,
            () = &mut stopped => false,
        };
        if !gone && said.load(Ordering::Relaxed) && !heard.load(Ordering::Relaxed) {
            tokio::select! {
                () = &mut inward => {}
                () = &mut stopped => {}
            }
        }
        gone
    };
    if gone {
        // Nobody is there to be told anything.
        return None;
    }
    let mut socket = from_client.unsplit(to_client);
    if heard.load(Ordering::Relaxed) && socket.reuse() {
        return Some(socket);
    }
    close(&mut socket, code::GOING_AWAY, "").await;
    None
}

async fn close(socket: &mut Line, code: u16, reason: &str) {
    // The peer may be gone as well.
    let _ = socket.close(code, reason).await;
}

//! A WebSocket for one connection to a port of a session (protocol page "Sessions" §12.2).

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, rejection};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use runtime::FaultKind;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use uuid::Uuid;

use crate::activity::OpenConnection;
use crate::app::service::{self, Started, Wish};
use crate::app::session;
use crate::auth::Caller;
use crate::error::Problem;
use crate::rest::extract::Params;
use crate::state::App;

/// The largest message that is taken, in bytes.
const MAX_MESSAGE: usize = 16 << 20;
/// A connection's buffers begin with this many bytes: most carry little.
const FIRST_CHUNK: usize = 64 << 10;
/// Bulk transfers grow them to this: larger ones cost memory and gain nothing.
const LARGEST_CHUNK: usize = 256 << 10;

/// The other end is gone.
const GOING_AWAY: u16 = 1001;
/// It could not be reached for a reason that will not pass by itself.
const INTERNAL_ERROR: u16 = 1011;
/// Nothing listens there yet.
const TRY_AGAIN_LATER: u16 = 1013;

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
}

async fn open(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Params(query): Params<Query>,
    upgrade: Result<WebSocketUpgrade, rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|error| Problem::bad_request(error.body_text()))?;
    let (found, kernels) = session::find(&app, &caller, &reference, None).await?;
    let wish = Wish::parse(
        query.app,
        query.port,
        query.envs.as_deref(),
        query.arguments.as_deref(),
    )?;
    let started = service::start(&app, &found, &kernels, wish).await?;
    let upgrade = upgrade
        .read_buffer_size(FIRST_CHUNK)
        .write_buffer_size(0)
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE);
    Ok(upgrade.on_upgrade(move |socket| proxy(app, found.id, socket, started)))
}

async fn proxy(app: App, session: Uuid, mut socket: WebSocket, started: Started) {
    let tcp = match started.kernel.connect(started.port).await {
        Ok(tcp) => tcp,
        Err(error) => {
            let code = match error.fault() {
                Some(FaultKind::Refused) => TRY_AGAIN_LATER,
                _ => INTERNAL_ERROR,
            };
            let reason = session::chain(&error);
            tracing::debug!(port = started.port, reason, "no connection");
            close(&mut socket, code, &reason).await;
            return;
        }
    };
    // Small messages go out at once: a terminal's key strokes must not wait for each other.
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "nodelay");
    }
    let activity = app.activity.open(session);
    pump(&app, socket, tcp, &activity).await;
}

/// Copies both ways until one side ends. A side that is slow to take slows the other one down:
/// nothing is read before the last piece is written.
async fn pump(app: &App, socket: WebSocket, tcp: TcpStream, activity: &OpenConnection) {
    let (mut sink, stream) = socket.split();
    let (reader, writer) = tcp.into_split();
    let code = tokio::select! {
        // The client left: nobody is there to be told anything.
        () = inward(stream, writer, activity) => None,
        code = outward(reader, &mut sink, activity) => code,
        () = app.stop.cancelled() => Some(GOING_AWAY),
    };
    if let Some(code) = code {
        let frame = CloseFrame {
            code,
            reason: "".into(),
        };
        // The peer may be gone as well.
        let _ = sink.send(Message::Close(Some(frame))).await;
    }
}

/// Client to session. Text is ignored, pings are answered by the socket itself.
async fn inward(
    mut stream: SplitStream<WebSocket>,
    mut writer: OwnedWriteHalf,
    activity: &OpenConnection,
) {
    while let Some(Ok(message)) = stream.next().await {
        match message {
            Message::Binary(bytes) => {
                activity.packet();
                if writer.write_all(&bytes).await.is_err() {
                    // The session closed its side; what it still has to say comes out first.
                    break;
                }
            }
            Message::Close(_) => return,
            Message::Text(_) | Message::Ping(_) | Message::Pong(_) => {}
        }
    }
    // Reading goes on so that pings are answered until the session's last byte is out.
    while let Some(Ok(message)) = stream.next().await {
        if matches!(message, Message::Close(_)) {
            return;
        }
    }
}

/// Session to client. The code to close with, or none when the client is gone.
async fn outward(
    reader: OwnedReadHalf,
    sink: &mut SplitSink<WebSocket, Message>,
    activity: &OpenConnection,
) -> Option<u16> {
    let mut chunk = FIRST_CHUNK;
    let mut buffer = BytesMut::new();
    loop {
        // The buffer is there only while there is something to read: idle connections hold none.
        if reader.readable().await.is_err() {
            return Some(INTERNAL_ERROR);
        }
        buffer.reserve(chunk);
        match reader.try_read_buf(&mut buffer) {
            Ok(0) => return Some(GOING_AWAY),
            Ok(read) => {
                activity.packet();
                if read == chunk {
                    chunk = (chunk * 2).min(LARGEST_CHUNK);
                }
                let bytes: Bytes = buffer.split().freeze();
                if sink.send(Message::Binary(bytes)).await.is_err() {
                    return None;
                }
                if read < FIRST_CHUNK / 4 {
                    buffer = BytesMut::new();
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => {
                tracing::debug!(%error, "session side");
                return Some(GOING_AWAY);
            }
        }
    }
}

async fn close(socket: &mut WebSocket, code: u16, reason: &str) {
    // A close frame carries at most 123 bytes of reason.
    let mut end = reason.len().min(120);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let frame = CloseFrame {
        code,
        reason: reason[..end].into(),
    };
    let _ = socket.send(Message::Close(Some(frame))).await;
}

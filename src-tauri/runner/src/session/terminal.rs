//! The web terminal (service `ttyd`): a page, and shells that outlive it.
//!
//! A shell is named by the page's address (`?id=`), so that a closed page finds its shell again,
//! with what it showed, and several pages can share one.

use std::{
    collections::{HashMap, VecDeque},
    io,
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::{
        Query, State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use ssh::server::PtySize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::broadcast,
};

use super::{Session, children::Children, environ, pty::Pty};

/// How much of a shell's output is kept for pages that come later, in bytes.
const SCROLLBACK: usize = 512 << 10;
/// Shells that one session may have open by the web terminal.
const MAX_SHELLS: usize = 32;
/// Told to the page when its shell has ended.
const SHELL_ENDED: u16 = 4000;

/// Shells by name.
#[derive(Default)]
pub(super) struct Terminals(Mutex<HashMap<String, Arc<Shell>>>);

struct Shell {
    pty: Pty,
    past: Mutex<Past>,
}

struct Past {
    bytes: VecDeque<u8>,
    /// Gone when the shell has ended: then its listeners hear the end.
    live: Option<broadcast::Sender<Bytes>>,
}

/// Serves the page and its shells for the life of the session.
pub(super) async fn serve(listener: TcpListener, session: Arc<Session>) {
    const JS: &str = "text/javascript; charset=utf-8";
    let file = |kind: &'static str, body: &'static str| {
        get(move || async move {
            (
                [
                    (header::CONTENT_TYPE, kind),
                    (header::CACHE_CONTROL, "no-cache"),
                ],
                body,
            )
        })
    };
    let routes = Router::new()
        .route(
            "/",
            file(
                "text/html; charset=utf-8",
                include_str!("../../assets/terminal.html"),
            ),
        )
        .route(
            "/terminal.js",
            file(JS, include_str!("../../assets/terminal.js")),
        )
        .route("/xterm.js", file(JS, include_str!("../../assets/xterm.js")))
        .route(
            "/addon-fit.js",
            file(JS, include_str!("../../assets/addon-fit.js")),
        )
        .route(
            "/addon-web-links.js",
            file(JS, include_str!("../../assets/addon-web-links.js")),
        )
        .route(
            "/xterm.css",
            file(
                "text/css; charset=utf-8",
                include_str!("../../assets/xterm.css"),
            ),
        )
        .route("/ws", get(upgrade))
        .with_state(session);
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::warn!(%error, "the web terminal stopped");
    }
}

#[derive(Deserialize)]
struct Which {
    #[serde(default = "main_shell")]
    id: String,
}

fn main_shell() -> String {
    "main".to_owned()
}

async fn upgrade(
    State(session): State<Arc<Session>>,
    Query(which): Query<Which>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !same_origin(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    match session.terminals.find_or_start(&session, &which.id) {
        Ok(shell) => upgrade.on_upgrade(move |socket| attend(socket, shell)),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

/// A shell must not be had by any page that the user happens to look at: browsers name the page
/// that opens a WebSocket, and only our own may.
fn same_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match (text(header::ORIGIN), text(header::HOST)) {
        (Some(origin), Some(host)) => origin
            .split_once("://")
            .is_some_and(|(_, page)| page == host),
        (origin, _) => origin.is_none(),
    }
}

impl Terminals {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Shell>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find_or_start(&self, session: &Arc<Session>, id: &str) -> io::Result<Arc<Shell>> {
        let mut shells = self.lock();
        if let Some(shell) = shells.get(id) {
            return Ok(shell.clone());
        }
        if shells.len() >= MAX_SHELLS {
            return Err(io::Error::other("too many terminals are open"));
        }
        let (pty, path) = Pty::open(PtySize {
            columns: 80,
            rows: 24,
        })?;
        let mut command = Children::command(environ::shell(), Some(&path));
        command.arg("-l").envs(session.environ.iter());
        command
            .env("TERM", "xterm-256color")
            .env("COLORTERM", "truecolor");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let started = session.children.spawn(&mut command)?;
        let shell = Arc::new(Shell {
            pty: pty.clone(),
            past: Mutex::new(Past {
                bytes: VecDeque::new(),
                live: Some(broadcast::channel(256).0),
            }),
        });
        shells.insert(id.to_owned(), shell.clone());
        let keeper = shell.clone();
        let session = session.clone();
        let id = id.to_owned();
        tokio::spawn(async move {
            tokio::select! {
                () = keeper.record(pty) => {}
                // Programs left behind may keep the terminal open; the shell is gone all the same.
                _ = started.exit => {}
            }
            session.terminals.lock().remove(&id);
            keeper.past().live = None;
        });
        Ok(shell)
    }
}

impl Shell {
    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn record(&self, mut pty: Pty) {
        let mut buffer = vec![0; 32 << 10];
        while let Ok(read @ 1..) = pty.read(&mut buffer).await {
            let bytes = Bytes::copy_from_slice(&buffer[..read]);
            let mut past = self.past();
            past.bytes.extend(&bytes);
            let excess = past.bytes.len().saturating_sub(SCROLLBACK);
            past.bytes.drain(..excess);
            if let Some(live) = &past.live {
                // No page may be looking at the moment.
                let _ = live.send(bytes);
            }
        }
    }

    /// What was shown so far, and what comes; taken together, so that nothing falls in between.
    fn look(&self) -> (Bytes, Option<broadcast::Receiver<Bytes>>) {
        let past = self.past();
        let bytes: Vec<u8> = past.bytes.iter().copied().collect();
        (
            Bytes::from(bytes),
            past.live.as_ref().map(broadcast::Sender::subscribe),
        )
    }
}

#[derive(Deserialize)]
struct Size {
    columns: u16,
    rows: u16,
}

async fn attend(mut socket: WebSocket, shell: Arc<Shell>) {
    let (past, live) = shell.look();
    if socket.send(Message::Binary(past)).await.is_err() {
        return;
    }
    let Some(mut live) = live else {
        return farewell(socket).await;
    };
    let mut pty = shell.pty.clone();
    loop {
        tokio::select! {
            output = live.recv() => {
                let sent = match output {
                    Ok(bytes) => socket.send(Message::Binary(bytes)).await,
                    // The page is slower than the shell: it starts again from the scrollback.
                    Err(broadcast::error::RecvError::Lagged(_)) => {
                        let (past, _) = shell.look();
                        live = live.resubscribe();
                        let mut screen = b"\x1bc".to_vec();
                        screen.extend_from_slice(&past);
                        socket.send(Message::Binary(screen.into())).await
                    }
                    Err(broadcast::error::RecvError::Closed) => return farewell(socket).await,
                };
                if sent.is_err() {
                    return;
                }
            }
            input = socket.recv() => match input {
                Some(Ok(Message::Binary(bytes))) => {
                    if pty.write_all(&bytes).await.is_err() {
                        return farewell(socket).await;
                    }
                }
                Some(Ok(Message::Text(text))) => {
                    if let Ok(Size { columns: columns @ 1.., rows: rows @ 1.. }) = serde_json::from_str(&text) {
                        // A terminal that is just ending has no size any more.
                        let _ = shell.pty.resize(PtySize { columns, rows });
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
}

async fn farewell(mut socket: WebSocket) {
    let frame = CloseFrame {
        code: SHELL_ENDED,
        reason: "the shell has ended".into(),
    };
    // The page may be gone already.
    let _ = socket.send(Message::Close(Some(frame))).await;
}

//! The web terminal (service `ttyd`): a page, and shells that outlive it.
//!
//! A shell is named by the page's address (`?id=`), so that a closed page finds its shell again,
//! with what it showed, and several pages can share one. `GET shells` lists them, `DELETE
//! shells/<id>` hangs one up. A shell never runs further ahead of who looks at it than a moment:
//! its output waits, as on any terminal.

use std::{
    collections::{HashMap, VecDeque},
    io,
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{
        Path, Query, State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{delete, get},
};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use protocol::runner::shell::{ENDED, ShellInfo, Size};
use serde::Deserialize;
use ssh::server::PtySize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

use super::{Session, children::Children, environ, pty::Pty};

/// How much of a shell's output is kept for pages that come later, in bytes.
const SCROLLBACK: usize = 512 << 10;
/// Shells that one session may have open by the web terminal.
const MAX_SHELLS: usize = 32;
/// Pieces of at most 32 KiB that wait for one page; the shell is stopped while there are more.
const WAITING: usize = 16;
/// A page that takes nothing for so long (its computer sleeps) holds the shell up no longer; it
/// starts again from the scrollback.
const PATIENCE: Duration = Duration::from_secs(5);
/// What a shell wrote just before its end is waited for so long.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Shells by name.
#[derive(Default)]
pub(super) struct Terminals(Mutex<HashMap<String, Arc<Shell>>>);

struct Shell {
    pty: Pty,
    pid: Pid,
    started: SystemTime,
    past: Mutex<Past>,
}

struct Past {
    bytes: VecDeque<u8>,
    /// Who looks. Gone when the shell has ended: then they hear the end.
    pages: Option<Vec<mpsc::Sender<Bytes>>>,
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
        .route("/shells", get(list))
        .route("/shells/{id}", delete(hang_up))
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

async fn list(State(session): State<Arc<Session>>, headers: HeaderMap) -> Response {
    if !same_origin(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    Json(session.terminals.list()).into_response()
}

async fn hang_up(
    State(session): State<Arc<Session>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> StatusCode {
    if !same_origin(&headers) {
        return StatusCode::FORBIDDEN;
    }
    let shell = session.terminals.lock().get(&id).cloned();
    match shell {
        Some(shell) => {
            // It may just be ending by itself.
            let _ = killpg(shell.pid, Signal::SIGHUP);
            StatusCode::NO_CONTENT
        }
        None => StatusCode::NOT_FOUND,
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
            pid: started.pid,
            started: SystemTime::now(),
            past: Mutex::new(Past {
                bytes: VecDeque::new(),
                pages: Some(Vec::new()),
            }),
        });
        shells.insert(id.to_owned(), shell.clone());
        let keeper = shell.clone();
        let session = session.clone();
        let id = id.to_owned();
        tokio::spawn(async move {
            let mut record = std::pin::pin!(keeper.record(pty));
            tokio::select! {
                () = &mut record => {}
                // Programs left behind may keep the terminal open; the shell is gone all the
                // same, once its last words were taken.
                _ = started.exit => {
                    let _ = tokio::time::timeout(LAST_WORDS, record).await;
                }
            }
            session.terminals.lock().remove(&id);
            keeper.past().pages = None;
        });
        Ok(shell)
    }

    /// The shells that run, the oldest first.
    fn list(&self) -> Vec<ShellInfo> {
        let shells = self.lock();
        let mut oldest_first: Vec<(&String, &Arc<Shell>)> = shells.iter().collect();
        oldest_first.sort_by_key(|(id, shell)| (shell.started, *id));
        oldest_first
            .into_iter()
            .map(|(id, shell)| ShellInfo {
                id: id.clone(),
                started: shell
                    .started
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default()
                    .as_secs(),
                running: shell.running(),
                pages: shell.watched(),
            })
            .collect()
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
            let pages = self.keep(&bytes);
            let mut too_slow = Vec::new();
            for page in pages {
                if let Err(mpsc::error::TrySendError::Full(bytes)) = page.try_send(bytes.clone())
                    && tokio::time::timeout(PATIENCE, page.send(bytes))
                        .await
                        .is_err()
                {
                    too_slow.push(page);
                }
            }
            if let Some(pages) = &mut self.past().pages {
                pages.retain(|page| {
                    !page.is_closed() && !too_slow.iter().any(|slow| slow.same_channel(page))
                });
            }
        }
    }

    /// Adds to the scrollback; who has to be told. Taken together, so that a page that comes now
    /// sees each byte once.
    fn keep(&self, bytes: &Bytes) -> Vec<mpsc::Sender<Bytes>> {
        let mut past = self.past();
        past.bytes.extend(bytes);
        let excess = past.bytes.len().saturating_sub(SCROLLBACK);
        past.bytes.drain(..excess);
        past.pages.clone().unwrap_or_default()
    }

    /// What was shown so far, and what comes; taken together, so that nothing falls in between.
    fn look(&self) -> (Bytes, Option<mpsc::Receiver<Bytes>>) {
        let mut past = self.past();
        let bytes: Vec<u8> = past.bytes.iter().copied().collect();
        let live = past.pages.as_mut().map(|pages| {
            let (page, live) = mpsc::channel(WAITING);
            pages.push(page);
            live
        });
        (Bytes::from(bytes), live)
    }

    fn watched(&self) -> usize {
        let past = self.past();
        let pages = past.pages.iter().flatten();
        pages.filter(|page| !page.is_closed()).count()
    }

    /// The name of the program in the foreground.
    fn running(&self) -> String {
        let group = self.pty.foreground().unwrap_or(self.pid.as_raw());
        let name = std::fs::read_to_string(format!("/proc/{group}/comm"));
        name.unwrap_or_default().trim_end().to_owned()
    }
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
                    Some(bytes) => socket.send(Message::Binary(bytes)).await,
                    // The shell has ended, or waits for this page no longer.
                    None => {
                        let (past, Some(anew)) = shell.look() else {
                            return farewell(socket).await;
                        };
                        live = anew;
                        let mut screen = b"\x1bc".to_vec();
                        screen.extend_from_slice(&past);
                        socket.send(Message::Binary(screen.into())).await
                    }
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
        code: ENDED,
        reason: "the shell has ended".into(),
    };
    // The page may be gone already.
    let _ = socket.send(Message::Close(Some(frame))).await;
}

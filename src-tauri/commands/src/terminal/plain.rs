//! Terminals of the SSH connection, for managers whose sessions keep no shells. A terminal outlives
//! the page that shows it: a page that is loaded again takes it up where it was, with what was
//! last on the screen.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::ssh::client::{TerminalReader, TerminalRequest, TerminalWriter};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::context::Context;
use crate::session::find_running;
use crate::types::{
    Failure, FailureCode, Nothing, TerminalInfo, TerminalList, TerminalOpen, TerminalOpened,
    TerminalResize,
};

/// What is shown again when a page takes a terminal up.
const SCROLLBACK: usize = 256 * 1024;
/// Pieces that a slow page may be behind; beyond that it starts again from the scrollback.
const BEHIND: usize = 1024;

#[derive(Default)]
pub(super) struct Terminals {
    open: Mutex<HashMap<String, Arc<Terminal>>>,
}

struct Terminal {
    session: String,
    started_at: jiff::Timestamp,
    writer: TerminalWriter,
    screen: Mutex<Screen>,
}

struct Screen {
    scrollback: VecDeque<u8>,
    /// `None` once the shell has ended.
    pages: Option<broadcast::Sender<Bytes>>,
}

impl Terminals {
    fn get(&self, id: &str) -> Result<Arc<Terminal>, Failure> {
        lock(&self.open)
            .get(id)
            .cloned()
            .ok_or_else(|| Failure::new(FailureCode::NotFound, "this terminal has been closed"))
    }
}

impl Terminal {
    fn keep(&self, bytes: Bytes) {
        let mut screen = lock(&self.screen);
        screen.scrollback.extend(&bytes);
        let excess = screen.scrollback.len().saturating_sub(SCROLLBACK);
        screen.scrollback.drain(..excess);
        if let Some(pages) = &screen.pages {
            let _ = pages.send(bytes);
        }
    }

    /// What is on the screen, and what comes after it, without a gap.
    fn watch(&self) -> (Bytes, Option<broadcast::Receiver<Bytes>>) {
        let screen = lock(&self.screen);
        let seen: Vec<u8> = screen.scrollback.iter().copied().collect();
        (
            seen.into(),
            screen.pages.as_ref().map(broadcast::Sender::subscribe),
        )
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens a terminal or takes one up; tells its id, then its bytes until the shell ends.
pub(super) async fn open(
    context: &Context,
    request: TerminalOpen,
) -> Result<(TerminalOpened, impl Stream<Item = Bytes> + Send + use<>), Failure> {
    let known = request.terminal_id.and_then(|id| {
        let terminal = context.terminals().plain.get(&id).ok()?;
        Some((id, terminal))
    });
    let (id, terminal) = match known {
        Some((id, terminal)) => {
            terminal.writer.resize(request.rows, request.cols).await?;
            (id, terminal)
        }
        None => start(context, &request.session, request.rows, request.cols).await?,
    };
    let (seen, pages) = terminal.watch();
    let first = futures_util::stream::iter((!seen.is_empty()).then_some(seen));
    let rest = futures_util::stream::unfold((terminal, pages), |(terminal, pages)| async move {
        let mut pages = pages?;
        match pages.recv().await {
            Ok(bytes) => Some((bytes, (terminal, Some(pages)))),
            Err(broadcast::error::RecvError::Lagged(_)) => {
                // Clear the screen and show what there is: better than a torn one.
                let (seen, pages) = terminal.watch();
                let again = [b"\x1bc".as_slice(), &seen].concat();
                Some((again.into(), (terminal, pages)))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    });
    Ok((TerminalOpened { terminal_id: id }, first.chain(rest)))
}

async fn start(
    context: &Context,
    session: &str,
    rows: u16,
    cols: u16,
) -> Result<(String, Arc<Terminal>), Failure> {
    let client = context.client().await?;
    let row = find_running(&client, session).await?;
    let link = context
        .links()
        .connect(context, &client, row.session_id)
        .await?;
    let request = TerminalRequest {
        term: "xterm-256color".to_owned(),
        rows,
        columns: cols,
        command: None,
    };
    let made = link.terminal(&request).await?;
    let id = Uuid::new_v4().to_string();
    let screen = Screen {
        scrollback: VecDeque::new(),
        pages: Some(broadcast::channel(BEHIND).0),
    };
    let terminal = Arc::new(Terminal {
        session: row.session_id.to_string(),
        started_at: jiff::Timestamp::now(),
        writer: made.writer,
        screen: Mutex::new(screen),
    });
    lock(&context.terminals().plain.open).insert(id.clone(), terminal.clone());
    tokio::spawn(pump(
        context.clone(),
        id.clone(),
        terminal.clone(),
        made.reader,
    ));
    Ok((id, terminal))
}

async fn pump(context: Context, id: String, terminal: Arc<Terminal>, mut reader: TerminalReader) {
    while let Some(bytes) = reader.next().await {
        terminal.keep(bytes);
    }
    lock(&terminal.screen).pages = None;
    lock(&context.terminals().plain.open).remove(&id);
}

pub(super) fn list(context: &Context, session: &str) -> TerminalList {
    let open = lock(&context.terminals().plain.open);
    let mut terminals: Vec<TerminalInfo> = open
        .iter()
        .filter(|(_, terminal)| terminal.session == session)
        .map(|(id, terminal)| TerminalInfo {
            terminal_id: id.clone(),
            started_at: Some(terminal.started_at),
            running: None,
            shown: lock(&terminal.screen)
                .pages
                .as_ref()
                .is_some_and(|pages| pages.receiver_count() > 0),
        })
        .collect();
    terminals.sort_by_key(|terminal| terminal.started_at);
    TerminalList {
        terminals,
        kept: false,
    }
}

pub(super) async fn write(context: &Context, id: &str, bytes: Vec<u8>) -> Result<(), Failure> {
    let terminal = context.terminals().plain.get(id)?;
    Ok(terminal.writer.write(bytes).await?)
}

pub(super) async fn resize(context: &Context, request: &TerminalResize) -> Result<(), Failure> {
    let terminal = context.terminals().plain.get(&request.terminal_id)?;
    Ok(terminal.writer.resize(request.rows, request.cols).await?)
}

pub(super) async fn close(context: &Context, id: &str) -> Result<Nothing, Failure> {
    let terminal = lock(&context.terminals().plain.open).remove(id);
    if let Some(terminal) = terminal {
        terminal.writer.close().await?;
    }
    Ok(Nothing {})
}

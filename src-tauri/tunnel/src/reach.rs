//! From an accepted connection to a stream that leads to the service: out of stock where there is
//! one, else dialled, again and again while that may help and somebody waits.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use websocket::Close;

use crate::dial::{BoxHeld, BoxStream, DialError, Stage};
use crate::entry::Entry;
use crate::tunnel::{Protocol, State};
use crate::tunnels::Shared;

/// The first and the longest pause between two tries to reach the far end.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));
/// So long a page waits for its reason.
const SOON: Duration = Duration::from_secs(3);
/// Streams that are made ready while a tunnel is in use.
const READY: usize = 2;

/// A stream to the service.
pub(crate) enum Far {
    Plain(BoxStream),
    Held(BoxHeld),
}

impl Far {
    /// Ends it, and puts it into the stock if it may be used once more.
    pub(crate) async fn end(self, entry: &Entry) {
        let Self::Held(mut held) = self else { return };
        // Both ends have to have said their last word; saying ours must not take long.
        let said = tokio::time::timeout(Duration::from_secs(1), held.shutdown()).await;
        if matches!(said, Ok(Ok(()))) && held.again() && !entry.stop.is_cancelled() {
            entry.stock.put(held);
        }
    }
}

impl AsyncRead for Far {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Held(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Far {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Held(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Held(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Held(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// Has a held stream connect.
async fn begin(mut held: BoxHeld) -> io::Result<Far> {
    held.begin();
    held.flush().await?;
    Ok(Far::Held(held))
}

async fn dial(shared: &Shared, entry: &Entry) -> Result<Far, DialError> {
    match shared.dial.hold(&entry.target).await? {
        Some(held) => begin(held).await.map_err(|error| lost(&error)),
        None => shared.dial.dial(&entry.target).await.map(Far::Plain),
    }
}

/// What a stream's own error means, as a hop that failed. `None`: it is the local program's.
pub(crate) fn hop(error: &io::Error) -> Option<DialError> {
    // Errors of the system carry nothing inside; those of a stream say what the manager said.
    error.get_ref()?;
    Some(match error.kind() {
        io::ErrorKind::ConnectionRefused => DialError {
            stage: Stage::App,
            code: "app_failed".to_owned(),
            retry: true,
            message: "nothing answers at the app's port".to_owned(),
            detail: Some(said(error)),
        },
        _ => lost(error),
    })
}

fn lost(error: &io::Error) -> DialError {
    DialError {
        stage: Stage::Network,
        code: "tunnel_failed".to_owned(),
        retry: true,
        message: error.to_string(),
        detail: closed(error).map(|close| format!("close code {}", close.code)),
    }
}

fn closed(error: &io::Error) -> Option<&Close> {
    error.get_ref()?.downcast_ref()
}

/// The manager's words, with the code by which it closed the stream.
fn said(error: &io::Error) -> String {
    match closed(error) {
        Some(close) if !close.reason.is_empty() => {
            format!("close code {}: {}", close.code, close.reason)
        }
        _ => error.to_string(),
    }
}

/// Dials, and dials again while that may help and the local program waits. `None`: it went away.
pub(crate) async fn reach(
    shared: &Arc<Shared>,
    entry: &Arc<Entry>,
    local: &TcpStream,
) -> Option<Result<Far, DialError>> {
    while let Some(held) = entry.stock.take().await {
        if let Ok(far) = begin(held).await {
            shared.note(entry, State::Open, None);
            restock(shared, entry);
            return Some(Ok(far));
        }
    }
    let until = Instant::now() + shared.options.patience;
    let mut pause = PAUSES.0;
    if entry.connections.load(Ordering::Relaxed) <= 1 {
        shared.note(entry, State::Connecting, None);
    }
    loop {
        let started = Instant::now();
        let dialled = tokio::select! {
            dialled = dial(shared, entry) => dialled,
            () = hung_up(local) => {
                shared.note(entry, State::Open, None);
                return None;
            }
        };
        let error = match dialled {
            Ok(far) => {
                entry.reached_in(started.elapsed());
                shared.note(entry, State::Open, None);
                restock(shared, entry);
                return Some(Ok(far));
            }
            Err(error) => error,
        };
        shared.failed(entry, started.elapsed(), error.clone());
        if !error.retry {
            shared.note(entry, State::Failed, Some(error.clone()));
            return Some(Err(error));
        }
        shared.note(entry, State::Waiting, Some(error.clone()));
        // Nobody logs in within seconds; a page that says so loads again by itself.
        let told = error.stage == Stage::Login && entry.protocol == Protocol::Http;
        if told || Instant::now() + pause >= until {
            return Some(Err(error));
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = hung_up(local) => return None,
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Why nobody gets through now, if that is so and can be told soon.
pub(crate) async fn refused_now(shared: &Shared, entry: &Entry) -> Option<DialError> {
    let asked = tokio::time::timeout(SOON, shared.dial.hold(&entry.target));
    match asked.await {
        Ok(Ok(Some(held))) => entry.stock.put(held),
        Ok(Ok(None)) | Err(_) => {}
        Ok(Err(error)) => {
            let state = match error.retry {
                true => State::Waiting,
                false => State::Failed,
            };
            shared.note(entry, state, Some(error.clone()));
            return Some(error);
        }
    }
    None
}

/// Sees to it that the next connections find a stream ready, while the tunnel is in use.
fn restock(shared: &Arc<Shared>, entry: &Arc<Entry>) {
    if entry.stocking.swap(true, Ordering::Relaxed) {
        return;
    }
    let (shared, entry) = (shared.clone(), entry.clone());
    let tasks = shared.tasks.clone();
    tasks.spawn(async move {
        let work = async {
            for _ in 0..READY {
                if !entry.stock.is_empty() {
                    break;
                }
                match shared.dial.hold(&entry.target).await {
                    Ok(Some(held)) => entry.stock.put(held),
                    Ok(None) | Err(_) => break,
                }
            }
            while let Some(pause) = entry.stock.tidy() {
                tokio::time::sleep(pause).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = entry.stop.cancelled() => entry.stock.clear(),
        }
        entry.stocking.store(false, Ordering::Relaxed);
    });
}

/// Completes when the local program has closed its end with nothing left to read.
async fn hung_up(local: &TcpStream) {
    let mut byte = [0];
    loop {
        match local.peek(&mut byte).await {
            Ok(0) | Err(_) => return,
            // Bytes wait to be read; an end behind them can't be seen yet.
            Ok(_) => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
}

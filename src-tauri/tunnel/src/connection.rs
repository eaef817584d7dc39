//! One accepted connection, from the local program to the service and back.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::dial::{BoxStream, DialError};
use crate::http::{Refusal, Requests, Scan};
use crate::page::{self, Problem};
use crate::pump::{self, Meter};
use crate::tunnels::{Entry, Protocol, Shared, State};

/// When one direction has ended, the other may go on; without traffic only for so long, because a
/// program that has gone away altogether looks the same as one that only stopped sending.
const LINGER: Duration = Duration::from_secs(60);
/// The same for web clients: they close for good when they close, and leave many connections.
const WEB_LINGER: Duration = Duration::from_secs(5);
/// Web requests are short; bulk goes through the pump's own buffers.
const FIRST_READ: usize = 16 * 1024;
/// The first and the longest pause between two tries to reach the far end.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// Takes connections until the tunnel is closed.
pub(crate) async fn accept(
    shared: Arc<Shared>,
    entry: Arc<Entry>,
    listener: TcpListener,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            () = entry.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let local = match accepted {
            Ok((local, _)) => local,
            Err(error) => {
                // Out of file descriptors, most likely: they come back when connections end.
                tracing::warn!(id = %entry.id, %error, "can't accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (shared, entry) = (shared.clone(), entry.clone());
        tasks.spawn(async move {
            entry.connections.fetch_add(1, Ordering::Relaxed);
            tokio::select! {
                () = entry.stop.cancelled() => {}
                result = serve(&shared, &entry, local) => {
                    if let Err(error) = result {
                        tracing::debug!(id = %entry.id, %error, "connection ended");
                    }
                }
            }
            entry.connections.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn serve(shared: &Shared, entry: &Entry, local: TcpStream) -> io::Result<()> {
    local.set_nodelay(true)?;
    if !crate::peer::is_allowed(local.peer_addr()?, local.local_addr()?) {
        tracing::warn!(id = %entry.id, "refused a connection of another account");
        return Ok(());
    }
    match entry.protocol {
        Protocol::Tcp => tcp(shared, entry, local).await,
        Protocol::Http => http(shared, entry, local).await,
    }
}

async fn tcp(shared: &Shared, entry: &Entry, mut local: TcpStream) -> io::Result<()> {
    let Some(Ok(far)) = reach(shared, entry, &local).await else {
        // The local program only learns that it is over: any text would be garbage to it.
        return Ok(());
    };
    let moved = AtomicU64::new(0);
    let (mut from_far, mut to_far) = tokio::io::split(far);
    let (mut from_local, mut to_local) = local.split();
    let up = async {
        let meter = Meter {
            tunnel: &entry.up,
            connection: &moved,
        };
        pump::copy(&mut from_local, &mut to_far, meter).await?;
        to_far.shutdown().await
    };
    let down = async {
        let meter = Meter {
            tunnel: &entry.down,
            connection: &moved,
        };
        pump::copy(&mut from_far, &mut to_local, meter).await?;
        to_local.shutdown().await
    };
    both(up, down, LINGER, &moved).await
}

async fn http(shared: &Shared, entry: &Entry, mut local: TcpStream) -> io::Result<()> {
    let mut requests = Requests::new(entry.local_port);
    let mut held = BytesMut::new();
    // Nothing is dialled before the first request is known to be sound: browsers open spare
    // connections, and each stream starts work in the session.
    let first = match next(&mut requests, &mut local, &mut held).await? {
        Next::Forward(length) => length,
        Next::End | Next::Opaque => return Ok(()),
        Next::Refuse(refusal) => {
            tracing::warn!(id = %entry.id, ?refusal, "refused a web request");
            return answer(shared, entry, &mut local, &problem(refusal)).await;
        }
    };
    let mut far = match reach(shared, entry, &local).await {
        Some(Ok(far)) => far,
        Some(Err(error)) => {
            return answer(shared, entry, &mut local, &Problem::Unreachable(&error)).await;
        }
        None => return Ok(()),
    };
    let moved = AtomicU64::new(0);
    let up = Meter {
        tunnel: &entry.up,
        connection: &moved,
    };
    let down = Meter {
        tunnel: &entry.down,
        connection: &moved,
    };
    far.write_all(&held.split_to(first)).await?;
    far.flush().await?;
    up.add(first);

    let (mut from_far, mut to_far) = tokio::io::split(far);
    let (mut from_local, mut to_local) = local.split();
    let ask = async {
        follow(requests, held, &mut from_local, &mut to_far, up).await?;
        to_far.shutdown().await
    };
    let reply = async {
        let mut first = vec![0; FIRST_READ];
        let read = from_far.read(&mut first).await;
        if !matches!(read, Ok(1..)) {
            // No byte of an answer has come, so a page can't be mistaken for a part of one.
            let detail = read.as_ref().err().map(ToString::to_string);
            let problem = Problem::ClosedEarly {
                detail: detail.as_deref(),
            };
            to_local
                .write_all(&rendered(shared, entry, &problem))
                .await?;
        }
        let mut result = read.map(|read| first.truncate(read));
        if result.is_ok() && !first.is_empty() {
            to_local.write_all(&first).await?;
            down.add(first.len());
            drop(first);
            result = pump::copy(&mut from_far, &mut to_local, down).await;
        }
        to_local.shutdown().await?;
        // HTTP has no use for a connection whose answers have ended.
        Err(result
            .err()
            .unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()))
    };
    both(ask, reply, WEB_LINGER, &moved).await
}

/// Forwards requests as they are, each after its check, until the local program stops sending.
async fn follow(
    mut requests: Requests,
    mut held: BytesMut,
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    meter: Meter<'_>,
) -> io::Result<()> {
    loop {
        let length = match next(&mut requests, from, &mut held).await? {
            Next::Forward(length) => length,
            Next::End => return Ok(()),
            Next::Opaque => {
                to.write_all(&held).await?;
                to.flush().await?;
                meter.add(held.len());
                drop(held);
                return pump::copy(from, to, meter).await;
            }
            Next::Refuse(refusal) => {
                tracing::warn!(?refusal, "refused a later web request");
                return Err(io::ErrorKind::PermissionDenied.into());
            }
        };
        to.write_all(&held.split_to(length)).await?;
        to.flush().await?;
        meter.add(length);
    }
}

enum Next {
    Forward(usize),
    Opaque,
    Refuse(Refusal),
    End,
}

async fn next(
    requests: &mut Requests,
    from: &mut (impl AsyncRead + Unpin),
    held: &mut BytesMut,
) -> io::Result<Next> {
    loop {
        if !held.is_empty() {
            match requests.scan(held) {
                Scan::Forward(length) => return Ok(Next::Forward(length)),
                Scan::Opaque => return Ok(Next::Opaque),
                Scan::Refuse(refusal) => return Ok(Next::Refuse(refusal)),
                Scan::More => {}
            }
        }
        held.reserve(FIRST_READ);
        if from.read_buf(held).await? == 0 {
            return Ok(Next::End);
        }
    }
}

fn problem(refusal: Refusal) -> Problem<'static> {
    match refusal {
        Refusal::Host => Problem::ForeignHost,
        Refusal::Origin => Problem::ForeignOrigin,
        Refusal::Malformed => Problem::BadRequest,
    }
}

fn rendered(shared: &Shared, entry: &Entry, problem: &Problem<'_>) -> Vec<u8> {
    let app = entry.target.service.label();
    let text = shared.pages.text(problem, &app, &entry.target.session_name);
    page::response(problem, &text)
}

async fn answer(
    shared: &Shared,
    entry: &Entry,
    local: &mut TcpStream,
    problem: &Problem<'_>,
) -> io::Result<()> {
    local.write_all(&rendered(shared, entry, problem)).await?;
    local.shutdown().await?;
    // Closing with unread bytes would reset the connection, and the page with it.
    let mut rest = [0; 4096];
    let drain = async { while local.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
    let _ = tokio::time::timeout(Duration::from_secs(1), drain).await;
    Ok(())
}

/// Dials, and dials again while that may help and the local program waits. `None`: it went away.
async fn reach(
    shared: &Shared,
    entry: &Entry,
    local: &TcpStream,
) -> Option<Result<BoxStream, DialError>> {
    let until = Instant::now() + shared.options.patience;
    let mut pause = PAUSES.0;
    if entry.connections.load(Ordering::Relaxed) <= 1 {
        shared.note(entry, State::Connecting, None);
    }
    loop {
        let dialled = tokio::select! {
            dialled = shared.dial.dial(&entry.target) => dialled,
            () = hung_up(local) => {
                shared.note(entry, State::Open, None);
                return None;
            }
        };
        let error = match dialled {
            Ok(far) => {
                shared.note(entry, State::Open, None);
                return Some(Ok(far));
            }
            Err(error) => error,
        };
        if !error.retry {
            shared.note(entry, State::Failed, Some(error.clone()));
            return Some(Err(error));
        }
        shared.note(entry, State::Waiting, Some(error.clone()));
        if Instant::now() + pause >= until {
            return Some(Err(error));
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = hung_up(local) => return None,
        }
        pause = (pause * 2).min(PAUSES.1);
    }
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

type Half<'a> = Pin<&'a mut (dyn Future<Output = io::Result<()>> + Send)>;

/// Runs both directions. An error ends both; the end of one leaves the other running while bytes
/// move.
async fn both(
    up: impl Future<Output = io::Result<()>> + Send,
    down: impl Future<Output = io::Result<()>> + Send,
    linger: Duration,
    moved: &AtomicU64,
) -> io::Result<()> {
    tokio::pin!(up, down);
    let mut rest: Half<'_> = tokio::select! {
        ended = &mut up => { ended?; down }
        ended = &mut down => { ended?; up }
    };
    loop {
        let before = moved.load(Ordering::Relaxed);
        match tokio::time::timeout(linger, rest.as_mut()).await {
            Ok(ended) => return ended,
            Err(_) if moved.load(Ordering::Relaxed) == before => return Ok(()),
            Err(_) => {}
        }
    }
}

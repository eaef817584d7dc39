//! One accepted connection, from the local program to the service and back.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use websocket::copy;

use crate::entry::Entry;
use crate::reach::{hop, reach};
use crate::tunnel::{Protocol, State};
use crate::tunnels::Shared;
use crate::web;

/// When one direction has ended, the other may go on; without traffic only for so long, because a
/// program that has gone away altogether looks the same as one that only stopped sending.
const LINGER: Duration = Duration::from_secs(60);

/// Takes connections until the tunnel is closed.
pub(crate) async fn accept(shared: Arc<Shared>, entry: Arc<Entry>, listener: TcpListener) {
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
        let tasks = shared.tasks.clone();
        let end = entry.connection();
        tasks.spawn(async move {
            entry.connections.fetch_add(1, Ordering::Relaxed);
            tokio::select! {
                () = end.cancelled() => {}
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

async fn serve(shared: &Arc<Shared>, entry: &Arc<Entry>, local: TcpStream) -> io::Result<()> {
    local.set_nodelay(true)?;
    let peer = local.peer_addr()?;
    let allowed = match &entry.public {
        Some(public) if !peer.ip().is_loopback() => public.allows(peer.ip()),
        _ => crate::peer::is_allowed(peer, local.local_addr()?),
    };
    if !allowed {
        tracing::warn!(id = %entry.id, "refused a connection of somebody else");
        return Ok(());
    }
    match entry.protocol {
        Protocol::Tcp => tcp(shared, entry, local).await,
        Protocol::Http => web::serve(shared, entry, local).await,
    }
}

async fn tcp(shared: &Arc<Shared>, entry: &Arc<Entry>, mut local: TcpStream) -> io::Result<()> {
    let Some(Ok(far)) = reach(shared, entry, &local).await else {
        // The local program only learns that it is over: any text would be garbage to it.
        return Ok(());
    };
    let moved = AtomicU64::new(0);
    let (mut from_far, mut to_far) = tokio::io::split(far);
    let (mut from_local, mut to_local) = local.split();
    let ended = {
        let up = async {
            copy(&mut from_local, &mut to_far, count(&entry.up, &moved)).await?;
            to_far.shutdown().await
        };
        let down = async {
            let copied = copy(&mut from_far, &mut to_local, count(&entry.down, &moved)).await;
            noted(shared, entry, copied)?;
            to_local.shutdown().await
        };
        both(up, down, LINGER, &moved).await
    };
    from_far.unsplit(to_far).end(entry).await;
    ended
}

/// Counts bytes for the tunnel and for one of its connections.
pub(crate) fn count<'a>(
    tunnel: &'a AtomicU64,
    connection: &'a AtomicU64,
) -> impl FnMut(usize) + Send + 'a {
    |bytes| {
        tunnel.fetch_add(bytes as u64, Ordering::Relaxed);
        connection.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Remembers what has broken a connection, where it was the far end.
pub(crate) fn noted<T>(shared: &Shared, entry: &Entry, result: io::Result<T>) -> io::Result<T> {
    if let Err(error) = &result
        && let Some(error) = hop(error)
    {
        shared.failed(entry, Duration::ZERO, error.clone());
        // What lies ready leads to where this one led.
        entry.stock.clear();
        shared.note(entry, State::Waiting, Some(error));
    }
    result
}

type Half<'a> = Pin<&'a mut (dyn Future<Output = io::Result<()>> + Send)>;

/// Runs both directions. An error ends both; the end of one leaves the other running while bytes
/// move.
pub(crate) async fn both(
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
    let mut until = Instant::now() + linger;
    loop {
        let before = moved.load(Ordering::Relaxed);
        match tokio::time::timeout_at(until, rest.as_mut()).await {
            Ok(ended) => return ended,
            Err(_) if moved.load(Ordering::Relaxed) == before => return Ok(()),
            Err(_) => until = Instant::now() + linger,
        }
    }
}

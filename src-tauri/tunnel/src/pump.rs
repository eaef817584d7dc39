//! Moves bytes one way. The next read waits for the write, so a slow reader slows the sender and
//! memory stays at one buffer.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Small enough that hundreds of quiet connections cost little, large enough for a WebSocket
/// frame per read.
pub(crate) const FIRST_BUFFER: usize = 64 * 1024;
/// Less CPU for each byte in bulk; beyond it, nothing is won.
const BULK_BUFFER: usize = 256 * 1024;
/// So many full reads in a row are called bulk.
const FULL_READS: u32 = 4;

/// Counts bytes for the tunnel and for one of its connections.
#[derive(Clone, Copy)]
pub(crate) struct Meter<'a> {
    pub(crate) tunnel: &'a AtomicU64,
    pub(crate) connection: &'a AtomicU64,
}

impl Meter<'_> {
    pub(crate) fn add(&self, bytes: usize) {
        self.tunnel.fetch_add(bytes as u64, Ordering::Relaxed);
        self.connection.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Copies until the end of `from`, counting as it goes. Does not shut `to` down.
pub(crate) async fn copy<R, W>(from: &mut R, to: &mut W, meter: Meter<'_>) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; FIRST_BUFFER];
    let mut full = 0;
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
        to.flush().await?;
        meter.add(read);
        full = if read == buffer.len() { full + 1 } else { 0 };
        if full == FULL_READS && buffer.len() < BULK_BUFFER {
            buffer = vec![0; BULK_BUFFER];
        }
    }
}

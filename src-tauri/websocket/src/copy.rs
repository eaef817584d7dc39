//! Moves bytes one way. The next read waits for the write, so a slow reader slows the sender and
//! memory stays at one buffer, whose size follows the traffic.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Hundreds of quiet connections cost little.
const QUIET: usize = 8 * 1024;
/// Enough for most of what can be won.
const BUSY: usize = 64 * 1024;
/// Least CPU for each byte; beyond it, nothing is won.
const BULK: usize = 256 * 1024;
/// So many full reads in a row are called bulk.
const FULL_READS: u32 = 4;
/// After so many small reads in a row the buffer becomes small again.
const SMALL_READS: u32 = 64;
/// Buffers of the largest size at the same time in this process: with more connections in bulk
/// than that the processor is the limit, and memory is not to become one.
const MOST_BULK: usize = 16;

static BULK_BUFFERS: AtomicUsize = AtomicUsize::new(0);

struct Buffer {
    bytes: Vec<u8>,
    full: u32,
    small: u32,
}

impl Buffer {
    fn new() -> Self {
        Self {
            bytes: vec![0; QUIET],
            full: 0,
            small: 0,
        }
    }

    fn follow(&mut self, read: usize) {
        let length = self.bytes.len();
        self.full = if read == length { self.full + 1 } else { 0 };
        self.small = if read < QUIET / 4 { self.small + 1 } else { 0 };
        if length == QUIET && self.full > 0 {
            self.resize(BUSY);
        } else if length == BUSY && self.full >= FULL_READS && may_take_bulk() {
            self.resize(BULK);
        } else if length > QUIET && self.small >= SMALL_READS {
            self.resize(QUIET);
        }
    }

    fn resize(&mut self, length: usize) {
        self.give_back();
        self.bytes = vec![0; length];
        (self.full, self.small) = (0, 0);
    }

    fn give_back(&mut self) {
        if self.bytes.len() == BULK {
            BULK_BUFFERS.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.give_back();
    }
}

fn may_take_bulk() -> bool {
    let take = |taken: usize| (taken < MOST_BULK).then_some(taken + 1);
    BULK_BUFFERS
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        .is_ok()
}

/// Copies until the end of `from`, telling `moved` how many bytes went on. Does not shut `to` down.
///
/// # Errors
/// When reading or writing fails.
pub async fn copy<R, W>(from: &mut R, to: &mut W, mut moved: impl FnMut(usize)) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = Buffer::new();
    loop {
        let read = from.read(&mut buffer.bytes).await?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer.bytes[..read]).await?;
        to.flush().await?;
        moved(read);
        buffer.follow(read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_follow_the_traffic_and_big_ones_are_counted() {
        let mut buffer = Buffer::new();
        buffer.follow(QUIET);
        assert_eq!(buffer.bytes.len(), BUSY);
        for _ in 0..FULL_READS {
            buffer.follow(BUSY);
        }
        assert_eq!(buffer.bytes.len(), BULK);
        for _ in 0..SMALL_READS {
            assert_eq!(buffer.bytes.len(), BULK);
            buffer.follow(1);
        }
        assert_eq!(buffer.bytes.len(), QUIET);
    }
}

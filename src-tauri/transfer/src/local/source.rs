//! Reads a local file from front to back, some pieces ahead of its consumer. Holes are not read.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::{JoinHandle, spawn_blocking};

use super::CHUNK;
use crate::store::{Source, StoreError};

/// What a hole is handed out as, again and again.
static ZEROS: [u8; CHUNK] = [0; CHUNK];
/// Of a hole at once; so often it is looked whether the transfer was stopped.
const HOLE: u64 = 64 * CHUNK as u64;

/// Pieces that one thread reads behind each other: each change of thread costs as much as reading
/// a good part of a piece.
const AT_ONCE: usize = 4;

struct Open {
    file: File,
    at: u64,
    left: u64,
    /// It has fewer blocks than its length needs.
    has_holes: bool,
    used: Used,
}

/// Buffers of [`CHUNK`] bytes whose content was sent, to be filled again: memory that is given back
/// and taken anew each time costs more than reading into it.
type Used = Arc<Mutex<Vec<Vec<u8>>>>;

fn lock(used: &Used) -> MutexGuard<'_, Vec<Vec<u8>>> {
    used.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A buffer on its way.
struct Filled {
    buffer: Vec<u8>,
    filled: usize,
    used: Used,
}

impl AsRef<[u8]> for Filled {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        lock(&self.used).push(std::mem::take(&mut self.buffer));
    }
}

type Piece = (Vec<Bytes>, Open);

/// What was read ahead, and where to go on.
struct Pieces {
    pieces: VecDeque<Vec<Bytes>>,
    open: Open,
}

enum Next {
    Known(Open),
    Reading(JoinHandle<io::Result<Pieces>>),
    End,
}

pub(super) struct LocalSource {
    ready: VecDeque<Vec<Bytes>>,
    next: Next,
}

/// Opens the file at its byte `offset`. The first piece comes with the opening: for a small file it
/// is all there is. Blocking.
pub(super) fn open(mut file: File, offset: u64) -> io::Result<LocalSource> {
    let data = file.metadata()?;
    if offset > 0 {
        file.seek(SeekFrom::Start(offset))?;
    }
    let open = Open {
        file,
        at: offset,
        left: data.len().saturating_sub(offset),
        has_holes: has_holes(&data),
        used: Used::default(),
    };
    let (pieces, open) = read_piece(open)?;
    Ok(LocalSource {
        ready: VecDeque::from([pieces]),
        next: Next::Known(open),
    })
}

#[cfg(unix)]
fn has_holes(data: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    data.blocks().saturating_mul(512) < data.len()
}

#[cfg(not(unix))]
fn has_holes(_data: &std::fs::Metadata) -> bool {
    false
}

/// How long the hole at the present place is; 0 where there is data.
#[cfg(target_os = "linux")]
fn hole_at(open: &Open) -> io::Result<u64> {
    use nix::errno::Errno;
    use nix::unistd::{Whence, lseek};
    let from = i64::try_from(open.at).unwrap_or(i64::MAX);
    let end = open.at + open.left;
    let data = match lseek(&open.file, from, Whence::SeekData) {
        Ok(data) => u64::try_from(data).unwrap_or(end).min(end),
        // No data from here to the end.
        Err(Errno::ENXIO) => end,
        // A file system without holes.
        Err(_) => open.at,
    };
    lseek(&open.file, from, Whence::SeekSet)?;
    Ok(data.saturating_sub(open.at))
}

#[cfg(not(target_os = "linux"))]
fn hole_at(_open: &Open) -> io::Result<u64> {
    Ok(0)
}

fn read_piece(mut open: Open) -> io::Result<Piece> {
    if open.has_holes && open.left > 0 {
        let hole = hole_at(&open)?.min(HOLE);
        if hole >= CHUNK as u64 {
            let pieces = usize::try_from(hole / CHUNK as u64).unwrap_or(1);
            open.at += (pieces * CHUNK) as u64;
            open.left -= (pieces * CHUNK) as u64;
            open.file.seek(SeekFrom::Start(open.at))?;
            return Ok((vec![Bytes::from_static(&ZEROS); pieces], open));
        }
    }
    let length = usize::try_from(open.left).unwrap_or(CHUNK).min(CHUNK);
    let mut buffer = match lock(&open.used).pop() {
        Some(buffer) => buffer,
        None => vec![0; length],
    };
    let mut filled = 0;
    while filled < length {
        match open.file.read(&mut buffer[filled..length]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    open.at += filled as u64;
    // Fewer bytes than promised: the file was cut short meanwhile.
    open.left = if filled < length {
        0
    } else {
        open.left - filled as u64
    };
    let pieces = if filled == 0 {
        Vec::new()
    } else if buffer.len() == CHUNK {
        let used = open.used.clone();
        vec![Bytes::from_owner(Filled {
            buffer,
            filled,
            used,
        })]
    } else {
        buffer.truncate(filled);
        vec![buffer.into()]
    };
    Ok((pieces, open))
}

fn read_pieces(mut open: Open) -> io::Result<Pieces> {
    let mut pieces = VecDeque::with_capacity(AT_ONCE);
    while pieces.len() < AT_ONCE && open.left > 0 {
        let piece;
        (piece, open) = read_piece(open)?;
        pieces.push_back(piece);
    }
    Ok(Pieces { pieces, open })
}

impl LocalSource {
    fn read_ahead(&mut self) {
        self.next = match std::mem::replace(&mut self.next, Next::End) {
            Next::Known(open) if open.left > 0 => {
                Next::Reading(spawn_blocking(move || read_pieces(open)))
            }
            Next::Known(_) => Next::End,
            other => other,
        };
    }
}

impl Source for LocalSource {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Bytes>>, StoreError>> {
        async move {
            self.read_ahead();
            if self.ready.is_empty()
                && let Next::Reading(task) = &mut self.next
            {
                let read = task.await;
                self.next = Next::End;
                let read = read.unwrap_or_else(|ended| Err(io::Error::other(ended)))?;
                self.ready = read.pieces;
                self.next = Next::Known(read.open);
                self.read_ahead();
            }
            let piece = self.ready.pop_front();
            Ok(piece.filter(|pieces| !pieces.is_empty()))
        }
        .boxed()
    }
}

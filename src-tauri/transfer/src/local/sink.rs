//! Writes a local file from front to back. Long runs of zeros become holes.

use std::fs::File;
use std::io::{self, IoSlice, Seek, SeekFrom, Write};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::spawn_blocking;

use super::lane::Lane;
use super::{CHUNK, joined, set};
use crate::store::{Sink, StoreError, WriteOptions};

/// From this length on a file is pushed to the disk before it is renamed.
const SYNC_FROM: u64 = 1 << 20;
/// Shorter runs of zeros are written: a hole costs a step of its own.
const HOLE_FROM: usize = 16 << 10;

pub(super) struct LocalSink {
    file: Option<File>,
    arrived: u64,
    options: WriteOptions,
    held: Vec<Bytes>,
    held_bytes: usize,
    lane: Lane,
}

impl LocalSink {
    /// `file` ends at the byte `options.offset`, and stands there.
    pub(super) fn new(file: File, options: WriteOptions, lane: Lane) -> Self {
        Self {
            file: Some(file),
            arrived: options.offset,
            options,
            held: Vec::new(),
            held_bytes: 0,
            lane,
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        if self.held_bytes == 0 {
            return Ok(());
        }
        let mut file = self.file.take().ok_or_else(gone)?;
        let pieces = std::mem::take(&mut self.held);
        let bytes = std::mem::take(&mut self.held_bytes);
        let work = move || write_pieces(&mut file, &pieces).map(|()| file);
        self.file = Some(joined(spawn_blocking(work)).await?);
        self.arrived += bytes as u64;
        Ok(())
    }
}

fn gone() -> io::Error {
    io::Error::other("an earlier write to this file failed")
}

fn is_hole(piece: &Bytes) -> bool {
    piece.len() >= HOLE_FROM
        && piece
            .chunks(256)
            .all(|block| block.iter().fold(0, |all, byte| all | byte) == 0)
}

/// Writes what is not empty, and steps over what is: nothing lies there yet.
fn write_pieces(file: &mut File, pieces: &[Bytes]) -> io::Result<()> {
    let mut rest = pieces;
    while !rest.is_empty() {
        let full = rest.iter().take_while(|piece| !is_hole(piece)).count();
        write_full(file, &rest[..full])?;
        rest = &rest[full..];
        let empty = rest.iter().take_while(|piece| is_hole(piece)).count();
        let bytes: usize = rest[..empty].iter().map(Bytes::len).sum();
        if bytes > 0 {
            file.seek(SeekFrom::Current(i64::try_from(bytes).unwrap_or(i64::MAX)))?;
        }
        rest = &rest[empty..];
    }
    Ok(())
}

fn write_full(file: &mut File, pieces: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut slices = &mut slices[..];
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Sink for LocalSink {
    fn write(&mut self, data: Vec<Bytes>) -> BoxFuture<'_, Result<u64, StoreError>> {
        async move {
            for piece in data.into_iter().filter(|piece| !piece.is_empty()) {
                self.held_bytes += piece.len();
                self.held.push(piece);
            }
            // Small pieces are gathered: each trip to the disk costs a change of thread.
            if self.held_bytes >= CHUNK {
                self.flush().await?;
            }
            Ok(self.arrived)
        }
        .boxed()
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<Option<u64>, StoreError>> {
        async move {
            let mut file = self.file.take().ok_or_else(gone)?;
            let pieces = std::mem::take(&mut self.held);
            let lane = self.lane.clone();
            let is_short = self.arrived + (self.held_bytes as u64) < SYNC_FROM;
            let work = move || {
                write_pieces(&mut file, &pieces)?;
                let mut length = file.metadata()?.len();
                // A hole at the end is not there until the length says so.
                let end = file.stream_position()?;
                if end > length {
                    file.set_len(end)?;
                    length = end;
                }
                set(&file, self.options.mode, self.options.modified)?;
                if length >= SYNC_FROM {
                    file.sync_all()?;
                }
                Ok(length)
            };
            let length = if is_short {
                lane.run(work).await?
            } else {
                joined(spawn_blocking(work)).await?
            };
            Ok(Some(length))
        }
        .boxed()
    }
}

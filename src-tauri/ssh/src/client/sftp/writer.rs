//! Writes a file from front to back: pieces are sent ahead, over one connection or several, and what
//! has arrived is told as far as nothing is missing before it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::select_all;

use super::codec::{Kind, Request};
use super::file::File;
use super::mux::{Pending, Room, WRITE_AHEAD};
use super::{Attributes, SftpError, done, unexpected};
use crate::client::sftp::codec::Reply;

/// On a fast line the sender sleeps until there is room for so much, and then sends it all: being
/// woken for each piece costs as much as sending it. Still most of what may be on its way is.
const AT_ONCE: u32 = WRITE_AHEAD / 3;
/// A line is fast if the room was there so soon. On others each piece that arrives is to be told.
const FAST: Duration = Duration::from_millis(50);

/// Writes a file from front to back.
pub struct Writer {
    /// The same file, opened on each connection that it is sent over.
    files: Vec<File>,
    turn: usize,
    /// There was room soon when it was last waited for.
    fast: bool,
    next: u64,
    arrived: u64,
    /// Where each piece ends; nothing to wait for where it was left out.
    ahead: VecDeque<(u64, Option<Pending>)>,
    held: Vec<Bytes>,
    held_bytes: usize,
    sparse: bool,
    /// The last piece was left out.
    ends_in_hole: bool,
}

impl Writer {
    pub(super) fn new(file: File, offset: u64) -> Self {
        Self {
            files: vec![file],
            turn: 0,
            fast: false,
            next: offset,
            arrived: offset,
            ahead: VecDeque::new(),
            held: Vec::new(),
            held_bytes: 0,
            sparse: false,
            ends_in_hole: false,
        }
    }

    /// The file holds nothing behind the first byte that is written: runs of zeros need not be
    /// sent, and become holes.
    #[must_use]
    pub fn sparse(mut self) -> Self {
        self.sparse = true;
        self
    }

    /// Sends over one more connection, on which the same file was opened.
    pub fn widen(&mut self, file: File) {
        self.files.push(file);
    }

    /// Takes `data` as the next bytes. Returns how far, from the start of the file, the server
    /// has everything.
    ///
    /// # Errors
    /// [`SftpError`] of this or an earlier piece.
    pub async fn write(&mut self, data: Vec<Bytes>) -> Result<u64, SftpError> {
        self.take_ready()?;
        let chunk = self.chunk();
        for mut piece in data {
            while !piece.is_empty() {
                let part = piece.split_to((chunk - self.held_bytes).min(piece.len()));
                self.held_bytes += part.len();
                self.held.push(part);
                if self.held_bytes == chunk {
                    self.send().await?;
                }
            }
        }
        Ok(self.arrived)
    }

    /// Waits until everything has arrived, sets `attributes` and closes the file. Returns the
    /// length that the server then sees, if it tells.
    ///
    /// # Errors
    /// [`SftpError`].
    pub async fn finish(mut self, attributes: &Attributes) -> Result<Option<u64>, SftpError> {
        if self.files.len() > 1 {
            // On one connection the server does things in order; between two there is none.
            self.flush().await?;
            for file in self.files.drain(1..) {
                file.close().await?;
            }
        }
        let mut batch = Vec::new();
        self.prepare(&mut batch).await?;
        let attributes = Attributes {
            size: self.ends_in_hole.then_some(self.next),
            ..*attributes
        };
        let Some(mut file) = self.files.pop() else {
            return Ok(None);
        };
        let mux = file.sftp.mux.clone();
        let handle = file.handle.take().unwrap_or_default();
        // Sent with the last of the data without waiting for it.
        let nothing = || (Vec::new(), None);
        let set = if attributes == Attributes::default() {
            None
        } else {
            let fill = |request: Request| request.string(&handle).attributes(&attributes);
            Some(mux.add(&mut batch, Kind::Fsetstat, nothing(), fill)?)
        };
        let only_handle = |request: Request| request.string(&handle);
        let stat = mux.add(&mut batch, Kind::Fstat, nothing(), only_handle)?;
        let close = mux.add(&mut batch, Kind::Close, nothing(), only_handle)?;
        mux.push(batch).await?;
        while let Some((_, pending)) = self.ahead.pop_front() {
            if let Some(pending) = pending {
                done(pending.reply().await?)?;
            }
        }
        if let Some(set) = set {
            done(set.reply().await?)?;
        }
        let length = match stat.reply().await? {
            Reply::Attributes(attributes) => attributes.size,
            other => return Err(unexpected(other)),
        };
        done(close.reply().await?)?;
        Ok(length)
    }

    /// Waits until everything has arrived and returns how much that is, from the start.
    ///
    /// # Errors
    /// [`SftpError`].
    pub async fn flush(&mut self) -> Result<u64, SftpError> {
        self.send().await?;
        while !self.ahead.is_empty() {
            self.take_answer().await?;
        }
        Ok(self.arrived)
    }

    /// What every server of the file takes at once.
    fn chunk(&self) -> usize {
        let limits = self.files.iter().map(|file| file.sftp.limits.write);
        limits.min().unwrap_or(1) as usize
    }

    async fn send(&mut self) -> Result<(), SftpError> {
        let mut batch = Vec::new();
        match self.prepare(&mut batch).await? {
            Some(at) => self.files[at].sftp.mux.push(batch).await,
            None => Ok(()),
        }
    }

    /// Adds what is held to `batch`; returns which of the connections it has to be sent over, if it
    /// has to be sent.
    async fn prepare(&mut self, batch: &mut Vec<Bytes>) -> Result<Option<usize>, SftpError> {
        if self.held_bytes == 0 {
            return Ok(None);
        }
        let data = std::mem::take(&mut self.held);
        let length = std::mem::take(&mut self.held_bytes);
        let end = self.next + length as u64;
        self.ends_in_hole = self.sparse && data.iter().all(|piece| is_zero(piece));
        if self.ends_in_hole {
            self.ahead.push_back((end, None));
            self.next = end;
            return Ok(None);
        }
        // One slow connection must not let the others run far ahead: what lies behind a gap counts
        // as not arrived.
        let most = u64::from(WRITE_AHEAD) * self.files.len() as u64;
        while self.next - self.arrived >= most && !self.ahead.is_empty() {
            self.take_answer().await?;
        }
        let bytes = u32::try_from(length).unwrap_or(u32::MAX);
        let (at, room) = self.room(bytes).await?;
        let file = &self.files[at];
        let (handle, offset) = (file.handle(), self.next);
        let fill = |request: Request| request.string(handle).u64(offset).u32(bytes);
        let mux = &file.sftp.mux;
        let pending = mux.add(batch, Kind::Write, (data, Some(room)), fill)?;
        self.next = end;
        self.ahead.push_back((end, Some(pending)));
        Ok(Some(at))
    }

    /// Room for so many bytes on whichever connection has it first.
    async fn room(&mut self, bytes: u32) -> Result<(usize, Room), SftpError> {
        let count = self.files.len();
        for step in 0..count {
            let at = (self.turn + step) % count;
            if let Some(room) = self.files[at].sftp.mux.try_write_room(bytes) {
                self.turn = at + 1;
                return Ok((at, room));
            }
        }
        let waits = self.files.iter().enumerate().map(|(at, file)| {
            let room = file
                .sftp
                .mux
                .write_room(bytes, if self.fast { AT_ONCE } else { 0 });
            room.map(move |room| (at, room)).boxed()
        });
        let asked = Instant::now();
        let ((at, room), ..) = select_all(waits).await;
        self.fast = asked.elapsed() < FAST;
        Ok((at, room?))
    }

    fn take_ready(&mut self) -> Result<(), SftpError> {
        while let Some((end, pending)) = self.ahead.front_mut() {
            match pending.as_mut().map(Pending::try_reply) {
                None => {}
                Some(Some(reply)) => done(reply?)?,
                Some(None) => break,
            }
            self.arrived = *end;
            self.ahead.pop_front();
        }
        Ok(())
    }

    async fn take_answer(&mut self) -> Result<(), SftpError> {
        if let Some((end, pending)) = self.ahead.pop_front() {
            if let Some(pending) = pending {
                done(pending.reply().await?)?;
            }
            self.arrived = end;
        }
        Ok(())
    }
}

/// Looks at whole blocks, which the compiler does with wide registers, and stops at the first that
/// is not empty.
fn is_zero(piece: &[u8]) -> bool {
    piece
        .chunks(256)
        .all(|block| block.iter().fold(0, |all, byte| all | byte) == 0)
}

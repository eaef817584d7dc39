//! Reads a file from front to back: pieces are asked for ahead, so that the line is never idle, and
//! handed out in order.

use std::collections::VecDeque;

use bytes::Bytes;

use super::codec::Reply;
use super::file::File;
use super::mux::{Pending, READ_AHEAD, Room};
use super::{SftpError, StatusCode, unexpected};

/// The first requests; their number doubles with each answer, so that a short file costs no memory
/// and a full line is reached after a few round trips.
const FIRST_REQUESTS: usize = 4;

/// Reads a file from front to back.
pub struct Reader {
    file: File,
    next: u64,
    size: u64,
    ahead: VecDeque<(u64, u32, Pending)>,
    allowed: usize,
    ended: bool,
}

impl Reader {
    pub(super) fn new(file: File, offset: u64, size: u64) -> Self {
        Self {
            file,
            next: offset,
            size,
            ahead: VecDeque::new(),
            allowed: FIRST_REQUESTS,
            ended: false,
        }
    }

    /// The next bytes; `None` at the end of the file.
    ///
    /// # Errors
    /// [`SftpError`].
    pub async fn next(&mut self) -> Result<Option<Vec<Bytes>>, SftpError> {
        if self.ended {
            return Ok(None);
        }
        self.ask_ahead().await?;
        let Some((offset, wanted, pending)) = self.ahead.pop_front() else {
            return Ok(None);
        };
        let mut pieces = match pending.reply().await? {
            Reply::Data(pieces) => pieces,
            Reply::Status {
                code: StatusCode::Eof,
                ..
            } => {
                self.ended = true;
                return Ok(None);
            }
            other => return Err(unexpected(other)),
        };
        // A server may send less than asked for; what comes after is already on its way, so the
        // gap is closed before anything is handed out.
        let mut got = length(&pieces);
        if got == 0 {
            return Err(SftpError::Malformed);
        }
        while got < wanted && offset + u64::from(got) < self.size.max(self.next_known(offset)) {
            let at = offset + u64::from(got);
            let rest = self.file.ask(at, wanted - got, None).await?;
            match rest.reply().await? {
                Reply::Data(more) if !more.is_empty() => {
                    got += length(&more);
                    pieces.extend(more);
                }
                Reply::Status {
                    code: StatusCode::Eof,
                    ..
                } => break,
                other => return Err(unexpected(other)),
            }
        }
        if got > wanted {
            // What was not asked for would come to lie where other bytes belong.
            return Err(SftpError::Malformed);
        }
        if got < wanted {
            // The end was found inside this piece, or nothing was asked for behind it.
            self.ended = self.ahead.is_empty() && offset + u64::from(got) >= self.size;
            self.next = if self.ahead.is_empty() {
                offset + u64::from(got)
            } else {
                self.next
            };
        }
        Ok(Some(pieces))
    }

    /// Closes the file.
    ///
    /// # Errors
    /// [`SftpError`].
    pub async fn close(self) -> Result<(), SftpError> {
        self.file.close().await
    }

    /// Asks for what comes next: within the believed size for much, past it for one piece, which
    /// finds the end.
    async fn ask_ahead(&mut self) -> Result<(), SftpError> {
        let chunk = self.file.sftp.limits.read;
        let most = usize::try_from(READ_AHEAD / chunk).unwrap_or(1).max(1);
        while self.ahead.len() < self.allowed && (self.next < self.size || self.ahead.is_empty()) {
            let expected = self.size.saturating_sub(self.next).max(1);
            let bytes = u32::try_from(expected).unwrap_or(u32::MAX).min(chunk);
            // Waits for room only with nothing on its way: those who hold the room may be waiting
            // for somebody to take what we have.
            let room: Option<Room> = match self.file.sftp.mux.try_read_room(bytes) {
                Some(room) => Some(room),
                None if self.ahead.is_empty() => Some(self.file.sftp.mux.read_room(bytes).await?),
                None => break,
            };
            let pending = self.file.ask(self.next, chunk, room).await?;
            self.ahead.push_back((self.next, chunk, pending));
            self.next += u64::from(chunk);
        }
        self.allowed = (self.allowed * 2).min(most);
        Ok(())
    }

    /// Where the piece after `offset` begins, if one was asked for.
    fn next_known(&self, offset: u64) -> u64 {
        self.ahead.front().map_or(offset, |(next, ..)| *next)
    }
}

fn length(pieces: &[Bytes]) -> u32 {
    let total: usize = pieces.iter().map(Bytes::len).sum();
    u32::try_from(total).unwrap_or(u32::MAX)
}

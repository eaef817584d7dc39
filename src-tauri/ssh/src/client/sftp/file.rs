//! Whole files: reads and writes are sent ahead so that the line is never idle, and delivered in
//! order.

use std::collections::VecDeque;

use bytes::Bytes;

use super::codec::{Kind, Reply};
use super::mux::Pending;
use super::{Attributes, Sftp, SftpError, StatusCode, done, unexpected};

/// Bytes asked for or sent and not answered yet. At 50 ms this allows 160 MB/s.
const AHEAD: u64 = 8 << 20;
/// The first of them; the number doubles with each answer, so that a short file costs no memory
/// and a full line is reached after a few round trips.
const FIRST_REQUESTS: usize = 4;

/// An open file. Closed when dropped; [`File::close`] also tells whether that worked.
pub struct File {
    sftp: Sftp,
    handle: Option<Bytes>,
}

impl File {
    pub(super) fn new(sftp: Sftp, handle: Bytes) -> Self {
        Self {
            sftp,
            handle: Some(handle),
        }
    }

    /// What is known of the open file.
    ///
    /// # Errors
    /// [`SftpError`].
    pub async fn stat(&self) -> Result<Attributes, SftpError> {
        match self
            .sftp
            .call(Kind::Fstat, |request| request.string(self.handle()))
            .await?
        {
            Reply::Attributes(attributes) => Ok(attributes),
            other => Err(unexpected(other)),
        }
    }

    /// Sets what is given in `attributes`.
    ///
    /// # Errors
    /// [`SftpError`].
    pub async fn set_attributes(&self, attributes: &Attributes) -> Result<(), SftpError> {
        let handle = self.handle();
        self.sftp
            .act(Kind::Fsetstat, |request| {
                request.string(handle).attributes(attributes)
            })
            .await
    }

    /// Reads from `offset` to the end in order. `size` is how long the file is believed to be: so
    /// much is asked for ahead.
    #[must_use]
    pub fn reader(self, offset: u64, size: u64) -> Reader {
        Reader {
            file: self,
            next: offset,
            size,
            ahead: VecDeque::new(),
            allowed: FIRST_REQUESTS,
            ended: false,
        }
    }

    /// Writes from `offset` on in order.
    #[must_use]
    pub fn writer(self, offset: u64) -> Writer {
        Writer {
            file: self,
            next: offset,
            arrived: offset,
            ahead: VecDeque::new(),
            held: Vec::new(),
            held_bytes: 0,
        }
    }

    /// Closes the file.
    ///
    /// # Errors
    /// [`SftpError`]: servers report late write errors here.
    pub async fn close(mut self) -> Result<(), SftpError> {
        let Some(handle) = self.handle.take() else {
            return Ok(());
        };
        self.sftp
            .act(Kind::Close, |request| request.string(&handle))
            .await
    }

    fn handle(&self) -> &[u8] {
        self.handle.as_deref().unwrap_or_default()
    }

    async fn ask(&self, offset: u64, length: u32) -> Result<Pending, SftpError> {
        let handle = self.handle();
        self.sftp
            .mux
            .send(Kind::Read, Vec::new(), |request| {
                request.string(handle).u64(offset).u32(length)
            })
            .await
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.sftp.mux.forget_handle(handle);
        }
    }
}

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
    /// The next bytes; `None` at the end of the file.
    ///
    /// # Errors
    /// [`SftpError`].
    pub async fn next(&mut self) -> Result<Option<Vec<Bytes>>, SftpError> {
        let chunk = self.file.sftp.limits.read;
        let most = usize::try_from(AHEAD / u64::from(chunk))
            .unwrap_or(1)
            .max(1);
        if self.ended {
            return Ok(None);
        }
        // Within the believed size many are asked for; past it one, which finds the end.
        while self.ahead.len() < self.allowed && (self.next < self.size || self.ahead.is_empty()) {
            let pending = self.file.ask(self.next, chunk).await?;
            self.ahead.push_back((self.next, chunk, pending));
            self.next += u64::from(chunk);
        }
        self.allowed = (self.allowed * 2).min(most);
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
            let rest = self.file.ask(offset + u64::from(got), wanted - got).await?;
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

    /// Where the piece after `offset` begins, if one was asked for.
    fn next_known(&self, offset: u64) -> u64 {
        self.ahead.front().map_or(offset, |(next, ..)| *next)
    }
}

fn length(pieces: &[Bytes]) -> u32 {
    let total: usize = pieces.iter().map(Bytes::len).sum();
    u32::try_from(total).unwrap_or(u32::MAX)
}

/// Writes a file from front to back.
pub struct Writer {
    file: File,
    next: u64,
    arrived: u64,
    ahead: VecDeque<(u64, Pending)>,
    held: Vec<Bytes>,
    held_bytes: usize,
}

impl Writer {
    /// Takes `data` as the next bytes. Returns how far, from the start of the file, the server
    /// has everything.
    ///
    /// # Errors
    /// [`SftpError`] of this or an earlier piece.
    pub async fn write(&mut self, data: Vec<Bytes>) -> Result<u64, SftpError> {
        while let Some((end, pending)) = self.ahead.front_mut()
            && let Some(reply) = pending.try_reply()
        {
            done(reply?)?;
            self.arrived = *end;
            self.ahead.pop_front();
        }
        let chunk = self.file.sftp.limits.write as usize;
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
        self.send().await?;
        let sftp = self.file.sftp.clone();
        let handle = self.file.handle.take().unwrap_or_default();
        // Sent behind the data without waiting for it: the server does them in order.
        let set = if *attributes == Attributes::default() {
            None
        } else {
            let fill = |request: super::Request| request.string(&handle).attributes(attributes);
            Some(sftp.mux.send(Kind::Fsetstat, Vec::new(), fill).await?)
        };
        let stat = sftp
            .mux
            .send(Kind::Fstat, Vec::new(), |request| request.string(&handle))
            .await?;
        let close = sftp
            .mux
            .send(Kind::Close, Vec::new(), |request| request.string(&handle))
            .await?;
        while let Some((_, pending)) = self.ahead.pop_front() {
            done(pending.reply().await?)?;
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

    async fn send(&mut self) -> Result<(), SftpError> {
        if self.held_bytes == 0 {
            return Ok(());
        }
        let chunk = u64::from(self.file.sftp.limits.write);
        let most = usize::try_from(AHEAD / chunk).unwrap_or(1).max(1);
        while self.ahead.len() >= most {
            self.take_answer().await?;
        }
        let data = std::mem::take(&mut self.held);
        let length = std::mem::take(&mut self.held_bytes);
        let (handle, offset) = (self.file.handle(), self.next);
        let fill = |request: super::Request| {
            request
                .string(handle)
                .u64(offset)
                .u32(u32::try_from(length).unwrap_or(u32::MAX))
        };
        let pending = self.file.sftp.mux.send(Kind::Write, data, fill).await?;
        self.next += length as u64;
        self.ahead.push_back((self.next, pending));
        Ok(())
    }

    async fn take_answer(&mut self) -> Result<(), SftpError> {
        if let Some((end, pending)) = self.ahead.pop_front() {
            done(pending.reply().await?)?;
            self.arrived = end;
        }
        Ok(())
    }
}

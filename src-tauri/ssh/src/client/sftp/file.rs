//! An open file.

use bytes::Bytes;

use super::codec::{Kind, Reply, Request};
use super::mux::{Pending, Room};
use super::reader::Reader;
use super::writer::Writer;
use super::{Attributes, Sftp, SftpError, StatusCode, unexpected};

/// An open file. Closed when dropped; [`File::close`] also tells whether that worked.
pub struct File {
    pub(super) sftp: Sftp,
    pub(super) handle: Option<Bytes>,
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

    /// Waits until what was written is on the server's disk. `false`: the server can't tell.
    ///
    /// # Errors
    /// [`SftpError`]: its disk has failed.
    pub async fn sync(&self) -> Result<bool, SftpError> {
        const FSYNC: &str = "fsync@openssh.com";
        if !self.sftp.has(FSYNC) {
            return Ok(false);
        }
        let request = |request: Request| request.string(FSYNC).string(self.handle());
        match self.sftp.act(Kind::Extended, request).await {
            // Announced, and then not there for this kind of file.
            Err(SftpError::Status {
                code: StatusCode::Unsupported,
                ..
            }) => Ok(false),
            done => done.map(|()| true),
        }
    }

    /// Reads from `offset` to the end in order. `size` is how long the file is believed to be: so
    /// much is asked for ahead.
    #[must_use]
    pub fn reader(self, offset: u64, size: u64) -> Reader {
        Reader::new(self, offset, size)
    }

    /// Writes from `offset` on in order.
    #[must_use]
    pub fn writer(self, offset: u64) -> Writer {
        Writer::new(self, offset)
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

    pub(super) fn handle(&self) -> &[u8] {
        self.handle.as_deref().unwrap_or_default()
    }

    /// Asks for bytes; `room` is given back when the answer has been taken.
    pub(super) async fn ask(
        &self,
        offset: u64,
        length: u32,
        room: Option<Room>,
    ) -> Result<Pending, SftpError> {
        let handle = self.handle();
        let pending = self
            .sftp
            .mux
            .send(Kind::Read, |request| {
                request.string(handle).u64(offset).u32(length)
            })
            .await?;
        Ok(pending.holding(room))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.sftp.mux.forget_handle(handle);
        }
    }
}

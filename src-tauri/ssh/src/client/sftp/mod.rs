//! SFTP with many requests on their way at once.
//!
//! Each call is one request and waits for its own reply only, so callers get speed by starting
//! many. [`File::reader`] and [`File::writer`] do that for whole files.

mod codec;
mod file;
mod mux;
mod reader;
mod status;
mod writer;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::{Connection, Error};
use codec::{Kind, Reply, Request};
use mux::Mux;

pub use file::File;
pub use reader::Reader;
pub use status::{SftpError, StatusCode};
pub use writer::Writer;

/// The data of a READ or WRITE that every server takes.
const SAFE_CHUNK: u32 = 32 << 10;
/// What OpenSSH allows at most, and more brings nothing.
const BEST_CHUNK: u32 = 255 << 10;
/// A server that allows less than this is not worth listening to about it.
const LEAST_CHUNK: u64 = 4 << 10;

/// What is known of a file, or is to be set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Bytes.
    pub size: Option<u64>,
    /// File type and permission bits as in `st_mode`.
    pub permissions: Option<u32>,
    /// Last access, seconds since 1970.
    pub accessed: Option<u32>,
    /// Last change, seconds since 1970.
    pub modified: Option<u32>,
}

impl Attributes {
    /// The file type bits of `st_mode`; 0 when unknown.
    #[must_use]
    pub fn file_type(&self) -> u32 {
        self.permissions.unwrap_or(0) & 0o170_000
    }

    /// Whether it is a folder.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.file_type() == 0o040_000
    }

    /// Whether it is a plain file. Servers that tell no type mean plain files.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self.file_type(), 0o100_000 | 0)
    }

    /// Whether it is a symbolic link.
    #[must_use]
    pub fn is_symlink(&self) -> bool {
        self.file_type() == 0o120_000
    }
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name alone. What is not UTF-8 in it shows as U+FFFD.
    pub name: String,
    /// Whether `name` is exactly what the server has; when not, the file can't be opened by it.
    pub exact: bool,
    /// What the server told of it.
    pub attributes: Attributes,
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// To read.
    Read,
    /// To write, emptied or made.
    Create,
    /// To write on, keeping what is there; made when missing.
    Continue,
    /// To write on, keeping what is there, which must be.
    Present,
    /// To write what must not be there yet.
    New,
}

impl Open {
    fn flags(self) -> u32 {
        match self {
            Self::Read => 0x1,
            Self::Create => 0x2 | 0x8 | 0x10,
            Self::Continue => 0x2 | 0x8,
            Self::Present => 0x2,
            Self::New => 0x2 | 0x8 | 0x20,
        }
    }
}

/// An SFTP session. Cheap to clone; it ends with its last clone.
#[derive(Clone)]
pub struct Sftp {
    mux: Arc<Mux>,
    limits: Limits,
    extensions: Arc<HashMap<String, Bytes>>,
    /// Keeps the connection open.
    _connection: Connection,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    read: u32,
    write: u32,
}

impl Connection {
    /// Starts an SFTP session.
    ///
    /// # Errors
    /// [`Error`]: the server has no SFTP, or the connection fails.
    pub async fn sftp(&self) -> Result<Sftp, Error> {
        const WHAT: &str = "the SFTP subsystem";
        let mut channel = self.session().await?;
        channel.request_subsystem(true, "sftp").await?;
        super::command::granted(&mut channel, WHAT).await?;
        let mux = Arc::new(Mux::start(channel));
        let unsupported = |_| Error::Unsupported { what: WHAT };
        let Reply::Version(extensions) = mux.greet().await.map_err(unsupported)? else {
            return Err(Error::Unsupported { what: WHAT });
        };
        let mut sftp = Sftp {
            mux,
            limits: Limits {
                read: SAFE_CHUNK,
                write: SAFE_CHUNK,
            },
            extensions: Arc::new(extensions),
            _connection: self.clone(),
        };
        if sftp.has("limits@openssh.com")
            && let Ok(limits) = sftp.ask_limits().await
        {
            sftp.limits = limits;
        }
        Ok(sftp)
    }
}

impl Sftp {
    /// Whether the session is known to be gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.mux.is_closed()
    }

    /// What is known of `path`; of the link itself unless `follow`.
    ///
    /// # Errors
    /// [`SftpError`].
    pub async fn stat(&self, path: &str, follow: bool) -> Result<Attributes, SftpError> {
        let kind = if follow { Kind::Stat } else { Kind::Lstat };
        match self.call(kind, |request| request.string(path)).await? {
            Reply::Attributes(attributes) => Ok(attributes),
            other => Err(unexpected(other)),
        }
    }

    /// Sets what is given in `attributes`.
    ///
    /// # Errors
    /// [`SftpError`].
    pub async fn set_attributes(
        &self,
        path: &str,
        attributes: &Attributes,
    ) -> Result<(), SftpError> {
        self.act(Kind::Setstat, |request| {
            request.string(path).attributes(attributes)
        })
        .await
    }

    /// The absolute form of `path`; `.` is the home folder.
    ///
    /// # Errors
    /// [`SftpError`].
    pub async fn real_path(&self, path: &str) -> Result<String, SftpError> {
        self.one_name(Kind::Realpath, path).await
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// [`SftpError`].
    pub async fn read_link(&self, path: &str) -> Result<String, SftpError> {
        self.one_name(Kind::Readlink, path).await
    }

    /// Makes the symbolic link `path` that leads to `target`.
    ///
    /// # Errors
    /// [`SftpError`].
    pub async fn symlink(&self, target: &str, path: &str) -> Result<(), SftpError> {
        // OpenSSH takes the two in the other order than the draft says, and everyone follows it.
        self.act(Kind::Symlink, |request| request.string(target).string(path))
            .await
    }

    /// The names in a folder, without `.` and `..`.
    ///
    /// # Errors
    /// [`SftpError`].
    pub async fn read_dir(&self, path: &str) -> Result<Vec<Name>, SftpError> {
        let handle = match self
            .call(Kind::Opendir, |request| request.string(path))
            .await?
        {
            Reply::Handle(handle) => handle,
            other => return Err(unexpected(other)),
        };
        let mut names = Vec::new();
        let result = loop {
            match self
                .call(Kind::Readdir, |request| request.string(&handle))
                .await
            {
                Ok(Reply::Names(body)) => match parse_names(body) {
                    Ok(more) => names.extend(more),
                    Err(error) => break Err(error),
                },
                Ok(Reply::Status {
                    code: StatusCode::Eof,
                    ..
                }) => break Ok(names),
                Ok(other) => break Err(unexpected(other)),
                Err(error) => break Err(error),
            }
        };
        self.mux.forget_handle(handle);
        result.map(|names| {
            names
                .into_iter()
                .filter(|name| name.name != "." && name.name != "..")
                .collect()
        })
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// [`SftpError`]; version 3 says only "failure" when it exists.
    pub async fn make_dir(&self, path: &str) -> Result<(), SftpError> {
        let attributes = Attributes::default();
        self.act(Kind::Mkdir, |request| {
            request.string(path).attributes(&attributes)
        })
        .await
    }

    /// Removes a file or a link.
    ///
    /// # Errors
    /// [`SftpError`].
    pub async fn remove(&self, path: &str) -> Result<(), SftpError> {
        self.act(Kind::Remove, |request| request.string(path)).await
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// [`SftpError`].
    pub async fn remove_dir(&self, path: &str) -> Result<(), SftpError> {
        self.act(Kind::Rmdir, |request| request.string(path)).await
    }

    /// Gives a file another name; a file of that name is replaced where the server can do so in
    /// one step.
    ///
    /// # Errors
    /// [`SftpError`].
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), SftpError> {
        const POSIX: &str = "posix-rename@openssh.com";
        if self.has(POSIX) {
            let request = |request: Request| request.string(POSIX).string(from).string(to);
            return self.act(Kind::Extended, request).await;
        }
        let plain = || self.act(Kind::Rename, |request| request.string(from).string(to));
        match plain().await {
            Err(SftpError::Status {
                code: StatusCode::Failure | StatusCode::Other(_),
                ..
            }) => {
                // Version 3 refuses to replace.
                self.remove(to).await?;
                plain().await
            }
            done => done,
        }
    }

    /// Whether the server announced an extension.
    #[must_use]
    pub fn has(&self, extension: &str) -> bool {
        self.extensions.contains_key(extension)
    }

    /// Opens a file.
    ///
    /// # Errors
    /// [`SftpError`].
    pub async fn open(
        &self,
        path: &str,
        open: Open,
        attributes: &Attributes,
    ) -> Result<File, SftpError> {
        let request = |request: Request| {
            request
                .string(path)
                .u32(open.flags())
                .attributes(attributes)
        };
        match self.call(Kind::Open, request).await? {
            Reply::Handle(handle) => Ok(File::new(self.clone(), handle)),
            other => Err(unexpected(other)),
        }
    }

    async fn one_name(&self, kind: Kind, path: &str) -> Result<String, SftpError> {
        match self.call(kind, |request| request.string(path)).await? {
            Reply::Names(body) => {
                let first = parse_names(body)?
                    .into_iter()
                    .next()
                    .ok_or(SftpError::Malformed)?;
                if first.exact {
                    Ok(first.name)
                } else {
                    Err(SftpError::Name(first.name))
                }
            }
            other => Err(unexpected(other)),
        }
    }

    async fn ask_limits(&self) -> Result<Limits, SftpError> {
        let reply = self.call(Kind::Extended, |request| {
            request.string("limits@openssh.com")
        });
        let Reply::Extended(mut body) = reply.await? else {
            return Err(SftpError::Malformed);
        };
        let (packet, read, write) = (
            codec::u64(&mut body)?,
            codec::u64(&mut body)?,
            codec::u64(&mut body)?,
        );
        let chunk = |limit: u64| {
            let limit = if limit == 0 {
                packet.saturating_sub(1024)
            } else {
                limit
            };
            if limit < LEAST_CHUNK {
                return SAFE_CHUNK;
            }
            u32::try_from(limit).unwrap_or(u32::MAX).min(BEST_CHUNK)
        };
        Ok(Limits {
            read: chunk(read),
            write: chunk(write),
        })
    }

    async fn call(
        &self,
        kind: Kind,
        fill: impl FnOnce(Request) -> Request,
    ) -> Result<Reply, SftpError> {
        self.mux.send(kind, fill).await?.reply().await
    }

    async fn act(
        &self,
        kind: Kind,
        fill: impl FnOnce(Request) -> Request,
    ) -> Result<(), SftpError> {
        done(self.call(kind, fill).await?)
    }
}

fn done(reply: Reply) -> Result<(), SftpError> {
    match reply {
        Reply::Status {
            code: StatusCode::Ok,
            ..
        } => Ok(()),
        other => Err(unexpected(other)),
    }
}

fn unexpected(reply: Reply) -> SftpError {
    match reply {
        Reply::Status { code, message } => {
            let message = match (message.is_empty(), code) {
                (false, _) => message,
                (true, StatusCode::NoSuchFile) => "no such file".to_owned(),
                (true, StatusCode::PermissionDenied) => "permission denied".to_owned(),
                (true, code) => format!("the server answered {code:?}"),
            };
            SftpError::Status { code, message }
        }
        _ => SftpError::Malformed,
    }
}

fn parse_names(mut body: Bytes) -> Result<Vec<Name>, SftpError> {
    let count = codec::u32(&mut body)?;
    let mut names = Vec::with_capacity(count.min(1024) as usize);
    for _ in 0..count {
        let raw = codec::string(&mut body)?;
        let _long = codec::string(&mut body)?;
        let attributes = Attributes::decode(&mut body)?;
        let exact = std::str::from_utf8(&raw).is_ok();
        let name = String::from_utf8_lossy(&raw).into_owned();
        names.push(Name {
            name,
            exact,
            attributes,
        });
    }
    Ok(names)
}

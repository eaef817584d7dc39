//! Files of a session, by SFTP over an SSH connection that somebody else dialled.

mod further;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use ssh::client::sftp::{Attributes, Name, Open, Reader, Sftp, SftpError, StatusCode, Writer};
use ssh::client::{Connection, Error, Login};
use tokio::io::{AsyncRead, AsyncWrite};

use self::further::{Files, Further};
use crate::item::FailureCode;
use crate::store::{Capabilities, Entry, Kind, Sink, Source, Store, StoreError, WriteOptions};

/// Small files under way at once on one connection; more brings nothing.
const PARALLEL: usize = 96;

/// Opens one more byte stream to the same server.
pub type Dial = Arc<dyn Fn() -> BoxFuture<'static, Result<ByteStream, StoreError>> + Send + Sync>;

/// Bytes to and from a server.
pub type ByteStream = Box<dyn AsyncStream>;

/// What a connection can be made of.
pub trait AsyncStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> AsyncStream for T {}

/// A session's files. Relative paths begin at its home.
pub struct SftpStore {
    connection: Connection,
    sftp: Sftp,
    home: String,
    round_trip: Duration,
    further: Option<Arc<Further>>,
}

impl SftpStore {
    /// Speaks SSH over `stream`, logs in and starts SFTP.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn connect<S>(stream: S, login: &Login) -> Result<Self, StoreError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Self::start(Connection::connect(stream, login).await.map_err(refused)?).await
    }

    /// The same over a stream that `dial` opens; it is asked for more when several bring more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reach(dial: Dial, login: Login) -> Result<Self, StoreError> {
        let first = Self::connect(dial().await?, &login).await?;
        Ok(Self {
            further: Some(Arc::new(Further::new(dial, login))),
            ..first
        })
    }

    /// Starts SFTP on a connection.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn start(connection: Connection) -> Result<Self, StoreError> {
        let sftp = connection.sftp().await.map_err(refused)?;
        let asked = Instant::now();
        let home = sftp.real_path(".").await?;
        Ok(Self {
            connection,
            sftp,
            home,
            round_trip: asked.elapsed(),
            further: None,
        })
    }

    /// The connection, for commands on the side.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    fn path(&self, path: &str) -> String {
        match path {
            "" | "." | "~" => self.home.clone(),
            path if path.starts_with('/') => path.to_owned(),
            path => crate::name::join(&self.home, path.strip_prefix("~/").unwrap_or(path)),
        }
    }
}

fn refused(error: Error) -> StoreError {
    let code = match &error {
        Error::HostKeyChanged { .. } | Error::Refused { .. } => FailureCode::NotLoggedIn,
        Error::Unsupported { .. } => FailureCode::Unsupported,
        Error::KnownHosts(_) => FailureCode::Io,
        Error::Closed | Error::Protocol(_) => return StoreError::unreachable(error.to_string()),
    };
    StoreError::new(code, error.to_string())
}

impl From<SftpError> for StoreError {
    fn from(error: SftpError) -> Self {
        let text = error.to_string();
        let code = match &error {
            SftpError::Closed => return Self::unreachable(text),
            SftpError::Malformed => FailureCode::Protocol,
            SftpError::Name(_) => FailureCode::UnsafeName,
            SftpError::Status { code, message } => match code {
                StatusCode::NoSuchFile => FailureCode::NotFound,
                StatusCode::PermissionDenied => FailureCode::PermissionDenied,
                StatusCode::Unsupported => FailureCode::Unsupported,
                StatusCode::NoConnection | StatusCode::ConnectionLost => {
                    return Self::unreachable(text);
                }
                _ => by_text(message),
            },
        };
        Self::new(code, text)
    }
}

/// Version 3 has one code for everything else; servers that say more say it in words, those of
/// `strerror`.
fn by_text(message: &str) -> FailureCode {
    let message = message.to_ascii_lowercase();
    let known = [
        ("no space", FailureCode::NoSpace),
        ("storage full", FailureCode::NoSpace),
        ("quota", FailureCode::QuotaExceeded),
        ("exists", FailureCode::AlreadyExists),
        ("not empty", FailureCode::AlreadyExists),
        ("not a directory", FailureCode::NotADirectory),
        ("is a directory", FailureCode::IsADirectory),
    ];
    known
        .into_iter()
        .find_map(|(words, code)| message.contains(words).then_some(code))
        .unwrap_or(FailureCode::Io)
}

impl Store for SftpStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            resume_write: true,
            // Bytes come over several connections, in any order.
            knows_length: false,
            rename: true,
            attributes: true,
            links: true,
            looks_at_one: true,
            parallel_files: PARALLEL,
        }
    }

    fn is_alive(&self) -> bool {
        !self.sftp.is_closed() && !self.connection.is_closed()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        async move { Ok(self.sftp.real_path(".").await.map(drop)?) }.boxed()
    }

    fn resolve<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<String, StoreError>> {
        async move { Ok(self.path(path)) }.boxed()
    }

    fn real_path<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<String, StoreError>> {
        async move { Ok(self.sftp.real_path(&self.path(path)).await?) }.boxed()
    }

    fn list<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Vec<Entry>, StoreError>> {
        async move {
            let path = self.path(path);
            let mut entries: Vec<Entry> = self
                .sftp
                .read_dir(&path)
                .await?
                .into_iter()
                .map(entry)
                .collect();
            let targets = entries
                .iter_mut()
                .filter(|entry| entry.kind == Kind::Symlink)
                .map(|entry| async {
                    let link = crate::name::join(&path, &entry.name);
                    entry.target = self.sftp.read_link(&link).await.ok();
                });
            futures_util::future::join_all(targets).await;
            Ok(entries)
        }
        .boxed()
    }

    fn stat<'a>(&'a self, path: &'a str, follow: bool) -> BoxFuture<'a, Result<Entry, StoreError>> {
        async move {
            let path = self.path(path);
            let attributes = self.sftp.stat(&path, follow).await?;
            let name = path
                .trim_end_matches('/')
                .rsplit('/')
                .next()
                .unwrap_or_default();
            let mut entry = entry(Name {
                name: name.to_owned(),
                exact: true,
                attributes,
            });
            if entry.kind == Kind::Symlink {
                entry.target = self.sftp.read_link(&path).await.ok();
            }
            Ok(entry)
        }
        .boxed()
    }

    fn make_dir<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let path = self.path(path);
            let Err(error) = self.sftp.make_dir(&path).await else {
                return Ok(());
            };
            // Version 3 can't say that it is there already.
            match self.sftp.stat(&path, false).await {
                Ok(_) => Err(StoreError::new(
                    FailureCode::AlreadyExists,
                    format!("{path} is there already"),
                )),
                Err(_) => Err(error.into()),
            }
        }
        .boxed()
    }

    fn remove_file<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        async move { Ok(self.sftp.remove(&self.path(path)).await?) }.boxed()
    }

    fn remove_dir<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        async move { Ok(self.sftp.remove_dir(&self.path(path)).await?) }.boxed()
    }

    fn rename<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        async move { Ok(self.sftp.rename(&self.path(from), &self.path(to)).await?) }.boxed()
    }

    fn link<'a>(&'a self, target: &'a str, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        async move { Ok(self.sftp.symlink(target, &self.path(path)).await?) }.boxed()
    }

    fn read<'a>(
        &'a self,
        path: &'a str,
        offset: u64,
        size: u64,
    ) -> BoxFuture<'a, Result<Box<dyn Source>, StoreError>> {
        async move {
            let none = Attributes::default();
            let file = self.sftp.open(&self.path(path), Open::Read, &none).await?;
            Ok(Box::new(SftpSource(file.reader(offset, size))) as Box<dyn Source>)
        }
        .boxed()
    }

    fn write<'a>(
        &'a self,
        path: &'a str,
        options: WriteOptions,
    ) -> BoxFuture<'a, Result<Box<dyn Sink>, StoreError>> {
        async move {
            let open = if options.offset == 0 {
                Open::Create
            } else {
                Open::Continue
            };
            // An unfinished file is its owner's alone.
            let private = Attributes {
                permissions: Some(0o600),
                ..Attributes::default()
            };
            let path = self.path(path);
            let file = self.sftp.open(&path, open, &private).await?;
            if options.offset > 0 {
                let cut = Attributes {
                    size: Some(options.offset),
                    ..Attributes::default()
                };
                file.set_attributes(&cut).await?;
            }
            let attributes = attributes(options.mode, options.modified);
            // It ends where we begin, whether made, emptied or cut.
            let writer = file.writer(options.offset).sparse();
            let bytes = options.size.unwrap_or(0).saturating_sub(options.offset);
            let files = self.further.as_ref();
            let sink = SftpSink {
                writer,
                attributes,
                files: files.and_then(|it| it.files(path, bytes, self.round_trip)),
            };
            Ok(Box::new(sink) as Box<dyn Sink>)
        }
        .boxed()
    }

    fn set_attributes<'a>(
        &'a self,
        path: &'a str,
        mode: Option<u32>,
        modified: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let path = self.path(path);
            Ok(self
                .sftp
                .set_attributes(&path, &attributes(mode, modified))
                .await?)
        }
        .boxed()
    }

    fn sync<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        async move {
            let none = Attributes::default();
            let file = self.sftp.open(&self.path(path), Open::Read, &none).await?;
            Ok(file.sync().await?)
        }
        .boxed()
    }

    fn sha256<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<[u8; 32]>, StoreError>> {
        async move {
            let quoted = self.path(path).replace('\'', "'\\''");
            let command = format!("sha256sum -- '{quoted}'");
            let output = match self.connection.exec(&command).await {
                Ok(output) if output.status == Some(0) => output.stdout,
                Ok(_) | Err(Error::Unsupported { .. }) => return Ok(None),
                Err(error) => return Err(refused(error)),
            };
            // A name with a backslash or a line break makes coreutils begin with a backslash.
            let digits = output.strip_prefix(b"\\").unwrap_or(&output).get(..64);
            let mut digest = [0; 32];
            let read = digits.and_then(|digits| hex::decode_to_slice(digits, &mut digest).ok());
            Ok(read.map(|()| digest))
        }
        .boxed()
    }
}

fn entry(name: Name) -> Entry {
    let attributes = name.attributes;
    Entry {
        kind: if attributes.is_dir() {
            Kind::Directory
        } else if attributes.is_symlink() {
            Kind::Symlink
        } else if attributes.is_file() {
            Kind::File
        } else {
            Kind::Other
        },
        name: name.name,
        exact: name.exact,
        size: attributes.size.unwrap_or(0),
        modified: attributes
            .modified
            .and_then(|seconds| Timestamp::from_second(i64::from(seconds)).ok()),
        mode: attributes.permissions.map(|mode| mode & 0o7777),
        target: None,
    }
}

fn attributes(mode: Option<u32>, modified: Option<Timestamp>) -> Attributes {
    // Version 3 counts seconds in 32 bits without sign, from 1970 to 2106.
    let modified = modified.and_then(|time| u32::try_from(time.as_second()).ok());
    Attributes {
        permissions: mode.map(|mode| mode & 0o777),
        modified,
        ..Attributes::default()
    }
}

struct SftpSource(Reader);

impl Source for SftpSource {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Bytes>>, StoreError>> {
        async move { Ok(self.0.next().await?) }.boxed()
    }
}

struct SftpSink {
    writer: Writer,
    attributes: Attributes,
    files: Option<Files>,
}

impl Sink for SftpSink {
    fn write(&mut self, data: Vec<Bytes>) -> BoxFuture<'_, Result<u64, StoreError>> {
        if let Some(files) = &mut self.files {
            files.widen(&mut self.writer);
        }
        async move { Ok(self.writer.write(data).await?) }.boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Option<u64>, StoreError>> {
        async move { Ok(self.writer.finish(&self.attributes).await?) }.boxed()
    }
}

//! A data folder as a place that files are moved to and from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use client::protocol::api::folder::{Entry as WireEntry, EntryKind, StorageAddress};
use client::{Client, Download, Upload};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use transfer::{
    Begin, Capabilities, Entry, FailureCode, Kind, Sink, Source, Store, StoreError, Ticket,
    WriteOptions,
};

use crate::file::inner_path;
use crate::session_row::time;
use crate::types::Failure;

/// Requests cost more than bytes; the storage takes this many at once without trouble.
const PARALLEL: usize = 6;
/// What is sent at once. The storage keeps what has come of a piece that is cut off.
const PIECE: usize = Upload::PIECE / 2;

pub(crate) struct FolderStore {
    client: Client,
    folder: String,
    link: Link,
}

/// Whether the manager was in reach when it was last asked. It may come back at another address,
/// which only a new client finds.
#[derive(Clone, Default)]
struct Link(Arc<AtomicBool>);

impl Link {
    fn refused(&self, error: client::Error) -> StoreError {
        let error = refused(error);
        // After another login, too, only a new client is of use.
        if matches!(
            error.code,
            FailureCode::Unreachable | FailureCode::LoginExpired
        ) {
            self.0.store(true, Ordering::Relaxed);
        }
        error
    }

    fn is_broken(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl FolderStore {
    /// The folder of that name or id.
    pub(crate) fn open(client: Client, folder: &str) -> Arc<dyn Store> {
        Arc::new(Self {
            client,
            folder: folder.to_owned(),
            link: Link::default(),
        })
    }

    async fn offset_of(&self, path: &str, begun: &Begun) -> Result<Option<u64>, client::Error> {
        self.client
            .upload_offset(&begun.address, path, begun.size)
            .await
    }

    fn unsupported<T: Send + 'static>(what: &str) -> BoxFuture<'static, Result<T, StoreError>> {
        let error = StoreError::unsupported(format!("a data folder can't hold {what}"));
        async move { Err(error) }.boxed()
    }
}

fn refused(error: client::Error) -> StoreError {
    Failure::from(error).into()
}

fn inner(path: &str) -> Result<String, StoreError> {
    inner_path(path).map_err(StoreError::from)
}

fn entry(entry: WireEntry) -> Entry {
    Entry {
        name: entry.name,
        exact: true,
        kind: match entry.kind {
            EntryKind::File => Kind::File,
            EntryKind::Directory => Kind::Directory,
            EntryKind::Symlink => Kind::Symlink,
        },
        size: entry.size,
        modified: time(Some(&entry.modified)),
        mode: Some(entry.mode & 0o777),
        target: None,
    }
}

impl Store for FolderStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            resume_write: true,
            // The storage tells; see `resume_at`.
            knows_length: true,
            // The storage itself shows a file only when it is whole.
            rename: false,
            attributes: false,
            links: false,
            looks_at_one: false,
            parallel_files: PARALLEL,
        }
    }

    fn is_alive(&self) -> bool {
        !self.link.is_broken()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let answer = self.client.folder(&self.folder).await;
            answer.map(drop).map_err(|error| self.link.refused(error))
        }
        .boxed()
    }

    fn resolve<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<String, StoreError>> {
        async move { Ok(format!("/{}", inner(path)?)) }.boxed()
    }

    fn list<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Vec<Entry>, StoreError>> {
        async move {
            let entries = self.client.folder_files(&self.folder, &inner(path)?).await;
            Ok(entries
                .map_err(|error| self.link.refused(error))?
                .into_iter()
                .map(entry)
                .collect())
        }
        .boxed()
    }

    fn stat<'a>(
        &'a self,
        path: &'a str,
        _follow: bool,
    ) -> BoxFuture<'a, Result<Entry, StoreError>> {
        async move {
            let path = inner(path)?;
            if path.is_empty() {
                return Ok(Entry {
                    name: String::new(),
                    exact: true,
                    kind: Kind::Directory,
                    size: 0,
                    modified: None,
                    mode: None,
                    target: None,
                });
            }
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
            let missing = || {
                let message = format!("{path} is not in the data folder {}", self.folder);
                StoreError::new(FailureCode::NotFound, message)
            };
            let entries = match self.client.folder_files(&self.folder, parent).await {
                Ok(entries) => entries,
                Err(error) => {
                    let error = self.link.refused(error);
                    return Err(if error.retry { error } else { missing() });
                }
            };
            entries
                .into_iter()
                .find(|entry| entry.name == name)
                .map(entry)
                .ok_or_else(missing)
        }
        .boxed()
    }

    fn make_dir<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let made = self
                .client
                .folder_mkdir(&self.folder, &inner(path)?, false)
                .await;
            made.map_err(|error| self.link.refused(error))
        }
        .boxed()
    }

    fn remove_file<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let files = vec![inner(path)?];
            self.client
                .folder_delete(&self.folder, files)
                .await
                .map_err(|error| self.link.refused(error))
        }
        .boxed()
    }

    fn remove_dir<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        self.remove_file(path)
    }

    fn rename<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let (from, to) = (inner(from)?, inner(to)?);
            self.client
                .folder_move(&self.folder, &from, &to)
                .await
                .map_err(|error| self.link.refused(error))
        }
        .boxed()
    }

    fn link<'a>(
        &'a self,
        _target: &'a str,
        _path: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Self::unsupported("links made from outside")
    }

    fn read<'a>(
        &'a self,
        path: &'a str,
        offset: u64,
        _size: u64,
    ) -> BoxFuture<'a, Result<Box<dyn Source>, StoreError>> {
        async move {
            let bytes = self
                .client
                .download(&self.folder, &inner(path)?, offset)
                .await;
            let source = FolderSource {
                bytes: bytes.map_err(|error| self.link.refused(error))?,
                link: self.link.clone(),
            };
            Ok(Box::new(source) as Box<dyn Source>)
        }
        .boxed()
    }

    /// What the storage says has come of the upload that the ticket is for.
    fn resume_at<'a>(
        &'a self,
        path: &'a str,
        _arrived: u64,
        ticket: Option<&'a Ticket>,
    ) -> BoxFuture<'a, Result<Begin, StoreError>> {
        async move {
            let Some(mut begun) = ticket.and_then(Begun::read) else {
                return Ok(Begin::default());
            };
            let path = inner(path)?;
            let mut offset = self.offset_of(&path, &begun).await;
            if offset.as_ref().is_err_and(client::Error::is_temporary) {
                // The storage may have another address by now; what it knows is the token.
                let now = self.client.upload(&self.folder, &path, begun.size).await;
                let now = now.map_err(|error| self.link.refused(error))?;
                begun.address.url.clone_from(&now.address().url);
                offset = self.offset_of(&path, &begun).await;
            }
            let offset = offset.map_err(|error| self.link.refused(error))?;
            Ok(offset.map_or_else(Begin::default, |offset| Begin {
                offset,
                ticket: begun.ticket(),
            }))
        }
        .boxed()
    }

    fn write<'a>(
        &'a self,
        path: &'a str,
        options: WriteOptions,
    ) -> BoxFuture<'a, Result<Box<dyn Sink>, StoreError>> {
        async move {
            let size = options.size.ok_or_else(|| {
                StoreError::unsupported("a data folder has to know a file's size beforehand")
            })?;
            let path = inner(path)?;
            let begun = options.ticket.as_ref().and_then(Begun::read);
            let upload = match begun.filter(|begun| options.offset > 0 && begun.size == size) {
                Some(begun) => self
                    .client
                    .upload_to(begun.address, &path, size, options.offset),
                None => self.client.upload(&self.folder, &path, size).await,
            };
            let upload = upload.map_err(|error| self.link.refused(error))?;
            if upload.offset() != options.offset {
                let message = "the unfinished file is not the one that was begun";
                return Err(StoreError::new(FailureCode::Protocol, message));
            }
            let sink = FolderSink {
                size,
                link: self.link.clone(),
                upload,
                waiting: BytesMut::new(),
            };
            Ok(Box::new(sink) as Box<dyn Sink>)
        }
        .boxed()
    }

    fn set_attributes<'a>(
        &'a self,
        _path: &'a str,
        _mode: Option<u32>,
        _modified: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Self::unsupported("permissions and times of other places")
    }

    fn sha256<'a>(&'a self, _path: &'a str) -> BoxFuture<'a, Result<Option<[u8; 32]>, StoreError>> {
        async { Ok(None) }.boxed()
    }
}

struct FolderSource {
    bytes: Download,
    link: Link,
}

impl Source for FolderSource {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Bytes>>, StoreError>> {
        async move {
            match self.bytes.next().await {
                Some(Ok(bytes)) => Ok(Some(vec![bytes])),
                Some(Err(error)) => Err(self.link.refused(error)),
                None => Ok(None),
            }
        }
        .boxed()
    }
}

/// What is remembered of an upload.
#[derive(Serialize, Deserialize)]
struct Begun {
    address: StorageAddress,
    size: u64,
}

impl Begun {
    /// What can't be read is forgotten: the file is then sent from its start.
    fn read(ticket: &Ticket) -> Option<Self> {
        serde_json::from_str(&ticket.0).ok()
    }

    fn ticket(&self) -> Option<Ticket> {
        serde_json::to_string(self).ok().map(Ticket)
    }
}

/// Collects what comes in small pieces: each request costs a round trip.
struct FolderSink {
    size: u64,
    link: Link,
    upload: Upload,
    waiting: BytesMut,
}

impl Sink for FolderSink {
    fn write(&mut self, data: Vec<Bytes>) -> BoxFuture<'_, Result<u64, StoreError>> {
        async move {
            for bytes in data {
                self.waiting.extend_from_slice(&bytes);
            }
            while self.waiting.len() >= PIECE {
                let piece = self.waiting.split_to(PIECE).freeze();
                self.upload
                    .send(piece)
                    .await
                    .map_err(|error| self.link.refused(error))?;
            }
            Ok(self.upload.offset())
        }
        .boxed()
    }

    fn ticket(&self) -> Option<Ticket> {
        let begun = Begun {
            address: self.upload.address().clone(),
            size: self.size,
        };
        begun.ticket()
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<Option<u64>, StoreError>> {
        async move {
            // An empty file needs one request too.
            if !self.waiting.is_empty() || self.upload.offset() == 0 {
                let rest = self.waiting.split().freeze();
                self.upload
                    .send(rest)
                    .await
                    .map_err(|error| self.link.refused(error))?;
            }
            Ok(Some(self.upload.offset()))
        }
        .boxed()
    }
}

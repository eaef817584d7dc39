//! Files of this computer.
//!
//! When data reaches the disk: a file of a megabyte or more is pushed to the disk before it gets
//! its final name, so that a power cut leaves either no file or a whole one. For smaller files
//! that push would take longer than copying them; they rely on the order in which the file system
//! writes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::item::FailureCode;
use crate::store::{Capabilities, Entry, Kind, Sink, Source, Store, StoreError, WriteOptions};

/// One read or write of the disk.
const CHUNK: usize = 256 << 10;
/// From this length on a file is pushed to the disk before it is renamed.
const SYNC_FROM: u64 = 1 << 20;

/// The file system of this computer. Relative paths begin at the user's home.
#[derive(Debug, Clone)]
pub struct LocalStore {
    home: PathBuf,
}

impl LocalStore {
    /// Relative paths begin at `home`.
    #[must_use]
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self { home: home.into() }
    }

    fn path(&self, path: &str) -> PathBuf {
        match path {
            "" | "." | "~" => self.home.clone(),
            path => self.home.join(path.strip_prefix("~/").unwrap_or(path)),
        }
    }

    /// Runs `work` where it may block.
    fn run<'a, T: Send + 'static>(
        &self,
        path: &str,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        let path = self.path(path);
        async move { Ok(joined(spawn_blocking(move || work(&path))).await?) }.boxed()
    }
}

async fn joined<T>(task: JoinHandle<io::Result<T>>) -> io::Result<T> {
    task.await
        .unwrap_or_else(|ended| Err(io::Error::other(ended)))
}

impl Store for LocalStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            resume_write: true,
            rename: true,
            attributes: true,
            links: cfg!(unix),
            parallel_files: 64,
        }
    }

    fn is_alive(&self) -> bool {
        true
    }

    fn resolve<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<String, StoreError>> {
        let resolved = self.path(path);
        async move { Ok(resolved.to_string_lossy().into_owned()) }.boxed()
    }

    fn list<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Vec<Entry>, StoreError>> {
        self.run(path, |path| {
            let mut entries = Vec::new();
            for found in fs::read_dir(path)? {
                let found = found?;
                let name = found.file_name();
                match fs::symlink_metadata(found.path()) {
                    Ok(data) => entries.push(entry(&name, &found.path(), &data)),
                    // Removed since the folder was read.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(entries)
        })
    }

    fn stat<'a>(&'a self, path: &'a str, follow: bool) -> BoxFuture<'a, Result<Entry, StoreError>> {
        self.run(path, move |path| {
            let data = if follow {
                fs::metadata(path)?
            } else {
                fs::symlink_metadata(path)?
            };
            Ok(entry(path.file_name().unwrap_or_default(), path, &data))
        })
    }

    fn make_dir<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        self.run(path, |path| fs::create_dir(path))
    }

    fn remove_file<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        self.run(path, |path| fs::remove_file(path))
    }

    fn remove_dir<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        self.run(path, |path| fs::remove_dir(path))
    }

    fn rename<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        let to = self.path(to);
        self.run(from, move |from| fs::rename(from, to))
    }

    fn link<'a>(&'a self, target: &'a str, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        let target = target.to_owned();
        self.run(path, move |path| symlink(&target, path))
    }

    fn read<'a>(
        &'a self,
        path: &'a str,
        offset: u64,
        _size: u64,
    ) -> BoxFuture<'a, Result<Box<dyn Source>, StoreError>> {
        self.run(path, move |path| {
            let mut file = File::open(path)?;
            let length = file.metadata()?.len();
            if offset > 0 {
                file.seek(SeekFrom::Start(offset))?;
            }
            let left = length.saturating_sub(offset);
            // The first piece comes with the opening: for a small file it is all there is.
            let ahead = Ahead::Ready(read_piece(file, left)?);
            Ok(Box::new(LocalSource { ahead }) as Box<dyn Source>)
        })
    }

    fn write<'a>(
        &'a self,
        path: &'a str,
        options: WriteOptions,
    ) -> BoxFuture<'a, Result<Box<dyn Sink>, StoreError>> {
        self.run(path, move |path| {
            let mut open = OpenOptions::new();
            open.write(true).create(true).truncate(options.offset == 0);
            private(&mut open);
            let mut file = open.open(path)?;
            if options.offset > 0 {
                // What lies behind was never confirmed.
                file.set_len(options.offset)?;
                file.seek(SeekFrom::Start(options.offset))?;
            }
            let sink = LocalSink {
                file: Some(file),
                arrived: options.offset,
                options,
                held: Vec::new(),
                held_bytes: 0,
            };
            Ok(Box::new(sink) as Box<dyn Sink>)
        })
    }

    fn set_attributes<'a>(
        &'a self,
        path: &'a str,
        mode: Option<u32>,
        modified: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.run(path, move |path| {
            // Folders can be opened for reading only, which is enough to set both.
            set(&File::open(path)?, mode, modified)
        })
    }

    fn sha256<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<[u8; 32]>, StoreError>> {
        self.run(path, |path| {
            let mut file = File::open(path)?;
            let mut digest = Sha256::new();
            let mut buffer = vec![0; CHUNK];
            loop {
                match file.read(&mut buffer)? {
                    0 => return Ok(Some(digest.finalize().into())),
                    read => digest.update(&buffer[..read]),
                }
            }
        })
    }
}

fn entry(name: &std::ffi::OsStr, path: &Path, data: &fs::Metadata) -> Entry {
    let kind = match data.file_type() {
        kind if kind.is_symlink() => Kind::Symlink,
        kind if kind.is_dir() => Kind::Directory,
        kind if kind.is_file() => Kind::File,
        _ => Kind::Other,
    };
    let target = (kind == Kind::Symlink)
        .then(|| fs::read_link(path).ok())
        .flatten()
        .map(|target| target.to_string_lossy().into_owned());
    Entry {
        exact: name.to_str().is_some(),
        name: name.to_string_lossy().into_owned(),
        kind,
        size: data.len(),
        modified: data
            .modified()
            .ok()
            .and_then(|time| Timestamp::try_from(time).ok()),
        mode: mode(data),
        target,
    }
}

#[cfg(unix)]
fn mode(data: &fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    Some(data.permissions().mode() & 0o7777)
}

#[cfg(not(unix))]
fn mode(_data: &fs::Metadata) -> Option<u32> {
    None
}

#[cfg(unix)]
fn symlink(target: &str, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn symlink(_target: &str, _path: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// An unfinished file is its owner's alone: the final rights come with the last byte.
#[cfg(unix)]
fn private(open: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    // Following a link planted under the temporary name would write elsewhere.
    open.mode(0o600)
        .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits());
}

#[cfg(not(unix))]
fn private(_open: &mut OpenOptions) {}

fn set(file: &File, mode: Option<u32>, modified: Option<Timestamp>) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(mode) = mode {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(fs::Permissions::from_mode(mode & 0o777))?;
    }
    #[cfg(not(unix))]
    let _ = mode;
    if let Some(modified) = modified {
        file.set_modified(SystemTime::from(modified))?;
    }
    Ok(())
}

/// What was read, the file, and how much is left to read.
type Piece = (Bytes, File, u64);

fn read_piece(mut file: File, left: u64) -> io::Result<Piece> {
    let length = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
    let mut buffer = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    // Fewer bytes than promised: the file was cut short meanwhile.
    let left = if filled < length {
        0
    } else {
        left - filled as u64
    };
    buffer.truncate(filled);
    Ok((buffer.into(), file, left))
}

enum Ahead {
    Ready(Piece),
    Reading(JoinHandle<io::Result<Piece>>),
    End,
}

/// Reads one piece ahead of its consumer.
struct LocalSource {
    ahead: Ahead,
}

impl Source for LocalSource {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Bytes>>, StoreError>> {
        async move {
            let (piece, file, left) = match &mut self.ahead {
                Ahead::End => return Ok(None),
                Ahead::Reading(task) => {
                    let piece = task
                        .await
                        .unwrap_or_else(|ended| Err(io::Error::other(ended)));
                    self.ahead = Ahead::End;
                    piece?
                }
                Ahead::Ready(_) => match std::mem::replace(&mut self.ahead, Ahead::End) {
                    Ahead::Ready(piece) => piece,
                    Ahead::Reading(_) | Ahead::End => return Ok(None),
                },
            };
            if left > 0 {
                self.ahead = Ahead::Reading(spawn_blocking(move || read_piece(file, left)));
            }
            Ok((!piece.is_empty()).then(|| vec![piece]))
        }
        .boxed()
    }
}

struct LocalSink {
    file: Option<File>,
    arrived: u64,
    options: WriteOptions,
    held: Vec<Bytes>,
    held_bytes: usize,
}

fn gone() -> io::Error {
    io::Error::other("an earlier write to this file failed")
}

fn write_pieces(file: &mut File, pieces: &[Bytes]) -> io::Result<()> {
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

impl LocalSink {
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
            let (pieces, options) = (std::mem::take(&mut self.held), self.options);
            let work = move || {
                write_pieces(&mut file, &pieces)?;
                let length = file.metadata()?.len();
                set(&file, options.mode, options.modified)?;
                if length >= SYNC_FROM {
                    file.sync_all()?;
                }
                Ok(length)
            };
            Ok(Some(joined(spawn_blocking(work)).await?))
        }
        .boxed()
    }
}

/// What an unsupported kind of entry is called in a failure.
pub(crate) fn not_a_file(path: &str) -> StoreError {
    StoreError::new(
        FailureCode::Unsupported,
        format!("{path} is neither a file nor a folder"),
    )
}

//! Files of this computer.
//!
//! When data reaches the disk: a file of a megabyte or more is pushed to the disk before it gets
//! its final name, so that a power cut leaves either no file or a whole one. For smaller files
//! that push would take longer than copying them; they rely on the order in which the file system
//! writes.

mod lane;
mod sink;
mod source;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use lane::Lane;
use sha2::{Digest, Sha256};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::item::FailureCode;
use crate::store::{
    Begin, Capabilities, Entry, Kind, Sink, Source, Store, StoreError, Ticket, WriteOptions,
};

/// One read or write of the disk; as much as most servers take in one request of SFTP.
const CHUNK: usize = 255 << 10;

/// The file system of this computer. Relative paths begin at the user's home.
#[derive(Debug, Clone)]
pub struct LocalStore {
    home: PathBuf,
    lane: Lane,
}

impl LocalStore {
    /// Relative paths begin at `home`.
    #[must_use]
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self {
            home: home.into(),
            lane: Lane::default(),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        match path {
            "" | "." | "~" => self.home.clone(),
            path => self.home.join(path.strip_prefix("~/").unwrap_or(path)),
        }
    }

    /// Does something short on the disk.
    fn step<'a, T: Send + 'static>(
        &'a self,
        path: &str,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        let path = self.path(path);
        async move { Ok(self.lane.run(move || work(&path)).await?) }.boxed()
    }

    /// Does something that may take long, on a thread of its own.
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
            // By this process or one before it, since the computer was started.
            knows_length: true,
            rename: true,
            attributes: true,
            links: cfg!(unix),
            looks_at_one: true,
            parallel_files: 96,
        }
    }

    fn is_alive(&self) -> bool {
        true
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        async { Ok(()) }.boxed()
    }

    fn real_path<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<String, StoreError>> {
        self.run(path, |path| {
            let real = fs::canonicalize(path)?;
            Ok(real.to_string_lossy().into_owned())
        })
    }

    fn resume_at<'a>(
        &'a self,
        path: &'a str,
        _arrived: u64,
        _ticket: Option<&'a Ticket>,
    ) -> BoxFuture<'a, Result<Begin, StoreError>> {
        let there = self.step(path, |path| fs::symlink_metadata(path));
        async move {
            // Written in order by one writer: all of it is there.
            let there = there.await.ok().filter(fs::Metadata::is_file);
            Ok(Begin::at(there.map_or(0, |there| there.len())))
        }
        .boxed()
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
        self.step(path, move |path| {
            let data = if follow {
                fs::metadata(path)?
            } else {
                fs::symlink_metadata(path)?
            };
            Ok(entry(path.file_name().unwrap_or_default(), path, &data))
        })
    }

    fn make_dir<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        self.step(path, |path| fs::create_dir(path))
    }

    fn remove_file<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        self.step(path, |path| fs::remove_file(path))
    }

    fn remove_dir<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        self.step(path, |path| fs::remove_dir(path))
    }

    fn rename<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        let to = self.path(to);
        self.step(from, move |from| fs::rename(from, to))
    }

    fn link<'a>(&'a self, target: &'a str, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        let target = target.to_owned();
        self.step(path, move |path| symlink(&target, path))
    }

    fn read<'a>(
        &'a self,
        path: &'a str,
        offset: u64,
        _size: u64,
    ) -> BoxFuture<'a, Result<Box<dyn Source>, StoreError>> {
        self.step(path, move |path| {
            Ok(Box::new(source::open(File::open(path)?, offset)?) as Box<dyn Source>)
        })
    }

    fn write<'a>(
        &'a self,
        path: &'a str,
        options: WriteOptions,
    ) -> BoxFuture<'a, Result<Box<dyn Sink>, StoreError>> {
        let lane = self.lane.clone();
        self.step(path, move |path| {
            let mut open = OpenOptions::new();
            open.write(true).create(true).truncate(options.offset == 0);
            private(&mut open);
            let mut file = open.open(path)?;
            if options.offset > 0 {
                // What lies behind was never confirmed.
                file.set_len(options.offset)?;
                file.seek(SeekFrom::Start(options.offset))?;
            }
            Ok(Box::new(sink::LocalSink::new(file, options, lane)) as Box<dyn Sink>)
        })
    }

    fn set_attributes<'a>(
        &'a self,
        path: &'a str,
        mode: Option<u32>,
        modified: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.step(path, move |path| {
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

/// What an unsupported kind of entry is called in a failure.
pub(crate) fn not_a_file(path: &str) -> StoreError {
    StoreError::new(
        FailureCode::Unsupported,
        format!("{path} is neither a file nor a folder"),
    )
}

//! One open folder: what can be done to the files in it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use cap_std::fs::{Dir, MetadataExt, OpenOptions, OpenOptionsExt};
use runtime::Owner;

use super::error::StorageError;
use super::identity::Acting;
use super::path::InnerPath;

/// Directories nested deeper than this are left out of walks; the system's own limit on a path is
/// 4096 bytes.
pub(super) const DEPTH: usize = 1000;

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder {
    dir: Dir,
    owner: Option<Owner>,
}

/// What a directory entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// A file, or something that only looks like one (socket, pipe, device).
    File,
    /// A directory.
    Directory,
    /// A symbolic link, not followed.
    Symlink,
}

/// One line of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name; what isn't UTF-8 is shown with replacement characters.
    pub(crate) name: String,
    /// What it is.
    pub(crate) kind: EntryKind,
    /// Bytes.
    pub(crate) size: u64,
    /// `st_mode`, type bits included.
    pub(crate) mode: u32,
    /// Last change of its inode, in seconds and nanoseconds since 1970.
    pub(crate) created: (i64, i64),
    /// Last change of its contents, in seconds and nanoseconds since 1970.
    pub(crate) modified: (i64, i64),
}

/// A file opened for reading.
#[derive(Debug)]
pub(crate) struct OpenedFile {
    /// The open file.
    pub(crate) file: File,
    /// Its size when it was opened, in bytes.
    pub(crate) size: u64,
    /// Last change of its contents, in seconds and nanoseconds since 1970.
    pub(crate) modified: (i64, i64),
}

/// What a folder holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Files and symbolic links, directories not counted.
    pub(crate) files: u64,
    /// Their sizes together, in bytes.
    pub(crate) bytes: u64,
}

impl Folder {
    pub(super) fn new(dir: Dir, owner: Option<Owner>) -> Self {
        Self { dir, owner }
    }

    pub(super) fn dir(&self) -> &Dir {
        &self.dir
    }

    pub(super) fn acting(&self) -> Acting {
        Acting::as_owner(self.owner)
    }

    /// Lists a directory by name.
    pub(crate) fn list(&self, path: &InnerPath) -> Result<Vec<Entry>, StorageError> {
        let _acting = self.acting();
        let at = |error| StorageError::at(path.as_str(), error);
        let mut entries = Vec::new();
        for entry in self.dir.read_dir(path.to_system()).map_err(at)? {
            let entry = entry.map_err(at)?;
            // Sessions work in the folder at the same time: what just went away isn't listed.
            let meta = match entry.metadata() {
                Ok(meta) => meta,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(at(error)),
            };
            entries.push(Entry {
                name: entry.file_name().to_string_lossy().into_owned(),
                kind: kind_of(&meta.file_type()),
                size: meta.len(),
                mode: meta.mode(),
                created: (meta.ctime(), meta.ctime_nsec()),
                modified: (meta.mtime(), meta.mtime_nsec()),
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Makes a directory; `parents` makes those above it too, `exist_ok` accepts one that is there.
    pub(crate) fn make_dir(
        &self,
        path: &InnerPath,
        parents: bool,
        exist_ok: bool,
    ) -> Result<(), StorageError> {
        let _acting = self.acting();
        let at = |error| StorageError::at(path.as_str(), error);
        if let (true, Some(parent)) = (parents, path.parent()) {
            self.make_parents(&parent)?;
        }
        match self.dir.create_dir(path.to_system()) {
            Err(error)
                if exist_ok
                    && error.kind() == io::ErrorKind::AlreadyExists
                    && self.dir.is_dir(path.to_system()) =>
            {
                Ok(())
            }
            other => other.map_err(at),
        }
    }

    /// Makes a directory and all above it, those that are there being fine.
    pub(super) fn make_parents(&self, path: &InnerPath) -> Result<(), StorageError> {
        if path.is_root() {
            return Ok(());
        }
        let at = |error| StorageError::at(path.as_str(), error);
        match self.dir.create_dir_all(path.to_system()) {
            // Something that is no directory stands in the way: a file, or a link that leads out.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.dir.open_dir(path.to_system()).map(drop).map_err(at)
            }
            other => other.map_err(at),
        }
    }

    /// Moves or renames a file or directory; what is at `to` must not exist.
    pub(crate) fn rename(&self, from: &InnerPath, to: &InnerPath) -> Result<(), StorageError> {
        let _acting = self.acting();
        let at = |error| StorageError::at(from.as_str(), error);
        self.dir.symlink_metadata(from.to_system()).map_err(at)?;
        if self.dir.symlink_metadata(to.to_system()).is_ok() {
            return Err(StorageError::Exists(to.as_str().to_owned()));
        }
        if let Some(parent) = to.parent() {
            self.make_parents(&parent)?;
        }
        self.dir
            .rename(from.to_system(), &self.dir, to.to_system())
            .map_err(at)
    }

    /// Deletes a file, a symbolic link (not what it points to) or, asked for, a directory with all
    /// that is in it.
    pub(crate) fn delete(&self, path: &InnerPath, recursive: bool) -> Result<(), StorageError> {
        let _acting = self.acting();
        let at = |error| StorageError::at(path.as_str(), error);
        let meta = self.dir.symlink_metadata(path.to_system()).map_err(at)?;
        match (meta.is_dir(), recursive) {
            (false, _) => self.dir.remove_file(path.to_system()).map_err(at),
            (true, true) => self.dir.remove_dir_all(path.to_system()).map_err(at),
            (true, false) => Err(StorageError::NeedsRecursive(path.as_str().to_owned())),
        }
    }

    /// Whether `path` is a directory (a symbolic link to one inside the folder counts).
    pub(crate) fn is_dir(&self, path: &InnerPath) -> Result<bool, StorageError> {
        let _acting = self.acting();
        let meta = self.dir.metadata(path.to_system());
        Ok(meta
            .map_err(|error| StorageError::at(path.as_str(), error))?
            .is_dir())
    }

    /// Opens a directory to write into, and keeps it open whatever happens to its name.
    pub(crate) fn open_dir(&self, path: &InnerPath) -> Result<OwnedFd, StorageError> {
        let _acting = self.acting();
        let dir = self.dir.open_dir(path.to_system());
        let dir = dir.map_err(|error| StorageError::at(path.as_str(), error))?;
        Ok(dir.into_std_file().into())
    }

    /// Opens a regular file for reading.
    pub(crate) fn open(&self, path: &InnerPath) -> Result<OpenedFile, StorageError> {
        let _acting = self.acting();
        open_regular(&self.dir, path)
    }

    /// Counts what is in the folder. What can't be read counts as nothing.
    pub(crate) fn usage(&self) -> Usage {
        let _acting = self.acting();
        let mut usage = Usage::default();
        if let Ok(dir) = self.dir.try_clone() {
            count(&dir, 0, &mut usage);
        }
        usage
    }
}

/// Opens a regular file beneath `dir`. A pipe must not make us wait for its writer.
pub(super) fn open_regular(dir: &Dir, path: &InnerPath) -> Result<OpenedFile, StorageError> {
    let at = |error| StorageError::at(path.as_str(), error);
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(nix::libc::O_NONBLOCK);
    let file = dir.open_with(path.to_system(), &options).map_err(at)?;
    let meta = file.metadata().map_err(at)?;
    if !meta.is_file() {
        let kind = if meta.is_dir() {
            "a directory"
        } else {
            "not an ordinary file"
        };
        return Err(StorageError::WrongKind(path.as_str().to_owned(), kind));
    }
    Ok(OpenedFile {
        size: meta.len(),
        modified: (meta.mtime(), meta.mtime_nsec()),
        file: file.into_std(),
    })
}

pub(super) fn kind_of(kind: &cap_std::fs::FileType) -> EntryKind {
    if kind.is_dir() {
        EntryKind::Directory
    } else if kind.is_symlink() {
        EntryKind::Symlink
    } else {
        EntryKind::File
    }
}

fn count(dir: &Dir, depth: usize, usage: &mut Usage) {
    let Ok(entries) = dir.entries() else { return };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth < DEPTH => {
                if let Ok(inner) = entry.open_dir() {
                    count(&inner, depth + 1, usage);
                }
            }
            Ok(kind) if kind.is_dir() => {}
            Ok(_) => {
                usage.files += 1;
                usage.bytes += entry.metadata().map_or(0, |meta| meta.len());
            }
            Err(_) => {}
        }
    }
}

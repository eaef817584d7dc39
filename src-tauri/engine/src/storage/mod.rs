//! Data folders on this computer's disk.
//!
//! Hidden here: where a folder lies (`<root>/<32 hex>/files`, with half-finished uploads beside it
//! in `<root>/<32 hex>/uploads`, outside what a session can see), that no path from the wire leaves
//! its folder (every path is resolved beneath an open directory, symbolic links included), and that
//! files are touched with the identity of the sessions that mount them, never with root's.
//! Everything but uploads and archives is blocking; callers move it off the async threads.

mod archive;
mod copy;
mod error;
mod folder;
mod identity;
mod path;
mod token;
mod upload;

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use runtime::Owner;
use uuid::Uuid;

pub(crate) use archive::Pieces;
pub(crate) use error::StorageError;
pub(crate) use folder::{Entry, EntryKind, Folder, OpenedFile, Usage};
pub(crate) use path::InnerPath;
pub(crate) use token::{TokenError, Tokens, Transfer};
pub(crate) use upload::{Upload, Uploads};

/// Everything that the engine needs to keep data folders.
#[derive(Debug)]
pub(crate) struct Storage {
    /// The folders.
    pub(crate) volume: Volume,
    /// What is being sent into them.
    pub(crate) uploads: Uploads,
    /// Lets clients send and fetch.
    pub(crate) tokens: Tokens,
}

impl Storage {
    /// Opens the storage at `root`, see [`Volume::open`] and [`Tokens::new`].
    pub(crate) fn open(
        root: PathBuf,
        owner: Option<Owner>,
        secret: &[u8],
    ) -> Result<Self, StorageError> {
        let volume = Volume::open(root, owner)?;
        let uploads = Uploads::new(volume.clone());
        Ok(Self {
            volume,
            uploads,
            tokens: Tokens::new(secret),
        })
    }
}

/// All data folders of this engine.
#[derive(Debug, Clone)]
pub(crate) struct Volume {
    root: PathBuf,
    owner: Option<Owner>,
}

impl Volume {
    /// Opens the volume at `root`, making the directory when it is missing.
    ///
    /// `owner` is whom the files belong to; none means the user that runs the engine.
    pub(crate) fn open(root: PathBuf, owner: Option<Owner>) -> Result<Self, StorageError> {
        // Sessions run under another user than the engine when root started it: they must be able
        // to pass through to their own folder, without listing the others.
        make_passable(&root)?;
        Ok(Self { root, owner })
    }

    /// Where the files of the folder `id` lie, for mounting into a session.
    pub(crate) fn files_path(&self, id: Uuid) -> PathBuf {
        self.folder_path(id).join("files")
    }

    /// Makes the storage of a new folder. Making it twice is no error.
    pub(crate) fn create(&self, id: Uuid) -> Result<(), StorageError> {
        let folder = self.folder_path(id);
        make_passable(&folder)?;
        for part in ["files", "uploads"] {
            let path = folder.join(part);
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                other => other?,
            }
            if let Some(owner) = self.owner {
                std::os::unix::fs::chown(&path, Some(owner.uid), Some(owner.gid))?;
            }
        }
        Ok(())
    }

    /// Opens the folder `id`.
    pub(crate) fn folder(&self, id: Uuid) -> Result<Folder, StorageError> {
        Ok(Folder::new(
            self.open_dir(&self.files_path(id))?,
            self.owner,
        ))
    }

    /// Opens the place of half-finished uploads of the folder `id`.
    fn uploads_dir(&self, id: Uuid) -> Result<Dir, StorageError> {
        self.open_dir(&self.folder_path(id).join("uploads"))
    }

    /// Removes the folder `id` with all that is in it. Removing it twice is no error.
    ///
    /// It leaves its place first, so that what a crash leaves behind is never mistaken for a folder.
    pub(crate) fn remove(&self, id: Uuid) -> Result<(), StorageError> {
        let gone = self.root.join(format!(".removed-{}", id.simple()));
        match std::fs::rename(self.folder_path(id), &gone) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        match removal::remove(&gone) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Finishes removals that were cut off in the middle.
    pub(crate) fn finish_removals(&self) -> Result<(), StorageError> {
        for entry in std::fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(".removed-") {
                removal::remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// The bytes of the disk that the volume is on.
    pub(crate) fn space(&self) -> Result<Space, StorageError> {
        let stat = nix::sys::statvfs::statvfs(&self.root).map_err(std::io::Error::from)?;
        let fragment = stat.fragment_size();
        Ok(Space {
            total: stat.blocks().saturating_mul(fragment),
            free: stat.blocks_available().saturating_mul(fragment),
        })
    }

    fn folder_path(&self, id: Uuid) -> PathBuf {
        self.root.join(id.simple().to_string())
    }

    fn open_dir(&self, path: &Path) -> Result<Dir, StorageError> {
        Dir::open_ambient_dir(path, ambient_authority()).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => StorageError::Gone,
            _ => error.into(),
        })
    }
}

/// Makes a directory that others may pass through but not list, whatever the umask says.
fn make_passable(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o711).create(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o711))
}

/// The room on a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    /// The size of the file system.
    pub(crate) total: u64,
    /// What an ordinary user may still write.
    pub(crate) free: u64,
}

#[cfg(test)]
mod tests;

//! Copying all that is in one folder into another.

use std::io::{self, Read};
use std::time::SystemTime;

use cap_std::fs::{Dir, DirEntry, MetadataExt, OpenOptions, OpenOptionsExt};

use super::error::StorageError;
use super::folder::{DEPTH, Folder};

/// Bytes that are copied before anybody hears of them, or may stop the copy.
const PIECE: u64 = 64 << 20;

/// What a copy tells, and is told.
pub(crate) trait Watch {
    /// So many bytes more are copied. False ends the copy.
    fn copied(&mut self, bytes: u64) -> bool;
}

impl<F: FnMut(u64) -> bool> Watch for F {
    fn copied(&mut self, bytes: u64) -> bool {
        self(bytes)
    }
}

impl Folder {
    /// Copies all that is in this folder into the empty folder `target`, with permissions and times
    /// of change; a symbolic link stays what it is. Gives how many things were left out: sockets,
    /// pipes and devices hold nothing that could be copied. What goes away meanwhile is not copied.
    ///
    /// # Errors
    /// When something can't be read or written, or `watch` ends it; a part is copied then.
    pub(crate) fn copy_to(
        &self,
        target: &Self,
        watch: &mut dyn Watch,
    ) -> Result<u64, StorageError> {
        let _acting = self.acting();
        let mut copy = Copy { watch, left_out: 0 };
        copy.directory(self.dir(), target.dir(), "", 0)?;
        Ok(copy.left_out)
    }
}

struct Copy<'a> {
    watch: &'a mut dyn Watch,
    left_out: u64,
}

impl Copy<'_> {
    fn directory(
        &mut self,
        from: &Dir,
        to: &Dir,
        path: &str,
        depth: usize,
    ) -> Result<(), StorageError> {
        for entry in from
            .entries()
            .map_err(|error| StorageError::at(path, error))?
        {
            let entry = entry.map_err(|error| StorageError::at(path, error))?;
            let inner = format!("{path}/{}", entry.file_name().to_string_lossy());
            let inner = inner.trim_start_matches('/');
            match self.entry(&entry, from, to, inner, depth) {
                // Sessions work in the folder at the same time.
                Err(StorageError::NotFound(_)) if entry.metadata().is_err() => {}
                other => other?,
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        entry: &DirEntry,
        from: &Dir,
        to: &Dir,
        path: &str,
        depth: usize,
    ) -> Result<(), StorageError> {
        let at = |error| StorageError::at(path, error);
        let (name, kind) = (entry.file_name(), entry.file_type().map_err(at)?);
        if kind.is_symlink() {
            // Where it leads to is for those to find out who follow it, beneath their own root.
            let leads_to = from.read_link_contents(&name).map_err(at)?;
            to.symlink_contents(leads_to, &name).map_err(at)
        } else if kind.is_dir() {
            if depth >= DEPTH {
                return Err(at(io::Error::other(format!(
                    "{path} is nested more than {DEPTH} directories deep"
                ))));
            }
            let inner = entry.open_dir().map_err(at)?;
            to.create_dir(&name).map_err(at)?;
            let copied = to.open_dir(&name).map_err(at)?;
            self.directory(&inner, &copied, path, depth + 1)?;
            let meta = inner.dir_metadata().map_err(at)?;
            // The directory's handle is only good for what is in it.
            let mut reading = OpenOptions::new();
            reading
                .read(true)
                .custom_flags(nix::libc::O_DIRECTORY | nix::libc::O_NOFOLLOW);
            let copied = to.open_with(&name, &reading).map_err(at)?.into_std();
            copied.set_permissions(mode(meta.mode())).map_err(at)?;
            copied.set_modified(modified(&meta)).map_err(at)
        } else if kind.is_file() {
            self.file(entry, to, path)
        } else {
            self.left_out += 1;
            Ok(())
        }
    }

    fn file(&mut self, entry: &DirEntry, to: &Dir, path: &str) -> Result<(), StorageError> {
        let at = |error| StorageError::at(path, error);
        // What was a file a moment ago may be a pipe by now: don't wait for its writer.
        let mut reading = OpenOptions::new();
        reading.read(true).custom_flags(nix::libc::O_NONBLOCK);
        let from = entry.open_with(&reading).map_err(at)?;
        let meta = from.metadata().map_err(at)?;
        if !meta.is_file() {
            self.left_out += 1;
            return Ok(());
        }
        let mut writing = OpenOptions::new();
        writing.write(true).create_new(true);
        let target = to.open_with(entry.file_name(), &writing).map_err(at)?;
        let (from, mut target) = (from.into_std(), target.into_std());
        loop {
            // The system copies between two files by itself, sharing blocks where it can.
            let copied = io::copy(&mut (&from).take(PIECE), &mut target).map_err(at)?;
            if !self.watch.copied(copied) {
                return Err(StorageError::CutOff);
            }
            if copied < PIECE {
                break;
            }
        }
        target.set_permissions(mode(meta.mode())).map_err(at)?;
        target.set_modified(modified(&meta)).map_err(at)
    }
}

/// Permissions without the bits that lend an identity: the copy may belong to somebody else.
fn mode(mode: u32) -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode & 0o777)
}

fn modified(meta: &cap_std::fs::Metadata) -> SystemTime {
    meta.modified()
        .map_or(SystemTime::UNIX_EPOCH, |time| time.into_std())
}

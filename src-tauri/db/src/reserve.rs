//! Space that is set aside, so that a disk which somebody has filled still takes the few changes
//! that it needs to be emptied again: ending a session, removing a folder.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// A change of state takes some pages of the log and of the file; this is hundreds of changes.
const SIZE: u64 = 2 << 20;
/// With less than this left on the disk the reserve is given up.
const LOW: u64 = 1 << 20;
/// With more than this left it is set aside again.
const AMPLE: u64 = 32 << 20;

/// A file beside the database, as large as the reserve.
pub(crate) struct Reserve {
    path: PathBuf,
}

impl Reserve {
    pub(crate) fn beside(database: &Path) -> Self {
        Self {
            path: database.with_extension("reserve"),
        }
    }

    /// Looks at the disk: sets the reserve aside, or gives it up. Called before each change. What
    /// fails here is not worth failing the change for.
    pub(crate) fn adjust(&self) {
        let Ok(free) = self.free() else { return };
        let held = self.path.exists();
        let outcome = match (free, held) {
            (..LOW, true) => fs::remove_file(&self.path),
            (AMPLE.., false) => self.set_aside(),
            _ => Ok(()),
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, file = %self.path.display(), "the disk reserve");
        }
    }

    #[cfg(target_os = "linux")]
    fn free(&self) -> io::Result<u64> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let disk = rustix::fs::statvfs(folder)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    #[cfg(target_os = "linux")]
    fn set_aside(&self) -> io::Result<()> {
        let file = File::create(&self.path)?;
        Ok(rustix::fs::fallocate(
            &file,
            rustix::fs::FallocateFlags::empty(),
            0,
            SIZE,
        )?)
    }

    #[cfg(not(target_os = "linux"))]
    fn free(&self) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[cfg(not(target_os = "linux"))]
    fn set_aside(&self) -> io::Result<()> {
        File::create(&self.path)?.set_len(SIZE)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn an_ample_disk_has_its_reserve() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve::beside(&folder.path().join("a.db"));
        reserve.adjust();
        let held = fs::metadata(folder.path().join("a.reserve")).unwrap();
        assert_eq!(held.len(), SIZE);
        // A second look changes nothing.
        reserve.adjust();
        assert!(folder.path().join("a.reserve").exists());
    }
}

//! How much an image may take.

use std::path::{Path, PathBuf};

use super::ImageError;

/// How often the free space is looked at, in bytes written.
const LOOK: u64 = 16 << 20;

/// Limits of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageLimits {
    /// Bytes that the layers of one image may take together, unpacked.
    pub image_bytes: u64,
    /// Files, directories and links of one image.
    pub entries: u64,
    /// Bytes that stay free on the disk, so that sessions and the engine can go on.
    pub keep_free: u64,
}

impl Default for ImageLimits {
    fn default() -> Self {
        Self {
            image_bytes: 64 << 30,
            entries: 4_000_000,
            keep_free: 256 << 20,
        }
    }
}

/// What is left for one image.
pub(super) struct Budget {
    limits: ImageLimits,
    place: PathBuf,
    bytes: u64,
    entries: u64,
    looked: u64,
}

impl Budget {
    pub(super) fn new(limits: ImageLimits, place: &Path) -> Self {
        Self {
            limits,
            place: place.to_owned(),
            bytes: 0,
            entries: 0,
            looked: 0,
        }
    }

    /// Accounts for a file, directory or link.
    pub(super) fn entry(&mut self) -> Result<(), ImageError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(ImageError::Malformed(format!(
                "it has more than {} files",
                self.limits.entries
            )));
        }
        Ok(())
    }

    /// Accounts for bytes before they are written.
    pub(super) fn bytes(&mut self, bytes: u64) -> Result<(), ImageError> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limits.image_bytes {
            return Err(ImageError::TooLarge(self.limits.image_bytes));
        }
        if self.bytes >= self.looked {
            self.looked = self.bytes.saturating_add(LOOK);
            self.room(0)?;
        }
        Ok(())
    }

    /// Refuses when less than `wanted` bytes can be written.
    pub(super) fn room(&self, wanted: u64) -> Result<(), ImageError> {
        let Ok(disk) = rustix::fs::statvfs(&self.place) else {
            return Ok(());
        };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < wanted.saturating_add(self.limits.keep_free) {
            return Err(ImageError::DiskFull);
        }
        Ok(())
    }
}

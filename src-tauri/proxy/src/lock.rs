//! Who is the host. The lock is the kernel's and goes with the process, however that ends; the
//! text in the file only tells people whose it is.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use settings::Paths;

/// How long [`held_by`] holds the lock at most, and how often it may be met at it.
const GLANCE: Duration = Duration::from_millis(1);
const GLANCES: u32 = 5;

/// Which program is the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// The desktop app.
    App,
    /// `gangway proxy run`.
    Daemon,
}

/// Who is the host now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBy {
    /// Which program.
    pub holder: Holder,
    /// Its process number.
    pub pid: u32,
    /// Since when.
    pub since: Timestamp,
}

/// Who is the host now; `None` when nobody is.
#[must_use]
pub fn held_by(paths: &Paths) -> Option<HeldBy> {
    let mut file = File::open(paths.proxy_lock()).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => read(&mut file),
        _ => None,
    }
}

/// The lock while it is held.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

/// Why the lock could not be had.
pub(crate) enum Refused {
    Held(Option<HeldBy>),
    Io(io::Error),
}

impl Lock {
    pub(crate) fn take(path: &Path, holder: Holder) -> Result<Self, Refused> {
        let mut file = open(path).map_err(Refused::Io)?;
        let mut glances = GLANCES;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                // It may be somebody who only looks whether it is held.
                Err(TryLockError::WouldBlock) if glances > 0 => {
                    glances -= 1;
                    std::thread::sleep(GLANCE);
                }
                Err(TryLockError::WouldBlock) => return Err(Refused::Held(read(&mut file))),
                Err(TryLockError::Error(error)) => return Err(Refused::Io(error)),
            }
        }
        let held = HeldBy {
            holder,
            pid: std::process::id(),
            since: Timestamp::now(),
        };
        write(&mut file, &held).map_err(Refused::Io)?;
        Ok(Self { file })
    }

    /// Lets the next one have it.
    pub(crate) fn release(&self) {
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "proxy lock not released");
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

fn read(file: &mut File) -> Option<HeldBy> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn write(file: &mut File, held: &HeldBy) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(serde_json::to_string(held)?.as_bytes())?;
    file.flush()
}

//! One engine for each data folder, and the note by which programs find it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

/// Held for the engine's life; the system lets go of it however the engine ends.
pub(crate) struct Lock {
    _file: Flock<File>,
}

/// The data folder belongs to another engine that runs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error("another engine runs on this data folder")]
    Taken,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Lock {
    pub(crate) fn take(data_dir: &Path) -> Result<Self, LockError> {
        private_folder(data_dir)?;
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(data_dir.join("engine.lock"))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Self { _file: file }),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Err(LockError::Taken),
            Err((_, errno)) => Err(LockError::Io(errno.into())),
        }
    }
}

/// Makes a folder that only its owner can enter, and refuses one that somebody else put there.
pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    settings::private_dir(folder).map_err(io::Error::other)
}

/// `engine.json`: written when the engine listens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Beacon {
    pub(crate) pid: u32,
    /// Boot id and start time of the process in clock ticks: tells a reused pid apart.
    pub(crate) start_time: String,
    pub(crate) endpoint: String,
    pub(crate) socket: PathBuf,
    pub(crate) version: String,
}

impl Beacon {
    fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("engine.json")
    }

    /// What the last engine wrote, for its port.
    pub(crate) fn read(data_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(Self::path(data_dir)).ok()?).ok()
    }

    /// Writes it whole or not at all.
    pub(crate) fn write(&self, data_dir: &Path) -> io::Result<()> {
        let fresh = data_dir.join("engine.json.new");
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        std::fs::rename(fresh, Self::path(data_dir))
    }
}

/// The id of this boot of the computer.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// This process's own start, as [`Beacon::start_time`].
pub(crate) fn start_time() -> String {
    // The program's name in field 2 may hold spaces and brackets: count from its last bracket.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().nth(19))
        .unwrap_or_default();
    format!("{} {ticks}", boot_id())
}

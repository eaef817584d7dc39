//! Processes of the computer: naming them for good, waiting for their end, and what they noted
//! down before it.

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    path::Path,
};

use protocol::runner::launch::ExitNote;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use tokio::io::{Interest, unix::AsyncFd};

use crate::Exit;

/// A process, named so that a later one with the same number is not taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessName {
    pub(crate) pid: u32,
    /// Clock ticks from the computer's start to the process's.
    pub(crate) start: u64,
}

impl ProcessName {
    /// Of a process that runs.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(") ")?;
        let start = rest.split(' ').nth(19)?.parse().ok()?;
        Some(Self { pid, start })
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// A descriptor of a process by its number; the process must not have been waited for.
pub(crate) fn descriptor_of(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Waits until the process has ended.
pub(crate) async fn until_ended(process: &OwnedFd) {
    let watched = process.try_clone().and_then(watched);
    match watched {
        Ok(watched) => {
            // Readable means ended; an error would mean that it can't be known, and the same.
            let _ = watched.readable().await;
        }
        Err(error) => tracing::warn!(%error, "a session can't be watched"),
    }
}

#[expect(
    unsafe_code,
    reason = "tokio can't see that an owned descriptor stays open"
)]
pub(crate) fn watched(process: OwnedFd) -> io::Result<AsyncFd<Owned>> {
    // SAFETY: the descriptor is owned by the `AsyncFd` and never replaced.
    Ok(unsafe { AsyncFd::register_with_interest(Owned(process), Interest::READABLE) }?)
}

/// A descriptor that is waited for until it can be read.
#[derive(Debug)]
pub(crate) struct Owned(OwnedFd);

impl AsFd for Owned {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Owned {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Names this run of the computer.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// How a kernel ended that was started in the run `boot` of the computer, by the note that it left.
pub(crate) fn exit(note: &Path, boot: Option<&str>) -> Exit {
    let note = fs::read(note)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    match note {
        Some(ExitNote::Terminated) => Exit::Terminated,
        Some(ExitNote::BatchFinished { exit_code }) => Exit::BatchFinished { exit_code },
        Some(ExitNote::BatchTimeout) => Exit::BatchTimeout,
        Some(ExitNote::Lost { reason }) => Exit::Lost { reason },
        None if boot.is_some_and(|boot| boot != boot_id()) => Exit::HostRestarted,
        None => Exit::Lost {
            reason: "the session's outermost process was killed".to_owned(),
        },
    }
}

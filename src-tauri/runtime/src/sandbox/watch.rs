//! Waits for the end of a kernel and tidies up after it.

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    sync::Arc,
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::UnixStream,
    process::Child,
    sync::watch,
};

use super::record::{Dir, ProcessName, Record};
use crate::Exit;

/// The supervisor behind a control socket: the process that made the socket listen.
pub(super) fn supervisor_of(stream: &UnixStream) -> io::Result<OwnedFd> {
    let pid = stream.peer_cred()?.pid().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("the socket names no process"))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// A descriptor of a process by its number; the process must not have been waited for.
pub(super) fn descriptor_of(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Waits until the process has ended.
pub(super) async fn until_ended(process: &OwnedFd) {
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
fn watched(process: OwnedFd) -> io::Result<AsyncFd<Owned>> {
    // SAFETY: the descriptor is owned by the `AsyncFd` and never replaced.
    Ok(unsafe { AsyncFd::register_with_interest(Owned(process), Interest::READABLE) }?)
}

struct Owned(OwnedFd);

impl AsRawFd for Owned {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Watches a kernel in the background; the receiver learns how it ended, after everything is tidy.
/// `child` is the supervisor when this process started it.
pub(super) fn watch(
    dir: Dir,
    record: Record,
    supervisor: Arc<OwnedFd>,
    child: Option<Child>,
) -> watch::Receiver<Option<Exit>> {
    let (tell, told) = watch::channel(None);
    tokio::spawn(async move {
        until_ended(&supervisor).await;
        if let Some(mut child) = child {
            // Only to leave no zombie behind.
            let _ = child.wait().await;
        }
        clean(&dir, &record).await;
        // Nobody may be interested any more.
        let _ = tell.send(Some(dir.exit()));
    });
    told
}

/// Removes what an ended kernel leaves outside its directory.
pub(super) async fn clean(dir: &Dir, record: &Record) {
    if let Some(pasta) = record.pasta.filter(|pasta| pasta.is_alive()) {
        end(pasta);
    }
    // Processes of the session vanish one after the other; the group can't be removed before.
    for _ in 0..100 {
        if record.group.remove() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A socket that is gone already is as good.
    let _ = fs::remove_file(&dir.socket);
}

fn end(process: ProcessName) {
    if let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) {
        // It may have ended by itself in this moment.
        let _ = kill_process(pid, Signal::KILL);
    }
}

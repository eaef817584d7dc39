//! Waits for the end of a kernel and tidies up after it.

use std::{fs, io, os::fd::OwnedFd, sync::Arc, time::Duration};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tokio::{net::UnixStream, process::Child, sync::watch};

use super::{
    network,
    record::{Dir, Record},
};
use crate::{
    Exit,
    process::{boot_id, until_ended},
};

/// The supervisor behind a control socket: the process that made the socket listen.
pub(super) fn supervisor_of(stream: &UnixStream) -> io::Result<OwnedFd> {
    let pid = stream.peer_cred()?.pid().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("the socket names no process"))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
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
    if let Some(pasta) = record
        .pasta
        .filter(|pasta| record.boot_id == boot_id() && pasta.is_alive())
    {
        kill(pasta.pid);
    }
    end_network(dir);
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

/// Ends the network of a kernel, which outlives it when its launcher is killed.
pub(super) fn end_network(dir: &Dir) {
    for pid in network::strays(dir.kernel) {
        kill(pid);
    }
}

fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended by itself in this moment.
        let _ = kill_process(pid, Signal::KILL);
    }
}

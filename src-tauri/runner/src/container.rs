//! The first process of a container: it is told what to be by the engine, which waits at a socket
//! that the container is shown, and hands over everything that a session needs. Nothing of the
//! user's runs before that, and nothing secret lies in the container or in its description.

use std::{
    fs::File,
    io::{self, IoSliceMut, Read},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    process::ExitCode,
};

use protocol::runner::launch::{DOOR_PATH, RunnerPlan};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::session;

/// Control socket, two log files, exit note, plan: the same as the launcher leaves open.
const HANDED_OVER: usize = 5;

/// Runs the session to its end.
pub(crate) fn run() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let door = UnixStream::connect(DOOR_PATH)
        .map_err(|error| format!("the engine is not to be found at {DOOR_PATH}: {error}"))?;
    let handed: [OwnedFd; HANDED_OVER] = receive(&door)?
        .try_into()
        .map_err(|_| "the engine went away before it said what to do")?;
    drop(door);
    // What runs in the session has the same user id: it must not look into this process.
    nix::sys::prctl::set_dumpable(false)?;
    let [control, log_a, log_b, exit, plan] = handed;
    let mut text = Vec::new();
    File::from(plan).read_to_end(&mut text)?;
    let plan: RunnerPlan = serde_json::from_slice(&text)?;
    let logs = [File::from(log_a), File::from(log_b)];
    session::begin(UnixListener::from(control), logs, File::from(exit), plan)
}

/// All descriptors come with one byte.
fn receive(door: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDED_OVER))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut slices = [IoSliceMut::new(&mut byte)];
    recvmsg(
        door.as_fd(),
        &mut slices,
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut handed = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            handed.extend(descriptors);
        }
    }
    Ok(handed)
}

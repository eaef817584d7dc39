//! Hands a container's runner what it needs. Until then nothing of the user's runs inside.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IoSlice, Seek, SeekFrom, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
            net::UnixListener,
        },
    },
    path::Path,
};

use protocol::runner::launch::RunnerPlan;
use rustix::{
    fs::{CWD, MemfdFlags, Mode, OFlags, ResolveFlags, memfd_create, openat2},
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
};
use tokio::net::UnixStream;

use super::record::Dir;
use crate::Mount;

/// Name of the socket in its directory; `DOOR_PATH` is where the container sees it.
const NAME: &str = "s";

/// The engine's side of the door, before anybody came.
pub(super) struct Door(tokio::net::UnixListener);

impl Door {
    pub(super) fn make(dir: &Dir) -> io::Result<Self> {
        fs::create_dir(&dir.porch)?;
        // On the host nobody gets here: the directory above is the engine's alone.
        fs::set_permissions(&dir.porch, fs::Permissions::from_mode(0o755))?;
        let place = dir.porch.join(NAME);
        let listener = tokio::net::UnixListener::bind(&place)?;
        fs::set_permissions(&place, fs::Permissions::from_mode(0o666))?;
        Ok(Self(listener))
    }

    /// Waits for the first process of the container, and for nobody else.
    pub(super) async fn opened_by(&self, pid: u32) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.0.accept().await?;
            let peer = stream.peer_cred()?.pid();
            if peer.and_then(|peer| u32::try_from(peer).ok()) == Some(pid) {
                return Ok(stream);
            }
            tracing::warn!(?peer, "somebody else came to the door of a container");
        }
    }
}

/// Passes the control socket, the log, the exit note and the plan through the door.
pub(super) fn hand_over(to: &UnixStream, dir: &Dir, plan: &RunnerPlan) -> io::Result<()> {
    let control = UnixListener::bind(&dir.socket)?;
    fs::set_permissions(&dir.socket, fs::Permissions::from_mode(0o600))?;
    let [log_a, log_b] = dir.logs();
    let mut text = File::from(memfd_create("session", MemfdFlags::CLOEXEC)?);
    text.write_all(&serde_json::to_vec(plan)?)?;
    text.seek(SeekFrom::Start(0))?;
    let handed: [OwnedFd; 5] = [
        control.into(),
        private_file(&log_a)?.into(),
        private_file(&log_b)?.into(),
        private_file(&dir.at("exit.json"))?.into(),
        text.into(),
    ];
    let borrowed = handed.each_ref().map(AsFd::as_fd);
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(5))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&borrowed)) {
        return Err(io::Error::other("too many descriptors for one message"));
    }
    sendmsg(
        to.as_fd(),
        &[IoSlice::new(b"g")],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

/// What a folder to mount really is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u64, u64);

impl Place {
    /// Of a folder of the host. No link anywhere on the way: a session that has the folder already
    /// could put one there.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let file = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
        Self::of_file(file.into())
    }

    /// Of what the container `pid` shows at the target of `mount`.
    pub(super) fn shown(pid: u32, mount: &Mount) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let root = openat2(
            CWD,
            format!("/proc/{pid}/root"),
            flags | OFlags::DIRECTORY,
            Mode::empty(),
            ResolveFlags::empty(),
        )?;
        let inside = mount.target.strip_prefix("/").map_err(io::Error::other)?;
        let file = openat2(root, inside, flags, Mode::empty(), ResolveFlags::IN_ROOT)?;
        Self::of_file(file.into())
    }

    fn of_file(file: File) -> io::Result<Self> {
        let found = file.metadata()?;
        Ok(Self(found.dev(), found.ino()))
    }
}

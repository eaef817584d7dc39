//! The step from the host into the sandbox.

use std::{
    fs,
    io::Write,
    os::{
        fd::RawFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    path::PathBuf,
    process::{Command, ExitCode},
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::{
        prctl,
        resource::{Resource, getrlimit, setrlimit},
        signal::Signal,
    },
    unistd::{Gid, Uid},
};
use protocol::runner::{
    ids::IdPlan,
    launch::{ClusterLink, RUNNER_PATH},
};
use serde::{Deserialize, Serialize};

use super::{Doing, LaunchError, become_user, ids, link, overlay};
use crate::fds;

/// Open files that a session may have, where the host allows as many.
const OPEN_FILES: u64 = 1 << 20;

/// What the supervisor tells this process.
#[derive(Serialize, Deserialize)]
pub(super) struct Orders {
    pub(super) become_user: Option<(u32, u32)>,
    pub(super) ids: Option<IdPlan>,
    /// Descriptors over which the ids of the new namespace are written down.
    pub(super) map: Option<[RawFd; 2]>,
    pub(super) cgroups: Vec<PathBuf>,
    pub(super) bubblewrap: PathBuf,
    /// Descriptor with bubblewrap's arguments.
    pub(super) arguments: RawFd,
    /// Descriptor to announce on that the namespaces are made.
    pub(super) announce: RawFd,
    /// Descriptors for the runner.
    pub(super) session: Vec<RawFd>,
    pub(super) process_limit: Option<u64>,
    pub(super) has_network: bool,
    /// Roots to put together.
    pub(super) overlays: Vec<overlay::Order>,
    pub(super) cluster: Option<ClusterLink>,
}

/// Becomes bubblewrap, or stays until it ends where the session has several ids.
pub(crate) fn enter() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let number = std::env::args_os().nth(2).unwrap_or_default();
    let orders: Orders = serde_json::from_slice(&fds::read_inherited(&number)?)?;
    Ok(attempt(&orders)?)
}

fn attempt(orders: &Orders) -> Result<ExitCode, LaunchError> {
    for group in &orders.cgroups {
        // 0 means the process that writes.
        fs::write(group, "0").doing(format!("join {}", group.display()))?;
    }
    become_user(orders.become_user)?;
    limit(Resource::RLIMIT_NOFILE, OPEN_FILES)?;
    if let Some(processes) = orders.process_limit {
        limit(Resource::RLIMIT_NPROC, processes)?;
    }
    let mounts = !orders.overlays.is_empty();
    let main = match orders.cluster.and_then(|link| link.main) {
        Some(pid) => Some(link::Main::join(pid, mounts)?),
        None => {
            make_namespaces(mounts, orders.map)?;
            None
        }
    };
    link::loopback_up()?;
    if let Some(place) = &orders.cluster {
        link::attach(place, main.as_ref())?;
    }
    drop(main);
    for order in &orders.overlays {
        overlay::make(order)?;
    }
    let announce = fds::inherited(orders.announce.to_string().as_ref()).doing("announce")?;
    if orders.has_network {
        fs::File::from(announce).write_all(b"1").doing("announce")?;
    }
    // After the last change of user, which would clear it.
    prctl::set_pdeathsig(Signal::SIGKILL).doing("end with the supervisor")?;
    let mut command = Command::new(&orders.bubblewrap);
    let view = orders.ids.as_ref().map(ids::session_view).transpose()?;
    if let Some(view) = &view {
        let number = fds::keep_over_exec(view).doing("pass a descriptor on")?;
        command.arg("--userns2").arg(number.to_string());
    }
    command
        .arg("--args")
        .arg(orders.arguments.to_string())
        .arg("--");
    command.arg(RUNNER_PATH).arg("session");
    command.args(orders.session.iter().map(RawFd::to_string));
    if view.is_none() {
        return Err(command.exec()).doing("start bubblewrap");
    }
    // Bubblewrap leaves the namespace that owns the network; whoever joins it needs somebody there.
    let status = command.status().doing("start bubblewrap")?;
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    let code = code.and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

/// Sets a limit as far as the host's own allows: raising that needs rights that even root may lack.
fn limit(resource: Resource, wanted: u64) -> Result<(), LaunchError> {
    let (_, hard) = getrlimit(resource).doing("read a limit")?;
    let value = wanted.min(hard);
    setrlimit(resource, value, value).doing("set a limit")
}

/// Tries out, in a directory of the caller's, whether an overlay can be mounted here. The arguments
/// of the process: a lower directory, an area.
pub(crate) fn try_overlay() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(2).map(PathBuf::from);
    let (Some(lower), Some(area)) = (arguments.next(), arguments.next()) else {
        return Err("expected two directories".into());
    };
    make_namespaces(true, None)?;
    overlay::make(&overlay::Order {
        lower: vec![lower],
        area: area.clone(),
        root: None,
    })?;
    // Copying up is what some file systems below refuse.
    fs::write(area.join(overlay::MERGED).join("tried"), "1")?;
    Ok(ExitCode::SUCCESS)
}

/// Makes a user namespace and in it a network namespace, one for mounts too where they are needed.
pub(super) fn make_namespaces(mounts: bool, map: Option<[RawFd; 2]>) -> Result<(), LaunchError> {
    let mut flags = CloneFlags::CLONE_NEWNET;
    if mounts {
        flags |= CloneFlags::CLONE_NEWNS;
    }
    make_user_namespace(flags, map)
}

/// Makes a user namespace and what `with` says in it. Its ids are written down by the process at
/// the other end of `map`; without one, the user is all that there is.
pub(crate) fn make_user_namespace(
    with: CloneFlags,
    map: Option<[RawFd; 2]>,
) -> Result<(), LaunchError> {
    let (uid, gid) = (Uid::current(), Gid::current());
    unshare(CloneFlags::CLONE_NEWUSER | with).doing("make a user namespace")?;
    fs::write("/proc/self/setgroups", "deny").doing("give up groups")?;
    if let Some(map) = map {
        return ids::await_map(map);
    }
    fs::write("/proc/self/uid_map", format!("0 {uid} 1")).doing("map the user")?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1")).doing("map the group")
}

//! Work on trees of files that belong to several ids of a session, in a user namespace that has
//! them: an ordinary user may neither give files away nor look into or remove what is not his.
//!
//! Two processes as for a session: [`order`] stays outside and gives the ids, [`inside`] works, in
//! the directory that both were started in. It gets no further: ids that are not in the plan are
//! nobody's to it, and it follows no link out of the tree.

mod own;
mod pack;

use std::{
    ffi::OsString,
    fs,
    io::{self, Read},
    os::fd::RawFd,
    process::{Command, ExitCode, Stdio},
};

use nix::sched::CloneFlags;
use protocol::runner::ids::{TreeOrder, TreeWork};
use serde::{Deserialize, Serialize};

use crate::{
    fds,
    launch::{become_user, ids, make_user_namespace},
};

#[derive(Serialize, Deserialize)]
struct Inside {
    order: TreeOrder,
    map: Option<[RawFd; 2]>,
}

/// Does what the [`TreeOrder`] on standard input says.
pub(crate) fn order() -> Result<ExitCode, Box<dyn std::error::Error>> {
    fds::seal()?;
    let mut text = Vec::new();
    io::stdin().read_to_end(&mut text)?;
    let order: TreeOrder = serde_json::from_slice(&text)?;
    let plan = order.ids.clone();
    let told = match plan {
        Some(_) => Some(ids::handshake()?),
        None => None,
    };
    let map = match &told {
        Some((_, waiting)) => Some(waiting.pass_on()?),
        None => None,
    };
    let text = serde_json::to_vec(&Inside { order, map })?;
    let text = fds::memory_file("order", &text)?;
    let mut child = Command::new("/proc/self/exe")
        .arg("tree-inside")
        .arg(fds::keep_over_exec(&text)?.to_string())
        .env_clear()
        .stdin(Stdio::null())
        .spawn()?;
    if let (Some(plan), Some((mapping, waiting))) = (plan, told) {
        drop(waiting);
        if let Err(error) = mapping.write(&child, &plan) {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Box::new(error));
        }
    }
    Ok(if child.wait()?.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The work itself; the argument is the descriptor of the order.
pub(crate) fn inside(arguments: &[OsString]) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let number = arguments.first().ok_or("expected a descriptor")?;
    let Inside { order, map } = serde_json::from_slice(&fds::read_inherited(number)?)?;
    become_user(order.become_user)?;
    // Whoever waits for the work is gone when the process outside is.
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    make_user_namespace(CloneFlags::empty(), map)?;
    match order.work {
        TreeWork::Own { others } => own::give(&others)?,
        TreeWork::Remove => removal::empty(fs::File::open(".")?)?,
        TreeWork::Pack => pack::write(io::stdout().lock(), order.ids.is_some())?,
    }
    Ok(ExitCode::SUCCESS)
}

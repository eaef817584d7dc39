//! The ids of a session whose image's files have several owners.
//!
//! Two user namespaces, one in the other. The *outer* one owns the session's network and mounts;
//! the session's own id is 0 in it, all others follow. In the *view*, which owns nothing, each id
//! is what it is inside, and there the session lives. Ids of the host that are in neither are
//! nobody's. Who makes a namespace can't give ids to it: another process, told over a pipe, does.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, PipeReader, PipeWriter, Read, Write},
    os::fd::RawFd,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
};

use nix::sched::CloneFlags;
use protocol::runner::ids::{IdPlan, IdRange};

use super::{Doing, LaunchError, enter::make_user_namespace};
use crate::fds;

/// Inside, the user that an image's files are of when nothing else is said.
const ROOT: u32 = 0;

/// The end of who writes the ids down.
pub(crate) struct Mapping {
    made: PipeReader,
    go_on: PipeWriter,
}

/// The end of who makes the namespace.
pub(crate) struct Waiting {
    made: PipeWriter,
    go_on: PipeReader,
}

/// Both ends.
pub(crate) fn handshake() -> io::Result<(Mapping, Waiting)> {
    let (made, tell_made) = io::pipe()?;
    let (go_on, tell_go_on) = io::pipe()?;
    Ok((
        Mapping {
            made,
            go_on: tell_go_on,
        },
        Waiting {
            made: tell_made,
            go_on,
        },
    ))
}

impl Waiting {
    /// Lets the process that is started next have them, by these numbers.
    pub(crate) fn pass_on(&self) -> io::Result<[RawFd; 2]> {
        Ok([
            fds::keep_over_exec(&self.made)?,
            fds::keep_over_exec(&self.go_on)?,
        ])
    }
}

/// In the process that has just made its namespace: waits until it has ids.
pub(crate) fn await_map([made, go_on]: [RawFd; 2]) -> Result<(), LaunchError> {
    let doing = "wait for the ids";
    let made = fds::inherited(made.to_string().as_ref()).doing(doing)?;
    let go_on = fds::inherited(go_on.to_string().as_ref()).doing(doing)?;
    File::from(made).write_all(b"1").doing(doing)?;
    File::from(go_on).read_exact(&mut [0]).doing(doing)
}

impl Mapping {
    /// Gives the ids to the namespace that `child` makes, and lets it go on.
    pub(crate) fn write(mut self, child: &Child, ids: &IdPlan) -> Result<(), LaunchError> {
        if self.made.read(&mut [0]).doing("wait for a namespace")? == 0 {
            // It has ended and said why.
            return Ok(());
        }
        let process = Path::new("/proc").join(child.id().to_string());
        match &ids.writers {
            None => {
                fs::write(process.join("uid_map"), text(&ids.users)).doing("map the users")?;
                fs::write(process.join("gid_map"), text(&ids.groups)).doing("map the groups")?;
            }
            Some(writers) => {
                ask(&writers.users, child.id(), &ids.users)?;
                ask(&writers.groups, child.id(), &ids.groups)?;
            }
        }
        self.go_on.write_all(b"1").doing("go on")
    }
}

fn text(ranges: &[IdRange]) -> String {
    let line = |range: &IdRange| format!("{} {} {}\n", range.inside, range.host, range.count);
    ranges.iter().map(line).collect()
}

fn ask(program: &Path, process: u32, ranges: &[IdRange]) -> Result<(), LaunchError> {
    let numbers = ranges
        .iter()
        .flat_map(|range| [range.inside, range.host, range.count]);
    let output = Command::new(program)
        .arg(process.to_string())
        .args(numbers.map(|number| number.to_string()))
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .doing(format!("start {}", program.display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(said)).doing(format!("get ids from {}", program.display()))
}

/// The ids of the outer namespace: numbered in the order of the plan.
pub(super) fn outer(ids: &IdPlan) -> IdPlan {
    IdPlan {
        users: numbered(&ids.users, |range, number| IdRange {
            inside: number,
            ..range
        }),
        groups: numbered(&ids.groups, |range, number| IdRange {
            inside: number,
            ..range
        }),
        writers: ids.writers.clone(),
    }
}

/// The ids of the view, in terms of the outer namespace.
fn view(ids: &IdPlan) -> IdPlan {
    let in_outer = |range: IdRange, number| IdRange {
        host: number,
        ..range
    };
    IdPlan {
        users: numbered(&ids.users, in_outer),
        groups: numbered(&ids.groups, in_outer),
        writers: None,
    }
}

fn numbered(ranges: &[IdRange], change: impl Fn(IdRange, u32) -> IdRange) -> Vec<IdRange> {
    let mut next = 0;
    let mut changed = Vec::new();
    for range in ranges {
        changed.push(change(*range, next));
        next += range.count;
    }
    changed
}

/// User and group that are root inside, in terms of the outer namespace.
pub(super) fn root(ids: &IdPlan) -> Option<(u32, u32)> {
    let ids = view(ids);
    let find = |ranges: &[IdRange]| {
        let range = ranges
            .iter()
            .find(|range| (range.inside..range.inside + range.count).contains(&ROOT))?;
        Some(range.host + (ROOT - range.inside))
    };
    Some((find(&ids.users)?, find(&ids.groups)?))
}

/// In the outer namespace: makes the view.
pub(super) fn session_view(ids: &IdPlan) -> Result<File, LaunchError> {
    let (mapping, waiting) = handshake().doing("make a pipe")?;
    let numbers = waiting.pass_on().doing("pass a descriptor on")?;
    let mut child = Command::new("/proc/self/exe")
        .arg("nest")
        .args(numbers.map(|number| number.to_string()))
        .env_clear()
        .stdin(Stdio::piped())
        .spawn()
        .doing("make the session's user namespace")?;
    drop(waiting);
    let made = mapping.write(&child, &view(ids)).and_then(|()| {
        File::open(format!("/proc/{}/ns/user", child.id()))
            .doing("open the session's user namespace")
    });
    // It waits for the end of its input.
    drop(child.stdin.take());
    let _ = child.wait();
    made
}

/// Makes a user namespace, and keeps it until somebody has it open. The arguments are the
/// descriptors of [`Waiting`].
pub(crate) fn nest(arguments: &[OsString]) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let number = |at: usize| -> Option<RawFd> { arguments.get(at)?.to_str()?.parse().ok() };
    let (Some(made), Some(go_on)) = (number(0), number(1)) else {
        return Err("expected two descriptors".into());
    };
    make_user_namespace(CloneFlags::empty(), Some([made, go_on]))?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> IdPlan {
        let ranges = |own| {
            let range = |inside, host, count| IdRange {
                inside,
                host,
                count,
            };
            vec![
                range(1000, own, 1),
                range(0, 100_000, 1000),
                range(1001, 101_001, 64_535),
            ]
        };
        IdPlan {
            users: ranges(7),
            groups: ranges(8),
            writers: None,
        }
    }

    #[test]
    fn the_sessions_own_id_is_root_of_what_holds_it_and_nobody_else_is_lost() {
        assert_eq!(
            text(&outer(&plan()).users),
            "0 7 1\n1 100000 1000\n1001 101001 64535\n"
        );
        assert_eq!(
            text(&view(&plan()).groups),
            "1000 0 1\n0 1 1000\n1001 1001 64535\n"
        );
        assert_eq!(root(&plan()), Some((1, 1)));
    }
}

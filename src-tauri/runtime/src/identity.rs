//! The host ids that sessions of an engine have: one user that they run as when the engine itself
//! is root, and where there are enough, a range for the other owners of an image's files.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash, Hasher},
    io,
    os::unix::fs::chown,
    path::Path,
};

use nix::unistd::{Gid, Group, Uid, User};
use protocol::runner::ids::MapWriters;

use crate::{
    Owner, RuntimeError,
    ids::{Granted, IDS, IdMap, Ids, Scheme},
    sandbox::find_program,
};

/// Start of a range of user ids that neither distributions nor systemd give to anybody
/// (1879048192–2147352575, see systemd's list of special user ids).
const FIRST: u32 = 0x7000_0000;
/// How many of them are used.
const COUNT: u32 = 0x0f00_0000;
/// Where the choice is kept, in the engine's data directory.
const FILE: &str = "session-user";
/// Where the range is kept, there too.
const RANGE_FILE: &str = "session-ids";
/// What the system has set aside for users and groups.
const SET_ASIDE: [&str; 2] = ["/etc/subuid", "/etc/subgid"];

/// The user for the sessions below `data_dir`: chosen once, kept, and different for each engine.
/// `None` when the engine is no root: then sessions run as its own user.
pub(crate) fn owner(data_dir: &Path) -> Result<Option<Owner>, RuntimeError> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let file = data_dir.join(FILE);
    let uid = match kept(data_dir) {
        Some(uid) => uid,
        None => {
            let uid = choose(data_dir).ok_or_else(|| RuntimeError::NotAllowed {
                reason: "no unused user id was found".to_owned(),
            })?;
            fs::write(&file, format!("{uid}\n"))
                .map_err(RuntimeError::io("keep the sessions' user id"))?;
            uid
        }
    };
    Ok(Some(Owner { uid, gid: uid }))
}

/// The same, or the one that would be chosen; nothing is written.
pub(super) fn would_be(data_dir: &Path) -> Option<Owner> {
    if !Uid::effective().is_root() {
        return None;
    }
    let uid = kept(data_dir).or_else(|| choose(data_dir))?;
    Some(Owner { uid, gid: uid })
}

/// The ids for owners of files besides `owner`, chosen once and kept as long as they are ours. Why
/// there are none, when there are none.
pub(crate) fn ids(data_dir: &Path, owner: Option<Owner>) -> Result<Ids, String> {
    let ids = ids_would_be(data_dir, owner)?;
    let file = data_dir.join(RANGE_FILE);
    let text = serde_json::to_vec(&ids.scheme()).map_err(|error| error.to_string())?;
    if fs::read(&file).ok().as_ref() != Some(&text) {
        fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(ids)
}

/// The same, or those that would be chosen; nothing is written.
pub(crate) fn ids_would_be(data_dir: &Path, owner: Option<Owner>) -> Result<Ids, String> {
    let (own, writers) = match owner {
        Some(owner) => ((owner.uid, owner.gid), None),
        None => {
            let program = |name: &str| {
                find_program(name)
                    .ok_or_else(|| format!("the program {name} (package uidmap) is not installed"))
            };
            let writers = MapWriters {
                users: program("newuidmap")?,
                groups: program("newgidmap")?,
            };
            let own = (Uid::effective().as_raw(), Gid::effective().as_raw());
            (own, Some(writers))
        }
    };
    let make = |scheme: &Scheme| {
        Some(Ids {
            users: IdMap::new(own.0, &scheme.users)?,
            groups: IdMap::new(own.1, &scheme.groups)?,
            writers: writers.clone(),
        })
    };
    let file = data_dir.join(RANGE_FILE);
    let kept = fs::read(&file)
        .ok()
        .and_then(|text| serde_json::from_slice::<Scheme>(&text).ok())
        .filter(|kept| match owner {
            Some(_) => true,
            None => is_still_ours(kept),
        });
    if let Some(ids) = kept.as_ref().and_then(make) {
        return Ok(ids);
    }
    let scheme = match owner {
        Some(owner) => free_range(data_dir, owner).ok_or("no unused range of ids was found")?,
        None => {
            let [users, groups] = SET_ASIDE.map(ours);
            Scheme { users, groups }
        }
    };
    make(&scheme).ok_or_else(|| {
        format!(
            "{} and {} give this user fewer than {IDS} ids that can be used",
            SET_ASIDE[0], SET_ASIDE[1]
        )
    })
}

fn kept(data_dir: &Path) -> Option<u32> {
    let text = fs::read_to_string(data_dir.join(FILE)).ok()?;
    let uid = text.trim().parse().ok()?;
    (FIRST..FIRST + COUNT).contains(&uid).then_some(uid)
}

fn choose(data_dir: &Path) -> Option<u32> {
    let offset = offset(data_dir, COUNT)?;
    (0..1000)
        .map(|step| FIRST + (offset + step) % COUNT)
        .find(|uid| is_unused(*uid))
}

/// Starts somewhere else for each engine.
fn offset(data_dir: &Path, below: u32) -> Option<u32> {
    let mut hasher = DefaultHasher::new();
    data_dir.hash(&mut hasher);
    u32::try_from(hasher.finish() % u64::from(below)).ok()
}

fn free_range(data_dir: &Path, owner: Owner) -> Option<Scheme> {
    let slots = COUNT / IDS;
    let offset = offset(data_dir, slots)?;
    (0..slots)
        .map(|step| FIRST + (offset + step) % slots * IDS)
        .find(|first| {
            let range = *first..first + IDS;
            !range.contains(&owner.uid)
                // Asked by id, a directory service would have to answer for each of them.
                && is_unused(*first)
                && is_unused(first + IDS - 1)
                && !has_account_in("/etc/passwd", &range)
                && !has_account_in("/etc/group", &range)
                && !SET_ASIDE.iter().any(|file| {
                    set_aside(file).any(|(_, other)| {
                        let end = u64::from(other.first) + u64::from(other.count);
                        other.first < range.end && u64::from(range.start) < end
                    })
                })
        })
        .map(|first| {
            let range = vec![Granted { first, count: IDS }];
            Scheme {
                users: range.clone(),
                groups: range,
            }
        })
}

fn has_account_in(file: &str, range: &std::ops::Range<u32>) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split(':').nth(2)?.parse().ok())
        .any(|id: u32| range.contains(&id))
}

fn is_unused(uid: u32) -> bool {
    matches!(User::from_uid(uid.into()), Ok(None))
        && matches!(Group::from_gid(uid.into()), Ok(None))
        && !SET_ASIDE.iter().any(|file| {
            set_aside(file).any(|(_, range)| {
                uid.checked_sub(range.first)
                    .is_some_and(|at| at < range.count)
            })
        })
}

/// Who has which range set aside.
fn set_aside(file: &str) -> impl Iterator<Item = (String, Granted)> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<_> = text.lines().filter_map(set_aside_in).collect();
    lines.into_iter()
}

fn set_aside_in(line: &str) -> Option<(String, Granted)> {
    let mut parts = line.trim().split(':');
    let name = parts.next().filter(|name| !name.is_empty())?;
    let (first, count) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((name.to_owned(), Granted { first, count }))
}

/// What is set aside for this user in a file.
fn ours(file: &str) -> Vec<Granted> {
    let uid = Uid::effective();
    let names = [
        User::from_uid(uid).ok().flatten().map(|user| user.name),
        Some(uid.to_string()),
    ];
    set_aside(file)
        .filter(|(name, _)| names.iter().flatten().any(|ours| ours == name))
        .map(|(_, range)| range)
        .collect()
}

fn is_still_ours(kept: &Scheme) -> bool {
    let within = |file: &str, kept: &[Granted]| {
        let ours = ours(file);
        kept.iter().all(|range| {
            ours.iter().any(|ours| {
                range.first.checked_sub(ours.first).is_some_and(|at| {
                    at.checked_add(range.count)
                        .is_some_and(|end| end <= ours.count)
                })
            })
        })
    };
    within(SET_ASIDE[0], &kept.users) && within(SET_ASIDE[1], &kept.groups)
}

/// Gives a directory to the sessions' user.
pub(crate) fn give(path: &Path, owner: Option<Owner>) -> io::Result<()> {
    match owner {
        Some(owner) => chown(path, Some(owner.uid), Some(owner.gid)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_set_nothing_aside_are_passed_over() {
        assert_eq!(
            set_aside_in("alice:100000:65536"),
            Some((
                "alice".to_owned(),
                Granted {
                    first: 100_000,
                    count: 65_536
                }
            ))
        );
        for line in ["", "# alice:1:2", "alice", "alice:x:1", ":1:2", "alice:1"] {
            let found = set_aside_in(line);
            assert!(
                found.as_ref().is_none_or(|(name, _)| name.starts_with('#')),
                "{line}: {found:?}"
            );
        }
    }
}

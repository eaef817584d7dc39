//! The host user that sessions of an engine run as when the engine itself is root.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash, Hasher},
    io,
    os::unix::fs::chown,
    path::Path,
};

use crate::{Owner, RuntimeError};

/// Start of a range of user ids that neither distributions nor systemd give to anybody
/// (1879048192–2147352575, see systemd's list of special user ids).
const FIRST: u32 = 0x7000_0000;
/// How many of them are used.
const COUNT: u32 = 0x0f00_0000;
/// Where the choice is kept, in the engine's data directory.
const FILE: &str = "session-user";

/// The user for the sessions below `data_dir`: chosen once, kept, and different for each engine.
/// `None` when the engine is no root: then sessions run as its own user.
pub(crate) fn owner(data_dir: &Path) -> Result<Option<Owner>, RuntimeError> {
    if !nix::unistd::Uid::effective().is_root() {
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
    if !nix::unistd::Uid::effective().is_root() {
        return None;
    }
    let uid = kept(data_dir).or_else(|| choose(data_dir))?;
    Some(Owner { uid, gid: uid })
}

fn kept(data_dir: &Path) -> Option<u32> {
    let text = fs::read_to_string(data_dir.join(FILE)).ok()?;
    let uid = text.trim().parse().ok()?;
    (FIRST..FIRST + COUNT).contains(&uid).then_some(uid)
}

fn choose(data_dir: &Path) -> Option<u32> {
    let mut hasher = DefaultHasher::new();
    data_dir.hash(&mut hasher);
    let offset = u32::try_from(hasher.finish() % u64::from(COUNT)).ok()?;
    (0..1000)
        .map(|step| FIRST + (offset + step) % COUNT)
        .find(|uid| is_unused(*uid))
}

fn is_unused(uid: u32) -> bool {
    matches!(nix::unistd::User::from_uid(uid.into()), Ok(None))
        && matches!(nix::unistd::Group::from_gid(uid.into()), Ok(None))
        && !["/etc/subuid", "/etc/subgid"]
            .iter()
            .any(|file| is_in_range(file, uid))
}

fn is_in_range(file: &str, uid: u32) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().any(|line| {
        let mut parts = line
            .split(':')
            .skip(1)
            .map(|part| part.trim().parse::<u64>().unwrap_or(0));
        let (start, count) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        (start..start + count).contains(&u64::from(uid))
    })
}

/// Gives a directory to the sessions' user.
pub(crate) fn give(path: &Path, owner: Option<Owner>) -> io::Result<()> {
    match owner {
        Some(owner) => chown(path, Some(owner.uid), Some(owner.gid)),
        None => Ok(()),
    }
}

//! Gives the files of an unpacked layer to whom its archive says.

use std::{
    ffi::OsStr,
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::Path,
};

use protocol::runner::{ids::Owned, launch::INNER_ID};
use rustix::{
    fs::{
        AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, chmodat, chownat,
        openat, openat2, statat,
    },
    io::Errno,
};

const DIRECTORY: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::RDONLY);

const SET_USER: u32 = 0o4000;
const SET_GROUP: u32 = 0o2000;

/// Everything below the current directory becomes root's, and itself, but for what is named.
pub(super) fn give(others: &[Owned]) -> io::Result<()> {
    let root = openat(CWD, ".", DIRECTORY, Mode::empty())?;
    // All first: of a file with several names only one may be named.
    all(&root)?;
    one(&root, OsStr::new("."), 0, 0, 0)?;
    for other in others {
        let path = Path::new(&other.path);
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            continue;
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // As it was unpacked: links in a layer lead no further than its root.
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        let directory = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        match openat2(&root, directory, flags, Mode::empty(), resolve) {
            Ok(directory) => one(&directory, name, other.user, other.group, other.special)?,
            // A later entry has put something else in its place.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn all(directory: &OwnedFd) -> io::Result<()> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        let found = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
            all(&openat(directory, name, DIRECTORY, Mode::empty())?)?;
        }
        one(directory, name, 0, 0, 0)?;
    }
    Ok(())
}

fn one(directory: &OwnedFd, name: &OsStr, user: u32, group: u32, special: u32) -> io::Result<()> {
    let owner = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
    match chownat(directory, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        given => given?,
    }
    let found = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = FileType::from_raw_mode(found.st_mode);
    // The session's user is somebody on the host: no file makes others that one.
    let allowed = match kind {
        FileType::Directory => special & SET_GROUP,
        FileType::RegularFile => {
            let user = if user == INNER_ID { 0 } else { SET_USER };
            let group = if group == INNER_ID { 0 } else { SET_GROUP };
            special & (user | group)
        }
        _ => 0,
    };
    if allowed != 0 {
        let mode = Mode::from_raw_mode(found.st_mode & 0o1777 | allowed);
        chmodat(directory, name, mode, AtFlags::empty())?;
    }
    Ok(())
}

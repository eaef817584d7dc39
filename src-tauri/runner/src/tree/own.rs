//! Gives the files of an unpacked layer to whom its archive says.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::Path,
};

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
/// Bits that a change of owner takes away.
const SPECIAL: u32 = 0o6000;

/// Everything below the current directory becomes root's, and itself, but for what is named.
pub(super) fn give(others: &[(OsString, u32, u32)]) -> io::Result<()> {
    let root = openat(CWD, ".", DIRECTORY, Mode::empty())?;
    // All first: of a file with several names only one may be named.
    all(&root)?;
    one(&root, OsStr::new("."), 0, 0)?;
    for (path, user, group) in others {
        let path = Path::new(path);
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
            Ok(directory) => one(&directory, name, *user, *group)?,
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
        one(directory, name, 0, 0)?;
    }
    Ok(())
}

fn one(directory: &OwnedFd, name: &OsStr, user: u32, group: u32) -> io::Result<()> {
    let found = match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        found => found?,
    };
    chownat(
        directory,
        name,
        Some(Uid::from_raw(user)),
        Some(Gid::from_raw(group)),
        AtFlags::SYMLINK_NOFOLLOW,
    )?;
    let kind = FileType::from_raw_mode(found.st_mode);
    if found.st_mode & SPECIAL != 0 && kind != FileType::Symlink {
        chmodat(
            directory,
            name,
            Mode::from_raw_mode(found.st_mode & 0o7777),
            AtFlags::empty(),
        )?;
    }
    Ok(())
}

//! Copies a session's files into a data folder. Names come from the session: they never lead out
//! of the folder, and no link in it is followed.

use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    path::{Component, Path},
};

use rustix::fs::{Mode, OFlags, fchown, mkdirat, openat};

use crate::Owner;

/// Copies one file to `path` below the open `directory`; gives its size.
pub(crate) fn copy(
    source: &File,
    directory: &OwnedFd,
    path: &str,
    owner: Option<Owner>,
) -> io::Result<u64> {
    let mut names = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => names.push(name),
            _ => return Err(io::Error::from(io::ErrorKind::InvalidInput)),
        }
    }
    let Some((file, parents)) = names.split_last() else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let open_directory = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let mut at = directory.try_clone()?;
    for name in parents {
        match mkdirat(&at, *name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                at = openat(&at, *name, open_directory, Mode::empty())?;
                give(&at, owner)?;
            }
            Err(rustix::io::Errno::EXIST) => {
                at = openat(&at, *name, open_directory, Mode::empty())?
            }
            Err(error) => return Err(error.into()),
        }
    }
    let flags = OFlags::WRONLY
        | OFlags::CREATE
        | OFlags::TRUNC
        | OFlags::NOFOLLOW
        | OFlags::CLOEXEC
        | OFlags::NONBLOCK;
    let mode = source.metadata()?.mode_bits();
    let target = openat(&at, *file, flags, Mode::from_raw_mode(mode))?;
    give(&target, owner)?;
    let mut target = File::from(target);
    io::copy(&mut &*source, &mut target)
}

fn give(file: &OwnedFd, owner: Option<Owner>) -> io::Result<()> {
    if let Some(owner) = owner {
        fchown(
            file,
            Some(rustix::fs::Uid::from_raw(owner.uid)),
            Some(rustix::fs::Gid::from_raw(owner.gid)),
        )?;
    }
    Ok(())
}

trait ModeBits {
    fn mode_bits(&self) -> u32;
}

impl ModeBits for std::fs::Metadata {
    fn mode_bits(&self) -> u32 {
        std::os::unix::fs::PermissionsExt::mode(&self.permissions()) & 0o777
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn copies_stay_in_their_folder() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        let folder = dir.path().join("folder");
        fs::create_dir_all(&outside).unwrap();
        fs::create_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink(&outside, folder.join("link")).unwrap();
        let source = dir.path().join("source");
        fs::write(&source, "hello").unwrap();
        let open = || File::open(&source).unwrap();
        let opened = File::open(&folder).unwrap().into();
        assert_eq!(copy(&open(), &opened, "a/b/c.txt", None).unwrap(), 5);
        assert_eq!(
            fs::read_to_string(folder.join("a/b/c.txt")).unwrap(),
            "hello"
        );
        assert!(copy(&open(), &opened, "../x", None).is_err());
        assert!(copy(&open(), &opened, "link/x", None).is_err());
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }
}

//! Removes trees of files of any depth. Whoever filled a tree may have nested directories deeper
//! than a stack is high or a process may open files: here a directory that is not empty is moved up
//! to the tree's root and emptied there, so that never more than three are open.
//!
//! No link is followed, and nothing outside the tree is touched, whatever happens in it meanwhile.

use std::{
    ffi::{CString, OsStr},
    io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD, Dir, Mode, OFlags, RenameFlags, chmod, openat, renameat_with, unlinkat},
    io::Errno,
};

const DIRECTORY: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::RDONLY);
/// What a directory is called that was moved up.
const MOVED: &str = ".being-removed-";

/// Removes a file, a link, or a directory with all that is in it.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] when nothing is there; else what the operating system said of the
/// first name that can't be removed.
pub fn remove(path: &Path) -> io::Result<()> {
    match openat(CWD, path, DIRECTORY, Mode::empty()) {
        Ok(root) => {
            Tree::new(&root).empty()?;
            std::fs::remove_dir(path)
        }
        // Its owner may have closed it.
        Err(Errno::ACCESS) => {
            let root = opened_up(CWD, path.as_os_str())?;
            Tree::new(&root).empty()?;
            std::fs::remove_dir(path)
        }
        Err(Errno::NOTDIR | Errno::LOOP) => std::fs::remove_file(path),
        Err(error) => Err(error.into()),
    }
}

/// Removes all that is in a directory, which stays.
///
/// # Errors
/// As [`remove`].
pub fn empty(directory: impl AsFd) -> io::Result<()> {
    let root = openat(directory, ".", DIRECTORY, Mode::empty())?;
    Tree::new(&root).empty()
}

struct Tree<'a> {
    root: &'a OwnedFd,
    /// Directories that were moved up so far.
    moved: u64,
}

impl<'a> Tree<'a> {
    fn new(root: &'a OwnedFd) -> Self {
        Self { root, moved: 0 }
    }

    fn empty(&mut self) -> io::Result<()> {
        loop {
            let names = names(self.root)?;
            if names.is_empty() {
                return Ok(());
            }
            for name in names {
                self.one(&name)?;
            }
        }
    }

    /// Removes one name of the root; the directories in it, if it is one, come up instead.
    fn one(&mut self, name: &CString) -> io::Result<()> {
        if is_gone(self.root, name)? {
            return Ok(());
        }
        let directory = match openat(self.root, name, DIRECTORY, Mode::empty()) {
            Err(Errno::ACCESS) => opened_up(self.root, OsStr::from_bytes(name.to_bytes()))?,
            Err(Errno::NOENT) => return Ok(()),
            opened => opened?,
        };
        loop {
            let inner = names(&directory)?;
            if inner.is_empty() {
                break;
            }
            for inner in inner {
                if !is_gone(&directory, &inner)? {
                    self.move_up(&directory, &inner)?;
                }
            }
        }
        match unlinkat(self.root, name, AtFlags::REMOVEDIR) {
            // Somebody still writes there: the next round meets it again.
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn move_up(&mut self, from: &OwnedFd, name: &CString) -> io::Result<()> {
        let mut is_open = false;
        loop {
            let new = format!("{MOVED}{}", self.moved);
            self.moved += 1;
            match renameat_with(from, name, self.root, &*new, RenameFlags::NOREPLACE) {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                // Left by a removal that was cut off.
                Err(Errno::EXIST) => {}
                // What is moved has to be writable itself, or where it lies.
                Err(Errno::ACCESS) if !is_open => {
                    is_open = true;
                    open_up(from)?;
                    drop(opened_up(from, OsStr::from_bytes(name.to_bytes()))?);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Removes a name that is no directory with something in it; `false` when it is one.
fn is_gone(directory: &OwnedFd, name: &CString) -> io::Result<bool> {
    let remove = || match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        // Linux says the first of a directory, others the second.
        Err(Errno::ISDIR | Errno::PERM) => match unlinkat(directory, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    match remove() {
        Err(Errno::ACCESS) => {
            open_up(directory)?;
            Ok(remove()?)
        }
        other => Ok(other?),
    }
}

fn names(directory: &OwnedFd) -> io::Result<Vec<CString>> {
    let read = || -> rustix::io::Result<Vec<CString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(directory)? {
            let name = entry?.file_name().to_owned();
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.push(name);
            }
        }
        Ok(names)
    };
    Ok(read()?)
}

/// Lets its owner into a directory that is open.
fn open_up(directory: &OwnedFd) -> io::Result<()> {
    // By its descriptor, since a name may lead elsewhere by now; one that was only looked up can't
    // be changed in another way.
    let place = format!("/proc/self/fd/{}", directory.as_raw_fd());
    Ok(chmod(place, Mode::RWXU)?)
}

/// Opens a directory that its owner has closed.
fn opened_up(parent: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = openat(&parent, name, flags, Mode::empty())?;
    open_up(&found)?;
    Ok(openat(found, ".", DIRECTORY, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
    };

    use rustix::fs::mkdirat;

    use super::*;

    /// Too deep for a recursion on the small stack below, and for an open directory per level.
    const DEEP: usize = 1_500;

    fn dig(root: &Path, depth: usize) {
        let mut at = openat(CWD, root, DIRECTORY, Mode::empty()).unwrap();
        for level in 0..depth {
            mkdirat(&at, "d", Mode::RWXU).unwrap();
            if level % 1000 == 0 {
                symlink("/", format!("/proc/self/fd/{}/link", at.as_raw_fd())).unwrap();
            }
            at = openat(&at, "d", DIRECTORY, Mode::empty()).unwrap();
        }
    }

    #[test]
    fn a_tree_is_removed_however_deep_it_is() {
        let place = tempfile::tempdir().unwrap();
        let tree = place.path().join("tree");
        fs::create_dir(&tree).unwrap();
        dig(&tree, DEEP);
        let small = std::thread::Builder::new().stack_size(64 << 10);
        let removed = small.spawn(move || remove(&tree)).unwrap().join().unwrap();
        removed.unwrap();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn nothing_else_is_touched() {
        let place = tempfile::tempdir().unwrap();
        let outside = place.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "kept").unwrap();
        let tree = place.path().join("tree");
        fs::create_dir_all(tree.join("a/b/c")).unwrap();
        fs::create_dir_all(tree.join(".being-removed-0/x")).unwrap();
        symlink(&outside, tree.join("a/b/out")).unwrap();
        fs::write(tree.join("a/b/c/file"), "x").unwrap();
        for closed in ["a/b", "a"] {
            fs::set_permissions(tree.join(closed), fs::Permissions::from_mode(0o000)).unwrap();
        }
        remove(&tree).unwrap();
        assert!(!tree.exists());
        assert_eq!(fs::read_to_string(outside.join("kept")).unwrap(), "kept");
        assert_eq!(remove(&tree).unwrap_err().kind(), io::ErrorKind::NotFound);

        let link = place.path().join("link");
        symlink(&outside, &link).unwrap();
        remove(&link).unwrap();
        assert!(outside.join("kept").exists());
        fs::create_dir(outside.join("inner")).unwrap();
        empty(fs::File::open(&outside).unwrap()).unwrap();
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }
}

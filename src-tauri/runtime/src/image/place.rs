//! A directory that is filled from an archive. Names in it come from outside: whatever they are,
//! nothing is made, changed or removed anywhere else. The kernel sees to that: every parent is
//! opened with the directory as its root, and the last component is never followed.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps,
        UTIME_OMIT, Uid, XattrFlags, chownat, fchmod, fchown, fsetxattr, futimens, linkat, makedev,
        mkdirat, mknodat, openat, openat2, statat, symlinkat, unlinkat, utimensat,
    },
    io::Errno,
};

use super::ImageError;
use crate::Owner;

/// Says of a directory that it hides the one of the same name in the layers below.
pub(crate) const OPAQUE: &str = "user.overlay.opaque";

const DIRECTORY: OFlags = OFlags::DIRECTORY
    .union(OFlags::CLOEXEC)
    .union(OFlags::RDONLY);

/// What an archive says of a file besides its content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    /// Seconds since 1970.
    pub(super) mtime: u64,
}

/// See the module.
pub(super) struct Place {
    root: OwnedFd,
    owner: Option<Owner>,
    /// The directory opened last: archives keep a directory's files together.
    last: Option<(PathBuf, OwnedFd)>,
    /// Attributes of directories are set in the end: until then they must be open to us.
    directories: Vec<(PathBuf, Attributes)>,
}

impl Place {
    /// What is made in it belongs to `owner`; whoever it is given to later.
    pub(super) fn open(root: &Path, owner: Option<Owner>) -> Result<Self, ImageError> {
        let root = openat(CWD, root, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
            .map_err(ImageError::io("open a layer's directory"))?;
        Ok(Self {
            root,
            owner,
            last: None,
            directories: Vec::new(),
        })
    }

    /// Makes a regular file, in place of whatever has its name, and lets `fill` write it.
    pub(super) fn file(
        &mut self,
        path: &Path,
        attributes: Attributes,
        fill: impl FnOnce(&mut File) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        let doing = "unpack a file";
        let name = file_name(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o600);
        let file = self.replacing(path, |parent| openat(parent, name, flags, mode))?;
        let mut file = File::from(file);
        fill(&mut file)?;
        if let Some(owner) = self.owner {
            fchown(&file, uid(owner), gid(owner)).map_err(ImageError::io(doing))?;
        }
        fchmod(&file, permissions(attributes.mode)).map_err(ImageError::io(doing))?;
        futimens(&file, &times(attributes.mtime)).map_err(ImageError::io(doing))
    }

    /// Makes a directory, or takes the one that is there.
    pub(super) fn directory(
        &mut self,
        path: &Path,
        attributes: Attributes,
    ) -> Result<(), ImageError> {
        let name = file_name(path)?;
        let parent = self.parent(path)?;
        let found = match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Some(FileType::from_raw_mode(found.st_mode)),
            Err(_) => None,
        };
        if found != Some(FileType::Directory) {
            self.replacing(path, |parent| {
                mkdirat(parent, name, Mode::from_raw_mode(0o700))
            })?;
            self.give(path, name)?;
            // A directory in place of a deleted one does not show what the deleted one held.
            if found == Some(FileType::CharacterDevice) {
                self.hide_below(path)?;
            }
        }
        self.directories.push((path.to_owned(), attributes));
        Ok(())
    }

    /// Makes a symbolic link; where it leads does not matter here.
    pub(super) fn symlink(
        &mut self,
        path: &Path,
        target: &OsStr,
        attributes: Attributes,
    ) -> Result<(), ImageError> {
        let name = file_name(path)?;
        self.replacing(path, |parent| symlinkat(target, parent, name))?;
        self.give(path, name)?;
        let parent = self.parent(path)?;
        utimensat(
            &parent,
            name,
            &times(attributes.mtime),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(ImageError::io("unpack a link"))
    }

    /// Makes another name for a file of this place.
    pub(super) fn link(&mut self, path: &Path, target: &Path) -> Result<(), ImageError> {
        let (name, target_name) = (file_name(path)?, file_name(target)?);
        let from = self.parent(target)?;
        match statat(&from, target_name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) if FileType::from_raw_mode(found.st_mode) != FileType::Directory => {}
            _ => {
                return Err(ImageError::Malformed(format!(
                    "{} is a link to a file that is not there",
                    path.display()
                )));
            }
        }
        if path == target {
            return Ok(());
        }
        self.replacing(path, |parent| {
            linkat(&from, target_name, parent, name, AtFlags::empty())
        })
    }

    /// Makes a named pipe.
    pub(super) fn pipe(&mut self, path: &Path, attributes: Attributes) -> Result<(), ImageError> {
        let name = file_name(path)?;
        let mode = permissions(attributes.mode);
        self.replacing(path, |parent| {
            mknodat(parent, name, FileType::Fifo, mode, 0)
        })?;
        self.give(path, name)
    }

    /// Notes that the layers below have nothing of this name any more.
    pub(super) fn deleted(&mut self, path: &Path) -> Result<(), ImageError> {
        let name = file_name(path)?;
        let parent = self.parent(path)?;
        let mode = Mode::empty();
        match mknodat(
            &parent,
            name,
            FileType::CharacterDevice,
            mode,
            makedev(0, 0),
        ) {
            Ok(()) => self.give(path, name),
            // What this layer itself has of that name stays, and hides what lies below.
            Err(Errno::EXIST) => match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::Directory => {
                    self.hide_below(path)
                }
                _ => Ok(()),
            },
            Err(error) => Err(ImageError::io("note that a file is deleted")(error)),
        }
    }

    /// Notes that a directory hides the one of the same name in the layers below.
    pub(super) fn hide_below(&mut self, path: &Path) -> Result<(), ImageError> {
        let doing = "mark a directory";
        let directory = if path.as_os_str().is_empty() {
            self.root.try_clone().map_err(ImageError::io(doing))?
        } else {
            self.open_directory(path, true)?
        };
        let readable =
            openat(&directory, ".", DIRECTORY, Mode::empty()).map_err(ImageError::io(doing))?;
        fsetxattr(&readable, OPAQUE, b"y", XattrFlags::empty()).map_err(ImageError::io(doing))
    }

    /// Gives the directories the attributes that the archive said.
    pub(super) fn finish(self) -> Result<(), ImageError> {
        let doing = "finish a directory";
        for (path, attributes) in self.directories.iter().rev() {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            let opened = openat2(&self.root, path, DIRECTORY, Mode::empty(), resolve);
            // A later entry may have put something else in its place.
            let Ok(directory) = opened else { continue };
            fchmod(&directory, permissions(attributes.mode)).map_err(ImageError::io(doing))?;
            futimens(&directory, &times(attributes.mtime)).map_err(ImageError::io(doing))?;
        }
        Ok(())
    }

    fn give(&mut self, path: &Path, name: &OsStr) -> Result<(), ImageError> {
        let Some(owner) = self.owner else {
            return Ok(());
        };
        let parent = self.parent(path)?;
        chownat(
            &parent,
            name,
            uid(owner),
            gid(owner),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(ImageError::io("give a file to the sessions' user"))
    }

    /// The directory that holds `path`; directories that are missing on the way are made.
    fn parent(&mut self, path: &Path) -> Result<OwnedFd, ImageError> {
        let directory = path.parent().unwrap_or(Path::new(""));
        let doing = "open a layer's directory";
        if let Some((known, fd)) = &self.last
            && known == directory
        {
            return fd.try_clone().map_err(ImageError::io(doing));
        }
        let opened = self.open_directory(directory, true)?;
        let kept = opened.try_clone().map_err(ImageError::io(doing))?;
        self.last = Some((directory.to_owned(), kept));
        Ok(opened)
    }

    fn open_directory(&self, path: &Path, make: bool) -> Result<OwnedFd, ImageError> {
        if path.as_os_str().is_empty() {
            return self
                .root
                .try_clone()
                .map_err(ImageError::io("open a layer's directory"));
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        match openat2(&self.root, path, flags, Mode::empty(), resolve) {
            Ok(directory) => Ok(directory),
            Err(Errno::NOENT) if make => {
                let parent = self.open_directory(path.parent().unwrap_or(Path::new("")), true)?;
                let name = file_name(path)?;
                mkdirat(&parent, name, Mode::from_raw_mode(0o755))
                    .map_err(ImageError::io("make a directory"))?;
                if let Some(owner) = self.owner {
                    let flags = AtFlags::SYMLINK_NOFOLLOW;
                    chownat(&parent, name, uid(owner), gid(owner), flags)
                        .map_err(ImageError::io("give a directory to the sessions' user"))?;
                }
                self.open_directory(path, false)
            }
            Err(Errno::NOTDIR | Errno::NOENT | Errno::LOOP | Errno::XDEV) => Err(
                ImageError::Malformed(format!("{} is used as a directory", path.display())),
            ),
            Err(error) => Err(ImageError::io("open a layer's directory")(error)),
        }
    }

    /// Makes something; what has its name already is removed first.
    fn replacing<T>(
        &mut self,
        path: &Path,
        make: impl Fn(&OwnedFd) -> rustix::io::Result<T>,
    ) -> Result<T, ImageError> {
        let parent = self.parent(path)?;
        match make(&parent) {
            Err(Errno::EXIST) => {
                remove(&parent, file_name(path)?).map_err(ImageError::io("replace a file"))?;
                self.last = None;
                make(&parent).map_err(ImageError::io("replace a file"))
            }
            other => other.map_err(ImageError::io("unpack a file")),
        }
    }
}

/// Removes a file, or a directory with all that is in it. Follows no links.
fn remove(parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    let directory = openat(parent, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
    let mut names: Vec<OsString> = Vec::new();
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    for name in names {
        remove(&directory, &name)?;
    }
    Ok(unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

/// The path of an archive's entry below its root; empty for the root itself.
pub(super) fn inside(name: &[u8]) -> Result<PathBuf, ImageError> {
    let mut clean = PathBuf::new();
    for component in Path::new(OsStr::from_bytes(name)).components() {
        match component {
            Component::Normal(part) => clean.push(part),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(ImageError::Malformed(format!(
                    "the name {} leads out of it",
                    String::from_utf8_lossy(name)
                )));
            }
        }
    }
    Ok(clean)
}

fn file_name(path: &Path) -> Result<&OsStr, ImageError> {
    path.file_name()
        .ok_or_else(|| ImageError::Malformed("a file has no name".to_owned()))
}

/// Set-user-id bits mean nothing where all files have one owner.
fn permissions(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & 0o1777)
}

fn times(mtime: u64) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: i64::try_from(mtime).unwrap_or_default(),
            tv_nsec: 0,
        },
    }
}

fn uid(owner: Owner) -> Option<Uid> {
    Some(Uid::from_raw(owner.uid))
}

fn gid(owner: Owner) -> Option<Gid> {
    Some(Gid::from_raw(owner.gid))
}

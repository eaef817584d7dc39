//! Writes what a session changed as the archive of a layer.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, BufWriter, Read, Write},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fgetxattr, openat, readlinkat, statat},
    io::Errno,
};
use tar::{Builder, EntryType, Header};

/// Says of a directory that it hides the one of the same name in the layers below.
const OPAQUE: &str = "user.overlay.opaque";

/// Writes the overlay's upper directory that is the current one. The session goes on meanwhile: a
/// file that is written just now is taken as it is read.
pub(super) fn write(to: impl Write, owners: bool) -> io::Result<()> {
    let root = openat(CWD, ".", DIRECTORY, Mode::empty())?;
    let mut writing = Writing {
        archive: Builder::new(BufWriter::new(to)),
        owners,
        links: HashMap::new(),
    };
    writing.directory(&root, Path::new(""))?;
    writing.archive.into_inner()?.flush()
}

const DIRECTORY: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::RDONLY);

struct Writing<W: Write> {
    archive: Builder<W>,
    /// Whether files have several owners.
    owners: bool,
    /// Files with several names, by device and number.
    links: HashMap<(u64, u64), PathBuf>,
}

impl<W: Write> Writing<W> {
    /// All that is in a directory. The session may change it meanwhile: each name is opened below
    /// its own directory and no link is followed.
    fn directory(&mut self, directory: &OwnedFd, path: &Path) -> io::Result<()> {
        let mut names: Vec<OsString> = Vec::new();
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        names.sort();
        for name in names {
            let found = match statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                found => found?,
            };
            self.one(directory, &name, &path.join(&name), &found)?;
        }
        Ok(())
    }

    fn one(
        &mut self,
        directory: &OwnedFd,
        name: &OsStr,
        path: &Path,
        found: &Stat,
    ) -> io::Result<()> {
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => {
                self.entry(EntryType::Directory, path, found)?;
                let inner = match openat(directory, name, DIRECTORY, Mode::empty()) {
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
                    inner => inner?,
                };
                let mut mark = [0; 4];
                if fgetxattr(&inner, OPAQUE, &mut mark[..]) == Ok(1) && mark[0] == b'y' {
                    self.note(&path.join(".wh..wh..opq"))?;
                }
                self.directory(&inner, path)
            }
            FileType::RegularFile => self.file(directory, name, path, found),
            FileType::Symlink => {
                let target = match readlinkat(directory, name, Vec::new()) {
                    Err(Errno::NOENT | Errno::INVAL) => return Ok(()),
                    target => target?,
                };
                let mut header = self.header(EntryType::Symlink, found, 0);
                self.archive
                    .append_link(&mut header, path, OsStr::from_bytes(target.to_bytes()))
            }
            FileType::Fifo => self.entry(EntryType::Fifo, path, found),
            // How an overlay says that something of the layers below is deleted.
            FileType::CharacterDevice if found.st_rdev == 0 => {
                let mut deleted = OsString::from(".wh.");
                deleted.push(name);
                self.note(&path.with_file_name(deleted))
            }
            _ => Ok(()),
        }
    }

    fn file(
        &mut self,
        directory: &OwnedFd,
        name: &OsStr,
        path: &Path,
        found: &Stat,
    ) -> io::Result<()> {
        if found.st_nlink > 1 {
            let number = (found.st_dev, found.st_ino);
            if let Some(first) = self.links.get(&number) {
                let mut header = self.header(EntryType::Link, found, 0);
                return self.archive.append_link(&mut header, path, first);
            }
            self.links.insert(number, path.to_owned());
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(directory, name, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::LOOP) => return Ok(()),
            file => File::from(file?),
        };
        let now = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(now.st_mode) != FileType::RegularFile {
            return Ok(());
        }
        let size = u64::try_from(now.st_size).unwrap_or_default();
        let mut header = self.header(EntryType::Regular, &now, size);
        let content = Exactly { file, left: size };
        self.archive.append_data(&mut header, path, content)
    }

    fn entry(&mut self, kind: EntryType, path: &Path, found: &Stat) -> io::Result<()> {
        let mut header = self.header(kind, found, 0);
        self.archive.append_data(&mut header, path, io::empty())
    }

    /// Without owners all files of an image are the superuser's.
    fn header(&self, kind: EntryType, found: &Stat, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(found.st_mode & 0o7777);
        let of = |id: u32| if self.owners { id.into() } else { 0 };
        header.set_uid(of(found.st_uid));
        header.set_gid(of(found.st_gid));
        header.set_mtime(u64::try_from(found.st_mtime).unwrap_or_default());
        header.set_size(size);
        header
    }

    /// An empty file whose name says something.
    fn note(&mut self, path: &Path) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(0);
        header.set_mode(0);
        self.archive.append_data(&mut header, path, io::empty())
    }
}

/// As many bytes as the header says, also when the file shrinks or grows meanwhile.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let mut read = self.file.read(&mut buffer[..most])?;
        if read == 0 {
            buffer[..most].fill(0);
            read = most;
        }
        self.left -= u64::try_from(read).unwrap_or_default();
        Ok(read)
    }
}

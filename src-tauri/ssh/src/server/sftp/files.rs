//! What SFTP requests do to files.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::{self, File, OpenOptions, ReadDir},
    io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    },
    path::{Component, Path, PathBuf},
};

use nix::{
    libc,
    sys::statvfs::{fstatvfs, statvfs},
};

use super::{
    attributes::{attributes_of, change, change_open, entry_of, plain, room_of},
    refusal::Refusal,
    wire::{self, Code, Fields, MAX_DATA, Replies},
};

/// Files and directories that one client may have open at once.
const MAX_HANDLES: usize = 1024;
/// Entries of a directory sent in one reply.
const BATCH: usize = 128;

const EXTENSIONS: &[(&str, &str)] = &[
    ("posix-rename@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("hardlink@openssh.com", "1"),
    ("fsync@openssh.com", "1"),
    ("lsetstat@openssh.com", "1"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
];

enum Open {
    File { file: File, append: bool },
    Directory { entries: ReadDir },
}

/// Open files of one client.
pub(super) struct Files {
    home: PathBuf,
    open: HashMap<u32, Open>,
    next: u32,
}

impl Files {
    pub(super) fn new(home: PathBuf) -> Self {
        Self {
            home,
            open: HashMap::new(),
            next: 0,
        }
    }

    /// Does one request and writes its answer.
    pub(super) fn answer(&mut self, mut packet: Fields, to: &mut Replies) {
        let (Ok(kind), Ok(id)) = (packet.byte(), packet.u32()) else {
            return to.status(0, Code::BadMessage, "malformed packet");
        };
        if kind == wire::INIT {
            return to.version(EXTENSIONS);
        }
        if let Err(refusal) = self.handle(kind, id, packet, to) {
            let (code, message) = refusal.told();
            to.status(id, code, &message);
        }
    }

    fn handle(
        &mut self,
        kind: u8,
        id: u32,
        mut packet: Fields,
        to: &mut Replies,
    ) -> Result<(), Refusal> {
        match kind {
            wire::READ => return self.read(id, &mut packet, to),
            wire::WRITE => self.write(&mut packet)?,
            wire::OPEN => return self.open(id, &mut packet, to),
            wire::CLOSE => {
                let handle = handle_of(&packet.string()?)?;
                self.open
                    .remove(&handle)
                    .ok_or(Refusal::Code(Code::Failure))?;
            }
            wire::STAT => {
                let metadata = fs::metadata(self.path(&packet.string()?))?;
                to.attributes(id, &attributes_of(&metadata));
                return Ok(());
            }
            wire::LSTAT => {
                let metadata = fs::symlink_metadata(self.path(&packet.string()?))?;
                to.attributes(id, &attributes_of(&metadata));
                return Ok(());
            }
            wire::FSTAT => {
                let metadata = self.file(&packet.string()?)?.metadata()?;
                to.attributes(id, &attributes_of(&metadata));
                return Ok(());
            }
            wire::SETSTAT => {
                let path = self.path(&packet.string()?);
                change(&path, &packet.attributes()?, true)?;
            }
            wire::FSETSTAT => {
                let handle = packet.string()?;
                change_open(self.file(&handle)?, &packet.attributes()?)?;
            }
            wire::OPENDIR => {
                let entries = fs::read_dir(self.path(&packet.string()?))?;
                let handle = self.keep(Open::Directory { entries })?;
                to.handle(id, handle);
                return Ok(());
            }
            wire::READDIR => return self.read_directory(id, &mut packet, to),
            wire::REMOVE => fs::remove_file(self.path(&packet.string()?))?,
            wire::MKDIR => {
                let path = self.path(&packet.string()?);
                let mode = packet.attributes()?.mode.unwrap_or(0o777) & 0o7777;
                fs::DirBuilder::new().mode(mode).create(path)?;
            }
            wire::RMDIR => fs::remove_dir(self.path(&packet.string()?))?,
            wire::REALPATH => {
                let path = resolve(&self.path(&packet.string()?));
                to.names(id, &[plain(path.into_os_string().into_vec())]);
                return Ok(());
            }
            wire::RENAME => {
                let (from, onto) = (self.path(&packet.string()?), self.path(&packet.string()?));
                rename_new(&from, &onto)?;
            }
            wire::READLINK => {
                let target = fs::read_link(self.path(&packet.string()?))?;
                to.names(id, &[plain(target.into_os_string().into_vec())]);
                return Ok(());
            }
            wire::SYMLINK => {
                // OpenSSH has the two the other way round than the draft; everyone follows OpenSSH.
                let (target, link) = (packet.string()?, packet.string()?);
                std::os::unix::fs::symlink(OsStr::from_bytes(&target), self.path(&link))?;
            }
            wire::EXTENDED => return self.extended(id, &mut packet, to),
            _ => return Err(Refusal::Code(Code::Unsupported)),
        }
        to.status(id, Code::Ok, "");
        Ok(())
    }

    fn open(&mut self, id: u32, packet: &mut Fields, to: &mut Replies) -> Result<(), Refusal> {
        let path = self.path(&packet.string()?);
        let flags = packet.u32()?;
        let attributes = packet.attributes()?;
        let append = flags & wire::FXF_APPEND != 0;
        let create = flags & wire::FXF_CREATE != 0;
        let file = OpenOptions::new()
            .read(flags & wire::FXF_READ != 0)
            .write(flags & wire::FXF_WRITE != 0 && !append)
            .append(append)
            .truncate(flags & wire::FXF_TRUNCATE != 0 && !append)
            .create(create)
            .create_new(create && flags & wire::FXF_EXCLUSIVE != 0)
            .mode(attributes.mode.unwrap_or(0o666) & 0o7777)
            // A pipe without a peer would block the whole client for ever.
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)?;
        let handle = self.keep(Open::File { file, append })?;
        to.handle(id, handle);
        Ok(())
    }

    fn read(&mut self, id: u32, packet: &mut Fields, to: &mut Replies) -> Result<(), Refusal> {
        let handle = packet.string()?;
        let offset = packet.u64()?;
        let length = packet.u32()?.min(MAX_DATA) as usize;
        let file = self.file(&handle)?;
        match to.data(id, length, |buffer| read_fully(file, buffer, offset))? {
            0 if length > 0 => Err(Refusal::Code(Code::Eof)),
            _ => Ok(()),
        }
    }

    fn write(&mut self, packet: &mut Fields) -> Result<(), Refusal> {
        let handle = packet.string()?;
        let offset = packet.u64()?;
        let data = packet.string()?;
        match self.open.get(&handle_of(&handle)?) {
            Some(Open::File { file, append: true }) => io::Write::write_all(&mut &*file, &data)?,
            Some(Open::File { file, .. }) => file.write_all_at(&data, offset)?,
            _ => return Err(Refusal::Code(Code::Failure)),
        }
        Ok(())
    }

    fn read_directory(
        &mut self,
        id: u32,
        packet: &mut Fields,
        to: &mut Replies,
    ) -> Result<(), Refusal> {
        let handle = handle_of(&packet.string()?)?;
        let Some(Open::Directory { entries }) = self.open.get_mut(&handle) else {
            return Err(Refusal::Code(Code::Failure));
        };
        let mut batch = Vec::with_capacity(BATCH);
        for entry in entries.by_ref().take(BATCH) {
            let entry = entry?;
            // A file that vanished since it was listed is not an error of the listing.
            if let Ok(metadata) = entry.metadata() {
                batch.push(entry_of(entry.file_name().into_vec(), &metadata));
            }
        }
        if batch.is_empty() {
            return Err(Refusal::Code(Code::Eof));
        }
        to.names(id, &batch);
        Ok(())
    }

    fn extended(&mut self, id: u32, packet: &mut Fields, to: &mut Replies) -> Result<(), Refusal> {
        let name = packet.string()?;
        match &name[..] {
            b"posix-rename@openssh.com" => {
                let (from, onto) = (self.path(&packet.string()?), self.path(&packet.string()?));
                fs::rename(from, onto)?;
            }
            b"hardlink@openssh.com" => {
                let (from, onto) = (self.path(&packet.string()?), self.path(&packet.string()?));
                fs::hard_link(from, onto)?;
            }
            b"fsync@openssh.com" => self.file(&packet.string()?)?.sync_all()?,
            b"lsetstat@openssh.com" => {
                let path = self.path(&packet.string()?);
                change(&path, &packet.attributes()?, false)?;
            }
            b"statvfs@openssh.com" => {
                let room = statvfs(&self.path(&packet.string()?))?;
                to.extended(id, &room_of(&room));
                return Ok(());
            }
            b"fstatvfs@openssh.com" => {
                let room = fstatvfs(self.file(&packet.string()?)?)?;
                to.extended(id, &room_of(&room));
                return Ok(());
            }
            b"limits@openssh.com" => {
                let data = u64::from(MAX_DATA);
                to.extended(
                    id,
                    &[wire::MAX_PACKET as u64, data, data, MAX_HANDLES as u64],
                );
                return Ok(());
            }
            b"expand-path@openssh.com" => {
                let path = resolve(&self.expand(&packet.string()?));
                to.names(id, &[plain(path.into_os_string().into_vec())]);
                return Ok(());
            }
            _ => return Err(Refusal::Code(Code::Unsupported)),
        }
        to.status(id, Code::Ok, "");
        Ok(())
    }

    fn keep(&mut self, open: Open) -> Result<u32, Refusal> {
        if self.open.len() >= MAX_HANDLES {
            return Err(Refusal::Io(io::Error::other("too many open files")));
        }
        self.next = self.next.wrapping_add(1);
        self.open.insert(self.next, open);
        Ok(self.next)
    }

    fn file(&self, handle: &[u8]) -> Result<&File, Refusal> {
        match self.open.get(&handle_of(handle)?) {
            Some(Open::File { file, .. }) => Ok(file),
            _ => Err(Refusal::Code(Code::Failure)),
        }
    }

    fn path(&self, name: &[u8]) -> PathBuf {
        self.home.join(OsStr::from_bytes(name))
    }

    fn expand(&self, name: &[u8]) -> PathBuf {
        match name {
            b"~" => self.home.clone(),
            [b'~', b'/', rest @ ..] => self.path(rest),
            other => self.path(other),
        }
    }
}

fn handle_of(bytes: &[u8]) -> Result<u32, Refusal> {
    let bytes: [u8; 4] = bytes.try_into().map_err(|_| Refusal::Code(Code::Failure))?;
    Ok(u32::from_be_bytes(bytes))
}

fn read_fully(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

/// Plain SFTP rename must not replace what is there; `posix-rename` may.
fn rename_new(from: &Path, onto: &Path) -> io::Result<()> {
    if fs::symlink_metadata(onto).is_ok() {
        return Err(io::Error::from(io::ErrorKind::AlreadyExists));
    }
    fs::rename(from, onto)
}

/// Makes a path absolute: links are followed as far as the path exists, the rest is kept.
fn resolve(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::ParentDir => {
                clean.pop();
            }
            Component::Normal(name) => clean.push(name),
            _ => {}
        }
    }
    clean
}

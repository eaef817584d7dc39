//! What a session changed becomes a layer on top of the layers that it began with.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, BufWriter, Read, Seek, Write},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fgetxattr, openat, readlinkat, statat},
    io::Errno,
};
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use super::{
    Content, Digest, ImageError, ImageStore, OPAQUE, budget::Budget, manifest::Config,
    store::blocking,
};

const DOING: &str = "read what the session changed";

impl ImageStore {
    /// Makes an image of `base` and what lies in `changed`, the upper directory of a session's
    /// root. The session goes on meanwhile: a file that is written just now is taken as it is read.
    ///
    /// # Errors
    /// When it does not fit, or the base is not there any more.
    pub async fn commit(
        self: &Arc<Self>,
        base: Content,
        changed: PathBuf,
        labels: BTreeMap<String, String>,
    ) -> Result<Content, ImageError> {
        let adding = self.adding().await;
        let store = Arc::clone(self);
        blocking(move || {
            let _adding = adding;
            let mut budget = store.budget();
            let mut archive = store.scratch()?;
            write_layer(&changed, &mut archive, &mut budget)?;
            archive.rewind().map_err(ImageError::io(DOING))?;
            let mut budget = store.budget();
            let archive = io::BufReader::new(archive);
            let (layer, _) = store.add_layer(None, archive, &mut budget)?;
            let text = std::fs::read(store.blob(&base.config))
                .map_err(ImageError::io("read the image's configuration"))?;
            let text = configuration(&text, &layer, &labels)?;
            let config = Config::parse(&text)?;
            let digest = store.keep_text(&text)?;
            store.content(digest.clone(), digest, config)
        })
        .await
    }

    /// A file without a name, gone with whoever has it open.
    pub(super) fn scratch(&self) -> Result<File, ImageError> {
        let doing = "make a temporary file";
        let path = self.new_blob();
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(ImageError::io(doing))?;
        std::fs::remove_file(&path).map_err(ImageError::io(doing))?;
        Ok(file)
    }
}

/// The base's configuration with one layer and these labels more.
fn configuration(
    base: &[u8],
    layer: &Digest,
    labels: &BTreeMap<String, String>,
) -> Result<Vec<u8>, ImageError> {
    let malformed = |error: serde_json::Error| ImageError::Malformed(error.to_string());
    let mut config: Value = serde_json::from_slice(base).map_err(malformed)?;
    let now = jiff::Timestamp::now().to_string();
    config["created"] = json!(now);
    if !config["config"].is_object() {
        config["config"] = json!({});
    }
    if !config["config"]["Labels"].is_object() {
        config["config"]["Labels"] = json!({});
    }
    for (key, value) in labels {
        config["config"]["Labels"][key] = json!(value);
    }
    let layers = config["rootfs"]["diff_ids"].as_array_mut();
    layers
        .ok_or_else(|| ImageError::Malformed("its configuration has no layers".to_owned()))?
        .push(json!(layer));
    if let Some(history) = config["history"].as_array_mut() {
        history.push(json!({ "created": now, "created_by": "gangway session commit" }));
    }
    serde_json::to_vec(&config).map_err(malformed)
}

/// Writes an overlay's upper directory as the archive of a layer.
fn write_layer(changed: &Path, to: &mut File, budget: &mut Budget) -> Result<(), ImageError> {
    let root = openat(CWD, changed, DIRECTORY, Mode::empty()).map_err(ImageError::io(DOING))?;
    let mut writing = Writing {
        archive: Builder::new(BufWriter::new(to)),
        budget,
        links: HashMap::new(),
    };
    writing.directory(&root, Path::new(""))?;
    let mut rest = writing
        .archive
        .into_inner()
        .map_err(ImageError::io("write a layer"))?;
    rest.flush().map_err(ImageError::io("write a layer"))
}

const DIRECTORY: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::RDONLY);

struct Writing<'a, W: Write> {
    archive: Builder<W>,
    budget: &'a mut Budget,
    /// Files with several names, by device and number.
    links: HashMap<(u64, u64), PathBuf>,
}

impl<W: Write> Writing<'_, W> {
    /// All that is in a directory. The session may change it meanwhile: each name is opened below
    /// its own directory and no link is followed.
    fn directory(&mut self, directory: &OwnedFd, path: &Path) -> Result<(), ImageError> {
        let mut names: Vec<OsString> = Vec::new();
        for entry in Dir::read_from(directory).map_err(ImageError::io(DOING))? {
            let entry = entry.map_err(ImageError::io(DOING))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        names.sort();
        for name in names {
            let found = match statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                found => found.map_err(ImageError::io(DOING))?,
            };
            self.budget.entry()?;
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
    ) -> Result<(), ImageError> {
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => {
                self.entry(EntryType::Directory, path, found)?;
                let inner = match openat(directory, name, DIRECTORY, Mode::empty()) {
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
                    inner => inner.map_err(ImageError::io(DOING))?,
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
                    target => target.map_err(ImageError::io(DOING))?,
                };
                let mut header = header(EntryType::Symlink, found, 0);
                self.archive
                    .append_link(&mut header, path, OsStr::from_bytes(target.to_bytes()))
                    .map_err(ImageError::io("write a layer"))
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
    ) -> Result<(), ImageError> {
        if found.st_nlink > 1 {
            let number = (found.st_dev, found.st_ino);
            if let Some(first) = self.links.get(&number) {
                let mut header = header(EntryType::Link, found, 0);
                return self
                    .archive
                    .append_link(&mut header, path, first)
                    .map_err(ImageError::io("write a layer"));
            }
            self.links.insert(number, path.to_owned());
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(directory, name, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::LOOP) => return Ok(()),
            file => File::from(file.map_err(ImageError::io(DOING))?),
        };
        let now = rustix::fs::fstat(&file).map_err(ImageError::io(DOING))?;
        if FileType::from_raw_mode(now.st_mode) != FileType::RegularFile {
            return Ok(());
        }
        let size = u64::try_from(now.st_size).unwrap_or_default();
        self.budget.bytes(size)?;
        let mut header = header(EntryType::Regular, &now, size);
        let content = Exactly { file, left: size };
        self.archive
            .append_data(&mut header, path, content)
            .map_err(ImageError::io("write a layer"))
    }

    fn entry(&mut self, kind: EntryType, path: &Path, found: &Stat) -> Result<(), ImageError> {
        let mut header = header(kind, found, 0);
        self.archive
            .append_data(&mut header, path, io::empty())
            .map_err(ImageError::io("write a layer"))
    }

    /// An empty file whose name says something.
    fn note(&mut self, path: &Path) -> Result<(), ImageError> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(0);
        header.set_mode(0);
        self.archive
            .append_data(&mut header, path, io::empty())
            .map_err(ImageError::io("write a layer"))
    }
}

/// All files of an image are the superuser's.
fn header(kind: EntryType, found: &Stat, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(found.st_mode & 0o7777);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(u64::try_from(found.st_mtime).unwrap_or_default());
    header.set_size(size);
    header
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

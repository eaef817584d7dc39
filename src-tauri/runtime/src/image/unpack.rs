//! Unpacks a layer: an archive of changes, compressed or not, becomes a directory for an overlay.

use std::{
    collections::BTreeMap,
    io::{self, Cursor, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use protocol::runner::{ids::Owned, launch::INNER_ID};
use serde::{Deserialize, Serialize};
use tar::{Archive, Entry, EntryType};

use super::{
    Digest, ImageError,
    budget::Budget,
    digest::Hashing,
    metered::Metered,
    place::{Attributes, Place, inside},
};
use crate::{
    Trees,
    ids::{IdMap, Ids},
};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Set-user-id and set-group-id bits.
const SPECIAL: u32 = 0o6000;
/// Of the name of a deleted file.
const DELETED: &str = ".wh.";
/// Of what only the union file system that invented these names needed.
const PRIVATE: &str = ".wh..wh.";
/// In a directory that hides the one below it.
const HIDES_BELOW: &str = ".wh..wh..opq";

/// What a session does not get of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Device files.
    pub devices: u64,
    /// Files whose extended attributes (capabilities, labels) were left out.
    pub attributes: u64,
    /// Files whose owner has no id here: inside, they are the session's own.
    pub owners: u64,
}

impl Dropped {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            devices: self.devices + other.devices,
            attributes: self.attributes + other.attributes,
            owners: self.owners + other.owners,
        }
    }
}

/// A layer on disk.
pub(super) struct Unpacked {
    /// Digest of the archive, uncompressed.
    pub(super) digest: Digest,
    pub(super) bytes: u64,
    pub(super) dropped: Dropped,
    /// Whose the files are that are not simply root's.
    pub(super) others: Vec<Owned>,
}

/// Reads the compressed text, whichever of the known ways it is compressed in.
pub(super) fn decompressed<'a>(
    mut reader: impl Read + Send + 'a,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut head = Vec::with_capacity(4);
    reader.by_ref().take(4).read_to_end(&mut head)?;
    let is = |magic: &[u8]| head.starts_with(magic);
    let (gzip, zstd) = (is(GZIP), is(ZSTD));
    let whole = Cursor::new(head).chain(reader);
    Ok(if gzip {
        Box::new(flate2::read::MultiGzDecoder::new(whole))
    } else if zstd {
        Box::new(zstd::stream::read::Decoder::new(whole)?)
    } else {
        Box::new(whole)
    })
}

/// Unpacks into an empty directory. All files are the sessions' user's until they are given away.
pub(super) fn unpack(
    layer: impl Read + Send,
    directory: &Path,
    trees: &Trees,
    budget: &mut Budget,
) -> Result<Unpacked, ImageError> {
    let doing = "read a layer";
    let plain = decompressed(layer).map_err(ImageError::io(doing))?;
    let (plain, meter) = Metered::new(Hashing::new(plain));
    let mut archive = Archive::new(plain);
    let mut unpacking = Unpacking {
        place: Place::open(directory, trees.owner())?,
        budget,
        ids: trees.ids().cloned(),
        others: BTreeMap::new(),
        bytes: 0,
        dropped: Dropped::default(),
    };
    for entry in archive.entries().map_err(ImageError::io(doing))? {
        let mut entry = entry.map_err(ImageError::io(doing))?;
        meter.content();
        unpacking.entry(&mut entry)?;
        // What is no file may say that it has content all the same.
        copy(&mut entry, &mut io::sink(), unpacking.budget)?;
        meter.head();
    }
    meter.content();
    let Unpacking {
        place,
        bytes,
        dropped,
        others,
        ..
    } = unpacking;
    place.finish()?;
    let digest = archive
        .into_inner()
        .into_inner()
        .finish()
        .map_err(ImageError::io(doing))?;
    Ok(Unpacked {
        digest,
        bytes,
        dropped,
        others: others.into_values().collect(),
    })
}

struct Unpacking<'a> {
    place: Place,
    budget: &'a mut Budget,
    ids: Option<Arc<Ids>>,
    others: BTreeMap<PathBuf, Owned>,
    bytes: u64,
    dropped: Dropped,
}

impl Unpacking<'_> {
    fn entry<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<(), ImageError> {
        let path = inside(&entry.path_bytes())?;
        // The root itself: it has the attributes of the session's.
        let Some(name) = path.file_name() else {
            return Ok(());
        };
        self.budget.entry()?;
        if let Some(name) = name.to_str().and_then(|name| name.strip_prefix(DELETED)) {
            let name = name.to_owned();
            return self.deletion(&path, &name);
        }
        let header = entry.header();
        let malformed = |error: io::Error| ImageError::Malformed(error.to_string());
        let attributes = Attributes {
            mode: header.mode().map_err(malformed)?,
            mtime: header.mtime().unwrap_or_default(),
        };
        let owner = (
            header.uid().unwrap_or_default(),
            header.gid().unwrap_or_default(),
        );
        let kind = header.entry_type();
        // Another name of a file has the owner that the file has.
        if kind != EntryType::Link {
            self.owned(&path, owner, attributes.mode & SPECIAL);
        }
        if self.has_attributes(entry) {
            self.dropped.attributes += 1;
        }
        match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let Self {
                    place,
                    budget,
                    bytes,
                    ..
                } = self;
                place.file(&path, attributes, |file| {
                    *bytes += copy(entry, file, budget)?;
                    Ok(())
                })
            }
            EntryType::Directory => self.place.directory(&path, attributes),
            EntryType::Symlink => {
                let target = link_name(entry, &path)?;
                let target = std::os::unix::ffi::OsStringExt::from_vec(target);
                let target: std::ffi::OsString = target;
                self.place.symlink(&path, &target, attributes)
            }
            EntryType::Link => {
                let target = inside(&link_name(entry, &path)?)?;
                match self.others.get(&target).cloned() {
                    Some(owned) => self.others.insert(
                        path.clone(),
                        Owned {
                            path: path.clone().into_os_string(),
                            ..owned
                        },
                    ),
                    None => self.others.remove(&path),
                };
                self.place.link(&path, &target)
            }
            EntryType::Fifo => self.place.pipe(&path, attributes),
            EntryType::Char | EntryType::Block => {
                self.dropped.devices += 1;
                Ok(())
            }
            // Whatever it is, it is no file.
            _ => Ok(()),
        }
    }

    fn owned(&mut self, path: &Path, (user, group): (u64, u64), special: u32) {
        self.others.remove(path);
        if (user, group, special) == (0, 0, 0) {
            return;
        }
        let Some(ids) = &self.ids else {
            self.dropped.owners += u64::from((user, group) != (0, 0));
            return;
        };
        let (user, group) = (u32::try_from(user), u32::try_from(group));
        let known = |id: &u32, map: &IdMap| map.host(*id).is_some();
        let user = user.ok().filter(|id| known(id, &ids.users));
        let group = group.ok().filter(|id| known(id, &ids.groups));
        let (user, group) = user.zip(group).unwrap_or_else(|| {
            self.dropped.owners += 1;
            (INNER_ID, INNER_ID)
        });
        let path = path.to_owned();
        let owned = Owned {
            path: path.clone().into_os_string(),
            user,
            group,
            special,
        };
        self.others.insert(path, owned);
    }

    fn deletion(&mut self, path: &Path, name: &str) -> Result<(), ImageError> {
        let directory = path.parent().unwrap_or(Path::new(""));
        let marker = path.file_name().unwrap_or_default();
        if marker == HIDES_BELOW {
            self.place.hide_below(directory)
        } else if marker.to_string_lossy().starts_with(PRIVATE) {
            Ok(())
        } else if name.is_empty() || name == "." || name == ".." {
            Err(ImageError::Malformed("a deletion has no name".to_owned()))
        } else {
            self.place.deleted(&directory.join(name))
        }
    }

    fn has_attributes<R: Read>(&self, entry: &mut Entry<'_, R>) -> bool {
        entry
            .pax_extensions()
            .ok()
            .flatten()
            .is_some_and(|mut all| {
                all.any(|one| {
                    one.is_ok_and(|one| {
                        one.key_bytes().starts_with(b"SCHILY.xattr.")
                            || one.key_bytes().starts_with(b"LIBARCHIVE.xattr.")
                    })
                })
            })
    }
}

fn link_name<R: Read>(entry: &Entry<'_, R>, path: &Path) -> Result<Vec<u8>, ImageError> {
    entry
        .link_name_bytes()
        .filter(|target| !target.is_empty())
        .map(std::borrow::Cow::into_owned)
        .ok_or_else(|| ImageError::Malformed(format!("{} leads nowhere", path.display())))
}

fn copy(from: &mut impl Read, to: &mut impl Write, budget: &mut Budget) -> Result<u64, ImageError> {
    let mut buffer = vec![0; 128 << 10];
    let mut bytes = 0;
    loop {
        let read = from
            .read(&mut buffer)
            .map_err(ImageError::io("read a layer"))?;
        if read == 0 {
            return Ok(bytes);
        }
        let count = u64::try_from(read).unwrap_or(u64::MAX);
        budget.bytes(count)?;
        to.write_all(&buffer[..read])
            .map_err(ImageError::io("write a file of an image"))?;
        bytes += count;
    }
}

#[cfg(test)]
mod in_a_folder;

//! An image comes from a file or a folder: what `docker save` writes, an OCI layout, or an archive
//! of one. Nothing is unpacked but layers; other names in an archive are only looked up.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;
use tar::{Archive, EntryType};

use super::{
    Content, Digest, ImageError, ImageStore,
    manifest::{Config, Descriptor, MOST_TEXT, Manifest},
    metered::Metered,
    store::blocking,
    unpack::decompressed,
};

/// Entries of an archive that are looked at.
const MOST_ENTRIES: usize = 100_000;
/// Bytes of a name that is looked up.
const LONGEST_NAME: usize = 1024;

/// What came.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The image.
    pub content: Content,
    /// The name that the archive gives to it, when it gives one.
    pub name: Option<String>,
}

/// One image of `docker save`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl ImageStore {
    /// Takes the image in a file or a folder; of several the first, or the one of this name.
    ///
    /// # Errors
    /// When it is none, is not for this computer, or does not fit.
    pub async fn import(
        self: &Arc<Self>,
        path: PathBuf,
        wanted: Option<String>,
    ) -> Result<Imported, ImageError> {
        let adding = self.adding().await;
        let store = Arc::clone(self);
        blocking(move || {
            let _adding = adding;
            let mut files = store.open_files(&path)?;
            if files.has("manifest.json") {
                store.take_saved(&mut files, wanted.as_deref())
            } else if files.has("index.json") {
                store.take_layout(&mut files, wanted.as_deref())
            } else {
                let text = "it holds neither a manifest.json nor an index.json";
                Err(ImageError::Malformed(text.to_owned()))
            }
        })
        .await
    }

    fn take_saved(&self, files: &mut Files, wanted: Option<&str>) -> Result<Imported, ImageError> {
        let text = files.text("manifest.json")?;
        let all: Vec<Saved> = serde_json::from_slice(&text)
            .map_err(|error| ImageError::Malformed(format!("its manifest: {error}")))?;
        let has = |saved: &&Saved, name: &str| {
            let tags = saved.repo_tags.as_deref().unwrap_or_default();
            tags.iter().any(|tag| tag == name)
        };
        let saved = match wanted {
            Some(name) => all.iter().find(|saved| has(saved, name)).or(all.first()),
            None => all.first(),
        };
        let saved = saved.ok_or_else(|| ImageError::Malformed("it holds no image".to_owned()))?;
        let name = saved.repo_tags.as_deref().unwrap_or_default().first();
        let text = files.text(&saved.config)?;
        let content = self.take(files, None, &text, &saved.layers)?;
        Ok(Imported {
            content,
            name: name.cloned(),
        })
    }

    fn take_layout(&self, files: &mut Files, wanted: Option<&str>) -> Result<Imported, ImageError> {
        let index = Manifest::parse(&files.text("index.json")?)?;
        let named = |one: &&Descriptor| wanted.is_some() && one.name() == wanted;
        let chosen = match index.manifests.iter().find(named) {
            Some(found) => found.clone(),
            None => index.choose()?.clone(),
        };
        let name = chosen.name().map(str::to_owned);
        let mut digest = chosen.digest;
        let mut manifest = Manifest::parse(&files.blob(&digest)?)?;
        if manifest.config.is_none() {
            digest = manifest.choose()?.digest.clone();
            manifest = Manifest::parse(&files.blob(&digest)?)?;
        }
        let config = manifest
            .config
            .ok_or_else(|| ImageError::Malformed("it has no configuration".to_owned()))?;
        let text = files.blob(&config.digest)?;
        let layers: Vec<String> = manifest
            .layers
            .iter()
            .map(|layer| blob_name(&layer.digest))
            .collect();
        let content = self.take(files, Some(digest), &text, &layers)?;
        Ok(Imported { content, name })
    }

    fn take(
        &self,
        files: &mut Files,
        digest: Option<Digest>,
        config_text: &[u8],
        layers: &[String],
    ) -> Result<Content, ImageError> {
        let config = Config::parse(config_text)?;
        config.check_platform()?;
        if config.layers.len() != layers.len() {
            let text = "its manifest and its configuration disagree about the layers";
            return Err(ImageError::Malformed(text.to_owned()));
        }
        let mut budget = self.budget();
        for (name, diff) in layers.iter().zip(&config.layers) {
            if self.mark(diff).is_none() {
                self.add_layer(Some(diff), files.open(name)?, &mut budget)?;
            }
        }
        let config_digest = self.keep_text(config_text)?;
        let digest = digest.unwrap_or_else(|| config_digest.clone());
        self.content(digest, config_digest, config)
    }

    fn open_files(&self, path: &Path) -> Result<Files, ImageError> {
        let doing = "open the image";
        let found = fs::metadata(path).map_err(ImageError::io(doing))?;
        if found.is_dir() {
            return Ok(Files::Folder(path.to_owned()));
        }
        let mut file = File::open(path).map_err(ImageError::io(doing))?;
        let mut head = [0; 262];
        let is_plain = file.read_exact(&mut head).is_ok() && &head[257..262] == b"ustar";
        file.rewind().map_err(ImageError::io(doing))?;
        if !is_plain {
            file = self.plain_copy(file)?;
        }
        Files::archive(file)
    }

    /// An archive can be looked things up in only when it is not compressed.
    fn plain_copy(&self, file: File) -> Result<File, ImageError> {
        let doing = "decompress the archive";
        let mut budget = self.budget();
        let mut plain = decompressed(file).map_err(ImageError::io(doing))?;
        let mut copy = self.scratch()?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            let read = plain.read(&mut buffer).map_err(ImageError::io(doing))?;
            if read == 0 {
                break;
            }
            budget.bytes(u64::try_from(read).unwrap_or(u64::MAX))?;
            copy.write_all(&buffer[..read])
                .map_err(ImageError::io(doing))?;
        }
        copy.rewind().map_err(ImageError::io(doing))?;
        Ok(copy)
    }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Where the parts of an image lie.
enum Files {
    Folder(PathBuf),
    Archive {
        file: File,
        /// Name → where it begins, and its length.
        places: BTreeMap<String, (u64, u64)>,
    },
}

impl Files {
    fn archive(file: File) -> Result<Self, ImageError> {
        let doing = "read the archive";
        let mut places = BTreeMap::new();
        let mut links = Vec::new();
        let (metered, meter) = Metered::new(&file);
        let mut archive = Archive::new(metered);
        let entries = archive.entries_with_seek().map_err(ImageError::io(doing))?;
        for entry in entries.take(MOST_ENTRIES) {
            let entry = entry.map_err(ImageError::io(doing))?;
            meter.head();
            let name = entry.path_bytes();
            // None of the names that are looked up is longer.
            if name.len() > LONGEST_NAME {
                continue;
            }
            let name = clean(&name);
            match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {
                    places.insert(name, (entry.raw_file_position(), entry.size()));
                }
                EntryType::Link | EntryType::Symlink => {
                    // Old archives have equal layers only once.
                    let target = entry.link_name_bytes().unwrap_or_default();
                    if target.len() <= LONGEST_NAME {
                        links.push((name, String::from_utf8_lossy(&target).into_owned()));
                    }
                }
                _ => {}
            }
        }
        for (name, target) in links {
            let beside = Path::new(&name).parent().unwrap_or(Path::new(""));
            let beside = flat(&beside.join(&target));
            let found = places
                .get(&beside)
                .or(places.get(&clean(target.as_bytes())));
            if let Some(place) = found.copied() {
                places.insert(name, place);
            }
        }
        Ok(Self::Archive { file, places })
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::Folder(folder) => folder.join(name).is_file(),
            Self::Archive { places, .. } => places.contains_key(name),
        }
    }

    fn open(&mut self, name: &str) -> Result<Box<dyn Read + Send + '_>, ImageError> {
        let missing = || ImageError::Malformed(format!("{name} is missing"));
        match self {
            Self::Folder(folder) => {
                let path = folder.join(super::place::inside(name.as_bytes())?);
                // A folder may have been put together by anybody: no links out of it.
                let path = path.canonicalize().map_err(|_| missing())?;
                let root = folder.canonicalize().map_err(|_| missing())?;
                if !path.starts_with(root) || !path.is_file() {
                    return Err(missing());
                }
                let file = File::open(path).map_err(ImageError::io("open a layer"))?;
                Ok(Box::new(BufReader::new(file)))
            }
            Self::Archive { file, places } => {
                let (at, size) = *places.get(&clean(name.as_bytes())).ok_or_else(missing)?;
                file.seek(SeekFrom::Start(at))
                    .map_err(ImageError::io("read the archive"))?;
                Ok(Box::new(BufReader::new(io::Read::take(&*file, size))))
            }
        }
    }

    fn text(&mut self, name: &str) -> Result<Vec<u8>, ImageError> {
        let mut text = Vec::new();
        self.open(name)?
            .take(MOST_TEXT + 1)
            .read_to_end(&mut text)
            .map_err(ImageError::io("read the archive"))?;
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > MOST_TEXT {
            return Err(ImageError::Malformed(format!("{name} is too long")));
        }
        Ok(text)
    }

    fn blob(&mut self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        let text = self.text(&blob_name(digest))?;
        if Digest::of(&text) == *digest {
            Ok(text)
        } else {
            Err(ImageError::Digest(digest.to_string()))
        }
    }
}

/// A name without `./` in front.
fn clean(name: &[u8]) -> String {
    flat(Path::new(&*String::from_utf8_lossy(name)))
}

/// A path with its dots taken out.
fn flat(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for component in path.components() {
        match component {
            std::path::Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            std::path::Component::ParentDir => {
                parts.pop();
            }
            _ => {}
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod properties {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_name_is_looked_up_below(name in prop_oneof![vec(any::<u8>(), 0..40), "(\\.{1,2}/|/|a/?){0,10}".prop_map(String::into_bytes)]) {
            let clean = clean(&name);
            prop_assert!(!clean.starts_with('/') && clean.split('/').all(|part| part != ".."), "{}", clean);
            if let Ok(inside) = super::super::place::inside(&name) {
                let normal = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
                prop_assert!(inside.components().all(normal));
            }
        }

        #[test]
        fn any_manifest_is_understood_or_refused(
            bytes in prop_oneof!["[\\[\\]{}\":,a-z0-9]{0,60}".prop_map(String::into_bytes), vec(any::<u8>(), 0..60)],
            changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let digest = Digest::of(&bytes);
            let text = format!(
                r#"{{"config":{{"digest":"{digest}","size":3}},"layers":[{{"digest":"{digest}"}}],"manifests":[{{"digest":"{digest}",
                "platform":{{"architecture":"amd64"}}}}],"rootfs":{{"diff_ids":["{digest}"]}},"architecture":"amd64"}}"#
            );
            let mut whole = text.into_bytes();
            prop_assert!(Manifest::parse(&whole).is_ok() && serde_json::from_slice::<serde_json::Value>(&whole).is_ok());
            for (at, byte) in changes {
                let at = at.index(whole.len());
                whole[at] = byte;
            }
            for bytes in [whole, bytes] {
                if let Ok(manifest) = Manifest::parse(&bytes) {
                    let _ = manifest.choose();
                    for one in manifest.layers.iter().chain(&manifest.manifests) {
                        prop_assert!(one.digest.hex().len() == 64 && !one.digest.hex().contains(['/', '.']));
                    }
                }
                if let Ok(config) = Config::parse(&bytes) {
                    let _ = config.check_platform();
                    prop_assert!((1..=127).contains(&config.layers.len()));
                }
                let _ = serde_json::from_slice::<Vec<Saved>>(&bytes);
            }
        }

        #[test]
        fn only_digests_are_file_names(text in "(sha256:)?[0-9a-fA-F./]{0,70}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
                prop_assert!(digest.hex().bytes().all(|byte| byte.is_ascii_hexdigit()));
            }
        }
    }
}

#[cfg(test)]
mod in_a_folder {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_archive_can_be_looked_into(
            entries in vec(("[a./]{1,8}", "[a./]{0,6}", 0usize..5, 0usize..900), 0..10),
            changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let mut builder = tar::Builder::new(Vec::new());
            for (name, target, kind, length) in &entries {
                let mut header = tar::Header::new_gnu();
                header.set_entry_type([EntryType::Regular, EntryType::Link, EntryType::Symlink, EntryType::GNULongName, EntryType::Directory][*kind]);
                header.set_size(*length as u64);
                header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
                header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
                header.set_cksum();
                builder.append(&header, &vec![b'a'; *length][..]).unwrap();
            }
            let mut bytes = builder.into_inner().unwrap();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            file.rewind().unwrap();
            if let Ok(mut files) = Files::archive(file) {
                for name in ["a", "manifest.json", "../a", "/etc/passwd", "a/a"] {
                    let has = files.has(name);
                    if let Ok(text) = files.text(name) {
                        prop_assert!(text.len() <= bytes.len());
                        prop_assert!(has || name.starts_with(['.', '/']));
                    }
                }
            }
        }
    }
}

//! Images on disk: layers shared by all images that have them, named by their content.
//!
//! ```text
//! <root>/layers/<digest>/       an unpacked layer
//!               <digest>.json   says that it is whole
//!               .new-*          one that is being unpacked
//!        blobs/<digest>         a configuration, or a layer that is not unpacked yet
//!              <digest>.part    as much of one as has come
//! ```

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedMutexGuard, OwnedRwLockReadGuard, RwLock};

use super::{
    Digest, Dropped, ImageError, ImageLimits,
    budget::Budget,
    manifest::Config,
    unpack::{self, Unpacked},
};
use crate::{Trees, ids::Scheme};

/// Between a layer's digest and what tells several apart that were unpacked with other ids.
const OTHER_IDS: &str = ".other-ids-";
/// How long half a layer is kept for somebody to go on with.
const PART_KEPT: Duration = Duration::from_secs(14 * 24 * 3600);

/// An image on this computer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Names the image: of its manifest, or of its configuration where it came without one.
    pub digest: Digest,
    /// Of its configuration.
    pub config: Digest,
    /// `x86_64`, `aarch64`.
    pub architecture: String,
    /// Its layers, lowest first, by the digest of their uncompressed archive.
    pub layers: Vec<Digest>,
    /// Unpacked.
    pub size_bytes: u64,
    /// Variables for its programs.
    pub environ: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What was left out.
    pub dropped: Dropped,
}

/// Says of a layer that it is whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) bytes: u64,
    pub(super) dropped: Dropped,
    /// The ids that its files belong to; absent when all are the session's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) owners: Option<Scheme>,
}

/// The images of an engine.
#[derive(Debug)]
pub struct ImageStore {
    root: PathBuf,
    trees: Trees,
    limits: ImageLimits,
    /// One for each layer that somebody works on.
    locks: Mutex<HashMap<Digest, Weak<tokio::sync::Mutex<()>>>>,
    /// Held by who adds to the store, and by who removes from it.
    adding: Arc<RwLock<()>>,
}

impl ImageStore {
    /// Opens the store below `root`, made when it is missing, and tidies up what a killed engine
    /// left. `trees` says to whom its files belong.
    ///
    /// # Errors
    /// When the directories can't be made or read.
    pub fn open(
        root: impl Into<PathBuf>,
        trees: impl Into<Trees>,
        limits: ImageLimits,
    ) -> Result<Self, ImageError> {
        let root = root.into();
        let doing = "make the images' directories";
        for path in [root.clone(), root.join("layers"), root.join("blobs")] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(ImageError::io(doing))?;
        }
        let root = root.canonicalize().map_err(ImageError::io(doing))?;
        let store = Self {
            root,
            trees: trees.into(),
            limits,
            locks: Mutex::default(),
            adding: Arc::default(),
        };
        store.tidy().map_err(ImageError::io("tidy the images up"))?;
        Ok(store)
    }

    /// Directories of an image's layers, lowest first.
    #[must_use]
    pub fn directories(&self, content: &Content) -> Vec<PathBuf> {
        content.layers.iter().map(|it| self.layer(it)).collect()
    }

    /// Whether all of an image is there.
    #[must_use]
    pub fn has(&self, content: &Content) -> bool {
        content
            .layers
            .iter()
            .all(|layer| self.mark(layer).is_some())
            && self.blob(&content.config).is_file()
    }

    /// Removes the layers and configurations that none of `kept` needs and no session shows.
    /// Does nothing while something is being added. Gives the bytes that it freed.
    ///
    /// # Errors
    /// When something can't be removed.
    pub async fn collect(
        self: &Arc<Self>,
        kept: Vec<Content>,
        shown: Vec<PathBuf>,
    ) -> Result<u64, ImageError> {
        let Ok(alone) = self.adding.clone().try_write_owned() else {
            return Ok(0);
        };
        let store = Arc::clone(self);
        blocking(move || {
            let _alone = alone;
            store
                .remove_unused(&kept, &shown)
                .map_err(ImageError::io("remove what no image needs"))
        })
        .await
    }

    fn remove_unused(&self, kept: &[Content], shown: &[PathBuf]) -> io::Result<u64> {
        let layers: BTreeSet<&str> = kept
            .iter()
            .flat_map(|content| content.layers.iter().map(Digest::hex))
            .collect();
        let configs: BTreeSet<&str> = kept.iter().map(|content| content.config.hex()).collect();
        let mut freed = 0;
        for entry in fs::read_dir(self.root.join("layers"))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.contains(OTHER_IDS) && shown.is_empty() {
                self.try_remove(&entry.path());
            }
            if name.len() != 64 || layers.contains(name.as_str()) || shown.contains(&entry.path()) {
                continue;
            }
            let mark = self.root.join("layers").join(format!("{name}.json"));
            freed += read_mark(&mark).map_or(0, |mark| mark.bytes);
            // First what says that it is whole: a half-removed one is none.
            let _ = fs::remove_file(mark);
            self.try_remove(&entry.path());
        }
        for entry in fs::read_dir(self.root.join("blobs"))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.len() == 64 && !configs.contains(name.as_str()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(freed)
    }

    fn tidy(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.root.join("layers"))?.flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let marked = self.root.join("layers").join(format!("{name}.json"));
            let half = path.is_dir() && !marked.is_file() && !name.contains(OTHER_IDS);
            if name.starts_with(".new-") || half {
                self.try_remove(&path);
            }
        }
        for entry in fs::read_dir(self.root.join("blobs"))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let age = entry
                .metadata()
                .and_then(|found| found.modified())
                .ok()
                .and_then(|at| SystemTime::now().duration_since(at).ok());
            let old = age.is_some_and(|age| age > PART_KEPT);
            if name.starts_with(".new-") || (name.ends_with(".part") && old) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// What can't be removed now stays for another time; new images come all the same.
    fn try_remove(&self, layer: &Path) {
        if let Err(error) = self.trees.remove(layer) {
            tracing::warn!(%error, path = %layer.display(), "a layer stays");
        }
    }

    pub(super) fn budget(&self) -> Budget {
        Budget::new(self.limits, &self.root)
    }

    pub(super) fn layer(&self, digest: &Digest) -> PathBuf {
        self.root.join("layers").join(digest.hex())
    }

    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.hex())
    }

    pub(super) fn part(&self, digest: &Digest) -> PathBuf {
        self.root
            .join("blobs")
            .join(format!("{}.part", digest.hex()))
    }

    /// A name for a file that nobody looks for; what has it after a crash is removed.
    pub(super) fn new_blob(&self) -> PathBuf {
        let name = format!(".new-{}", uuid::Uuid::new_v4().simple());
        self.root.join("blobs").join(name)
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
        fs::remove_file(&path).map_err(ImageError::io(doing))?;
        Ok(file)
    }

    /// Who works on what sessions left.
    pub(super) fn trees(&self) -> &Trees {
        &self.trees
    }

    /// What is known of a whole layer.
    pub(super) fn mark(&self, digest: &Digest) -> Option<Mark> {
        let mark = read_mark(&self.layer(digest).with_extension("json"))?;
        // Files of ids that sessions do not have any more are nobody's.
        let readable = mark.owners.is_none() || mark.owners == self.trees.scheme();
        (readable && self.layer(digest).is_dir()).then_some(mark)
    }

    /// Nothing is removed while somebody holds this.
    pub(super) async fn adding(&self) -> OwnedRwLockReadGuard<()> {
        self.adding.clone().read_owned().await
    }

    /// One at a time works on a layer.
    pub(super) async fn lock(&self, digest: &Digest) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| lock.strong_count() > 0);
            let known = locks.get(digest).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let lock = Arc::new(tokio::sync::Mutex::new(()));
                locks.insert(digest.clone(), Arc::downgrade(&lock));
                lock
            })
        };
        lock.lock_owned().await
    }

    /// Unpacks a layer and checks that it is the one that was meant. Blocks.
    pub(super) fn add_layer(
        &self,
        wanted: Option<&Digest>,
        archive: impl io::Read + Send,
        budget: &mut Budget,
    ) -> Result<(Digest, Mark), ImageError> {
        let fresh = self.fresh()?;
        let Unpacked {
            digest,
            bytes,
            dropped,
            others,
        } = unpack::unpack(archive, &fresh.path, &self.trees, budget)?;
        if let Some(wanted) = wanted
            && *wanted != digest
        {
            return Err(ImageError::Digest(format!("the layer {wanted}")));
        }
        if self.trees.ids().is_some() && self.mark(&digest).is_none() {
            self.trees
                .own(&fresh.path, others)
                .map_err(ImageError::io("give the files of an image to their owners"))?;
        }
        let mark = Mark {
            bytes,
            dropped,
            owners: self.trees.scheme(),
        };
        self.keep(fresh, &digest, &mark)?;
        Ok((digest, mark))
    }

    fn fresh(&self) -> Result<Fresh, ImageError> {
        let doing = "make a layer's directory";
        let name = format!(".new-{}", uuid::Uuid::new_v4().simple());
        let path = self.root.join("layers").join(name);
        fs::create_dir(&path).map_err(ImageError::io(doing))?;
        let fresh = Fresh {
            path,
            trees: self.trees.clone(),
            kept: false,
        };
        fs::set_permissions(&fresh.path, fs::Permissions::from_mode(0o755))
            .map_err(ImageError::io(doing))?;
        if let Some(owner) = self.trees.owner() {
            std::os::unix::fs::chown(&fresh.path, Some(owner.uid), Some(owner.gid))
                .map_err(ImageError::io(doing))?;
        }
        Ok(fresh)
    }

    fn keep(&self, mut fresh: Fresh, digest: &Digest, mark: &Mark) -> Result<(), ImageError> {
        let doing = "keep a layer";
        let target = self.layer(digest);
        if self.mark(digest).is_some() {
            return Ok(());
        }
        if target.exists() {
            // Of other ids than there are today. Sessions may be shown it still, and not all of it
            // may be ours to remove now.
            let _ = fs::remove_file(target.with_extension("json"));
            let aside = format!(
                "{}{OTHER_IDS}{}",
                digest.hex(),
                uuid::Uuid::new_v4().simple()
            );
            fs::rename(&target, target.with_file_name(aside)).map_err(ImageError::io(doing))?;
        }
        // Not before its files are on the disk may a layer be called whole.
        let directory = File::open(&fresh.path).map_err(ImageError::io(doing))?;
        rustix::fs::syncfs(&directory).map_err(ImageError::io(doing))?;
        fs::rename(&fresh.path, &target).map_err(ImageError::io(doing))?;
        fresh.kept = true;
        let text =
            serde_json::to_vec(mark).map_err(|error| ImageError::Malformed(error.to_string()))?;
        write_whole(&target.with_extension("json"), &text).map_err(ImageError::io(doing))
    }

    /// Keeps a configuration.
    pub(super) fn keep_text(&self, text: &[u8]) -> Result<Digest, ImageError> {
        let digest = Digest::of(text);
        write_whole(&self.blob(&digest), text).map_err(ImageError::io("keep a configuration"))?;
        Ok(digest)
    }

    /// What is known of an image whose layers are all there.
    pub(super) fn content(
        &self,
        digest: Digest,
        config_digest: Digest,
        config: Config,
    ) -> Result<Content, ImageError> {
        let mut size_bytes = 0;
        let mut dropped = Dropped::default();
        for layer in &config.layers {
            let mark = self
                .mark(layer)
                .ok_or_else(|| ImageError::Malformed(format!("the layer {layer} is missing")))?;
            size_bytes += mark.bytes;
            dropped = dropped.plus(mark.dropped);
        }
        Ok(Content {
            digest,
            config: config_digest,
            architecture: match config.architecture.as_str() {
                "" => std::env::consts::ARCH.to_owned(),
                known => known.to_owned(),
            },
            layers: config.layers,
            size_bytes,
            environ: config.environ,
            labels: config.labels,
            dropped,
        })
    }
}

/// A layer that is being unpacked; removed unless it is kept.
struct Fresh {
    path: PathBuf,
    trees: Trees,
    kept: bool,
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = self.trees.remove(&self.path)
        {
            tracing::warn!(%error, "half a layer stays until the next start");
        }
    }
}

fn read_mark(path: &Path) -> Option<Mark> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Writes a file so that it is there with all of its text, or not at all.
pub(super) fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    let name = format!(".new-{}", uuid::Uuid::new_v4().simple());
    let next = path.with_file_name(name);
    let written = fs::write(&next, text)
        .and_then(|()| File::open(&next)?.sync_all())
        .and_then(|()| fs::rename(&next, path));
    if written.is_err() {
        let _ = fs::remove_file(&next);
    }
    written
}

/// Runs what works on the disk for long.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            Err(ImageError::Io {
                doing: "work on an image".to_owned(),
                source: io::Error::other(error),
            })
        })
}

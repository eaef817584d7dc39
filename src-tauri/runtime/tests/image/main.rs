//! Images: unpacked without getting out, shown to sessions, made of what sessions changed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on stops where it is"
)]

mod archive;
mod hostile;
mod owners;
mod session;
#[path = "../support/mod.rs"]
mod support;

use std::{fs, os::unix::fs::FileTypeExt, path::Path, sync::Arc};

use archive::{Layer, gzip, layout, saved, saved_as};
use runtime::image::{Content, ImageError, ImageLimits, ImageStore};

/// A store in a directory of its own.
struct Store {
    dir: tempfile::TempDir,
    images: Arc<ImageStore>,
}

impl Store {
    fn new() -> Self {
        Self::with(ImageLimits {
            keep_free: 0,
            ..ImageLimits::default()
        })
    }

    fn with(limits: ImageLimits) -> Self {
        let dir = tempfile::Builder::new().prefix("gw").tempdir().unwrap();
        let images = ImageStore::open(dir.path().join("images"), None, limits).unwrap();
        Self {
            dir,
            images: Arc::new(images),
        }
    }

    async fn import(&self, path: &Path) -> Result<Content, ImageError> {
        let imported = self.images.import(path.to_owned(), None).await?;
        Ok(imported.content)
    }

    async fn take(&self, layers: &[Layer]) -> Result<Content, ImageError> {
        self.import(&saved(self.dir.path(), "lab/base:1", layers))
            .await
    }

    /// Names of everything in the store's directory of layers.
    fn layers(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.dir.path().join("images/layers"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn layers_are_unpacked_once_and_shared() {
    let store = Store::new();
    let base = || {
        Layer::default()
            .directory("etc", 0o755)
            .file("etc/name", "base")
            .file("./gone", "x")
            .directory("data/", 0o555)
            .file("data/old", "old")
            .link("data/again", "data/old")
    };
    let change = Layer::default()
        .file(".wh.gone", "")
        .directory("data", 0o755)
        .file("data/.wh..wh..opq", "")
        .file("data/new", "new")
        .symlink("etc/link", "../../../../outside");
    let one = store.take(&[base()]).await.unwrap();
    let two = store.take(&[base(), change]).await.unwrap();
    assert_eq!(one.layers[0], two.layers[0]);
    assert_eq!(store.layers().len(), 4, "two layers and their marks");
    assert_eq!(two.environ["FLAVOUR"], "plain");
    assert_eq!(two.labels["ai.backend.kernelspec"], "1");
    let directories = store.images.directories(&two);
    let (low, high) = (&directories[0], &directories[1]);
    assert_eq!(fs::read_to_string(low.join("etc/name")).unwrap(), "base");
    assert_eq!(fs::read_to_string(low.join("data/again")).unwrap(), "old");
    let gone = fs::symlink_metadata(high.join("gone")).unwrap();
    assert!(gone.file_type().is_char_device(), "deleted files are noted");
    assert!(high.join("etc/link").is_symlink());
    // What nobody needs goes, what somebody shows stays.
    let freed = store
        .images
        .collect(vec![one.clone()], vec![high.clone()])
        .await
        .unwrap();
    assert_eq!(freed, 0);
    assert!(store.images.has(&one) && high.is_dir());
    store
        .images
        .collect(vec![one.clone()], Vec::new())
        .await
        .unwrap();
    assert!(store.images.has(&one) && !store.images.has(&two) && !high.exists());
    store.images.collect(Vec::new(), Vec::new()).await.unwrap();
    assert_eq!(store.layers(), Vec::<String>::new());
}

#[tokio::test]
async fn every_format_gives_the_same_layers() {
    let store = Store::new();
    let layer = || {
        Layer::default()
            .file("a/b/c", "hello")
            .directory("d", 0o700)
    };
    let first = store.take(&[layer()]).await.unwrap();
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    for folder in [
        layout(store.dir.path(), &[layer()], gzip),
        layout(store.dir.path(), &[layer()], zstd),
        layout(store.dir.path(), &[layer()], <[u8]>::to_vec),
    ] {
        // The same folder as an archive, plain and compressed.
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_dir_all(".", &folder).unwrap();
        let plain = archive.into_inner().unwrap();
        let (tar, tgz) = (folder.with_extension("tar"), folder.with_extension("tgz"));
        fs::write(&tar, &plain).unwrap();
        fs::write(&tgz, gzip(&plain)).unwrap();
        for path in [&folder, &tar, &tgz] {
            let content = store.import(path).await.unwrap();
            assert_eq!(content.layers, first.layers, "{}", path.display());
        }
    }
}

#[tokio::test]
async fn what_is_not_its_digest_is_refused() {
    let store = Store::new();
    let tar = Layer::default().file("a", "good").tar();
    let other = Layer::default().file("a", "evil").tar();
    let config = archive::config(std::slice::from_ref(&tar));
    let path = saved_as(store.dir.path(), "x:1", &[other], &config);
    let refused = store.import(&path).await;
    assert!(matches!(refused, Err(ImageError::Digest(_))), "{refused:?}");
    // A cut archive is not the whole one either.
    let cut = tar[..tar.len() / 2].to_vec();
    let path = saved_as(store.dir.path(), "x:1", &[cut], &config);
    assert!(store.import(&path).await.is_err());
    assert_eq!(store.layers(), Vec::<String>::new(), "nothing is left");
    // In a folder every document is checked too.
    let folder = layout(store.dir.path(), &[Layer::default().file("a", "x")], gzip);
    let blobs = folder.join("blobs/sha256");
    for blob in fs::read_dir(&blobs).unwrap().flatten() {
        let text = fs::read(blob.path()).unwrap();
        if text.starts_with(b"{\"architecture") || text.starts_with(b"{\"config") {
            let mut changed = text.clone();
            changed.push(b' ');
            fs::write(blob.path(), &changed).unwrap();
            let refused = store.import(&folder).await;
            assert!(matches!(refused, Err(ImageError::Digest(_))), "{refused:?}");
            fs::write(blob.path(), &text).unwrap();
        }
    }
    store.import(&folder).await.unwrap();
}

#[tokio::test]
async fn quotas_hold() {
    let mebibyte = || Layer::default().file("big", vec![0; 1 << 20]);
    let small = Store::with(ImageLimits {
        image_bytes: 1_500_000,
        keep_free: 0,
        ..ImageLimits::default()
    });
    small.take(&[mebibyte()]).await.unwrap();
    let two = [mebibyte(), Layer::default().file("more", vec![1; 1 << 20])];
    let new = Store::with(ImageLimits {
        image_bytes: 1_500_000,
        keep_free: 0,
        ..ImageLimits::default()
    });
    let refused = new.take(&two).await;
    assert!(
        matches!(refused, Err(ImageError::TooLarge(1_500_000))),
        "{refused:?}"
    );
    let full = Store::with(ImageLimits {
        keep_free: u64::MAX / 2,
        ..ImageLimits::default()
    });
    let refused = full.take(&[mebibyte()]).await;
    assert!(matches!(refused, Err(ImageError::DiskFull)), "{refused:?}");
    assert_eq!(full.layers(), Vec::<String>::new());
    let few = Store::with(ImageLimits {
        entries: 2,
        keep_free: 0,
        ..ImageLimits::default()
    });
    let many = Layer::default().file("a", "").file("b", "").file("c", "");
    assert!(matches!(
        few.take(&[many]).await,
        Err(ImageError::Malformed(_))
    ));
}

#[tokio::test]
async fn a_killed_engine_leaves_nothing_half() {
    let store = Store::new();
    let content = store
        .take(&[Layer::default().file("a", "x")])
        .await
        .unwrap();
    let layers = store.dir.path().join("images/layers");
    fs::create_dir_all(layers.join(".new-1234/deep")).unwrap();
    fs::create_dir_all(layers.join("0".repeat(64))).unwrap();
    fs::write(store.dir.path().join("images/blobs/.new-5"), "x").unwrap();
    let root = store.dir.path().join("images");
    let again = ImageStore::open(root.clone(), None, ImageLimits::default()).unwrap();
    assert_eq!(store.layers().len(), 2);
    assert!(again.has(&content));
    assert!(!root.join("blobs/.new-5").exists());
}

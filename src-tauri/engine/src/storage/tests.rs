//! Folders on a real disk: staying inside them, and uploads that are cut off.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use bytes::Bytes;
use futures_util::stream;

use super::*;

struct Place {
    _dir: tempfile::TempDir,
    volume: Volume,
    id: Uuid,
}

/// The owner that tests give folders to: another user than root, so that only root can try it.
fn other_user() -> Option<Owner> {
    nix::unistd::geteuid().is_root().then_some(Owner {
        uid: 65534,
        gid: 65534,
    })
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    let volume = Volume::open(dir.path().join("folders"), other_user()).unwrap();
    let id = Uuid::from_u128(7);
    volume.create(id).unwrap();
    Place {
        _dir: dir,
        volume,
        id,
    }
}

impl Place {
    fn files(&self) -> std::path::PathBuf {
        self.volume.files_path(self.id)
    }

    fn folder(&self) -> Folder {
        self.volume.folder(self.id).unwrap()
    }

    /// Puts a file there as a session would.
    fn put(&self, path: &str, content: &str) {
        let path = self.files().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        self.give(path.parent().unwrap());
        self.give(&path);
    }

    fn give(&self, path: &Path) {
        if let Some(owner) = other_user() {
            std::os::unix::fs::lchown(path, Some(owner.uid), Some(owner.gid)).unwrap();
        }
    }

    fn link(&self, target: &str, path: &str) {
        let path = self.files().join(path);
        symlink(target, &path).unwrap();
        self.give(&path);
    }
}

fn path(text: &str) -> InnerPath {
    InnerPath::parse(text).unwrap()
}

fn names(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.name.as_str()).collect()
}

#[test]
fn lists_makes_moves_and_deletes() {
    let place = place();
    let folder = place.folder();
    place.put("a.txt", "hello");
    folder.make_dir(&path("deep/er"), true, false).unwrap();
    assert!(matches!(
        folder.make_dir(&path("deep"), false, false),
        Err(StorageError::Exists(name)) if name == "deep"
    ));
    folder.make_dir(&path("deep/er"), false, true).unwrap();
    assert!(matches!(
        folder.make_dir(&path("no/where"), false, false),
        Err(StorageError::NotFound(_))
    ));
    assert_eq!(names(&folder.list(&path("")).unwrap()), ["a.txt", "deep"]);
    assert_eq!(folder.usage(), Usage { files: 1, bytes: 5 });

    folder.rename(&path("a.txt"), &path("deep/b.txt")).unwrap();
    place.put("a.txt", "again");
    assert!(matches!(
        folder.rename(&path("a.txt"), &path("deep/b.txt")),
        Err(StorageError::Exists(_))
    ));
    assert!(matches!(
        folder.delete(&path("deep"), false),
        Err(StorageError::NeedsRecursive(_))
    ));
    folder.delete(&path("deep"), true).unwrap();
    assert_eq!(names(&folder.list(&path("")).unwrap()), ["a.txt"]);
    assert!(matches!(
        folder.delete(&path("gone"), true),
        Err(StorageError::NotFound(_))
    ));
}

#[test]
fn links_do_not_lead_out() {
    let place = place();
    let folder = place.folder();
    let outside = place.files().parent().unwrap().join("secret");
    std::fs::write(&outside, "secret").unwrap();
    std::fs::set_permissions(&outside, std::fs::Permissions::from_mode(0o644)).unwrap();
    place.link("/etc", "absolute");
    place.link("../secret", "climbing");
    place.link("..", "up");
    place.put("inside.txt", "fine");
    place.link("inside.txt", "inner");

    for way in ["absolute/passwd", "climbing", "up/secret", "absolute"] {
        let refused = folder.open(&path(way));
        assert!(
            matches!(refused, Err(StorageError::Escapes)),
            "{way}: {refused:?}"
        );
    }
    assert!(matches!(
        folder.list(&path("absolute")),
        Err(StorageError::Escapes)
    ));
    assert!(matches!(
        folder.make_dir(&path("up/new"), true, true),
        Err(StorageError::Escapes)
    ));
    assert!(matches!(
        folder.rename(&path("inside.txt"), &path("up/stolen")),
        Err(StorageError::Escapes)
    ));
    assert!(folder.delete(&path("up/secret"), true).is_err());
    assert!(outside.exists());
    // Within the folder links are followed, and deleting one leaves what it points to.
    assert_eq!(folder.open(&path("inner")).unwrap().size, 4);
    folder.delete(&path("inner"), true).unwrap();
    folder.delete(&path("absolute"), true).unwrap();
    assert!(place.files().join("inside.txt").exists() && Path::new("/etc/passwd").exists());
}

#[test]
fn a_pipe_is_no_file() {
    let place = place();
    let pipe = place.files().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    place.give(&pipe);
    assert!(matches!(
        place.folder().open(&path("pipe")),
        Err(StorageError::WrongKind(..))
    ));
}

#[test]
fn what_is_made_belongs_to_the_sessions_user() {
    let Some(owner) = other_user() else { return };
    let place = place();
    place
        .folder()
        .make_dir(&path("made"), false, false)
        .unwrap();
    let meta = std::fs::metadata(place.files().join("made")).unwrap();
    assert_eq!((meta.uid(), meta.gid()), (owner.uid, owner.gid));
    // The engine's own rights don't reach into a folder.
    let hidden = place.files().join("hidden");
    std::fs::write(&hidden, "root's").unwrap();
    std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(
        place.folder().open(&path("hidden")),
        Err(StorageError::Denied(_))
    ));
    // The thread is itself again afterwards.
    assert!(std::fs::read(&hidden).is_ok());
}

fn upload(place: &Place, target: &str, size: u64) -> (Uploads, Upload) {
    let uploads = Uploads::new(place.volume.clone());
    let session = Uuid::new_v4();
    uploads.begin(place.id, session, size).unwrap();
    (
        uploads,
        Upload {
            folder: place.id,
            session,
            target: path(target),
            size,
        },
    )
}

fn body(pieces: &[&'static str]) -> impl futures_util::Stream<Item = Result<Bytes, ()>> + use<> {
    stream::iter(
        pieces
            .iter()
            .map(|piece| Ok(Bytes::from_static(piece.as_bytes())))
            .collect::<Vec<_>>(),
    )
}

fn cut(pieces: &[&'static str]) -> impl futures_util::Stream<Item = Result<Bytes, ()>> + use<> {
    let mut items: Vec<_> = pieces
        .iter()
        .map(|piece| Ok(Bytes::from_static(piece.as_bytes())))
        .collect();
    items.push(Err(()));
    stream::iter(items)
}

#[tokio::test]
async fn an_upload_goes_on_where_it_was_cut() {
    let place = place();
    place.put("deep/file", "what was there before");
    let (uploads, upload) = upload(&place, "deep/file", 10);
    let cut_off = uploads.take(upload.clone(), 0, cut(&["abc", "de"])).await;
    assert!(matches!(cut_off, Err(StorageError::CutOff)));
    // As after a kill: nothing but the disk remembers.
    let uploads = Uploads::new(place.volume.clone());
    assert_eq!(uploads.offset(&upload).unwrap(), 5);
    let wrong = uploads.take(upload.clone(), 3, body(&["xx"])).await;
    assert!(matches!(
        wrong,
        Err(StorageError::Offset {
            given: 3,
            actual: 5
        })
    ));
    let before = std::fs::read_to_string(place.files().join("deep/file")).unwrap();
    assert_eq!(before, "what was there before");
    assert_eq!(
        uploads
            .take(upload.clone(), 5, body(&["fgh", "ij"]))
            .await
            .unwrap(),
        10
    );
    assert_eq!(
        std::fs::read_to_string(place.files().join("deep/file")).unwrap(),
        "abcdefghij"
    );
    // Whoever missed the answer learns it.
    assert_eq!(uploads.offset(&upload).unwrap(), 10);
    assert_eq!(uploads.take(upload, 10, body(&[])).await.unwrap(), 10);
    assert_eq!(place.folder().usage().files, 1);
}

#[tokio::test]
async fn a_whole_file_that_was_not_put_in_place_is() {
    let place = place();
    let (uploads, upload) = upload(&place, "file", 3);
    let part = place.volume.folder_path(place.id).join("uploads");
    let part = std::fs::read_dir(part)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    std::fs::write(part, "abc").unwrap();
    assert_eq!(uploads.offset(&upload).unwrap(), 3);
    assert_eq!(
        std::fs::read_to_string(place.files().join("file")).unwrap(),
        "abc"
    );
}

#[tokio::test]
async fn more_than_announced_is_refused_and_unknown_uploads_are_not_found() {
    let place = place();
    let (uploads, upload) = upload(&place, "file", 3);
    let long = uploads.take(upload.clone(), 0, body(&["abcd"])).await;
    assert!(matches!(long, Err(StorageError::Overflow(3))));
    assert!(!place.files().join("file").exists());
    let unknown = Upload {
        session: Uuid::new_v4(),
        ..upload
    };
    assert!(matches!(
        uploads.offset(&unknown),
        Err(StorageError::UnknownUpload)
    ));
    let huge = uploads.begin(place.id, Uuid::new_v4(), u64::MAX / 2);
    assert!(matches!(huge, Err(StorageError::TooLarge { .. })));
}

#[tokio::test]
async fn an_upload_can_not_be_led_out_by_a_link() {
    let place = place();
    place.link("..", "up");
    let (uploads, upload) = upload(&place, "up/stolen", 1);
    let led = uploads.take(upload, 0, body(&["x"])).await;
    assert!(matches!(led, Err(StorageError::Escapes)), "{led:?}");
    assert!(!place.files().parent().unwrap().join("stolen").exists());
}

#[tokio::test]
async fn a_new_piece_ends_the_one_that_hangs() {
    let place = place();
    let (uploads, upload) = upload(&place, "file", 2);
    let (first, again) = (uploads.clone(), upload.clone());
    let silence = Box::pin(stream::pending::<Result<Bytes, ()>>());
    let hanging = tokio::spawn(async move { first.take(again, 0, silence).await });
    while uploads.taking.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(uploads.take(upload, 0, body(&["ab"])).await.unwrap(), 2);
    assert!(matches!(hanging.await.unwrap(), Err(StorageError::CutOff)));
    assert!(uploads.taking.lock().unwrap().is_empty());
}

#[tokio::test]
async fn packs_a_directory() {
    let place = place();
    place.put("d/one.txt", "1");
    place.put("d/e/two.txt", "22");
    place.link("/etc/passwd", "d/link");
    let mut pieces = place.folder().pack(path("d"), vec![path("d")]);
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.recv().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut names: Vec<_> = archive
        .file_names()
        .map(|name| name.unwrap().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["e/", "e/two.txt", "one.txt"]);
    let two = std::io::read_to_string(archive.by_name("e/two.txt").unwrap()).unwrap();
    assert_eq!(two, "22");
}

#[tokio::test]
async fn an_archive_that_fails_says_so() {
    let place = place();
    let mut pieces = place.folder().pack(path(""), vec![path("gone")]);
    let mut failed = false;
    while let Some(piece) = pieces.recv().await {
        failed |= piece.is_err();
    }
    assert!(failed);
}

#[test]
fn removing_leaves_nothing() {
    let place = place();
    place.put("deep/file", "x");
    place.volume.remove(place.id).unwrap();
    place.volume.remove(place.id).unwrap();
    assert!(matches!(
        place.volume.folder(place.id),
        Err(StorageError::Gone)
    ));
    assert_eq!(std::fs::read_dir(&place.volume.root).unwrap().count(), 0);
}

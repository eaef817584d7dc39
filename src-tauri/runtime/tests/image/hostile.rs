//! Images made to get out of their directory.

use std::{fs, os::unix::fs::PermissionsExt};

use runtime::image::ImageError;

use super::{Store, archive::Layer};

#[tokio::test]
async fn nothing_gets_out_of_its_layer() {
    let store = Store::new();
    let outside = store.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept"), "kept").unwrap();
    fs::set_permissions(outside.join("kept"), fs::Permissions::from_mode(0o600)).unwrap();
    let to = outside.to_str().unwrap();
    let deep = format!("../../../../../../../../../..{to}");
    let tries = [
        // Names that lead out.
        Layer::default().file("../outside/new", "x"),
        Layer::default().file("a/../../outside/new", "x"),
        Layer::default().file(&format!("{to}/new"), "x"),
        // Links to walk through.
        Layer::default().symlink("way", to).file("way/new", "x"),
        Layer::default().symlink("way", &deep).file("way/new", "x"),
        Layer::default()
            .symlink("way", &deep)
            .directory("way/new", 0o777),
        Layer::default().symlink("way", to).symlink("way/new", "x"),
        Layer::default()
            .symlink("way", &deep)
            .file("way/.wh.kept", ""),
        Layer::default()
            .symlink("way", &deep)
            .file("way/.wh..wh..opq", ""),
        Layer::default()
            .symlink("a", "b")
            .symlink("b", &deep)
            .file("a/new", "x"),
        Layer::default()
            .directory("a", 0o755)
            .symlink("a/b", "..")
            .symlink("c", "a/b/../..")
            .file("c/outside/new", "x"),
        // A file in place of a link to one outside: the link goes, not what it leads to.
        Layer::default()
            .symlink("kept", &format!("{to}/kept"))
            .file("kept", "changed"),
        // Hard links to what is outside.
        Layer::default().link("mine", &format!("{to}/kept")),
        Layer::default().link("mine", &format!("{deep}/kept")),
        Layer::default().symlink("way", to).link("mine", "way/kept"),
        Layer::default()
            .symlink("soft", &format!("{to}/kept"))
            .link("mine", "soft")
            .file("mine", "changed"),
        // A directory's mode, set in the end, on what has become a link meanwhile.
        Layer::default().directory("d", 0o777).symlink("d", to),
        // The marker of a deletion with a name that leads out.
        Layer::default().file(".wh...", ""),
        Layer::default().file(".wh..", ""),
        Layer::default().file(".wh.", ""),
        Layer::default().file("a/.wh.../../outside/kept", ""),
    ];
    for (number, layer) in tries.iter().enumerate() {
        // Refused or made harmless; both are fine.
        let _ = store.take(std::slice::from_ref(layer)).await;
        let inside: Vec<_> = fs::read_dir(&outside)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(inside, ["kept"], "{number}");
        assert_eq!(
            fs::read_to_string(outside.join("kept")).unwrap(),
            "kept",
            "{number}"
        );
        let mode = fs::metadata(outside.join("kept"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{number}");
        let links =
            std::os::unix::fs::MetadataExt::nlink(&fs::metadata(outside.join("kept")).unwrap());
        assert_eq!(links, 1, "{number}");
        let directory = fs::metadata(&outside).unwrap().permissions().mode();
        assert_eq!(directory & 0o022, 0, "{number}");
    }
    // Nothing half is left of the refused ones.
    assert!(store.layers().iter().all(|name| !name.starts_with(".new-")));
}

#[tokio::test]
async fn parents_and_absolute_names_are_told_from_each_other() {
    let store = Store::new();
    let refused = store.take(&[Layer::default().file("../x", "x")]).await;
    assert!(
        matches!(refused, Err(ImageError::Malformed(_))),
        "{refused:?}"
    );
    let content = store
        .take(&[Layer::default().file("/etc/motd", "x")])
        .await
        .unwrap();
    let root = &store.images.directories(&content)[0];
    assert_eq!(fs::read_to_string(root.join("etc/motd")).unwrap(), "x");
    // A link that leads out is walked inside its own root.
    let layer = Layer::default()
        .symlink("way", "/other")
        .directory("other", 0o755)
        .file("way/x", "x");
    let content = store.take(&[layer]).await.unwrap();
    let root = &store.images.directories(&content)[0];
    assert_eq!(fs::read_to_string(root.join("other/x")).unwrap(), "x");
}

#[tokio::test]
async fn what_a_session_must_not_have_is_left_out() {
    let store = Store::new();
    let mut layer = Layer::default()
        .device("dev/sda")
        .file("home/somebody", "x")
        .owned(1234)
        .directory("closed", 0o000)
        .file("closed/file", "x");
    layer = layer.program("bin/su", "x");
    let content = store.take(&[layer]).await.unwrap();
    assert_eq!((content.dropped.devices, content.dropped.owners), (1, 1));
    let root = &store.images.directories(&content)[0];
    assert!(!root.join("dev/sda").exists());
    let closed = fs::metadata(root.join("closed"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(closed & 0o7777, 0);
    // Also what forbids it can be removed again.
    store.images.collect(Vec::new(), Vec::new()).await.unwrap();
    assert_eq!(store.layers(), Vec::<String>::new());
}

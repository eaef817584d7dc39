//! Sessions of images.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use runtime::{
    Changes, ImageRoot, NoticeCode, Runtime,
    image::{Content, ImageLimits, ImageStore},
};

use super::{
    archive::{Layer, saved},
    support::{World, sh},
};

/// A root made of one program that is all of them (Debian package `busybox-static`).
pub(super) fn busybox() -> Layer {
    let program = fs::read("/bin/busybox").expect("the package busybox-static");
    let mut layer = Layer::default()
        .program("bin/busybox", program)
        .file(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\n",
        )
        .symlink("etc/resolv.conf", "/run/systemd/resolve/stub-resolv.conf")
        .directory("opt", 0o755)
        .file("opt/gone", "x")
        .file("opt/kept", "kept")
        .directory("opt/old", 0o755)
        .file("opt/old/file", "x");
    for name in [
        "sh", "cat", "ls", "id", "echo", "rm", "mkdir", "ln", "sleep", "test", "grep", "stat",
        "chmod", "chown", "touch",
    ] {
        layer = layer.symlink(&format!("bin/{name}"), "busybox");
    }
    layer
}

async fn image(world: &World) -> (Arc<ImageStore>, Content) {
    let more = Layer::default().file("etc/release", "two layers");
    image_of(world, &[busybox(), more]).await
}

pub(super) async fn image_of(world: &World, layers: &[Layer]) -> (Arc<ImageStore>, Content) {
    let limits = ImageLimits {
        keep_free: 0,
        ..ImageLimits::default()
    };
    let root = world.dir.path().join("data/images");
    let images = Arc::new(ImageStore::open(root, world.sandbox.trees(), limits).unwrap());
    let path = saved(world.dir.path(), "lab/busybox:1", layers);
    let imported = images.import(path, None).await.unwrap();
    assert_eq!(imported.name.as_deref(), Some("lab/busybox:1"));
    (images, imported.content)
}

pub(super) fn root(images: &ImageStore, content: &Content) -> ImageRoot {
    ImageRoot::Layers {
        directories: images.directories(content),
        dropped: content.dropped,
    }
}

/// Ends everything, and removes what only the engine can: it may belong to ids of nobody's.
pub(super) async fn close(world: World, images: &Arc<ImageStore>) {
    world.sandbox.sweep(&[]).await.unwrap();
    images.collect(Vec::new(), Vec::new()).await.unwrap();
    world.close().await;
}

#[tokio::test]
async fn a_session_changes_its_own_view_only_and_is_committed() {
    let world = World::new();
    let (images, content) = image(&world).await;
    let image = root(&images, &content);
    let kernel = world.start(|spec| spec.image = image.clone()).await;
    let seen = sh(
        kernel.as_ref(),
        "cat /etc/release; id -un; grep www-data /etc/passwd; ls /usr 2>&1; cat /etc/resolv.conf >/dev/null && echo resolver",
    )
    .await;
    assert!(seen.stdout.starts_with("two layers"), "{}", seen.stdout);
    assert!(seen.stdout.contains("work\n"), "{}", seen.stdout);
    assert!(seen.stdout.contains("www-data"), "{}", seen.stdout);
    assert!(
        seen.stdout.contains("resolver"),
        "{} {}",
        seen.stdout,
        seen.stderr
    );
    assert!(
        !seen.stdout.contains("python3"),
        "the host's files: {}",
        seen.stdout
    );
    let changed = sh(
        kernel.as_ref(),
        "rm /opt/gone && rm -r /opt/old && mkdir /opt/old && echo new > /opt/old/new && \
         echo more >> /opt/kept && ln -s kept /opt/link && ln /opt/kept /opt/twin && \
         echo mine > /home/work/mine && echo done",
    )
    .await;
    assert_eq!(changed.stdout, "done\n", "{}", changed.stderr);

    // Another session of the image sees nothing of it.
    let other = world.start(|spec| spec.image = image.clone()).await;
    let seen = sh(other.as_ref(), "ls /opt; cat /opt/kept; ls /opt/old").await;
    assert_eq!(
        seen.stdout, "gone\nkept\nold\nkeptfile\n",
        "{}",
        seen.stderr
    );

    let Changes::Directory(changes) = kernel.changes() else {
        panic!("it changes nothing");
    };
    let labels = BTreeMap::from([(
        "ai.backend.customized-image.name".to_owned(),
        "mine".to_owned(),
    )]);
    let committed = images
        .commit(content.clone(), changes, labels)
        .await
        .unwrap();
    assert_eq!(committed.layers[..2], content.layers[..]);
    assert_eq!(committed.labels["ai.backend.customized-image.name"], "mine");
    assert_eq!(committed.labels["ai.backend.kernelspec"], "1");
    // Only what was changed is in the new layer: no place that was mounted over.
    let layer = images.directories(&committed).pop().unwrap();
    assert_eq!(names(&layer), ["opt"]);
    assert_eq!(
        names(&layer.join("opt")),
        ["gone", "kept", "link", "old", "twin"]
    );

    let again = root(&images, &committed);
    let third = world.start(|spec| spec.image = again).await;
    let seen = sh(
        third.as_ref(),
        "ls /opt /opt/old; cat /opt/twin; ls -a /home/work | grep mine; echo x >> /opt/kept; cat /opt/old/new",
    )
    .await;
    assert_eq!(
        seen.stdout, "/opt:\nkept\nlink\nold\ntwin\n\n/opt/old:\nnew\nkeptmore\nnew\n",
        "{}",
        seen.stderr
    );
    close(world, &images).await;
}

#[tokio::test]
async fn without_overlays_the_files_are_shown_read_only() {
    let world = World::with(|config| config.overlay = false);
    let (images, content) = image(&world).await;
    let image = root(&images, &content);
    let kernel = world.start(|spec| spec.image = image).await;
    let seen = sh(
        kernel.as_ref(),
        "cat /etc/release /opt/kept; echo x > /opt/new; echo y > /home/work/y && cat /home/work/y",
    )
    .await;
    assert_eq!(seen.stdout, "two layerskepty\n", "{}", seen.stderr);
    assert!(seen.stderr.contains("Read-only"), "{}", seen.stderr);
    assert_eq!(kernel.changes(), Changes::None);
    let notices = kernel.notices().await.unwrap();
    assert!(
        notices
            .iter()
            .any(|it| it.code == NoticeCode::ImageReadOnly)
    );
    close(world, &images).await;
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

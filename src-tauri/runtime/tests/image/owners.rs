//! Images whose files have several owners, shown to sessions and made of them.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    sync::Arc,
};

use runtime::{
    Changes, KernelSpec, Mount, Notice, NoticeCode, Runtime,
    image::{Content, ImageLimits, ImageStore},
};

use super::{
    archive::Layer,
    session::{busybox, close, image_of, root},
    support::{World, sh, within},
};

/// Another owner, set-id bits, a secret with two names, and somebody whom no computer knows.
fn owned() -> Layer {
    Layer::default()
        .directory("srv/data", 0o2775)
        .owned(33)
        .file("srv/data/secret", "for 999")
        .mode(0o600)
        .owned(999)
        .link("srv/data/twin", "srv/data/secret")
        .symlink("srv/data/link", "secret")
        .owned(999)
        .directory("srv/closed", 0o700)
        .owned(65_534)
        .file("srv/closed/file", "x")
        .owned(65_534)
        .program("opt/own-tool", "#!/bin/sh\n")
        .mode(0o6755)
        .owned(1000)
        .program("opt/tool", "#!/bin/sh\n")
        .mode(0o4755)
        .file("opt/mine", "x")
        .owned(1000)
        .file("opt/far", "x")
        .owned(200_000)
}

const SEEN: &str = "stat -c '%u:%g %a %n' / /etc /opt/tool /opt/own-tool /opt/mine /opt/far /srv/data \
                    /srv/data/secret /srv/data/twin /srv/data/link /srv/closed /srv/closed/file";
const OWNERS: &str = "0:0 755 /\n0:0 755 /etc\n0:0 4755 /opt/tool\n1000:1000 755 /opt/own-tool\n1000:1000 644 /opt/mine\n\
                      1000:1000 644 /opt/far\n33:33 2775 /srv/data\n999:999 600 /srv/data/secret\n\
                      999:999 600 /srv/data/twin\n999:999 777 /srv/data/link\n\
                      65534:65534 700 /srv/closed\n65534:65534 644 /srv/closed/file\n";

async fn image(world: &World) -> (Arc<ImageStore>, Content) {
    image_of(world, &[busybox(), owned()]).await
}

/// Whether this computer has ids for several owners, as it has for root.
fn has_ids(world: &World) -> bool {
    let has = world.sandbox.trees().ids().is_some();
    assert!(has || !nix::unistd::geteuid().is_root());
    has
}

#[tokio::test]
async fn owners_are_seen_inside_kept_by_a_commit_and_nobody_outside() {
    let world = World::new();
    if !has_ids(&world) {
        return;
    }
    let (images, content) = image(&world).await;
    // One of an id that no session has.
    assert_eq!(content.dropped.owners, 1);
    let ids = world.sandbox.trees().ids().cloned().unwrap();
    let layer = images.directories(&content).pop().unwrap();
    let tool = fs::metadata(layer.join("opt/tool")).unwrap();
    assert_eq!(Some(tool.uid()), ids.users.host(0));
    assert!(tool.uid() >= 65_536 && tool.mode() & 0o7777 == 0o4755);

    let kernel = world
        .start(|spec| spec.image = root(&images, &content))
        .await;
    let seen = sh(kernel.as_ref(), SEEN).await;
    assert_eq!(seen.stdout, OWNERS, "{}", seen.stderr);

    // It has the network that other sessions have.
    let is_cut_off = |notices: Vec<Notice>| {
        notices
            .iter()
            .any(|notice| notice.code == NoticeCode::NoNetwork)
    };
    let cut_off = is_cut_off(world.sandbox.notices());
    assert_eq!(is_cut_off(kernel.notices().await.unwrap()), cut_off);
    let routes = sh(kernel.as_ref(), "cat /proc/net/route").await.stdout;
    assert_eq!(routes.contains("\t00000000\t"), !cut_off, "{routes}");

    // The session may change all of its image, but gives nothing away and becomes nobody else.
    let changed = sh(
        kernel.as_ref(),
        "cat /srv/data/secret && echo more >> /srv/data/secret && echo new > /srv/data/new && \
         mkdir /srv/closed/in && rm /srv/data/link && touch ~/mine && id -u && \
         ! chown 999 ~/mine && echo done; stat -c %u:%g /srv/data/new ~/mine; \
         grep -E 'CapPrm|CapEff|NoNewPrivs' /proc/self/status",
    )
    .await;
    assert_eq!(
        changed.stdout,
        "for 9991000\ndone\n1000:33\n1000:1000\nCapPrm:\t000000000000000a\n\
         CapEff:\t000000000000000a\nNoNewPrivs:\t1\n",
        "{}",
        changed.stderr
    );

    let Changes::Directory(changes) = kernel.changes() else {
        panic!("it changes nothing");
    };
    let committed = images
        .commit(content.clone(), changes, BTreeMap::new())
        .await
        .unwrap();
    let again = world
        .start(|spec| spec.image = root(&images, &committed))
        .await;
    let seen = sh(
        again.as_ref(),
        &format!("{SEEN} /srv/closed/in /srv/data/new; cat /srv/data/secret"),
    )
    .await;
    let expected = OWNERS.replace("999:999 777 /srv/data/link\n", "");
    assert_eq!(
        seen.stdout,
        format!("{expected}1000:1000 755 /srv/closed/in\n1000:33 644 /srv/data/new\nfor 999more\n"),
        "{}",
        seen.stderr
    );

    // Nothing of it stays.
    let kernels = world.dir.path().join("data/kernels");
    assert!(fs::read_dir(&kernels).unwrap().count() == 2);
    world.sandbox.sweep(&[]).await.unwrap();
    assert_eq!(fs::read_dir(&kernels).unwrap().count(), 0);
    images.collect(Vec::new(), Vec::new()).await.unwrap();
    let layers = world.dir.path().join("data/images/layers");
    assert_eq!(fs::read_dir(layers).unwrap().count(), 0);
}

#[tokio::test]
async fn its_rights_over_files_end_with_its_ids() {
    let world = World::new();
    let is_root = nix::unistd::geteuid().is_root();
    if !has_ids(&world) || !is_root {
        return;
    }
    let program = fs::read("/bin/busybox").unwrap();
    let elevated = Layer::default().program("opt/id", program).mode(0o6755);
    let (images, content) = image_of(&world, &[busybox(), elevated]).await;
    let folder = world.folder("folder");
    let ids = world.sandbox.trees().ids().cloned().unwrap();
    let beside = ids.users.host(65_535).unwrap() + 1;
    for (name, owner) in [("roots", 0), ("others", 1000), ("besides", beside)] {
        let path = folder.join(name);
        fs::write(&path, "secret").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(owner), Some(owner)).unwrap();
    }
    let kernel = world
        .start(|spec| {
            spec.image = root(&images, &content);
            spec.mounts = vec![Mount {
                source: folder.clone(),
                target: "/home/work/folder".into(),
                read_only: false,
            }];
        })
        .await;
    let seen = sh(
        kernel.as_ref(),
        "cd ~/folder; cat roots others besides; for it in roots others besides; do \
         echo x 2>/dev/null >$it || stat -c %u $it; chmod 777 $it 2>/dev/null && echo changed; \
         done; stat -c '%a %u' /opt/id; /opt/id -u",
    )
    .await;
    assert!(
        seen.stdout
            .starts_with("65534\n65534\n65534\n6755 0\n1000\n"),
        "{} {}",
        seen.stdout,
        seen.stderr
    );
    for name in ["roots", "others", "besides"] {
        let path = folder.join(name);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_to_string(&path).unwrap(), "secret");
    }
    close(world, &images).await;
}

#[tokio::test]
async fn what_a_killed_engine_left_of_several_owners_is_removed() {
    let world = World::new();
    if !has_ids(&world) {
        return;
    }
    let (images, content) = image(&world).await;
    let layers = world.dir.path().join("data/images/layers");
    let whole = images.directories(&content).pop().unwrap();
    // Cut off between giving the files away and calling the layer whole.
    fs::rename(&whole, layers.join(".new-1234")).unwrap();
    let reopened = world.reopened();
    assert_eq!(reopened.trees().ids(), world.sandbox.trees().ids());
    let again = open(&world, reopened.trees());
    assert!(!layers.join(".new-1234").exists());
    assert!(!again.has(&content));
    close(world, &Arc::new(again)).await;
}

#[tokio::test]
async fn a_session_whose_supervisor_is_killed_is_gone_with_all_its_processes() {
    let world = World::new();
    if !has_ids(&world) {
        return;
    }
    let (images, content) = image(&world).await;
    let kernel = world
        .start(|spec| spec.image = root(&images, &content))
        .await;
    let mark = format!("{}", 100_000_000 + u64::from(std::process::id()));
    sh(
        kernel.as_ref(),
        &format!("sleep {mark} & rm /srv/closed/file"),
    )
    .await;
    assert!(is_running(&mark));
    let record = world.dir.path().join("data/kernels");
    let record = record.join(kernel.id().to_string()).join("kernel.json");
    let record: serde_json::Value = serde_json::from_slice(&fs::read(record).unwrap()).unwrap();
    let supervisor = i32::try_from(record["supervisor"]["pid"].as_i64().unwrap()).unwrap();
    let supervisor = nix::unistd::Pid::from_raw(supervisor);
    nix::sys::signal::kill(supervisor, nix::sys::signal::Signal::SIGKILL).unwrap();
    within(async {
        while is_running(&mark) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    kernel.wait().await;

    // Started again it has what it had changed, and its owners.
    let mut spec = KernelSpec::minimal(kernel.id(), "test");
    spec.image = root(&images, &content);
    let again = world.sandbox.restart(spec).await.unwrap();
    let seen = sh(again.as_ref(), SEEN).await;
    let expected = OWNERS.replace("65534:65534 644 /srv/closed/file\n", "");
    assert_eq!(seen.stdout, expected, "{}", seen.stderr);
    world.sandbox.sweep(&[]).await.unwrap();
    let kernels = world.dir.path().join("data/kernels");
    assert_eq!(fs::read_dir(kernels).unwrap().count(), 0);
    close(world, &images).await;
}

/// Whether somebody sleeps for so long.
fn is_running(mark: &str) -> bool {
    let lines = fs::read_dir("/proc").unwrap().flatten();
    lines
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .any(|line| {
            line.split(|byte| *byte == 0)
                .any(|word| word == mark.as_bytes())
        })
}

#[tokio::test]
async fn images_of_one_owner_stay_usable() {
    let world = World::new();
    if !has_ids(&world) {
        return;
    }
    // As an engine without ids has unpacked it.
    let plain = Arc::new(open(&world, world.sandbox.owner()));
    let path = super::saved(world.dir.path(), "lab/old:1", &[busybox(), owned()]);
    let content = plain.import(path, None).await.unwrap().content;
    let images = Arc::new(open(&world, world.sandbox.trees()));
    assert!(images.has(&content));
    let kernel = world
        .start(|spec| spec.image = root(&images, &content))
        .await;
    let seen = sh(
        kernel.as_ref(),
        "stat -c %u:%g /opt/tool /srv/data && echo x > /opt/tool && echo done",
    )
    .await;
    assert_eq!(
        seen.stdout, "1000:1000\n1000:1000\ndone\n",
        "{}",
        seen.stderr
    );
    let Changes::Directory(changes) = kernel.changes() else {
        panic!("it changes nothing");
    };
    let committed = images
        .commit(content, changes, BTreeMap::new())
        .await
        .unwrap();
    assert!(images.has(&committed));
    // And the other way round: what belongs to ids that nobody has is not shown.
    assert!(!plain.has(&committed));
    close(world, &images).await;
}

fn open(world: &World, trees: impl Into<runtime::Trees>) -> ImageStore {
    let limits = ImageLimits {
        keep_free: 0,
        ..ImageLimits::default()
    };
    ImageStore::open(world.dir.path().join("data/images"), trees, limits).unwrap()
}

//! Files: mounted folders, the engine's access to the home, SFTP, what is lost at the end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on stops where it is"
)]

mod support;

use std::{fs, os::unix::fs::MetadataExt, path::Path, time::Duration};

use runtime::{FaultKind, FileKind, Mount, OpenMode, Runtime};
use support::{SshDoor, World, sh, text, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn mount(source: &Path, target: &str, read_only: bool) -> Mount {
    Mount {
        source: source.to_owned(),
        target: target.into(),
        read_only,
    }
}

#[tokio::test]
async fn folders_appear_where_they_are_mounted() {
    let world = World::new();
    let data = world.folder("data-folder");
    let local = world.folder("dot-local");
    let frozen = world.folder("frozen");
    fs::write(frozen.join("old"), "old").unwrap();
    fs::set_permissions(
        frozen.join("old"),
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    let kernel = world
        .start(|spec| {
            spec.mounts = vec![
                mount(&data, "/home/work/data", false),
                mount(&local, "/home/work/.local", false),
                mount(&frozen, "/home/work/data/frozen", true),
            ];
        })
        .await;
    let ran = sh(
        &*kernel,
        "echo new > data/new; mkdir -p .local/bin; cat data/frozen/old; touch data/frozen/x",
    )
    .await;
    assert_eq!(ran.stdout, "old");
    assert!(ran.stderr.contains("Read-only"), "{}", ran.stderr);
    kernel.terminate(Duration::ZERO).await.unwrap();
    assert_eq!(fs::read_to_string(data.join("new")).unwrap(), "new\n");
    assert!(local.join("bin").is_dir());
    if let Some(owner) = world.sandbox.owner() {
        assert_eq!(fs::metadata(data.join("new")).unwrap().uid(), owner.uid);
    }
    world.close().await;
}

#[tokio::test]
async fn the_engine_reaches_files_of_the_home_and_no_others() {
    let world = World::new();
    let kernel = world.start(|_| {}).await;
    let mut file = kernel.open_file("a.txt", OpenMode::Create).await.unwrap();
    file.write_all(b"hello").await.unwrap();
    file.flush().await.unwrap();
    kernel.make_directory("x/y").await.unwrap();
    kernel.rename_file("a.txt", "x/y/b.txt").await.unwrap();
    let entries = kernel.list_files("x/y").await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (entries[0].name.as_str(), entries[0].kind, entries[0].size),
        ("b.txt", FileKind::File, 5)
    );
    let mut text = String::new();
    kernel
        .open_file("/home/work/x/y/b.txt", OpenMode::Read)
        .await
        .unwrap()
        .read_to_string(&mut text)
        .await
        .unwrap();
    assert_eq!(text, "hello");

    sh(
        &*kernel,
        "ln -s /etc/passwd link; ln -s /etc dirlink; mkfifo pipe; ln -s x/y inner",
    )
    .await;
    let kind = |result: Result<(), runtime::RuntimeError>| result.unwrap_err().fault().unwrap();
    for path in ["../etc/passwd", "/etc/passwd", "x/../../etc/passwd"] {
        let error = kernel.open_file(path, OpenMode::Read).await.unwrap_err();
        assert_eq!(error.fault(), Some(FaultKind::Invalid), "{path}");
    }
    for path in ["link", "dirlink/passwd", "pipe"] {
        assert!(
            kernel.open_file(path, OpenMode::Read).await.is_err(),
            "{path}"
        );
    }
    assert_eq!(kernel.list_files("inner").await.unwrap().len(), 1);
    assert_eq!(
        kind(kernel.list_files("dirlink").await.map(drop)),
        FaultKind::Invalid
    );
    assert_eq!(
        kind(kernel.remove_file("nothing").await),
        FaultKind::NotFound
    );
    assert_eq!(
        kind(kernel.make_directory("dirlink/new").await),
        FaultKind::Invalid
    );
    kernel.remove_file("dirlink").await.unwrap();
    kernel.remove_file("x").await.unwrap();
    assert!(Path::new("/etc/passwd").exists());
    world.close().await;
}

#[tokio::test]
async fn what_is_lost_at_the_end_is_told_and_can_be_saved() {
    let world = World::new();
    let data = world.folder("data-folder");
    let target = world.folder("target");
    let kernel = world
        .start(|spec| spec.mounts = vec![mount(&data, "/home/work/data", false)])
        .await;
    let before = kernel.unsaved(100).await.unwrap();
    assert_eq!((before.files, before.bytes), (0, 0), "{:?}", before.listed);
    sh(&*kernel, "echo 12345 > big; mkdir deep; echo 1 > deep/small; echo safe > data/kept; echo alias >> .bashrc").await;
    let unsaved = kernel.unsaved(100).await.unwrap();
    let names: Vec<&str> = unsaved
        .listed
        .iter()
        .map(|file| file.path.as_str())
        .collect();
    assert_eq!(names, [".bashrc", "big", "deep/small"]);
    assert!(kernel.unsaved(1).await.unwrap().truncated);
    let saved = kernel
        .save_unsaved(std::fs::File::open(&target).unwrap().into())
        .await
        .unwrap();
    assert_eq!(saved.files, 3);
    assert_eq!(
        fs::read_to_string(target.join("deep/small")).unwrap(),
        "1\n"
    );
    if let Some(owner) = world.sandbox.owner() {
        assert_eq!(
            fs::metadata(target.join("deep/small")).unwrap().uid(),
            owner.uid
        );
    }
    world.close().await;
}

#[tokio::test]
async fn the_systems_own_sftp_and_scp_move_files() {
    let world = World::new();
    let kernel = world.start(|_| {}).await;
    let door = SshDoor::open(kernel.clone()).await;
    let local = tempfile::tempdir().unwrap();
    let big: Vec<u8> = (0..20_000_000_u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    fs::write(local.path().join("big"), &big).unwrap();
    let tree = local.path().join("tree");
    for number in 0..300 {
        let directory = tree.join(format!("d{}", number % 7));
        fs::create_dir_all(&directory).unwrap();
        fs::write(
            directory.join(format!("file {number} 한글")),
            number.to_string(),
        )
        .unwrap();
    }
    let batch = local.path().join("batch");
    let at = |name: &str| local.path().join(name).display().to_string();
    fs::write(
        &batch,
        format!(
            "put {} big\nget big {}\nput -R {} tree\nget -R tree {}\nln -s big link\nrename big bigger\nchmod 600 bigger\n\
             mkdir d\nrmdir d\nls -l\ndf\n-rm nothing\n",
            at("big"),
            at("big-back"),
            at("tree"),
            at("tree-back")
        ),
    )
    .unwrap();
    let mut command = door.command("sftp");
    command.arg("-b").arg(&batch).arg("work@127.0.0.1");
    let output = within(command.output()).await.unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    assert!(
        text(&output.stdout).contains("-rw-------"),
        "{}",
        text(&output.stdout)
    );
    assert!(
        fs::read(local.path().join("big-back")).unwrap() == big,
        "the big file came back changed"
    );
    for number in 0..300 {
        let name = format!("tree-back/d{}/file {number} 한글", number % 7);
        assert_eq!(
            fs::read_to_string(local.path().join(&name)).unwrap(),
            number.to_string(),
            "{name}"
        );
    }
    let mut command = door.command("scp");
    command
        .arg("-p")
        .arg(at("big"))
        .arg("work@127.0.0.1:/home/work/by-scp");
    let output = within(command.output()).await.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let ran = sh(
        &*kernel,
        "cmp by-scp bigger && readlink link && stat -c %a bigger && printf x > $'bad\\xff'",
    )
    .await;
    assert_eq!(ran.stdout, "big\n600\n", "{}", ran.stderr);
    // A name that is no text can be listed and fetched like every other.
    let mut command = door.command("sftp");
    fs::write(&batch, format!("get bad* {}\n", at("odd"))).unwrap();
    command.arg("-b").arg(&batch).arg("work@127.0.0.1");
    let output = within(command.output()).await.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(local.path().join("odd")).unwrap(), "x");
    world.close().await;
}

#[tokio::test]
async fn a_pipe_through_ssh_arrives_whole() {
    let world = World::new();
    let kernel = world.start(|_| {}).await;
    let door = SshDoor::open(kernel.clone()).await;
    let mut child = door
        .command("ssh")
        .args(["work@127.0.0.1", "sha256sum; echo done >&2"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = tokio::spawn(async move {
        for _ in 0..160 {
            stdin.write_all(&[7; 65536]).await.unwrap();
        }
    });
    let output = within(child.wait_with_output()).await.unwrap();
    writer.await.unwrap();
    // sha256 of 10 MiB of the byte 7
    let expected = sh(
        &*kernel,
        "head -c 10485760 /dev/zero | tr '\\0' '\\7' | sha256sum",
    )
    .await
    .stdout;
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(text(&output.stderr), "done\n");
    world.close().await;
}

//! What is copied, what is left alone, and what is refused.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use transfer::{FailureCode, Location, Overwrite, Start, State};

use crate::{Bench, names, noise, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_goes_there_and_back_with_its_mode_time_and_checksum() {
    let bench = Bench::new().await;
    let content = noise(20_000_003, 1);
    let file = bench.here.join("data.bin");
    std::fs::write(&file, &content).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o751)).unwrap();
    let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    std::fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_modified(time)
        .unwrap();

    let up = Start {
        checksum: true,
        ..start(bench.local("data.bin"), bench.remote(""), Overwrite::Ask)
    };
    let id = bench.queue.start(up).await.unwrap().remove(0).id;
    let done = bench.queue.wait(&id).await.unwrap();
    assert_eq!(done.state, State::Done, "{:?}", done.failure);
    assert_eq!(
        (done.bytes, done.total, done.files),
        (20_000_003, Some(20_000_003), 1)
    );
    assert_eq!(
        done.dst,
        bench.remote("data.bin"),
        "into the folder, under its own name"
    );
    let sum = std::process::Command::new("sha256sum")
        .arg(&file)
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&sum.stdout).starts_with(&done.sha256.unwrap()));

    let back = bench
        .run(
            bench.remote("data.bin"),
            bench.local("back.bin"),
            Overwrite::Ask,
        )
        .await;
    assert_eq!(back.state, State::Done, "{:?}", back.failure);
    for copy in [bench.there.join("data.bin"), bench.here.join("back.bin")] {
        assert!(std::fs::read(&copy).unwrap() == content);
        let data = std::fs::metadata(&copy).unwrap();
        assert_eq!(data.permissions().mode() & 0o777, 0o751);
        assert_eq!(data.modified().unwrap(), time);
    }
    assert_eq!(
        names(&bench.there),
        ["data.bin"],
        "nothing unfinished is left"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_of_many_small_files_arrives_whole() {
    let bench = Bench::new().await;
    let tree = bench.here.join("tree");
    for folder in 0..10 {
        let folder = tree.join(format!("d{folder}/deep/er"));
        std::fs::create_dir_all(&folder).unwrap();
        for file in 0..30 {
            std::fs::write(
                folder.join(format!("f {file}")),
                noise(file * 301, file as u64),
            )
            .unwrap();
        }
    }
    std::fs::create_dir(tree.join("empty")).unwrap();
    std::fs::write(tree.join("한글.txt"), "안녕").unwrap();
    std::os::unix::fs::symlink("d0/deep", tree.join("inside")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", tree.join("outside")).unwrap();
    std::os::unix::fs::symlink("../../..", tree.join("d1/up")).unwrap();

    let up = bench
        .run(bench.local("tree"), bench.remote("copy"), Overwrite::Ask)
        .await;
    assert_eq!(up.state, State::Done, "{:?}", up.failure);
    assert_eq!((up.files, up.files_total, up.skipped), (301, Some(301), 2));
    let down = bench
        .run(bench.remote("copy"), bench.local("back"), Overwrite::Ask)
        .await;
    assert_eq!(down.state, State::Done, "{:?}", down.failure);
    std::fs::remove_file(tree.join("outside")).unwrap();
    std::fs::remove_file(tree.join("d1/up")).unwrap();
    let same = std::process::Command::new("diff")
        .args(["-r", "--no-dereference"])
        .args([&tree, &bench.here.join("back")])
        .output()
        .unwrap();
    assert!(
        same.status.success(),
        "{}",
        String::from_utf8_lossy(&same.stdout)
    );
}

#[tokio::test]
async fn what_is_there_already_is_treated_as_the_user_says() {
    let bench = Bench::new().await;
    let old = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let reset = || {
        std::fs::write(bench.here.join("f"), "source").unwrap();
        std::fs::write(bench.there.join("f"), "there").unwrap();
    };
    let there = || std::fs::read_to_string(bench.there.join("f")).unwrap();
    let age = |path: PathBuf| {
        std::fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(old)
            .unwrap();
    };

    reset();
    let never = bench
        .run(bench.local("f"), bench.remote("f"), Overwrite::Never)
        .await;
    assert_eq!(
        (never.state, never.skipped, &*there()),
        (State::Done, 1, "there")
    );

    age(bench.here.join("f"));
    let older = bench
        .run(bench.local("f"), bench.remote("f"), Overwrite::Newer)
        .await;
    assert_eq!((older.state, &*there()), (State::Done, "there"));
    reset();
    age(bench.there.join("f"));
    let newer = bench
        .run(bench.local("f"), bench.remote("f"), Overwrite::Newer)
        .await;
    assert_eq!((newer.state, &*there()), (State::Done, "source"));

    reset();
    let asked = bench
        .run(bench.local("f"), bench.remote("f"), Overwrite::Ask)
        .await;
    assert_eq!((asked.state, &*there()), (State::Conflict, "there"));
    let conflict = asked.conflict.unwrap();
    assert_eq!((conflict.src_size, conflict.dst_size), (6, 5));
    bench
        .queue
        .resolve(&asked.id, Overwrite::Always)
        .await
        .unwrap();
    let resolved = bench.queue.wait(&asked.id).await.unwrap();
    assert_eq!((resolved.state, &*there()), (State::Done, "source"));
    assert_eq!(names(&bench.there), ["f"]);
}

#[tokio::test]
async fn failures_say_what_and_where_and_leave_nothing() {
    let bench = Bench::new().await;
    let missing = bench
        .run(bench.local("nothing"), bench.remote("x"), Overwrite::Ask)
        .await;
    let failure = missing.failure.unwrap();
    assert_eq!(
        (missing.state, failure.code),
        (State::Failed, FailureCode::NotFound)
    );
    assert!(failure.path.unwrap().ends_with("/nothing"));

    std::fs::write(bench.here.join("f"), "x").unwrap();
    let nowhere = bench
        .run(
            bench.local("f"),
            bench.remote("no/such/folder/f"),
            Overwrite::Ask,
        )
        .await;
    assert_eq!(nowhere.failure.unwrap().code, FailureCode::NotFound);

    std::fs::create_dir_all(bench.here.join("d/sub")).unwrap();
    let inside = bench
        .run(bench.local("d"), bench.local("d/sub"), Overwrite::Ask)
        .await;
    assert_eq!(inside.failure.unwrap().code, FailureCode::Unsupported);

    // A folder of the same name as a file, and the other way round.
    std::fs::create_dir(bench.there.join("f")).unwrap();
    std::fs::create_dir(bench.there.join("f/f")).unwrap();
    let folder = bench
        .run(bench.local("f"), bench.remote("f"), Overwrite::Always)
        .await;
    assert_eq!(folder.failure.unwrap().code, FailureCode::IsADirectory);
    std::fs::write(bench.there.join("sub"), "a file").unwrap();
    let file = bench
        .run(bench.local("d/sub"), bench.remote("sub"), Overwrite::Always)
        .await;
    assert_eq!(file.failure.unwrap().code, FailureCode::NotADirectory);
    assert_eq!(names(&bench.there), ["f", "sub"]);
    assert_eq!(bench.queue.clear().await.unwrap(), 5);
    assert!(bench.queue.list().is_empty());
}

#[tokio::test]
async fn a_link_planted_in_the_way_is_not_followed() {
    let bench = Bench::new().await;
    let secret = bench.sshd.folder().join("secret");
    std::fs::create_dir(&secret).unwrap();
    std::fs::create_dir_all(bench.there.join("d/sub")).unwrap();
    std::fs::write(bench.there.join("d/sub/f"), "planted").unwrap();
    std::fs::create_dir(bench.here.join("d")).unwrap();
    std::os::unix::fs::symlink(&secret, bench.here.join("d/sub")).unwrap();
    let down = bench
        .run(bench.remote("d"), bench.local(""), Overwrite::Always)
        .await;
    assert_eq!(down.failure.unwrap().code, FailureCode::NotADirectory);
    assert!(names(&secret).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_named_and_left_as_it_was() {
    // A file system of 1 MiB needs root.
    let bench = Bench::new().await;
    let small = bench.sshd.folder().join("small");
    std::fs::create_dir(&small).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "none"])
        .arg(&small)
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: can't mount a small file system here");
        return;
    }
    std::fs::write(bench.there.join("big"), noise(3 << 20, 6)).unwrap();
    let dst = Location::Local {
        path: small.join("big").to_string_lossy().into_owned(),
    };
    let failed = bench.run(bench.remote("big"), dst, Overwrite::Ask).await;
    let left = names(&small);
    std::process::Command::new("umount")
        .arg(&small)
        .status()
        .unwrap();
    assert_eq!(failed.failure.unwrap().code, FailureCode::NoSpace);
    assert!(left.is_empty(), "{left:?}");
}

//! Links as chosen, holes that stay holes, and names that this computer can't hold.

use std::os::unix::fs::{MetadataExt, symlink};

use transfer::{FailureCode, Links, Overwrite, Start, State, Transfer};

use crate::{Bench, names, noise, start};

async fn copy(bench: &Bench, links: Links, to: &str) -> Transfer {
    let wanted = Start {
        links,
        ..start(bench.local("tree"), bench.remote(to), Overwrite::Ask)
    };
    let id = bench.queue.start(wanted).await.unwrap().remove(0).id;
    bench.queue.wait(&id).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_are_treated_as_chosen() {
    let bench = Bench::new().await;
    let tree = bench.here.join("tree");
    std::fs::create_dir_all(tree.join("d")).unwrap();
    std::fs::write(tree.join("d/f"), "inside").unwrap();
    std::fs::write(bench.here.join("out"), "outside").unwrap();
    symlink("d/f", tree.join("file")).unwrap();
    symlink("d", tree.join("folder")).unwrap();
    symlink("../out", tree.join("out")).unwrap();
    symlink("nowhere", tree.join("broken")).unwrap();
    symlink(".", tree.join("self")).unwrap();
    symlink("../..", tree.join("d/up")).unwrap();

    let skipped = copy(&bench, Links::Skip, "skip").await;
    assert_eq!((skipped.state, skipped.skipped), (State::Done, 6));
    assert_eq!(names(&bench.there.join("skip")), ["d"]);

    let kept = copy(&bench, Links::Keep, "keep").await;
    assert_eq!((kept.state, kept.skipped), (State::Done, 2), "out and up");
    let there = bench.there.join("keep");
    assert_eq!(names(&there), ["broken", "d", "file", "folder", "self"]);
    assert!(there.join("folder").is_symlink());

    let followed = copy(&bench, Links::Follow, "follow").await;
    assert_eq!(followed.state, State::Done, "{:?}", followed.failure);
    let there = bench.there.join("follow");
    assert_eq!(names(&there), ["d", "file", "folder", "out"], "no loops");
    assert!(!there.join("folder").is_symlink());
    for (file, text) in [
        ("file", "inside"),
        ("folder/f", "inside"),
        ("out", "outside"),
    ] {
        assert_eq!(
            std::fs::read_to_string(there.join(file)).unwrap(),
            text,
            "{file}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holes_stay_holes_both_ways() {
    use std::os::unix::fs::FileExt;
    const SIZE: u64 = 256 << 20;
    let bench = Bench::new().await;
    let file = std::fs::File::create(bench.here.join("disk")).unwrap();
    file.write_all_at(&noise(100_000, 5), 0).unwrap();
    file.write_all_at(&noise(300_000, 6), SIZE / 2).unwrap();
    file.set_len(SIZE).unwrap();
    let up = Start {
        checksum: true,
        ..start(bench.local("disk"), bench.remote("disk"), Overwrite::Ask)
    };
    let id = bench.queue.start(up).await.unwrap().remove(0).id;
    let up = bench.queue.wait(&id).await.unwrap();
    assert_eq!(
        (up.state, up.bytes),
        (State::Done, SIZE),
        "{:?}",
        up.failure
    );
    let down = bench
        .run(bench.remote("disk"), bench.local("back"), Overwrite::Ask)
        .await;
    assert_eq!(down.state, State::Done, "{:?}", down.failure);
    for copy in [bench.there.join("disk"), bench.here.join("back")] {
        let data = std::fs::metadata(&copy).unwrap();
        assert_eq!(data.len(), SIZE);
        assert!(
            data.blocks() * 512 < SIZE / 16,
            "{} has no holes",
            copy.display()
        );
    }
    let same = std::process::Command::new("cmp")
        .args([bench.here.join("disk"), bench.here.join("back")])
        .status();
    assert!(same.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_can_not_be_held_is_refused_and_the_others_arrive() {
    use std::os::unix::ffi::OsStrExt;
    let bench = Bench::new().await;
    let tree = bench.there.join("tree");
    std::fs::create_dir_all(tree.join("d")).unwrap();
    std::fs::write(tree.join("good"), "x").unwrap();
    std::fs::write(tree.join("d/good"), "x").unwrap();
    let bad = std::ffi::OsStr::from_bytes(b"not \xff utf-8");
    std::fs::write(tree.join(bad), "x").unwrap();
    std::fs::create_dir(tree.join("d").join(bad)).unwrap();
    let done = bench
        .run(bench.remote("tree"), bench.local("tree"), Overwrite::Ask)
        .await;
    let failure = done.failure.unwrap();
    assert_eq!(
        (done.state, failure.code),
        (State::Failed, FailureCode::UnsafeName)
    );
    assert!(failure.message.contains("1 more"), "{}", failure.message);
    assert!(failure.path.unwrap().contains("utf-8"));
    assert_eq!(names(&bench.here.join("tree")), ["d", "good"]);
    assert_eq!(names(&bench.here.join("tree/d")), ["good"]);
}

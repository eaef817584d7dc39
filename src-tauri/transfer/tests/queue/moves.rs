//! Transfers that remove their source: only what was copied goes, and it goes in the end.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use transfer::{FailureCode, Links, Location, Overwrite, Start, State};

use crate::kill::process;
use crate::sshd::Sshd;
use crate::{Bench, names, noise, open, start};

fn moving(src: Location, dst: Location) -> Start {
    Start {
        remove_source: true,
        ..start(src, dst, Overwrite::Ask)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_moved_is_gone_with_its_folders_and_links() {
    let bench = Bench::new().await;
    let elsewhere = bench.sshd.folder().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("kept"), "kept").unwrap();
    for links in [Links::Keep, Links::Follow] {
        let tree = bench.here.join("tree");
        std::fs::create_dir_all(tree.join("deep/er")).unwrap();
        std::fs::write(tree.join("deep/er/file"), "x").unwrap();
        symlink("er/file", tree.join("deep/link")).unwrap();
        if links == Links::Follow {
            symlink(&elsewhere, tree.join("away")).unwrap();
        }
        // There and back: both ends have been a source.
        for (src, dst) in [
            (bench.local("tree"), bench.remote("tree")),
            (bench.remote("tree"), bench.local("back")),
        ] {
            let wanted = Start {
                links,
                ..moving(src.clone(), dst)
            };
            let id = bench.queue.start(wanted).await.unwrap().remove(0).id;
            let done = bench.queue.wait(&id).await.unwrap();
            assert_eq!(
                (done.state, done.source_left),
                (State::Done, 0),
                "{:?}",
                done.failure
            );
            assert!(!Path::new(src.path()).exists());
        }
        let back = bench.here.join("back");
        let link = std::fs::symlink_metadata(back.join("deep/link")).unwrap();
        assert_eq!(link.is_symlink(), links == Links::Keep);
        assert_eq!(std::fs::read(back.join("deep/link")).unwrap(), b"x");
        assert_eq!(names(&elsewhere), ["kept"], "it lies behind a link");
        std::fs::remove_dir_all(back).unwrap();
    }
    bench.queue.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_or_was_changed_meanwhile_stays() {
    let bench = Bench::new().await;
    let tree = bench.here.join("tree");
    std::fs::create_dir_all(tree.join("below")).unwrap();
    for file in 0..20 {
        std::fs::write(tree.join(format!("f{file}")), noise(100_000, file)).unwrap();
    }
    std::fs::write(tree.join("below/f"), "x").unwrap();
    // Where a device or a link that leads away is left out, it stays as well.
    symlink("/etc/hostname", tree.join("away")).unwrap();
    let slow = Start {
        limit_bps: Some(1 << 20),
        ..moving(bench.local("tree"), bench.remote("tree"))
    };
    let id = bench.queue.start(slow).await.unwrap().remove(0).id;
    let copied = || names(&bench.there).contains(&"tree".to_owned());
    while !copied() || bench.queue.get(&id).unwrap().files < 4 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let arrived = names(&bench.there.join("tree"));
    let changed = arrived.iter().find(|name| name.starts_with('f')).unwrap();
    std::fs::write(tree.join(changed), noise(100_000, 77)).unwrap();
    std::fs::write(tree.join("new"), "new").unwrap();
    std::fs::create_dir(tree.join("below/new-folder")).unwrap();
    let done = bench.queue.wait(&id).await.unwrap();
    assert_eq!(done.state, State::Done, "{:?}", done.failure);
    assert_eq!(done.source_left, 4, "a change, two new ones and a link");
    let mut stays = vec!["away", "below", changed, "new"];
    stays.sort_unstable();
    assert_eq!(names(&tree), stays);
    assert_eq!(names(&tree.join("below")), ["new-folder"]);
    let there = bench.there.join("tree");
    assert_eq!(names(&there).len(), 21);
    assert!(there.join("below/f").exists());
    bench.queue.close().await;

    // It is told after a restart, too.
    let queue = open(&bench.sshd, 0).await;
    assert_eq!(queue.get(&id).unwrap().source_left, 4);
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_moved_onto_itself_under_another_name() {
    let bench = Bench::new().await;
    std::fs::create_dir_all(bench.here.join("tree/below")).unwrap();
    std::fs::write(bench.here.join("tree/only"), "the only copy").unwrap();
    symlink(bench.here.join("tree"), bench.there.join("other")).unwrap();
    // All places of these tests are this computer's.
    let session = |path: &str| Location::Session {
        session: "s".to_owned(),
        path: bench.here.join(path).to_string_lossy().into_owned(),
    };
    for (src, dst) in [
        (bench.local("tree"), session("")),
        (bench.local("tree"), session("tree/below/")),
        (bench.local("tree/only"), session("tree/")),
        (bench.local("tree/only"), bench.remote("other/")),
        (session("tree"), bench.local("tree/below/")),
    ] {
        for overwrite in [Overwrite::Never, Overwrite::Always] {
            let wanted = Start {
                overwrite,
                ..moving(src.clone(), dst.clone())
            };
            let id = bench.queue.start(wanted).await.unwrap().remove(0).id;
            let done = bench.queue.wait(&id).await.unwrap();
            let failure = done.failure.map(|failure| failure.code);
            assert_eq!(failure, Some(FailureCode::Unsupported), "{src:?} {dst:?}");
            assert_eq!(names(&bench.here.join("tree")), ["below", "only"]);
            assert!(names(&bench.here.join("tree/below")).is_empty());
            let only = std::fs::read(bench.here.join("tree/only")).unwrap();
            assert_eq!(only, b"the only copy");
        }
    }
    bench.queue.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_goes_though_what_it_led_to_was_moved_before_it() {
    let bench = Bench::new().await;
    std::fs::create_dir_all(bench.here.join("tree/sub")).unwrap();
    std::fs::write(bench.here.join("tree/file"), "x").unwrap();
    symlink("../file", bench.here.join("tree/sub/link")).unwrap();
    let wanted = Start {
        links: Links::Follow,
        ..moving(bench.local("tree"), bench.remote("tree"))
    };
    let id = bench.queue.start(wanted).await.unwrap().remove(0).id;
    let done = bench.queue.wait(&id).await.unwrap();
    let end = (done.state, done.source_left);
    assert_eq!(end, (State::Done, 0), "{:?}", done.failure);
    assert!(!bench.here.join("tree").exists());
    assert_eq!(
        std::fs::read(bench.there.join("tree/sub/link")).unwrap(),
        b"x"
    );
    bench.queue.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_left_out_stays() {
    let bench = Bench::new().await;
    for folder in [&bench.here, &bench.there] {
        std::fs::create_dir(folder.join("tree")).unwrap();
        std::fs::write(folder.join("tree/both"), folder.to_str().unwrap()).unwrap();
    }
    std::fs::write(bench.here.join("tree/one"), "one").unwrap();
    let wanted = Start {
        overwrite: Overwrite::Never,
        // The folder of the same name is the place, not what it is put into.
        ..moving(bench.local("tree"), bench.remote(""))
    };
    let id = bench.queue.start(wanted).await.unwrap().remove(0).id;
    let done = bench.queue.wait(&id).await.unwrap();
    assert_eq!(
        (done.state, done.skipped, done.source_left),
        (State::Done, 1, 1),
        "{:?}",
        done.failure
    );
    assert_eq!(names(&bench.here.join("tree")), ["both"]);
    assert_eq!(names(&bench.there.join("tree")), ["both", "one"]);
    bench.queue.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_a_move_ends_with_the_copy_whole_and_the_source_gone() {
    let bench = Bench::new().await;
    bench.queue.close().await;
    let files = 1200;
    let fill = |folder: &Path| {
        std::fs::create_dir_all(folder.join("deep")).unwrap();
        for file in 0..files {
            let place = folder.join(if file % 2 == 0 { "." } else { "deep" });
            std::fs::write(place.join(format!("f{file}")), noise(6_000, file)).unwrap();
        }
    };
    let wanted = bench.sshd.folder().join("wanted");
    fill(&wanted);
    // All of them: on a busy machine one removal may be over before anybody sees it begin.
    let mut in_removal = 0;
    for (src, dst) in [
        (bench.local("tree"), bench.remote("moved")),
        (bench.remote("tree"), bench.local("moved")),
    ] {
        let (from, to) = (Path::new(src.path()), Path::new(dst.path()));
        fill(from);
        let mut kills = 0;
        let ended = loop {
            let mut process = process(&bench, bench.sshd.port, &src, &dst, 16 << 20);
            let mut child = process.env("TRANSFER_TEST_MOVE", "1").spawn().unwrap();
            // The first ones meet the copying, the next ones the removal; the last is left alone.
            let left = count(from);
            let until = std::time::Instant::now() + Duration::from_millis(150 + 100 * kills);
            while child.try_wait().unwrap().is_none()
                && (kills >= 3 || std::time::Instant::now() < until)
                && (kills >= 6 || count(from) == left)
            {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            in_removal += u64::from(count(from) < files as usize);
            // Nothing goes before all has come.
            assert!(count(from) == files as usize || count(to) == files as usize);
        };
        assert!(ended.success());
        assert!(kills > 1, "it was too quick to be killed");
        assert!(!from.exists(), "{} files stay", count(from));
        let output = std::process::Command::new("diff")
            .arg("-r")
            .args([&wanted, to])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        eprintln!("{kills} kills, {in_removal} in the removal so far");
    }
    assert!(in_removal > 0, "no kill met the removal");
}

/// Whole files in a folder.
fn count(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => count(&entry.path()),
            Ok(_) if entry.file_name().to_string_lossy().starts_with('f') => 1,
            _ => 0,
        })
        .sum()
}

/// A power cut at the other end, right after the move, must not take what is nowhere else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_goes_when_the_copy_is_on_the_far_disk() {
    const FILES: usize = 30;
    let bench = Bench::at(Sshd::with_sftp_arguments("-l VERBOSE"), 0).await;
    let tree = bench.there.join("tree");
    std::fs::create_dir_all(tree.join("below")).unwrap();
    for file in 0..FILES {
        let content = noise(file * 1000, file as u64);
        std::fs::write(tree.join(format!("below/f{file}")), content).unwrap();
    }
    let wanted = moving(bench.remote("tree"), bench.remote("moved"));
    let id = bench.queue.start(wanted).await.unwrap().remove(0).id;
    let done = bench.queue.wait(&id).await.unwrap();
    assert_eq!(done.state, State::Done, "{:?}", done.failure);
    assert_eq!(names(&bench.there.join("moved/below")).len(), FILES);
    assert!(!tree.exists());
    let log = bench.sshd.sftp_log();
    let lines = || log.lines().enumerate();
    let synced: Vec<usize> = lines()
        .filter(|(_, line)| line.contains("fsync") && line.contains("/moved/below/f"))
        .map(|(at, _)| at)
        .collect();
    let removed = lines().find(|(_, line)| line.contains("remove") && line.contains("/tree/"));
    let (removed, _) = removed.expect("the source was removed");
    assert_eq!(synced.len(), FILES, "{log}");
    assert!(synced.iter().all(|at| *at < removed), "{log}");
    bench.queue.close().await;
}

/// Where the server has no word for it, a move is a move all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_can_not_sync_is_trusted() {
    let bench = Bench::at(Sshd::with_sftp_arguments("-P fsync"), 0).await;
    std::fs::write(bench.here.join("f"), "x").unwrap();
    let wanted = moving(bench.local("f"), bench.remote("f"));
    let id = bench.queue.start(wanted).await.unwrap().remove(0).id;
    let done = bench.queue.wait(&id).await.unwrap();
    assert_eq!(done.state, State::Done, "{:?}", done.failure);
    assert!(!bench.here.join("f").exists() && bench.there.join("f").exists());
    bench.queue.close().await;
}

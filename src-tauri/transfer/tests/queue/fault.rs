//! Links that are cut, slow, far away or dead without saying so.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use transfer::{Location, Options, Overwrite, Place, Places, Queue, Start, State};

use crate::relay::{Relay, Still};
use crate::{Bench, Sessions, names, noise, open_with, start};

/// What may be sent again after a cut, beside what every connection costs.
const AGAIN: u64 = 8 << 20;
const HANDSHAKE: u64 = 256 << 10;

/// A queue that reaches its session through a relay.
pub(crate) async fn through(
    bench: &Bench,
    delay: Duration,
    silence: Duration,
) -> (Queue, Relay, Still) {
    bench.queue.close().await;
    let (relay, still) = Relay::start(bench.sshd.port, delay).await;
    let sessions = Arc::new(Sessions::new(bench.sshd.login(), relay.port));
    (
        open_with(&bench.sshd, sessions, silence).await,
        relay,
        still,
    )
}

pub(crate) async fn until_bytes(queue: &Queue, id: &str, bytes: u64) {
    let mut changes = queue.subscribe();
    while queue.get(id).unwrap().bytes < bytes {
        let _ = changes.recv().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_cut_again_and_again_loses_little() {
    const SIZE: u64 = 24 << 20;
    let bench = Bench::new().await;
    let content = noise(SIZE as usize, 11);
    std::fs::write(bench.here.join("big"), &content).unwrap();
    std::fs::write(bench.there.join("big"), &content).unwrap();
    let (queue, relay, _still) = through(&bench, Duration::ZERO, Options::SILENCE).await;
    for (src, dst, copy) in [
        (
            bench.local("big"),
            bench.remote("up"),
            bench.there.join("up"),
        ),
        (
            bench.remote("big"),
            bench.local("down"),
            bench.here.join("down"),
        ),
    ] {
        let (up, down) = (relay.up(), relay.down());
        let slow = Start {
            limit_bps: Some(24 << 20),
            ..start(src, dst, Overwrite::Ask)
        };
        let id = queue.start(slow).await.unwrap().remove(0).id;
        for part in 1..=3 {
            until_bytes(&queue, &id, part * SIZE / 4).await;
            relay.cut();
        }
        let done = queue.wait(&id).await.unwrap();
        assert_eq!(done.state, State::Done, "{:?}", done.failure);
        assert!(std::fs::read(copy).unwrap() == content);
        let sent = (relay.up() - up).max(relay.down() - down);
        let most = SIZE + SIZE / 50 + 3 * AGAIN + 8 * HANDSHAKE;
        assert!(sent < most, "{sent} bytes, {most} at most");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_and_distant_link_only_takes_longer() {
    let bench = Bench::new().await;
    let content = noise(3 << 20, 12);
    std::fs::write(bench.here.join("f"), &content).unwrap();
    let short = Duration::from_secs(2);
    let (queue, relay, _still) = through(&bench, Duration::from_millis(40), short).await;
    relay.slow_down(1 << 20);
    for (src, dst) in [
        (bench.local("f"), bench.remote("f")),
        (bench.remote("f"), bench.local("g")),
    ] {
        let id = queue.start(start(src, dst, Overwrite::Ask)).await.unwrap();
        let done = queue.wait(&id[0].id).await.unwrap();
        assert_eq!(done.state, State::Done, "{:?}", done.failure);
    }
    assert!(std::fs::read(bench.here.join("g")).unwrap() == content);
    assert_eq!(relay.connections(), 1, "it was never given up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_dead_without_saying_so_is_noticed() {
    let bench = Bench::new().await;
    let content = noise(8 << 20, 13);
    std::fs::write(bench.here.join("big"), &content).unwrap();
    let (queue, relay, still) = through(&bench, Duration::ZERO, Duration::from_secs(1)).await;
    let slow = Start {
        limit_bps: Some(6 << 20),
        ..start(bench.local("big"), bench.remote("up"), Overwrite::Ask)
    };
    let id = queue.start(slow).await.unwrap().remove(0).id;
    until_bytes(&queue, &id, 2 << 20).await;
    still.freeze();
    let done = queue.wait(&id).await.unwrap();
    assert_eq!(done.state, State::Done, "{:?}", done.failure);
    assert!(std::fs::read(bench.there.join("up")).unwrap() == content);
    assert!(relay.connections() >= 2);
    assert!(
        relay.up() < (8 << 20) + AGAIN + 4 * HANDSHAKE,
        "it went on where it was"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_goes_over_several_connections() {
    let distance = Duration::from_millis(25);
    for (delay, mebibytes, connections) in [(distance, 40, 4), (Duration::ZERO, 70, 2)] {
        let bench = Bench::new().await;
        bench.queue.close().await;
        let content = noise(mebibytes << 20, 14);
        let (relay, _still) = Relay::start(bench.sshd.port, delay).await;
        let sessions = Sessions::new(bench.sshd.login(), relay.port);
        let session = Place::Session("s".to_owned());
        let store = sessions.open("test", &session).await.unwrap();
        let path = bench.there.join("up").to_string_lossy().into_owned();
        let options = transfer::WriteOptions {
            size: Some(content.len() as u64),
            ..transfer::WriteOptions::default()
        };
        let mut sink = store.write(&path, options).await.unwrap();
        let mut before = 0;
        for (at, piece) in content.chunks(300_000).enumerate() {
            // It is begun over the first; the others come when they can.
            while at == 20 && relay.connections() < connections {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let arrived = sink
                .write(vec![bytes::Bytes::copy_from_slice(piece)])
                .await
                .unwrap();
            assert!(arrived >= before && arrived <= content.len() as u64);
            before = arrived;
        }
        assert_eq!(sink.finish().await.unwrap(), Some(content.len() as u64));
        assert!(std::fs::read(&path).unwrap() == content);
        assert_eq!(relay.connections(), connections);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_session_ends_its_data_folder_is_gone_on_with() {
    let bench = Bench::new().await;
    bench.queue.close().await;
    // More than what is asked for ahead.
    let content = noise(16 << 20, 15);
    std::fs::write(bench.here.join("big"), &content).unwrap();
    std::fs::write(bench.there.join("big"), &content).unwrap();
    for (src, dst, folder, copy) in [
        (bench.local("big"), bench.remote("up"), &bench.there, "up"),
        (
            bench.remote("big"),
            bench.local("down"),
            &bench.here,
            "down",
        ),
    ] {
        let (relay, _still) = Relay::start(bench.sshd.port, Duration::ZERO).await;
        let sessions = Arc::new(Sessions::new(bench.sshd.login(), relay.port));
        let queue = open_with(&bench.sshd, sessions.clone(), Options::SILENCE).await;
        let slow = Start {
            limit_bps: Some(12 << 20),
            ..start(src, dst, Overwrite::Ask)
        };
        let id = queue.start(slow).await.unwrap().remove(0).id;
        until_bytes(&queue, &id, 1 << 20).await;
        sessions.ended.store(true, Ordering::Relaxed);
        relay.cut();
        let done = queue.wait(&id).await.unwrap();
        assert_eq!(done.state, State::Done, "{:?}", done.failure);
        let moved = [&done.src, &done.dst]
            .into_iter()
            .filter(|it| matches!(it, Location::Folder { .. }));
        assert_eq!(moved.count(), 1, "{done:?}");
        assert!(std::fs::read(folder.join(copy)).unwrap() == content);
        queue.close().await;
    }
    assert_eq!(
        names(&bench.there),
        ["big", "up"],
        "nothing unfinished is left"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn between_two_sessions_nothing_lands_on_this_computer() {
    let bench = Bench::new().await;
    let content = noise(5 << 20, 16);
    std::fs::create_dir(bench.there.join("tree")).unwrap();
    std::fs::write(bench.there.join("tree/a"), &content).unwrap();
    std::fs::write(bench.there.join("tree/b"), "b").unwrap();
    let other = Location::Session {
        session: "t".to_owned(),
        path: bench.there.join("copy").to_string_lossy().into_owned(),
    };
    let done = bench.run(bench.remote("tree"), other, Overwrite::Ask).await;
    assert_eq!(
        (done.state, done.files),
        (State::Done, 2),
        "{:?}",
        done.failure
    );
    assert!(std::fs::read(bench.there.join("copy/a")).unwrap() == content);
    assert!(names(&bench.here).is_empty());
}

/// Small files, each with its length and content.
fn many(folder: &std::path::Path, count: usize) {
    std::fs::create_dir(folder).unwrap();
    for file in 0..count {
        let content = noise(4096 + file, file as u64);
        std::fs::write(folder.join(file.to_string()), content).unwrap();
    }
}

/// How many files have their final names; each of them is whole.
fn whole(src: &std::path::Path, dst: &std::path::Path) -> usize {
    let Ok(there) = std::fs::read_dir(dst) else {
        return 0;
    };
    let names = there.map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| !name.to_string_lossy().starts_with(transfer::PART_PREFIX))
        .inspect(|name| {
            let read = |folder: &std::path::Path| std::fs::read(folder.join(name)).unwrap();
            assert!(read(src) == read(dst), "{name:?} is there in part");
        })
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_files_on_a_link_that_is_cut_are_never_seen_in_part() {
    const FILES: usize = 1200;
    let bench = Bench::new().await;
    let (here, there) = (bench.here.join("tree"), bench.there.join("tree"));
    many(&here, FILES);
    let (queue, relay, _still) = through(&bench, Duration::ZERO, Options::SILENCE).await;
    let back = bench.here.join("back");
    for (src, dst, from, to) in [
        (bench.local("tree"), bench.remote("tree"), &here, &there),
        (bench.remote("tree"), bench.local("back"), &there, &back),
    ] {
        let slow = Start {
            limit_bps: Some(3 << 20),
            ..start(src, dst, Overwrite::Ask)
        };
        let id = queue.start(slow).await.unwrap().remove(0).id;
        // So far apart that the second finds a connection at work, not one being made.
        for part in [1 << 20, 7 << 19] {
            let before = relay.connections();
            let shown = until_bytes(&queue, &id, part);
            let in_time = tokio::time::timeout(Duration::from_secs(20), shown).await;
            assert!(in_time.is_ok(), "part {part}: {:?}", queue.get(&id));
            relay.cut();
            whole(from, to);
            let since = std::time::Instant::now();
            while relay.connections() == before && queue.get(&id).unwrap().state != State::Done {
                tokio::time::sleep(Duration::from_millis(5)).await;
                whole(from, to);
                let now = queue.get(&id).unwrap();
                assert!(
                    since.elapsed().as_secs() < 15,
                    "part {part}: {now:?} {before}"
                );
            }
        }
        let done = tokio::time::timeout(Duration::from_secs(20), queue.wait(&id)).await;
        let Ok(done) = done else {
            panic!("not done: {:?}", queue.get(&id));
        };
        let done = done.unwrap();
        assert_eq!(done.state, State::Done, "{:?}", done.failure);
        assert_eq!(whole(from, to), FILES);
        assert_eq!(names(to).len(), FILES, "no unfinished file stays");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_files_that_the_far_disk_refuses_do_not_get_their_names() {
    const FILES: usize = 400;
    // A file system of 1 MiB needs root.
    let bench = Bench::new().await;
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "none"])
        .arg(&bench.there)
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: can't mount a small file system here");
        return;
    }
    let here = bench.here.join("tree");
    many(&here, FILES);
    let up = bench.run(bench.local("tree"), bench.remote("tree"), Overwrite::Ask);
    let failed = up.await;
    let arrived = std::panic::catch_unwind(|| whole(&here, &bench.there.join("tree")));
    std::process::Command::new("umount")
        .arg("-l")
        .arg(&bench.there)
        .status()
        .unwrap();
    assert_eq!(failed.state, State::Failed);
    assert!((1..FILES).contains(&arrived.unwrap()));
}

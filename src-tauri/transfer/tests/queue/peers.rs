//! Other servers than today's OpenSSH: those that do not tell their limits, and Dropbear.

use std::time::Duration;

use transfer::{Location, Options, Overwrite, Start, State};

use crate::fault::{through, until_bytes};
use crate::sshd::Sshd;
use crate::{Bench, names, noise, start};

const SIZE: u64 = 12 << 20;

/// What may be sent again after a cut, and what each connection costs besides.
const AGAIN: u64 = (8 << 20) + (256 << 10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_tells_no_limits() {
    let server = Sshd::with_sftp_arguments("-P limits,fsync");
    there_and_back(Bench::at(server, 0).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropbear() {
    there_and_back(Bench::at(Sshd::dropbear(), 0).await).await;
}

/// A folder there and back, and a large file that goes on after a cut, each way.
async fn there_and_back(bench: Bench) {
    let tree = bench.here.join("tree");
    std::fs::create_dir_all(tree.join("deep")).unwrap();
    for file in 0..120 {
        let content = noise(file * 517, file as u64);
        std::fs::write(tree.join(format!("deep/f{file}")), content).unwrap();
    }
    let done = bench
        .run(bench.local("tree"), bench.remote("tree"), Overwrite::Ask)
        .await;
    assert_eq!(done.state, State::Done, "{:?}", done.failure);
    let done = bench
        .run(bench.remote("tree"), bench.local("back"), Overwrite::Ask)
        .await;
    assert_eq!(done.state, State::Done, "{:?}", done.failure);
    let back = bench.here.join("back/deep");
    assert_eq!(names(&back), names(&tree.join("deep")));
    for name in names(&back) {
        let copy = std::fs::read(back.join(&name)).unwrap();
        assert!(copy == std::fs::read(tree.join("deep").join(name)).unwrap());
    }

    let content = noise(SIZE as usize, 21);
    std::fs::write(bench.here.join("big"), &content).unwrap();
    std::fs::write(bench.there.join("big"), &content).unwrap();
    let (queue, relay, _still) = through(&bench, Duration::ZERO, Options::SILENCE).await;
    let here_and_there = |src: Location, dst: Location| Start {
        limit_bps: Some(12 << 20),
        ..start(src, dst, Overwrite::Ask)
    };
    for (wanted, copy) in [
        (
            here_and_there(bench.local("big"), bench.remote("up")),
            bench.there.join("up"),
        ),
        (
            here_and_there(bench.remote("big"), bench.local("down")),
            bench.here.join("down"),
        ),
    ] {
        let before = relay.up() + relay.down();
        let id = queue.start(wanted).await.unwrap().remove(0).id;
        until_bytes(&queue, &id, SIZE * 3 / 4).await;
        relay.cut();
        let done = queue.wait(&id).await.unwrap();
        assert_eq!(done.state, State::Done, "{:?}", done.failure);
        assert!(std::fs::read(copy).unwrap() == content);
        let sent = relay.up() + relay.down() - before;
        // Begun anew it would be three quarters more.
        let most = SIZE + SIZE / 20 + AGAIN;
        assert!(sent < most, "{sent} bytes, {most} at most");
    }
    queue.close().await;
}

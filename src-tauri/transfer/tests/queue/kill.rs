//! The process that copies a folder is killed again and again: the result is the same byte for
//! byte, and little is sent twice.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use transfer::Location;

use crate::relay::Relay;
use crate::{Bench, noise};

/// What may be sent again beyond what had been acknowledged, for each kill, and what a connection
/// and the looking through of the folder cost.
const AGAIN: u64 = 8 << 20;
const CONNECTION: u64 = 256 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_three_times_a_folder_arrives_whole() {
    kill_and_compare(3, 48 << 20, 24 << 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: cargo xtask test --full"]
async fn killed_fifty_times_two_gibibytes_arrive_whole() {
    kill_and_compare(50, 2 << 30, 96 << 20).await;
}

async fn kill_and_compare(kills: u64, size: u64, limit: u64) {
    let bench = Bench::new().await;
    bench.queue.close().await;
    let whole = tree(&bench.here.join("tree"), size);
    for up in [true, false] {
        let (relay, _still) = Relay::start(bench.sshd.port, Duration::ZERO).await;
        let (src, dst) = if up {
            (bench.local("tree"), bench.remote("copy"))
        } else {
            (bench.remote("copy"), bench.local("back"))
        };
        let count = || if up { relay.up() } else { relay.down() };
        let mut child = spawn(&bench, relay.port, &src, &dst, limit);
        let mut done = 0;
        while done < kills {
            // At a moment that nobody chose: somewhere in its share of the bytes.
            let share = whole / (kills + 1);
            let target = done * share + rand::random_range(share / 2..share + share / 2);
            while count() < target && child.try_wait().unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            if child.try_wait().unwrap().is_some() {
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            done += 1;
            child = spawn(&bench, relay.port, &src, &dst, limit);
        }
        while child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(child.wait().unwrap().success(), "it ended badly");
        same(&bench.here.join("tree"), Path::new(dst.path()));
        // Its large files go up over two.
        let connections = if up && size > 1 << 30 { 2 } else { 1 };
        let again = connections * (AGAIN + CONNECTION);
        let most = whole + whole / 50 + done * again + CONNECTION;
        let sent = count();
        assert!(
            sent <= most,
            "{sent} bytes were sent, {most} at most, {done} kills"
        );
        assert!(done * 2 >= kills, "only {done} kills");
        eprintln!("up {up}: {done} kills, {whole} bytes, {sent} sent");
    }
}

/// Large, middling, small and empty files, with a hole; returns how many bytes have to move.
fn tree(folder: &Path, size: u64) -> u64 {
    std::fs::create_dir_all(folder.join("deep/er")).unwrap();
    let large = size / 8;
    for file in 0..6 {
        let content = noise(large as usize, 100 + file);
        std::fs::write(folder.join(format!("large-{file}")), content).unwrap();
    }
    let small = (size - 6 * large) / 200;
    for file in 0..200_u64 {
        let length = small * (file % 3);
        let place = folder.join(if file % 2 == 0 { "deep" } else { "deep/er" });
        let content = noise(length as usize, file);
        std::fs::write(place.join(format!("small-{file}")), content).unwrap();
    }
    let mut bytes = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            let data = entry.metadata().unwrap();
            if data.is_dir() {
                folders.push(entry.path());
            } else {
                bytes += data.len();
            }
        }
    }
    bytes
}

fn same(one: &Path, other: &Path) {
    let output = Command::new("diff")
        .arg("-r")
        .args([one, other])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

fn spawn(bench: &Bench, port: u16, src: &Location, dst: &Location, limit: u64) -> Child {
    process(bench, port, src, dst, limit).spawn().unwrap()
}

/// The process that does it, not started yet.
pub(crate) fn process(
    bench: &Bench,
    port: u16,
    src: &Location,
    dst: &Location,
    limit: u64,
) -> Command {
    let database = bench.sshd.folder().join("transfers.db");
    let job = [
        database.to_string_lossy().into_owned(),
        port.to_string(),
        bench.sshd.identity().to_string_lossy().into_owned(),
        bench.sshd.host_key.line(),
        serde_json::to_string(src).unwrap(),
        serde_json::to_string(dst).unwrap(),
    ];
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "resume::the_process_that_is_killed",
            "--nocapture",
        ])
        .env("TRANSFER_TEST_JOB", job.join("\n"))
        .env("TRANSFER_TEST_LIMIT", limit.to_string())
        .stdout(Stdio::null());
    command
}

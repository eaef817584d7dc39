//! Transfers that are stopped on the way, by people, links, kills and power cuts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use transfer::{FailureCode, Location, Options, Overwrite, PART_PREFIX, Queue, Start, State};

use crate::{Bench, Sessions, names, noise, open, options, sshd, start};

/// Starts `src → dst` slowly and stops once a good part has arrived. Returns the id and the
/// unfinished file.
async fn begin_slowly(
    queue: &Queue,
    src: Location,
    dst: Location,
    folder: &Path,
) -> (String, PathBuf) {
    let slow = Start {
        limit_bps: Some(6 << 20),
        ..start(src, dst, Overwrite::Ask)
    };
    let id = queue.start(slow).await.unwrap().remove(0).id;
    let mut changes = queue.subscribe();
    loop {
        let _ = changes.recv().await;
        if queue.get(&id).unwrap().bytes > 1 << 20 {
            let part = names(folder)
                .into_iter()
                .find(|name| name.starts_with(PART_PREFIX));
            return (id, folder.join(part.expect("it has a temporary name")));
        }
    }
}

/// Makes the beginning of an unfinished file recognisable: it only stays if the copy goes on
/// where it was.
fn mark(part: &Path) {
    use std::os::unix::fs::FileExt;
    std::fs::File::options()
        .write(true)
        .open(part)
        .unwrap()
        .write_all_at(b"MARK", 0)
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_transfer_goes_on_at_its_byte_and_a_cancelled_one_leaves_nothing() {
    let bench = Bench::new().await;
    let content = noise(6 << 20, 2);
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
        let (id, part) = begin_slowly(&bench.queue, src.clone(), dst.clone(), folder).await;
        assert!(!folder.join(copy).exists(), "never under its final name");
        let paused = bench.queue.pause(&id).await.unwrap();
        assert_eq!(paused.state, State::Paused);
        mark(&part);
        bench.queue.resume(&id).await.unwrap();
        let done = bench.queue.wait(&id).await.unwrap();
        assert_eq!(
            (done.state, done.bytes),
            (State::Done, 6 << 20),
            "{:?}",
            done.failure
        );
        let arrived = std::fs::read(folder.join(copy)).unwrap();
        assert!(
            &arrived[..4] == b"MARK" && arrived[4..] == content[4..],
            "it went on"
        );

        let again = format!("{copy}-again");
        let dst = dst.with_path(folder.join(&again).to_string_lossy());
        let (id, part) = begin_slowly(&bench.queue, src, dst, folder).await;
        let cancelled = bench.queue.cancel(&id).await.unwrap();
        assert_eq!(cancelled.state, State::Cancelled);
        assert!(!part.exists() && !folder.join(&again).exists());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_corrupted_beginning_is_found_by_the_checksum() {
    let bench = Bench::new().await;
    std::fs::write(bench.here.join("big"), noise(6 << 20, 3)).unwrap();
    let slow = Start {
        limit_bps: Some(6 << 20),
        checksum: true,
        ..start(bench.local("big"), bench.remote("up"), Overwrite::Ask)
    };
    let id = bench.queue.start(slow).await.unwrap().remove(0).id;
    while bench.queue.get(&id).unwrap().bytes < 1 << 20 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bench.queue.pause(&id).await.unwrap();
    mark(&bench.there.join(&names(&bench.there)[0]));
    bench.queue.resume(&id).await.unwrap();
    let failed = bench.queue.wait(&id).await.unwrap();
    assert_eq!(failed.failure.unwrap().code, FailureCode::ChecksumMismatch);
    assert!(
        names(&bench.there).is_empty(),
        "what is wrong does not stay"
    );
    bench.queue.retry(&id).await.unwrap();
    assert_eq!(bench.queue.wait(&id).await.unwrap().state, State::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_down_is_waited_for() {
    let bench = Bench::failing(2).await;
    std::fs::write(bench.here.join("f"), "x").unwrap();
    let mut changes = bench.queue.subscribe();
    let wanted = start(bench.local("f"), bench.remote("f"), Overwrite::Ask);
    let id = bench.queue.start(wanted).await.unwrap().remove(0).id;
    let mut waited = false;
    loop {
        let look = bench.queue.get(&id).unwrap();
        waited |= look.state == State::Waiting && look.failure.is_some();
        if look.state == State::Done {
            break;
        }
        let _ = changes.recv().await;
    }
    assert!(waited);
    assert!(bench.queue.get(&id).unwrap().failure.is_none());
}

/// Not a test of its own: the process that the next one kills.
#[tokio::test]
async fn the_process_that_is_killed() {
    let Ok(job) = std::env::var("TRANSFER_TEST_JOB") else {
        return;
    };
    let job: Vec<&str> = job.split('\n').collect();
    let [db, port, key, host_key, src, dst] = job[..] else {
        panic!("six lines")
    };
    let login = ssh::client::Login {
        user: sshd::user(),
        key: ssh::client::PrivateKey::parse(&std::fs::read_to_string(key).unwrap()).unwrap(),
        host_key: ssh::client::HostKey::Exactly(ssh::client::PublicKey::parse(host_key).unwrap()),
    };
    let sessions = Sessions::new(login, port.parse().unwrap());
    let queue = Queue::open(Path::new(db), options(Path::new("/")), Arc::new(sessions))
        .await
        .unwrap();
    let (src, dst) = (
        serde_json::from_str(src).unwrap(),
        serde_json::from_str(dst).unwrap(),
    );
    let limit = std::env::var("TRANSFER_TEST_LIMIT").map_or(4 << 20, |it| it.parse().unwrap());
    let slow = Start {
        limit_bps: Some(limit),
        remove_source: std::env::var_os("TRANSFER_TEST_MOVE").is_some(),
        ..start(src, dst, Overwrite::Ask)
    };
    // One that was killed before is taken up again.
    let known = queue.list().pop().filter(|it| it.state != State::Done);
    let id = match known {
        Some(known) => known.id,
        None => queue.start(slow).await.unwrap().remove(0).id,
    };
    let done = queue.wait(&id).await.unwrap();
    assert_eq!(done.state, State::Done, "{:?}", done.failure);
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_loses_nothing_that_had_arrived() {
    let bench = Bench::new().await;
    bench.queue.close().await;
    let content = noise(10 << 20, 4);
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
        let job = [
            bench
                .sshd
                .folder()
                .join("transfers.db")
                .to_string_lossy()
                .into_owned(),
            bench.sshd.port.to_string(),
            bench.sshd.identity().to_string_lossy().into_owned(),
            bench.sshd.host_key.line(),
            serde_json::to_string(&src).unwrap(),
            serde_json::to_string(&dst).unwrap(),
        ];
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "resume::the_process_that_is_killed",
                "--nocapture",
            ])
            .env("TRANSFER_TEST_JOB", job.join("\n"))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let part = loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            let part = names(folder)
                .into_iter()
                .find(|name| name.starts_with(PART_PREFIX));
            let part = part.map(|name| folder.join(name));
            if let Some(part) = part
                && std::fs::metadata(&part).is_ok_and(|data| data.len() > 6 << 20)
            {
                break part;
            }
        };
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!folder.join(copy).exists());
        mark(&part);

        let queue = open(&bench.sshd, 0).await;
        let id = queue.list().last().unwrap().id.clone();
        let done = queue.wait(&id).await.unwrap();
        assert_eq!(
            (done.state, done.bytes),
            (State::Done, 10 << 20),
            "{:?}",
            done.failure
        );
        let arrived = std::fs::read(folder.join(copy)).unwrap();
        assert!(
            &arrived[..4] == b"MARK" && arrived[4..] == content[4..],
            "it went on"
        );
        assert!(!part.exists());
        queue.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_power_cut_a_local_copy_is_begun_anew() {
    let bench = Bench::new().await;
    let content = noise(6 << 20, 5);
    std::fs::write(bench.there.join("big"), &content).unwrap();
    let (id, part) = begin_slowly(
        &bench.queue,
        bench.remote("big"),
        bench.local("down"),
        &bench.here,
    )
    .await;
    bench.queue.close().await;
    mark(&part);
    let sessions = Sessions::new(bench.sshd.login(), bench.sshd.port);
    let later = Options {
        boot: "next".to_owned(),
        ..options(bench.sshd.folder())
    };
    let file = bench.sshd.folder().join("transfers.db");
    let queue = Queue::open(&file, later, Arc::new(sessions)).await.unwrap();
    let done = queue.wait(&id).await.unwrap();
    assert_eq!(done.state, State::Done);
    assert!(std::fs::read(bench.here.join("down")).unwrap() == content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_was_cut_off_is_completed_without_copying_twice() {
    let bench = Bench::new().await;
    let tree = bench.here.join("tree");
    std::fs::create_dir(&tree).unwrap();
    for file in 0..200 {
        std::fs::write(tree.join(file.to_string()), noise(50_000, file)).unwrap();
    }
    let slow = Start {
        limit_bps: Some(4 << 20),
        ..start(bench.local("tree"), bench.remote("tree"), Overwrite::Ask)
    };
    let id = bench.queue.start(slow).await.unwrap().remove(0).id;
    while bench.queue.get(&id).unwrap().files < 20 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bench.queue.close().await;
    let first = std::fs::read_dir(bench.there.join("tree"))
        .unwrap()
        .flatten()
        .find(|entry| !entry.file_name().to_string_lossy().starts_with(PART_PREFIX));
    let first = first.unwrap().path();
    let inode =
        |path: &Path| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap());
    let before = inode(&first);

    let queue = open(&bench.sshd, 0).await;
    let done = queue.wait(&id).await.unwrap();
    assert_eq!(
        (done.state, done.files, done.bytes),
        (State::Done, 200, 10_000_000)
    );
    assert_eq!(inode(&first), before, "it was not copied again");
    assert_eq!(names(&bench.there.join("tree")), names(&tree));
}

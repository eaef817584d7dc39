//! Sessions outlive the engine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on stops where it is"
)]

mod support;

use std::{process::Stdio, time::Duration};

use runtime::{Batch, Exit, Kernel, KernelId, KernelSpec, Runtime};
use support::{SshDoor, World, sh, text};
use tokio::io::{AsyncBufReadExt, BufReader};

/// Runs this test program again, as an engine that only starts one session and then sleeps.
const ENGINE: &str = "GANGWAY_TEST_ENGINE";

#[tokio::test]
async fn engine_of_another_test() {
    let Some(dir) = std::env::var_os(ENGINE) else {
        return;
    };
    let dir = std::path::PathBuf::from(dir);
    let config =
        runtime::sandbox::SandboxConfig::new(dir.join("data"), dir.join("run"), support::runner());
    let sandbox = runtime::sandbox::Sandbox::open(config).unwrap();
    let kernel = sandbox
        .start(KernelSpec::minimal(KernelId::new_v4(), "test"))
        .await
        .unwrap();
    sh(&*kernel, "echo kept > note; sleep 1000 & echo $! > pid").await;
    println!("\nstarted {}", kernel.id());
    std::future::pending::<()>().await;
}

/// Has another engine start a session, and kills that engine.
async fn killed_engine(world: &World) -> KernelId {
    let mut engine = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "engine_of_another_test", "--nocapture"])
        .env(ENGINE, world.dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(engine.stdout.take().unwrap()).lines();
    let id: KernelId = loop {
        let line = lines.next_line().await.unwrap().expect("the engine ended");
        if let Some(id) = line.strip_prefix("started ") {
            break id.parse().unwrap();
        }
    };
    engine.start_kill().unwrap();
    engine.wait().await.unwrap();
    id
}

#[tokio::test]
async fn a_killed_engine_leaves_its_sessions_to_the_next() {
    let world = World::new();
    let id = killed_engine(&world).await;
    let next = world.reopened();
    let kernel = next.adopt(id).await.unwrap().expect("the session is gone");
    let ran = sh(&*kernel, "cat note; kill -0 $(cat pid) && echo same").await;
    assert_eq!(ran.stdout, "kept\nsame\n");
    let door = SshDoor::open(kernel.clone()).await;
    assert_eq!(text(&door.ssh(&["cat note"]).await.stdout), "kept\n");
    assert!(next.sweep(&[id]).await.unwrap().ended.is_empty());
    assert_eq!(
        kernel.terminate(Duration::ZERO).await.unwrap(),
        Exit::Terminated
    );
    world.close().await;
}

#[tokio::test]
async fn a_session_that_can_not_be_reached_is_not_taken_for_ended() {
    let world = World::new();
    let kernel = world.start(|_| {}).await;
    let id = kernel.id();
    let name = format!("{}.sock", id.simple());
    let socket = world.dir.path().join("run").join(&name);
    let away = world.dir.path().join("run/away");
    // A name that leads nowhere says nothing about who listens.
    std::fs::rename(&socket, &away).unwrap();
    std::os::unix::fs::symlink(&name, &socket).unwrap();
    let next = world.reopened();
    assert!(next.adopt(id).await.is_err());
    assert_eq!(next.sweep(&[]).await.unwrap().left, [id]);
    std::fs::rename(&away, &socket).unwrap();
    let found = next.adopt(id).await.unwrap().expect("it runs");
    assert_eq!(sh(&*found, "echo here").await.stdout, "here\n");
    assert_eq!(next.sweep(&[]).await.unwrap().ended, [id]);
    world.close().await;
}

#[tokio::test]
async fn sessions_that_nobody_knows_are_swept() {
    let world = World::new();
    let kernel = world.start(|_| {}).await;
    let known = world.start(|_| {}).await;
    let swept = world.reopened().sweep(&[known.id()]).await.unwrap();
    assert_eq!(swept.ended, [kernel.id()]);
    assert_eq!(kernel.wait().await, Exit::Terminated);
    assert_eq!(sh(&*known, "echo here").await.stdout, "here\n");
    world.close().await;
}

#[tokio::test]
async fn a_session_whose_supervisor_is_killed_is_lost_with_all_its_processes() {
    let world = World::new();
    let kernel = world.start(|_| {}).await;
    sh(&*kernel, "sleep 7654 &").await;
    let record = std::fs::read(
        world
            .dir
            .path()
            .join(format!("data/kernels/{}/kernel.json", kernel.id())),
    )
    .unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    let supervisor = i32::try_from(record["supervisor"]["pid"].as_i64().unwrap()).unwrap();
    let pasta = record["pasta"]["pid"].as_i64();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(supervisor),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    assert!(matches!(kernel.wait().await, Exit::Lost { .. }));
    let mut left = true;
    for _ in 0..100 {
        left = std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            std::fs::read(entry.path().join("cmdline"))
                .is_ok_and(|text| text.starts_with(b"sleep\x007654"))
        });
        if !left {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!left, "processes of the session are left");
    if let Some(pasta) = pasta {
        let gone = || !std::path::Path::new(&format!("/proc/{pasta}")).exists() || is_zombie(pasta);
        for _ in 0..100 {
            if gone() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(gone(), "pasta is left");
    }
    assert!(sh_fails(&*kernel).await);
    world.close().await;
}

/// The engine dies before it has written down which process is the network's, and everything else
/// of the session with it.
#[tokio::test]
async fn the_network_of_a_session_that_was_killed_whole_is_found() {
    let world = World::new();
    for known in [true, false] {
        let id = killed_engine(&world).await;
        let file = world
            .dir
            .path()
            .join(format!("data/kernels/{id}/kernel.json"));
        let text = std::fs::read_to_string(&file).unwrap();
        let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
        let Some(pasta) = record["pasta"]["pid"].as_i64() else {
            // A computer without a network has nothing that could be left.
            return world.close().await;
        };
        let name = std::fs::read(format!("/proc/{pasta}/cmdline")).unwrap();
        assert!(name.starts_with(format!("gangway-pasta-{id}\0").as_bytes()));
        let supervisor = record["supervisor"]["pid"].as_i64().unwrap();
        record["pasta"] = serde_json::Value::Null;
        std::fs::write(&file, record.to_string()).unwrap();
        let next = world.reopened();
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(i32::try_from(supervisor).unwrap()),
            nix::sys::signal::Signal::SIGKILL,
        )
        .unwrap();
        until_gone(supervisor, "the supervisor").await;
        if known {
            // Its processes may need another moment to end.
            if let Some(dying) = next.adopt(id).await.unwrap() {
                dying.wait().await;
            }
        } else {
            assert!(next.sweep(&[]).await.unwrap().ended.contains(&id));
        }
        until_gone(pasta, "pasta").await;
    }
    world.close().await;
}

async fn until_gone(pid: i64, what: &str) {
    let process = std::path::PathBuf::from(format!("/proc/{pid}"));
    for _ in 0..1000 {
        if !process.exists() || is_zombie(pid) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} is left");
}

fn is_zombie(pid: i64) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|text| text.contains(") Z "))
}

async fn sh_fails(kernel: &dyn Kernel) -> bool {
    matches!(kernel.apps().await, Err(runtime::RuntimeError::Gone(_)))
}

#[tokio::test]
async fn a_batch_job_ends_its_session_with_its_code_and_log() {
    let world = World::new();
    let job = |command: &str, timeout| Batch {
        command: command.to_owned(),
        timeout,
    };
    let kernel = world
        .start(|spec| spec.batch = Some(job("echo working; echo badly >&2; exit 4", None)))
        .await;
    assert_eq!(kernel.wait().await, Exit::BatchFinished { exit_code: 4 });
    let log = world.sandbox.logs(kernel.id(), 1000).await.unwrap();
    assert!(
        log.contains("working\n") && log.contains("badly\n"),
        "{log:?}"
    );

    let kernel = world
        .start(|spec| spec.batch = Some(job("sleep 1000", Some(Duration::from_millis(200)))))
        .await;
    assert_eq!(kernel.wait().await, Exit::BatchTimeout);
    assert_eq!(
        world.sandbox.exit(kernel.id()).await.unwrap(),
        Some(Exit::BatchTimeout)
    );
    world.sandbox.remove(kernel.id()).await.unwrap();
    assert_eq!(world.sandbox.exit(kernel.id()).await.unwrap(), None);
    world.close().await;
}

#[tokio::test]
async fn a_session_of_an_earlier_run_of_the_computer_says_so() {
    let world = World::new();
    let kernel = world.start(|_| {}).await;
    let id = kernel.id();
    let dir = world.dir.path().join(format!("data/kernels/{id}"));
    kernel.terminate(Duration::ZERO).await.unwrap();
    // As if the power had failed: no note of an end, and a record of another run.
    std::fs::remove_file(dir.join("exit.json")).unwrap();
    let record = std::fs::read_to_string(dir.join("kernel.json")).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&record).unwrap();
    record["boot_id"] = "another".into();
    std::fs::write(dir.join("kernel.json"), record.to_string()).unwrap();
    let next = world.reopened();
    assert!(next.adopt(id).await.unwrap().is_none());
    assert_eq!(next.exit(id).await.unwrap(), Some(Exit::HostRestarted));
    world.close().await;
}

#[tokio::test]
async fn a_restarted_kernel_keeps_its_home_and_its_keys() {
    let world = World::new();
    let spec = KernelSpec::minimal(KernelId::new_v4(), "test");
    let kernel = world.sandbox.start(spec.clone()).await.unwrap();
    sh(&*kernel, "echo kept > note; sleep 1000 &").await;
    let key = kernel.ssh_info().await.unwrap().host_key;
    kernel.terminate(Duration::ZERO).await.unwrap();

    // Between the two the home can be read and saved, without what the runner has put there.
    let home = world.sandbox.home(spec.kernel_id).await.unwrap().unwrap();
    let left = home.unsaved(100).await.unwrap();
    let names: Vec<_> = left.listed.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["note"]);
    assert!(home.open_file("../kernel.json").await.is_err());
    let folder = world.folder("folder");
    assert_eq!(
        home.save_unsaved(std::fs::File::open(&folder).unwrap().into())
            .await
            .unwrap()
            .files,
        1
    );
    assert_eq!(
        std::fs::read_to_string(folder.join("note")).unwrap(),
        "kept\n"
    );

    let kernel = world.sandbox.restart(spec.clone()).await.unwrap();
    let ran = sh(&*kernel, "cat note; pgrep sleep || echo alone").await;
    assert_eq!(ran.stdout, "kept\nalone\n");
    assert_eq!(kernel.ssh_info().await.unwrap().host_key, key);
    let door = SshDoor::open(kernel.clone()).await;
    assert_eq!(text(&door.ssh(&["cat note"]).await.stdout), "kept\n");
    kernel.terminate(Duration::ZERO).await.unwrap();
    let unknown = KernelSpec::minimal(KernelId::new_v4(), "test");
    assert!(world.sandbox.restart(unknown).await.is_err());
    world.close().await;
}

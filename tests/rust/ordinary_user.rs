//! The engine of somebody who is not root: no dedicated user ids, no staging area, mounts by
//! descriptor, and what this computer keeps from ordinary users is said in words.

use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::computer::{Computer, PATIENCE, named, rows};
use tests::manager::Manager;
use tests::process::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_user_has_sessions_too() -> Result<()> {
    let computer = Computer::of_ordinary_user()?.log_in()?;
    let doctor = computer.gangway(&["doctor"])?;
    let checks = rows(&doctor, "checks")?;
    for name in ["bubblewrap", "namespaces"] {
        ensure!(named(checks, name)?["state"] == "ok", "{doctor}");
    }
    let tun = named(checks, "tun")?;
    let closed = tun["state"] != "ok";
    if closed {
        let fix = tun["fix"].as_str().context("fix")?;
        ensure!(fix.contains("/dev/net/tun"), "{tun}");
    }

    computer.gangway(&["folder", "create", "data"])?;
    computer.launch("of-a-user", &["--mount", "data"])?;
    computer.ok("of-a-user", "mkdir data/in && echo kept > data/in/kept.txt")?;
    // As the user's own, on the host; inside, as in every session.
    ensure!(computer.ok("of-a-user", "id -u; stat -c %u data/in/kept.txt")? == "1000\n1000");
    let engine = computer.engine()?["pid"].as_u64().context("pid")?;
    ensure!(
        std::fs::metadata(format!("/proc/{engine}"))?.uid() != 0,
        "the engine is root"
    );
    if closed {
        let shown = computer.gangway(&["session", "show", "of-a-user"])?;
        let notices = shown["notices"].to_string();
        ensure!(notices.contains("no-network"), "{shown}");
    }

    // A part of the folder, and links that lead out of it.
    computer.ok(
        "of-a-user",
        "ln -s /etc data/out && ln -s ../../.. data/up && ln -s in data/there",
    )?;
    let manager = Manager::of(&computer)?;
    let part = launch(&manager, "a-part", "data/in").await?;
    ensure!(
        settled(&computer, "a-part")?["status"] == "RUNNING",
        "{part}"
    );
    ensure!(computer.ok("a-part", "cat data/kept.txt && echo more >> data/kept.txt")? == "kept");
    ensure!(computer.ok("of-a-user", "cat data/in/kept.txt")? == "kept\nmore");
    // Two cores are all that some computers have.
    computer.gangway(&["session", "rm", "--yes", "--force", "a-part"])?;
    for (name, path) in [("leads-out", "data/out"), ("leads-up", "data/up")] {
        let answer = launch(&manager, name, path).await;
        if answer.is_ok() {
            let session = settled(&computer, name)?;
            ensure!(session["status"] != "RUNNING", "{path}: {session}");
        }
    }
    Ok(())
}

async fn launch(manager: &Manager, name: &str, mount: &str) -> Result<Value> {
    let wanted = json!({
        "session_name": name, "image": "local/host:latest", "session_type": "interactive",
        "group": "default", "domain": "default", "reuse": false, "enqueue_only": true,
        "config": {
            "resources": {"cpu": 1, "mem": "256m"},
            "mounts": [mount],
            "mount_map": {"data": "/home/work/data"},
            "environ": {},
        },
    });
    manager.post("/session", &wanted).await?.ok()
}

/// The session when it runs or has ended.
fn settled(computer: &Computer, name: &str) -> Result<Value> {
    eventually(&format!("{name} to start or to fail"), PATIENCE, || {
        let all = computer.gangway(&["session", "ls", "--all"])?;
        let session = named(rows(&all, "sessions")?, name)?.clone();
        let status = session["status"].as_str().unwrap_or_default();
        let settled = ["RUNNING", "TERMINATED", "CANCELLED", "ERROR"].contains(&status);
        Ok(settled.then_some(session))
    })
}

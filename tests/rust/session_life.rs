//! What a session's owner does with it in the terminal beside working in it: starting it again,
//! jobs after one another, several at once, and saving what one left that died.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::computer::{Computer, kill, rows};
use tests::process::eventually;

const SMALL: [&str; 4] = ["--cpu", "1", "--mem", "256m"];

fn launch(computer: &Computer, name: &str, more: &[&str]) -> Result<Value> {
    let mut arguments = vec!["session", "launch", name];
    arguments.extend(SMALL);
    arguments.extend(more);
    computer.gangway(&arguments)
}

#[test]
fn sessions_in_their_owners_hands() -> Result<()> {
    let computer = Computer::logged_in()?;
    started_again(&computer)?;
    jobs_in_a_row(&computer)?;
    saved_after_its_death(&computer)
}

fn started_again(computer: &Computer) -> Result<()> {
    launch(computer, "once-more", &[])?;
    computer.ok("once-more", "echo kept > note")?;
    let session = computer.gangway(&["session", "restart", "once-more"])?;
    ensure!(
        session["status"] == "RUNNING" && session["actions"]["restart"]["allowed"] == true,
        "{session}"
    );
    ensure!(computer.ok("once-more", "cat note")? == "kept");
    // Nothing runs by `exec`, and that is said.
    computer
        .refused(&["session", "interrupt", "once-more"])?
        .is(1, "manager_rejected")?;
    computer.gangway(&["session", "rm", "--yes", "once-more"])?;
    computer
        .refused(&["session", "restart", "once-more"])?
        .is(5, "session_ended")?;
    Ok(())
}

fn jobs_in_a_row(computer: &Computer) -> Result<()> {
    let first = launch(
        computer,
        "first-job",
        &["--batch", "echo one", "--starts-at", "2s"],
    )?;
    ensure!(first["type"] == "batch", "{first}");
    let both = launch(
        computer,
        "later-job",
        &[
            "--batch",
            "echo two",
            "--depends-on",
            "first-job",
            "--count",
            "2",
            "--wait-result",
        ],
    )?;
    let both = rows(&both, "sessions")?;
    ensure!(both.len() == 2, "{both:?}");
    for (session, name) in both.iter().zip(["later-job-1", "later-job-2"]) {
        ensure!(
            session["name"] == name
                && session["result"] == "success"
                && session["status_info"] == "task-finished",
            "{session}"
        );
    }
    let first = computer.gangway(&["session", "show", "first-job"])?;
    ensure!(first["result"] == "success", "{first}");
    // What has no place says what lacks.
    let doomed = launch(
        computer,
        "doomed-job",
        &["--batch", "false", "--wait-timeout", "60s", "--no-wait"],
    )?;
    let id = doomed["id"].as_str().context("id")?;
    let waits = launch(
        computer,
        "vain-job",
        &["--batch", "true", "--depends-on", id, "--priority", "20"],
    )?;
    ensure!(waits["status"] == "PENDING", "{waits}");
    let told = eventually("a reason", std::time::Duration::from_secs(60), || {
        let shown = computer.gangway(&["session", "show", "vain-job"])?;
        let message = shown["waiting"]["message"].as_str().map(str::to_owned);
        Ok(message)
    })?;
    ensure!(told.contains("Waiting dependency sessions"), "{told}");
    computer.gangway(&["session", "rm", "--yes", "vain-job"])?;
    Ok(())
}

fn saved_after_its_death(computer: &Computer) -> Result<()> {
    computer.gangway(&["folder", "create", "rescued"])?;
    let session = launch(computer, "dies-early", &[])?;
    let id = session["id"].as_str().context("id")?;
    computer.ok("dies-early", "mkdir deep && echo work > deep/result")?;
    let kernels = computer.home().path("gangway/data/engine/kernels");
    for entry in fs::read_dir(kernels)? {
        let Ok(record) = fs::read(entry?.path().join("kernel.json")) else {
            continue;
        };
        let record: Value = serde_json::from_slice(&record)?;
        let supervisor = &record["supervisor"];
        if let Some(pid) = supervisor["pid"].as_u64()
            && started(pid) == supervisor["start"].as_u64()
        {
            kill(pid)?;
        }
    }
    eventually("the end", std::time::Duration::from_secs(60), || {
        let shown = computer.gangway(&["session", "show", id])?;
        Ok((shown["status"] == "TERMINATED").then_some(()))
    })?;
    let saved = computer.gangway(&["session", "save", id, "rescued:from-there"])?;
    ensure!(saved["files"] == 1, "{saved}");
    let files = computer.gangway(&["folder", "files", "rescued", "from-there/deep"])?;
    ensure!(files.to_string().contains("result"), "{files}");
    Ok(())
}

/// When a process began, in clock ticks from the computer's start: its number alone may by now be
/// somebody else's.
fn started(pid: u64) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

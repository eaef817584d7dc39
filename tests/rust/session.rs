//! What a session tells of itself, what can be saved of it, and how it ends with its computer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::computer::{Computer, PATIENCE, has_keys, kill, named, rows};
use tests::process::{eventually, finish, run};

#[test]
fn statistics_follow_what_the_session_does() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("counted", &[])?;
    let before = metrics(&computer)?;
    for name in [
        "cpu_used",
        "cpu_util",
        "mem",
        "io_read",
        "io_write",
        "net_rx",
        "net_tx",
        "processes",
    ] {
        let metric = &before[name];
        has_keys(metric, &["current", "capacity", "pct", "unit_hint"])
            .with_context(|| format!("{name} in {before}"))?;
    }
    ensure!(
        number(&before["mem"]["capacity"])? == f64::from(512 << 20),
        "{}",
        before["mem"]
    );

    // 60 MB that stay in use, and a second of work.
    computer.ok(
        "counted",
        "(setsid /usr/bin/python3 -c 'import time; a = bytearray(60_000_000); \
         [i * i for i in range(10_000_000)]; open(\"ready\", \"w\").close(); time.sleep(600)' \
         >/dev/null 2>&1 &) ; while [ ! -e ready ]; do sleep 0.1; done",
    )?;
    let after = metrics(&computer)?;
    let grown = |name: &str| -> Result<f64> {
        Ok(number(&after[name]["current"])? - number(&before[name]["current"])?)
    };
    ensure!(
        grown("mem")? > 50e6,
        "{} was {}",
        after["mem"],
        before["mem"]
    );
    ensure!(
        grown("cpu_used")? > 100.0,
        "{} was {}",
        after["cpu_used"],
        before["cpu_used"]
    );
    ensure!(grown("processes")? >= 1.0, "{}", after["processes"]);

    let words = computer.text(&["session", "stats", "counted"])?;
    ensure!(words.contains("mem"), "{words}");
    // It goes on until it is told to end, with one document to a line.
    let mut following = computer
        .command(&["--json", "session", "stats", "--follow", "counted"])
        .stdout(Stdio::piped())
        .spawn()?;
    let output = following.stdout.take().context("stdout")?;
    let lines: Vec<String> = std::io::BufRead::lines(std::io::BufReader::new(output))
        .take(2)
        .collect::<std::io::Result<_>>()?;
    run(Command::new("kill").arg(following.id().to_string()))?;
    following.wait()?;
    for line in &lines {
        let stats: Value = serde_json::from_str(line).with_context(|| line.clone())?;
        has_keys(&stats, &["at", "kernels"])?;
    }
    ensure!(lines.len() == 2, "{lines:?}");
    computer
        .refused(&["session", "stats", "nobody-here"])?
        .is(3, "session_not_found")?;
    Ok(())
}

/// The metrics of the only kernel.
fn metrics(computer: &Computer) -> Result<Value> {
    let stats = computer.gangway(&["session", "stats", "counted"])?;
    has_keys(&stats, &["at", "kernels"])?;
    let kernels = stats["kernels"].as_object().context("kernels")?;
    ensure!(kernels.len() == 1, "{stats}");
    Ok(kernels.values().next().context("kernel")?.clone())
}

fn number(text: &Value) -> Result<f64> {
    let words = text.as_str().with_context(|| text.to_string())?;
    Ok(words.parse()?)
}

#[test]
fn what_would_be_lost_is_saved_into_a_folder() -> Result<()> {
    let computer = Computer::logged_in()?;
    for name in ["data", "other"] {
        computer.gangway(&["folder", "create", name])?;
    }
    computer.launch("worked-in", &["--mount", "data"])?;
    computer.ok(
        "worked-in",
        "mkdir -p deep/er && echo one > one.txt && echo two > deep/er/two.txt && \
         chmod 755 one.txt && ln -s /etc/passwd link && echo kept > data/kept.txt && \
         ln -s /root data/way-out",
    )?;
    let saved = computer.gangway(&["session", "save", "worked-in", "other"])?;
    ensure!(saved == json!({"files": 2, "bytes": 8}), "{saved}");
    let list = computer.gangway(&["folder", "files", "other", "worked-in"])?;
    let one = named(rows(&list, "entries")?, "one.txt")?;
    ensure!(one["size"] == 4, "{list}");
    let inner = computer.gangway(&["folder", "files", "other", "worked-in/deep/er"])?;
    named(rows(&inner, "entries")?, "two.txt")?;
    // What lies in a folder already is not lost, and a link is not followed.
    ensure!(rows(&list, "entries")?.len() == 2, "{list}");

    let words = computer.text(&["session", "save", "worked-in", "data:a/b"])?;
    ensure!(words.contains("2 files saved"), "{words}");
    ensure!(
        computer.ok(
            "worked-in",
            "cat data/a/b/deep/er/two.txt; data/a/b/one.txt 2>&1 | head -c 0; \
             test -x data/a/b/one.txt && echo x"
        )? == "two\nx"
    );

    // A link that the session has put there leads nowhere else.
    for path in [
        "data:way-out",
        "data:way-out/x",
        "data:../other",
        "data:/../x",
    ] {
        let refused = computer.refused(&["session", "save", "worked-in", path])?;
        ensure!(refused.status != 0, "{path}: {refused:?}");
    }
    ensure!(!Path::new("/root/one.txt").exists() && !Path::new("/root/x").exists());
    computer
        .refused(&["session", "save", "worked-in", "no-such-folder"])?
        .is(3, "folder_not_found")?;

    // Everything is saved: ending it loses nothing that was there before.
    computer.gangway(&["session", "rm", "--yes", "worked-in"])?;
    let files = computer.gangway(&["folder", "files", "other", "worked-in"])?;
    named(rows(&files, "entries")?, "one.txt")?;
    Ok(())
}

#[test]
fn a_restarted_computer_has_ended_its_sessions() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.gangway(&["folder", "create", "data"])?;
    let id = computer.launch("before", &["--mount", "data"])?;
    computer.ok("before", "echo kept > data/kept.txt; sleep 1000 &")?;
    the_power_fails(&computer)?;

    computer.gangway(&["engine", "start"])?;
    let ended = eventually("the session to be seen as ended", PATIENCE, || {
        let all = computer.gangway(&["session", "ls", "--all"])?;
        let session = named(rows(&all, "sessions")?, "before")?.clone();
        Ok((session["status"] == "TERMINATED").then_some(session))
    })?;
    ensure!(
        ended["id"] == id.as_str() && ended["status_info"] == "host-restarted",
        "{ended}"
    );
    ensure!(!ended["terminated_at"].is_null(), "{ended}");
    // It can be launched again under its name, and its folder is as it was.
    let history = computer.gangway(&["history", "ls"])?;
    let launch = rows(&history, "launches")?[0]["id"]
        .as_str()
        .context("id")?;
    let again = computer.gangway(&["history", "relaunch", launch])?;
    ensure!(
        again["status"] == "RUNNING" && again["name"] == "before",
        "{again}"
    );
    ensure!(computer.ok("before", "cat data/kept.txt")? == "kept");
    Ok(())
}

/// Everything of this home ends at once, and what was written down is of an earlier run of the
/// computer.
fn the_power_fails(computer: &Computer) -> Result<()> {
    for round in 0..20 {
        // The engine first, which would note the end of its sessions.
        if round == 0 {
            computer.kill_engine()?;
        }
        let left = computer.processes();
        if left.is_empty() {
            break;
        }
        for (pid, _) in left {
            // It may have ended with its parent.
            let _ = kill(pid);
        }
    }
    ensure!(computer.processes().is_empty());
    let engine = computer.home().path("gangway/data/engine");
    for kernel in fs::read_dir(engine.join("kernels"))? {
        earlier(&kernel?.path().join("kernel.json"))?;
    }
    let script = "import sqlite3, sys\n\
        db = sqlite3.connect(sys.argv[1])\n\
        db.execute(\"UPDATE kernel SET boot_id = 'an earlier run'\")\n\
        db.commit()\n";
    let changed = finish(
        Command::new("python3")
            .args(["-c", script])
            .arg(engine.join("engine.db")),
    )?;
    ensure!(changed.status.success(), "{changed:?}");
    Ok(())
}

fn earlier(record: &PathBuf) -> Result<()> {
    let mut value: Value = serde_json::from_slice(&fs::read(record)?)?;
    ensure!(value["boot_id"].is_string(), "{value}");
    value["boot_id"] = "an earlier run".into();
    fs::write(record, value.to_string())?;
    Ok(())
}

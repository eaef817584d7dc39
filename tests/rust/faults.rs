//! Transfers through the real programs while those are killed: the engine, the proxy host, the
//! session itself.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::computer::{Computer, PATIENCE, kill, rows};
use tests::files;
use tests::process::{Running, eventually, run};

const SIZE: u64 = 32 << 20;

/// Starts `gangway cp` and leaves it running.
fn copy(computer: &Computer, rate: &str, src: &str, dst: &str) -> Result<Running> {
    let arguments = ["--json", "cp", "-r", "--limit", rate, src, dst];
    let mut command = computer.command(&arguments);
    Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()))
}

fn transfers(computer: &Computer) -> Result<Vec<Value>> {
    let list = computer.gangway(&["transfer", "ls"])?;
    Ok(rows(&list, "transfers")?.clone())
}

/// Waits until `count` transfers have each moved so many bytes.
fn under_way(computer: &Computer, count: usize, bytes: u64) -> Result<()> {
    eventually("the transfers to be under way", PATIENCE, || {
        let moving = transfers(computer)?.into_iter().filter(|it| {
            it["state"] == "running" && it["bytes"].as_u64().is_some_and(|now| now >= bytes)
        });
        Ok((moving.count() == count).then_some(()))
    })
}

/// Waits until everything is done; the least bytes that were seen of a transfer that ran again.
fn all_done(computer: &Computer) -> Result<u64> {
    let mut least = u64::MAX;
    eventually("the transfers to be done", PATIENCE, || {
        let list = transfers(computer)?;
        for it in &list {
            ensure!(it["state"] != "failed", "{it}");
            let bytes = it["bytes"].as_u64().unwrap_or_default();
            // 0: it is still looking how much is there.
            if it["state"] == "running" && bytes > 0 {
                least = least.min(bytes);
            }
        }
        Ok(list.iter().all(|it| it["state"] == "done").then_some(()))
    })?;
    Ok(least)
}

#[test]
fn an_engine_that_is_killed_and_comes_back_only_delays() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.gangway(&["folder", "create", "store"])?;
    computer.launch("carry", &[])?;
    let file = computer.path("big");
    files::big(&file, SIZE)?;
    let started = [
        copy(&computer, "6M", "big", "carry:up")?,
        copy(&computer, "6M", "big", "folder://store/up")?,
    ];
    under_way(&computer, 2, SIZE / 3)?;
    computer.kill_engine()?;
    drop(started);
    eventually("the loss to be noticed", PATIENCE, || {
        let list = transfers(&computer)?;
        Ok(list.iter().all(|it| it["state"] == "waiting").then_some(()))
    })?;
    computer.gangway(&["engine", "start"])?;
    let least = all_done(&computer)?;
    ensure!(least >= SIZE / 8, "one was begun anew: {least} bytes");
    let digest = files::sha256(&file)?;
    ensure!(computer.ok("carry", "sha256sum up | cut -d' ' -f1")? == digest);
    computer.gangway(&["cp", "folder://store/up", "back"])?;
    ensure!(files::sha256(&computer.path("back"))? == digest);
    Ok(())
}

/// An upload into a data folder goes on at its byte, too: the storage knows how much it has.
#[test]
fn a_proxy_host_that_is_killed_goes_on_where_it_was() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.gangway(&["folder", "create", "store"])?;
    computer.launch("carry", &[])?;
    files::many(&computer.path("tree"), 200)?;
    files::big(&computer.path("tree/large"), SIZE / 2)?;
    files::big(&computer.path("big"), SIZE)?;
    let started = [
        copy(&computer, "4M", "tree", "carry:tree")?,
        copy(&computer, "6M", "big", "folder://store/big")?,
    ];
    under_way(&computer, 2, SIZE / 16)?;
    drop(started);
    for part in 1..=3 {
        under_way(&computer, 2, part * SIZE / 16)?;
        let host = computer.gangway(&["proxy", "status"])?;
        kill(host["pid"].as_u64().with_context(|| host.to_string())?)?;
    }
    let least = all_done(&computer)?;
    // Some of what was under way at a kill is sent twice; one that is begun anew, at the speed to
    // which they are held, is first seen with less than this.
    ensure!(least >= SIZE / 64, "one was begun anew: {least} bytes");
    computer.gangway(&["cp", "-r", "carry:tree", "back"])?;
    files::same(&computer.path("tree"), &computer.path("back"))?;
    computer.gangway(&["cp", "folder://store/big", "big-back"])?;
    let digest = files::sha256(&computer.path("big"))?;
    ensure!(files::sha256(&computer.path("big-back"))? == digest);
    Ok(())
}

/// What lies in a mounted data folder can be reached without the session.
#[test]
fn a_session_that_ends_leaves_its_transfers_to_the_data_folder() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.gangway(&["folder", "create", "store"])?;
    computer.launch("carry", &["--mount", "store"])?;
    let file = computer.path("big");
    files::big(&file, SIZE)?;
    computer.gangway(&["cp", "big", "carry:store/there"])?;
    let started = [
        copy(&computer, "6M", "big", "carry:store/up")?,
        copy(&computer, "6M", "carry:store/there", "down")?,
    ];
    eventually("both to be under way", PATIENCE, || {
        let list = transfers(&computer)?;
        let moving = list.iter().filter(|it| {
            it["state"] == "running" && it["bytes"].as_u64().is_some_and(|now| now > SIZE / 4)
        });
        Ok((moving.count() == 2).then_some(()))
    })?;
    drop(started);
    computer.gangway(&["session", "rm", "--yes", "--force", "carry"])?;
    all_done(&computer)?;
    let moved = transfers(&computer)?;
    let in_folder = |it: &&Value| {
        let place = |key: &str| {
            it[key]
                .as_str()
                .is_some_and(|at| at.starts_with("folder://store/"))
        };
        place("src") || place("dst")
    };
    ensure!(moved.iter().filter(in_folder).count() == 2, "{moved:?}");
    let digest = files::sha256(&file)?;
    ensure!(files::sha256(&computer.path("down"))? == digest);
    computer.gangway(&["cp", "folder://store/up", "up"])?;
    ensure!(files::sha256(&computer.path("up"))? == digest);
    let left = computer.gangway(&["folder", "files", "store"])?;
    ensure!(!left.to_string().contains("gangway-part"), "{left}");
    let mine = fs::read_dir(computer.path(""))?.flatten();
    let parts = mine.filter(|it| it.file_name().to_string_lossy().contains("gangway-part"));
    ensure!(parts.count() == 0);
    Ok(())
}

/// A move is no exception: whoever finishes the copy removes the source, and only what it has
/// copied of it.
#[test]
fn a_move_whose_proxy_host_is_killed_ends_with_the_source_gone() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.gangway(&["folder", "create", "store"])?;
    computer.launch("carry", &[])?;
    let kept = computer.path("kept");
    files::many(&kept, 200)?;
    files::big(&kept.join("large"), SIZE / 2)?;
    let mut place = kept.clone();
    for name in ["to-session", "to-folder"] {
        run(Command::new("cp")
            .arg("-a")
            .arg(&place)
            .arg(computer.path(name)))?;
        place = computer.path(name);
    }
    computer.gangway(&["cp", "-r", "kept", "carry:from-session"])?;
    let here = |name: &str| json!({"kind": "local", "path": computer.path(name)});
    let session = |path: &str| json!({"kind": "session", "session": "carry", "path": path});
    let wanted = json!({
        "items": [
            {"src": here("to-session"), "dst": session("/home/work/there")},
            {"src": here("to-folder"), "dst": {"kind": "folder", "folder": "store", "path": "there"}},
            {"src": session("/home/work/from-session"), "dst": here("from-session")},
        ],
        "remove_source": true,
        "limit_bps": 1 << 20,
    });
    computer.gangway(&["call", "transfer.start", &wanted.to_string()])?;
    for part in 1..=3 {
        under_way(&computer, 3, part * SIZE / 32)?;
        kill(computer.host_pid()?)?;
    }
    // Written while it is on its way, where its folder has been looked through.
    under_way(&computer, 3, SIZE / 8)?;
    fs::write(computer.path("to-session/new"), "new")?;
    kill(computer.host_pid()?)?;
    under_way(&computer, 3, SIZE / 6)?;
    fs::write(computer.path("to-folder/new"), "new")?;
    all_done(&computer)?;

    let moved = computer.gangway(&["call", "transfer.list", "{}"])?;
    let moved: Vec<&Value> = rows(&moved, "transfers")?
        .iter()
        .filter(|it| it["remove_source"] == true)
        .collect();
    ensure!(moved.len() == 3, "{moved:?}");
    let gone = computer.ok("carry", "test -e from-session || echo gone")?;
    ensure!(gone == "gone", "the session's files are still there");
    let left = fs::read_dir(computer.path("to-folder"))?.count();
    ensure!(left == 1, "{left} of what went into the data folder stay");
    let told = moved.iter().filter(|it| it["source_left"] == 1).count();
    ensure!(told >= 1, "{moved:?}");
    // What came after a restart may have been seen and moved along.
    let late = computer.path("to-session");
    ensure!(!late.exists() || fs::read_dir(&late)?.count() == 1);

    computer.gangway(&["cp", "-r", "carry:there", "back-1"])?;
    computer.gangway(&["cp", "-r", "folder://store/there", "back-2"])?;
    let _ = fs::remove_file(computer.path("back-1/new"));
    for back in ["back-1", "back-2", "from-session"] {
        files::same(&kept, &computer.path(back))?;
    }
    Ok(())
}

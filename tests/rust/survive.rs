//! What is killed comes back: the engine with its sessions, the proxy host with its tunnels.

use std::net::TcpStream;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tests::computer::{Computer, PATIENCE, alive, kill, rows};
use tests::local_port::get;
use tests::process::{eventually, run};

/// Starts something in a session that can be recognised afterwards; its pid inside.
fn start_counting(computer: &Computer, session: &str) -> Result<String> {
    computer.ok(
        session,
        "cd && (setsid python3 -m http.server 8000 --bind 127.0.0.1 >/dev/null 2>&1 & echo $! > pid) \
         && echo still here > state.txt && cat pid",
    )
}

fn is_counting(computer: &Computer, session: &str, pid: &str) -> Result<()> {
    let line = computer.ok(
        session,
        &format!("cat state.txt; tr '\\0' ' ' < /proc/{pid}/cmdline"),
    )?;
    ensure!(
        line.contains("still here") && line.contains("http.server"),
        "{line}"
    );
    Ok(())
}

#[test]
fn sessions_outlive_a_killed_engine() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.gangway(&["folder", "create", "data"])?;
    let id = computer.launch("survivor", &["--mount", "data"])?;
    let pid = start_counting(&computer, "survivor")?;
    let before = computer.engine()?;

    for round in 0..2 {
        computer.kill_engine()?;
        ensure!(computer.gangway(&["engine", "status"])?["running"] == false);
        let gone = computer.refused(&["session", "show", "survivor"])?;
        ensure!(gone.status == 5, "round {round}: {gone:?}");
        computer.gangway(&["engine", "start"])?;
        let engine = computer.engine()?;
        ensure!(engine["pid"] != before["pid"]);
        ensure!(
            engine["endpoint"] == before["endpoint"],
            "{engine} was {before}"
        );
        let session = computer.gangway(&["session", "show", "survivor"])?;
        ensure!(
            session["status"] == "RUNNING" && session["id"] == id.as_str(),
            "{session}"
        );
        is_counting(&computer, "survivor", &pid)?;
        let words = run(&mut computer.command(&["ssh", "survivor", "--", "cat", "state.txt"]))?;
        ensure!(words == "still here\n", "{words}");
    }
    // It can still be ended, with all that belongs to it.
    computer.gangway(&["session", "rm", "--yes", "--force", "survivor"])?;
    eventually("the session's processes to go", PATIENCE, || {
        let left = computer.processes();
        let inside = left.iter().any(|(_, name)| name.contains("http.server"));
        Ok((!inside).then_some(()))
    })
}

#[test]
fn sessions_outlive_an_engine_that_is_stopped() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("survivor", &[])?;
    let pid = start_counting(&computer, "survivor")?;
    let engine = computer.engine()?["pid"].as_u64().context("pid")?;
    run(Command::new("kill").args(["-TERM", &engine.to_string()]))?;
    eventually("the engine to end", PATIENCE, || {
        Ok((!alive(engine)).then_some(()))
    })?;
    // What ends while nobody watches is told afterwards.
    computer.gangway(&["engine", "start"])?;
    is_counting(&computer, "survivor", &pid)?;

    computer.kill_engine()?;
    let runners: Vec<_> = computer
        .processes()
        .into_iter()
        .filter(|(_, name)| name.contains("runner"))
        .collect();
    ensure!(
        !runners.is_empty(),
        "no process of the session is to be seen"
    );
    for (pid, _) in runners {
        // A parent's end may have ended it already.
        let _ = kill(pid);
    }
    computer.gangway(&["engine", "start"])?;
    let ended = eventually("the session to be seen as ended", PATIENCE, || {
        let all = computer.gangway(&["session", "ls", "--all"])?;
        let session = rows(&all, "sessions")?[0].clone();
        Ok((session["status"] == "TERMINATED").then_some(session))
    })?;
    ensure!(
        !ended["status_info"].as_str().unwrap_or_default().is_empty(),
        "no reason: {ended}"
    );
    // Its place is free again.
    computer.launch("survivor", &[])?;
    Ok(())
}

#[test]
fn a_tunnel_comes_back_on_its_port() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("tunnels", &[])?;
    start_counting(&computer, "tunnels")?;
    let tunnel = computer.gangway(&["tunnel", "open", "tunnels", "8000", "--background"])?;
    let port = u16::try_from(
        tunnel["local_port"]
            .as_u64()
            .with_context(|| tunnel.to_string())?,
    )?;
    ensure!(get(port, "/state.txt")?.contains("still here"));

    // Its host is killed: the next command that needs one starts it again.
    kill(computer.host_pid()?)?;
    let list = computer.gangway(&["tunnel", "ls"])?;
    let back = rows(&list, "tunnels")?;
    ensure!(
        back.len() == 1 && back[0]["local_port"] == port && back[0]["id"] == tunnel["id"],
        "{list}"
    );
    eventually("the tunnel to carry again", PATIENCE, || {
        Ok(get(port, "/state.txt").ok())
    })?;

    // The engine goes away under an open tunnel and comes back.
    computer.kill_engine()?;
    let page = get(port, "/state.txt").unwrap_or_default();
    ensure!(!page.contains("still here"), "{page}");
    computer.gangway(&["engine", "start"])?;
    eventually("the tunnel to carry again", PATIENCE, || {
        Ok(get(port, "/state.txt")
            .ok()
            .filter(|page| page.contains("still here")))
    })?;

    let list = computer.gangway(&["tunnel", "ls"])?;
    let id = rows(&list, "tunnels")?[0]["id"].as_str().context("id")?;
    computer.gangway(&["tunnel", "close", id])?;
    ensure!(
        TcpStream::connect(("127.0.0.1", port)).is_err(),
        "closed, and still listening"
    );
    kill(computer.host_pid()?)?;
    let list = computer.gangway(&["tunnel", "ls"])?;
    ensure!(
        rows(&list, "tunnels")?.is_empty(),
        "a closed tunnel came back: {list}"
    );
    Ok(())
}

/// The next host meets the dying one: its socket still takes calls, its lock is still held, its
/// socket file is removed when it is the other's already. The session has another name than that of
/// the test beside it: a tunnel's port follows from it.
#[test]
fn a_host_that_is_killed_is_replaced_at_once() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("replaced", &[])?;
    start_counting(&computer, "replaced")?;
    computer.gangway(&["tunnel", "open", "replaced", "8000", "--background"])?;
    let mut last = 0;
    for round in 0..20 {
        let pid = computer
            .host_pid()
            .with_context(|| format!("round {round}"))?;
        ensure!(pid != last, "round {round}: the host was not replaced");
        last = pid;
        // Nobody waits for its end.
        let signal = if round % 2 == 0 { "-KILL" } else { "-TERM" };
        run(Command::new("kill").args([signal, &pid.to_string()]))?;
        if round % 3 == 0 {
            // A command that changes something must not be lost, and not be done twice.
            let tunnel = computer
                .gangway(&["tunnel", "open", "replaced", "9000", "--background"])
                .with_context(|| format!("round {round}"))?;
            let id = tunnel["id"].as_str().context("id")?;
            computer.gangway(&["tunnel", "close", id])?;
        }
        let list = computer
            .gangway(&["tunnel", "ls"])
            .with_context(|| format!("round {round}"))?;
        ensure!(rows(&list, "tunnels")?.len() == 1, "round {round}: {list}");
    }
    // Told to end while it ends.
    let pid = computer.host_pid()?;
    run(Command::new("kill").args(["-TERM", &pid.to_string()]))?;
    computer.gangway(&["proxy", "stop"])?;
    Ok(())
}

//! The computer is restarted: tunnels are back on their ports when the user has logged in again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tests::computer::{Computer, PATIENCE, kill};
use tests::local_port::get;
use tests::process::{Running, eventually, program, run};

/// Ends everything at once, as a power cut does, and empties what does not outlive it.
fn cut_the_power(computer: &Computer) -> Result<()> {
    eventually("everything to be gone", PATIENCE, || {
        let left = computer.processes();
        for (pid, _) in &left {
            // A parent's end may have ended it already.
            let _ = kill(*pid);
        }
        Ok(left.is_empty().then_some(()))
    })?;
    Ok(fs::remove_dir_all(computer.home().path("gangway/run"))?)
}

/// The value of a key of the entry, with the escapes of the Desktop Entry rules undone.
fn value(entry: &str, key: &str) -> Result<String> {
    let start = format!("{key}=");
    let raw = entry.lines().find_map(|line| line.strip_prefix(&start));
    let mut text = String::new();
    let mut rest = raw.with_context(|| format!("no {key} in {entry}"))?.chars();
    while let Some(one) = rest.next() {
        text.push(match one {
            '\\' => rest.next().context("something is escaped")?,
            one => one,
        });
    }
    Ok(text)
}

/// The arguments that a desktop makes of `Exec`, by its rules and without any shell.
fn arguments(exec: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut rest = exec.chars();
    while let Some(one) = rest.next() {
        match one {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => {
                let one = rest.next().context("something is escaped")?;
                word.get_or_insert_default().push(one);
            }
            '%' => {
                let next = rest.next();
                ensure!(next == Some('%'), "a field code in {exec}");
                word.get_or_insert_default().push('%');
            }
            ' ' if !quoted => words.extend(word.take()),
            one => word.get_or_insert_default().push(one),
        }
    }
    ensure!(!quoted, "an open quote in {exec}");
    words.extend(word);
    Ok(words)
}

#[test]
fn a_tunnel_is_back_after_a_restart_of_the_computer() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("stays", &[])?;
    computer.serve("stays", "before the restart")?;
    let open = ["tunnel", "open", "stays", "8000", "--http", "--background"];
    let tunnel = computer.gangway(&open)?;
    let port = u16::try_from(tunnel["local_port"].as_u64().context("local_port")?)?;
    eventually("the tunnel to lead to the session", PATIENCE, || {
        let page = get(port, "/").ok();
        Ok(page.filter(|page| page.contains("before the restart")))
    })?;

    let shown = computer.gangway(&["tunnel", "at-login"])?;
    ensure!(
        shown["supported"] == true && shown["wanted"].is_null() && shown["state"] == "absent",
        "{shown}"
    );
    let file = PathBuf::from(shown["entry"].as_str().context("entry")?);
    ensure!(
        file.parent() == Some(&computer.path(".config/autostart")) && !file.exists(),
        "{shown}"
    );
    let shown = computer.gangway(&["tunnel", "at-login", "on"])?;
    ensure!(
        shown["wanted"] == true && shown["state"] == "ours",
        "{shown}"
    );

    // The program moves, to a place that a careless line would not survive.
    let folder = computer.path("100% \"new\" $programs");
    let moved = folder.join("gangway");
    fs::create_dir(&folder)?;
    fs::copy(program("gangway"), &moved)?;
    kill(computer.host_pid()?)?;
    run(computer.home().command(&moved).args(["tunnel", "ls"]))?;
    let entry = fs::read_to_string(&file)?;
    ensure!(
        Path::new(&value(&entry, "TryExec")?) == moved,
        "the entry has not followed: {entry}"
    );

    cut_the_power(&computer)?;
    ensure!(get(port, "/").is_err(), "still there after a power cut");
    let words = arguments(&value(&entry, "Exec")?)?;
    ensure!(words.contains(&moved.display().to_string()), "{words:?}");
    let mut login = computer.home().command(&words[0]);
    login
        .args(&words[1..])
        // A desktop knows nothing of these.
        .env_remove("GANGWAY_HOME")
        .env_remove("GANGWAY_PASSPHRASE_FILE")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let _host = Running::start(&mut login)?;
    // The session did not survive, which the page tells.
    let page = eventually("the port to be taken again", PATIENCE, || {
        Ok(get(port, "/").ok())
    })?;
    ensure!(page.starts_with("HTTP/1.1 50"), "{page}");
    computer.gangway(&["engine", "start"])?;
    computer.launch("stays", &[])?;
    computer.serve("stays", "after the restart")?;
    eventually("the tunnel to lead to the new session", PATIENCE, || {
        let page = get(port, "/").ok();
        Ok(page.filter(|page| page.contains("after the restart")))
    })?;

    let shown = computer.gangway(&["tunnel", "at-login", "off"])?;
    ensure!(
        shown["wanted"] == false && shown["state"] == "absent" && !file.exists(),
        "{shown}"
    );
    Ok(())
}

/// Another name than the test's beside it: a tunnel's port follows from its session's name.
#[test]
fn the_entry_comes_and_goes_with_the_tunnels_and_leaves_other_files_alone() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("leaves", &[])?;
    computer.serve("leaves", "here")?;
    let shown = computer.gangway(&["tunnel", "at-login", "on"])?;
    let file = PathBuf::from(shown["entry"].as_str().context("entry")?);
    ensure!(
        shown["wanted"] == true && !file.exists(),
        "no tunnel, and an entry: {shown}"
    );
    let open = || -> Result<String> {
        let tunnel = computer.gangway(&["tunnel", "open", "leaves", "8000", "--background"])?;
        Ok(tunnel["id"].as_str().context("id")?.to_owned())
    };
    let id = open()?;
    ensure!(file.exists(), "a tunnel, and no entry");
    computer.gangway(&["tunnel", "close", &id])?;
    ensure!(!file.exists(), "no tunnel any more, and an entry");
    open()?;
    // Ending the process for good forgets what was not to be kept.
    computer.gangway(&["proxy", "stop"])?;
    ensure!(!file.exists(), "nothing to bring back, and an entry");

    let foreign = "[Desktop Entry]\nType=Application\nName=Mine\nExec=true\n";
    fs::write(&file, foreign)?;
    open()?;
    ensure!(fs::read_to_string(&file)? == foreign, "overwritten");
    let shown = computer.gangway(&["tunnel", "at-login"])?;
    ensure!(shown["state"] == "foreign", "{shown}");
    let refused = computer.refused(&["tunnel", "at-login", "on"])?;
    refused.is(6, "file_exists")?;
    ensure!(fs::read_to_string(&file)? == foreign, "overwritten");
    let text = computer.text(&["tunnel", "at-login"])?;
    ensure!(text.contains("left alone"), "{text}");
    computer.gangway(&["tunnel", "at-login", "off"])?;
    ensure!(fs::read_to_string(&file)? == foreign, "removed");
    Ok(())
}

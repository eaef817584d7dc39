//! The main job in the terminal: from a computer that has never seen Gangway to a session that
//! was worked in, terminated and launched again; and what every command promises of its answer.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::computer::{Computer, has_keys, named, rows};
use tests::process::finish;

const SESSION_KEYS: &[&str] = &[
    "id",
    "name",
    "status",
    "type",
    "image",
    "project",
    "resource_group",
    "owner",
    "created_at",
    "terminated_at",
    "occupied_slots",
    "service_ports",
    "status_info",
    "result",
    "exit_code",
    "cluster_size",
];

#[test]
fn a_first_session_from_engine_start_to_relaunch() -> Result<()> {
    let computer = Computer::new()?;
    first_start(&computer)?;
    folders(&computer)?;
    launch_and_look(&computer)?;
    work(&computer)?;
    rename_and_remove(&computer)?;
    relaunch(&computer)?;
    end(&computer)
}

fn first_start(computer: &Computer) -> Result<()> {
    const KEYS: &[&str] = &[
        "running", "pid", "endpoint", "data_dir", "version", "sessions",
    ];
    let before = computer.gangway(&["engine", "status"])?;
    has_keys(&before, KEYS)?;
    ensure!(before["running"] == false, "{before}");
    computer.refused(&["whoami"])?.is(4, "not_logged_in")?;

    let started = computer.gangway(&["engine", "start"])?;
    has_keys(&started, KEYS)?;
    ensure!(
        started["running"] == true && started["sessions"] == 0,
        "{started}"
    );
    let endpoint = started["endpoint"].as_str().context("endpoint")?;
    ensure!(endpoint.starts_with("http://127.0.0.1:"), "{endpoint}");
    ensure!(
        computer.gangway(&["engine", "start"])?["pid"] == started["pid"],
        "a second start made a second engine"
    );

    let account = computer.gangway(&["login", "--keychain", "file"])?;
    ensure!(
        account["role"] == "superadmin"
            && account["domain"] == "default"
            && account["endpoint"] == endpoint
            && account["keychain"] == "file",
        "{account}"
    );
    ensure!(
        computer.gangway(&["whoami"])? == account,
        "whoami says something else"
    );
    the_secret_is_nowhere_in_the_clear(computer)
}

fn the_secret_is_nowhere_in_the_clear(computer: &Computer) -> Result<()> {
    let shown = computer.gangway(&["keypair", "show"])?;
    ensure!(
        shown["secret_key"].is_null(),
        "shown without being asked for"
    );
    let keypair = computer.gangway(&["keypair", "show", "--secret"])?;
    let secret = keypair["secret_key"].as_str().context("secret_key")?;
    ensure!(secret.len() >= 20, "{} characters", secret.len());
    for part in ["config", "state", "run"] {
        let mut folders = vec![computer.home().path("gangway").join(part)];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(&folder) else {
                continue;
            };
            for entry in entries {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(bytes) = fs::read(&path) {
                    ensure!(
                        !bytes
                            .windows(secret.len())
                            .any(|part| part == secret.as_bytes()),
                        "the secret key is in {}",
                        path.display()
                    );
                }
            }
        }
    }
    Ok(())
}

fn folders(computer: &Computer) -> Result<()> {
    let folder = computer.gangway(&["folder", "create", "data"])?;
    has_keys(
        &folder,
        &[
            "id",
            "name",
            "host",
            "permission",
            "usage_mode",
            "status",
            "created_at",
        ],
    )?;
    let list = computer.gangway(&["folder", "ls"])?;
    ensure!(
        named(rows(&list, "folders")?, "data")?["id"] == folder["id"],
        "{list}"
    );
    computer.gangway(&["folder", "mkdir", "data", "in/side"])?;
    let files = computer.gangway(&["folder", "files", "data"])?;
    ensure!(
        named(rows(&files, "entries")?, "in")?["kind"] == "directory",
        "{files}"
    );
    let inner = computer.gangway(&["folder", "files", "data", "in"])?;
    named(rows(&inner, "entries")?, "side")?;
    let images = computer.gangway(&["image", "ls"])?;
    let host = named(rows(&images, "images")?, "local/host:latest")?;
    ensure!(host["installed"] == true, "{host}");
    Ok(())
}

fn launch_and_look(computer: &Computer) -> Result<()> {
    let session = computer.gangway(&[
        "session",
        "launch",
        "first-steps",
        "--cpu",
        "1",
        "--mem",
        "512m",
        "--mount",
        "data",
        "--env",
        "GREETING=good day, world",
    ])?;
    has_keys(&session, SESSION_KEYS)?;
    ensure!(
        session["status"] == "RUNNING"
            && session["type"] == "interactive"
            && session["image"] == "local/host:latest"
            && session["cluster_size"] == 1
            && session["terminated_at"].is_null()
            && session["occupied_slots"]["cpu"] == "1",
        "{session}"
    );
    let id = session["id"].as_str().context("id")?;
    let list = computer.gangway(&["session", "ls"])?;
    let listed = named(rows(&list, "sessions")?, "first-steps")?;
    has_keys(listed, SESSION_KEYS)?;
    for reference in ["first-steps", id, &id[..8], "first-st"] {
        let shown = computer.gangway(&["session", "show", reference])?;
        ensure!(shown["id"] == id, "{reference} led to {shown}");
    }
    let table = computer.text(&["session", "ls"])?;
    ensure!(
        table.contains("first-steps") && table.contains("RUNNING"),
        "{table}"
    );
    ensure!(!table.contains('\u{1b}'), "colours in a pipe: {table:?}");
    computer
        .refused(&["session", "show", "nobody-here"])?
        .is(3, "session_not_found")?;
    let (status, words) = computer.refused_in_words(&["session", "show", "nobody-here"])?;
    ensure!(
        status == 3 && words.contains("nobody-here"),
        "{status}: {words}"
    );

    let apps = computer.gangway(&["app", "ls", "first-steps"])?;
    let apps = rows(&apps, "apps")?;
    ensure!(named(apps, "ttyd")?["state"] != "missing", "{apps:?}");
    let lab = named(apps, "jupyterlab")?;
    ensure!(
        lab["state"] == "missing" && lab["installable"] == true,
        "{lab}"
    );
    Ok(())
}

fn work(computer: &Computer) -> Result<()> {
    let said = computer.sh("first-steps", "echo out; echo err >&2; exit 3")?;
    ensure!(
        said.status == 3 && said.stdout == "out\n" && said.stderr == "err\n",
        "{said:?}"
    );
    let plain = finish(&mut computer.command(&[
        "session",
        "exec",
        "first-steps",
        "--",
        "sh",
        "-c",
        "echo \"$GREETING\"; exit 7",
    ]))?;
    ensure!(
        plain.stdout == b"good day, world\n" && plain.status.code() == Some(7),
        "{plain:?}"
    );
    ensure!(
        computer.ok("first-steps", "cd && pwd && id -un && echo $HOME")?
            == "/home/work\nwork\n/home/work"
    );
    computer.ok(
        "first-steps",
        "echo kept > data/in/side/kept.txt && echo lost > lost.txt",
    )?;
    let files = computer.gangway(&["folder", "files", "data", "in/side"])?;
    ensure!(
        named(rows(&files, "entries")?, "kept.txt")?["size"] == 5,
        "{files}"
    );
    Ok(())
}

fn rename_and_remove(computer: &Computer) -> Result<()> {
    let renamed = computer.gangway(&["session", "rename", "first-steps", "second-steps"])?;
    ensure!(renamed["name"] == "second-steps", "{renamed}");
    computer
        .refused(&["session", "show", "first-steps"])?
        .is(3, "session_not_found")?;
    computer.ok("second-steps", "cat data/in/side/kept.txt")?;

    // Nobody is at the terminal, so nobody has agreed.
    let unasked = computer.refused(&["session", "rm", "second-steps"])?;
    unasked.is(4, "confirmation_needed")?;
    ensure!(
        unasked.error.to_string().contains("lost.txt"),
        "not told what is lost: {}",
        unasked.error
    );
    ensure!(computer.gangway(&["session", "show", "second-steps"])?["status"] == "RUNNING");
    computer.gangway(&["session", "rm", "--yes", "second-steps"])?;
    let gone = ended(computer, "second-steps")?;
    has_keys(&gone, SESSION_KEYS)?;
    ensure!(!gone["terminated_at"].is_null(), "{gone}");
    let list = computer.gangway(&["session", "ls"])?;
    ensure!(rows(&list, "sessions")?.is_empty(), "{list}");
    Ok(())
}

/// A session that is no longer alive has to be looked for among all.
fn ended(computer: &Computer, name: &str) -> Result<Value> {
    let all = computer.gangway(&["session", "ls", "--all"])?;
    let session = named(rows(&all, "sessions")?, name)?;
    ensure!(session["status"] == "TERMINATED", "{session}");
    Ok(session.clone())
}

fn relaunch(computer: &Computer) -> Result<()> {
    let history = computer.gangway(&["history", "ls"])?;
    let launches = rows(&history, "launches")?;
    ensure!(launches.len() == 1, "{history}");
    has_keys(
        &launches[0],
        &[
            "id",
            "name",
            "title",
            "pinned",
            "request",
            "session_id",
            "launched_at",
        ],
    )?;
    let id = launches[0]["id"].as_str().context("id")?;
    let again = computer.gangway(&["history", "relaunch", id])?;
    ensure!(
        again["status"] == "RUNNING" && again["name"] == "first-steps",
        "{again}"
    );
    ensure!(
        computer.ok(
            "first-steps",
            "cat data/in/side/kept.txt; test ! -e lost.txt && echo $GREETING"
        )? == "kept\ngood day, world",
        "folder, fresh home or variable are not as they were"
    );
    computer.gangway(&["session", "rm", "--yes", "first-steps"])?;
    computer.gangway(&["folder", "rm", "--yes", "data"])?;
    let list = computer.gangway(&["folder", "ls"])?;
    ensure!(rows(&list, "folders")?.is_empty(), "{list}");
    Ok(())
}

fn end(computer: &Computer) -> Result<()> {
    computer.gangway(&["proxy", "stop"])?;
    computer.gangway(&["engine", "stop"])?;
    ensure!(computer.gangway(&["engine", "status"])?["running"] == false);
    let left = computer.processes();
    ensure!(left.is_empty(), "still running: {left:?}");
    Ok(())
}

#[test]
fn a_batch_job_ends_with_its_own_status_and_its_log() -> Result<()> {
    let computer = Computer::logged_in()?;
    let job = finish(&mut computer.command(&[
        "--json",
        "session",
        "launch",
        "a-job",
        "--cpu",
        "1",
        "--mem",
        "256m",
        "--batch",
        "echo from the job; exit 4",
        "--wait-result",
    ]))?;
    ensure!(job.status.code() == Some(4), "{job:?}");
    let job: Value = serde_json::from_slice(&job.stdout)?;
    ensure!(
        job["type"] == "batch" && job["result"] == "failure" && job["exit_code"] == 4,
        "{job}"
    );
    let id = job["id"].as_str().context("id")?;
    let logs = computer.text(&["session", "logs", id])?;
    ensure!(logs.contains("from the job"), "{logs}");
    ended(&computer, "a-job")?;
    Ok(())
}

#[test]
fn the_computer_can_be_asked_about() -> Result<()> {
    let computer = Computer::logged_in()?;
    let version = computer.gangway(&["version"])?;
    ensure!(version["version"] == env!("CARGO_PKG_VERSION"), "{version}");
    let paths = computer.gangway(&["paths"])?;
    for key in ["config", "state", "logs", "engine", "runtime"] {
        let path = paths[key].as_str().with_context(|| key.to_owned())?;
        let own = computer.home().path("gangway");
        ensure!(
            path.starts_with(&*own.to_string_lossy()),
            "{key} is at {path}"
        );
    }
    let doctor = computer.gangway(&["doctor"])?;
    let checks = rows(&doctor, "checks")?;
    for name in [
        "configuration",
        "sockets",
        "gangway-engine",
        "gangway-runner",
        "bubblewrap",
        "namespaces",
        "pasta",
        "tun",
        "route",
        "limits",
        "owners",
        "disk",
        "ssh",
        "engine",
        "keychain",
        "manager",
    ] {
        named(checks, name)?;
    }
    // Sandboxes are made by other tests on this computer, so the probe has to see that they can be.
    ensure!(named(checks, "namespaces")?["state"] == "ok", "{doctor}");
    for check in checks {
        has_keys(check, &["name", "state", "detail", "fix"])?;
        ensure!(
            check["state"] == "ok" || !check["detail"].as_str().unwrap_or_default().is_empty(),
            "{check}"
        );
        ensure!(check["state"] != "failed", "{check}");
    }
    // Usage errors are the parser's: status 2, and nothing done.
    let output = finish(&mut computer.command(&["session", "no-such-verb"]))?;
    ensure!(output.status.code() == Some(2), "{output:?}");
    ensure!(computer.text(&["--help"])?.contains("session"));
    ensure!(computer.text(&["completions", "bash"])?.contains("gangway"));
    Ok(())
}

//! Opening apps: how far they are, how long they may take, and what stays of a launch that failed.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::computer::{Computer, PATIENCE, kill, rows};
use tests::local_port::{get, get_with};
use tests::process::eventually;

/// Stands in the request, and must stand nowhere else.
const SECRET: &str = "planted-3f9c-secret";

/// Puts a program in the place of an app that every session knows.
fn put_app(computer: &Computer, session: &str, script: &str) -> Result<()> {
    let script = format!(
        "mkdir -p ~/.local/bin && cat > ~/.local/bin/tensorboard <<'X'\n{script}\nX\n\
         chmod +x ~/.local/bin/tensorboard"
    );
    computer.ok(session, &script).map(drop)
}

/// An app that prints a line each half a second and listens after some seconds.
fn slow(seconds: u32) -> String {
    format!(
        "#!/usr/bin/python3\n\
         import sys, time, http.server\n\
         open('/home/work/starts', 'a').write('x')\n\
         for step in range({}):\n    \
             print('loading step', step, flush=True); time.sleep(0.5)\n\
         port = int([a for a in sys.argv if a.startswith('--port=')][0][7:])\n\
         open('/home/work/index.html', 'w').write('<p>the slow app')\n\
         http.server.HTTPServer(('127.0.0.1', port), http.server.SimpleHTTPRequestHandler).serve_forever()",
        seconds * 2
    )
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key]
        .as_str()
        .with_context(|| format!("{key} in {value}"))
}

fn port_of(opened: &Value) -> Result<u16> {
    let port = opened["local_port"].as_u64().context("local_port")?;
    Ok(u16::try_from(port)?)
}

/// Whether any file below the folder holds the text.
fn holds(folder: &Path, text: &str) -> Result<bool> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let found = match fs::symlink_metadata(&path)? {
            found if found.is_dir() => holds(&path, text)?,
            found if found.is_file() => fs::read(&path)?
                .windows(text.len())
                .any(|part| part == text.as_bytes()),
            _ => false,
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

#[test]
fn what_failed_can_be_copied_after_a_restart_and_holds_no_secret() -> Result<()> {
    let computer = Computer::logged_in()?;
    let id = computer.launch("broken", &[])?;
    put_app(
        &computer,
        "broken",
        "#!/bin/sh\necho \"can't read $*\"\nexit 3",
    )?;
    let argument = format!("--arg=--logdir=/tmp/{SECRET}");
    let refused = computer.refused(&["app", "open", "broken", "tensorboard", &argument])?;
    refused.is(1, "app_failed")?;
    let launch = text(&refused.error["details"], "failed_launch")?;
    let hint = text(&refused.error, "hint")?;
    ensure!(
        hint.contains(&format!("gangway tunnel report {launch}")),
        "{hint}"
    );
    // A name that the manager refuses is repeated in its words; the value is not.
    let variable = format!("--env=NOT_ALLOWED={SECRET}");
    let refused = computer.refused(&["app", "open", "broken", "tensorboard", &variable])?;
    ensure!(refused.message.contains("NOT_ALLOWED"), "{refused:?}");

    let open = ["tunnel", "open", "broken", "8000", "--http", "--background"];
    let tunnel = computer.gangway(&open)?;
    let port = port_of(&tunnel)?;
    let page = get(port, "/")?;
    ensure!(page.starts_with("HTTP/1.1 50"), "{page}");

    kill(computer.host_pid()?)?;
    let list = computer.gangway(&["tunnel", "failures"])?;
    let launches = rows(&list, "launches")?;
    ensure!(launches.len() == 3, "{list}");
    ensure!(launches[0]["tunnel_id"] == tunnel["id"], "{list}");
    let kept = launches.iter().find(|it| it["id"] == launch);
    let kept = kept.with_context(|| list.to_string())?;
    ensure!(
        kept["session"] == id.as_str() && kept["code"] == "app_failed",
        "{kept}"
    );
    let report = computer.gangway(&["tunnel", "report", launch])?;
    let report = text(&report, "text")?;
    ensure!(text(kept, "text")? == report, "{kept}");
    for part in [
        "hop network done in ",
        "hop session done in ",
        "hop app failed after ",
        "(app_failed)",
        "status 500",
        "of tensorboard in session broken",
    ] {
        ensure!(report.contains(part), "{part} is not in {report}");
    }
    // The tunnel has come back, and what failed before is told with what fails now.
    let through = computer.gangway(&["tunnel", "report", &port.to_string()])?;
    let through = text(&through, "text")?;
    ensure!(
        through.contains("close code 1013") && through.contains("hop app failed after "),
        "{through}"
    );
    let all = format!("{list}{report}{through}");
    ensure!(!all.contains(SECRET), "{all}");
    for place in ["gangway/state", "gangway/logs", "gangway/config"] {
        let folder = computer.home().path(place);
        ensure!(
            !folder.exists() || !holds(&folder, SECRET)?,
            "it is in {place}"
        );
    }

    let list = computer.gangway(&["tunnel", "failures", "--forget"])?;
    ensure!(rows(&list, "launches")?.is_empty(), "{list}");
    Ok(())
}

#[test]
fn an_app_may_take_as_long_as_its_user_says() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("slow", &[])?;
    put_app(&computer, "slow", &slow(8))?;
    computer
        .refused(&["app", "limit", "tensorboard", "99999"])?
        .is(2, "invalid_input")?;
    let limits = computer.gangway(&["app", "limit", "tensorboard", "3"])?;
    ensure!(limits["limits"]["tensorboard"] == 3, "{limits}");
    let started = Instant::now();
    let refused = computer.refused(&["app", "open", "slow", "tensorboard"])?;
    refused.is(5, "app_timeout")?;
    ensure!(started.elapsed() >= Duration::from_secs(3));
    let lines = refused.error["details"]["lines"].to_string();
    ensure!(lines.contains("loading step"), "{}", refused.error);
    let hint = text(&refused.error, "hint")?;
    ensure!(hint.contains("gangway app limit tensorboard"), "{hint}");
    // It goes on: whoever waits longer waits for the same start.
    let wait = ["app", "open", "slow", "tensorboard", "--wait", "60"];
    let opened = computer.gangway(&wait)?;
    let page = get(port_of(&opened)?, "/index.html")?;
    ensure!(page.contains("the slow app"), "{page}");
    ensure!(computer.ok("slow", "cat starts")? == "x");

    // The words for a person name what it waits for.
    computer.gangway(&["app", "stop", "slow", "tensorboard"])?;
    eventually("the app to end", PATIENCE, || {
        let list = computer.gangway(&["app", "ls", "slow"])?;
        let apps = rows(&list, "apps")?;
        let app = apps.iter().find(|app| app["name"] == "tensorboard");
        Ok(app.filter(|app| app["state"] == "ready").cloned())
    })?;
    let mut command = computer.command(&wait);
    let said = tests::process::finish(&mut command)?;
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    ensure!(
        said.contains("tensorboard: running; waiting for its port"),
        "{said}"
    );
    Ok(())
}

#[test]
fn a_page_tells_how_far_its_app_is_and_becomes_it() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("pages", &[])?;
    put_app(&computer, "pages", &slow(6))?;
    let open = ["tunnel", "open", "pages", "tensorboard", "--background"];
    let port = port_of(&computer.gangway(&open)?)?;
    let page = |path: &str| get_with(port, path, "Accept: text/html\r\n");
    let first = page("/index.html")?;
    ensure!(
        first.starts_with("HTTP/1.1 503") && first.contains("tensorboard is starting"),
        "{first}"
    );
    ensure!(first.contains("http-equiv=\"refresh\""), "{first}");
    let mut seen = first;
    let whole = eventually("the app in the place of the page", PATIENCE, || {
        let page = page("/index.html")?;
        let is_there = page.contains("the slow app");
        if !is_there {
            seen.push_str(&page);
        }
        Ok(is_there.then_some(page))
    })?;
    ensure!(whole.starts_with("HTTP/1.0 200"), "{whole}");
    ensure!(
        seen.contains("Its port does not answer yet") && seen.contains("loading step"),
        "{seen}"
    );
    ensure!(
        computer.ok("pages", "cat starts")? == "x",
        "it was started twice"
    );

    // Later than it may be: the page says so and leaves the choice to the user.
    computer.gangway(&["app", "stop", "pages", "tensorboard"])?;
    computer.gangway(&["app", "limit", "tensorboard", "3"])?;
    put_app(&computer, "pages", &slow(8))?;
    let late = eventually("a page that leaves the choice", PATIENCE, || {
        let page = page("/index.html")?;
        Ok(page
            .contains("It takes longer than the 3 s")
            .then_some(page))
    })?;
    ensure!(!late.contains("http-equiv=\"refresh\""), "{late}");
    // A script has no use for such a page: it gets the app's own answer.
    computer.gangway(&["app", "limit", "tensorboard", "60"])?;
    let answer = get(port, "/index.html")?;
    ensure!(answer.contains("the slow app"), "{answer}");
    Ok(())
}

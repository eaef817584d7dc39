//! A file of a session in an editor of the user's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::home::Home;
use crate::process::eventually;
use crate::window::{PATIENCE, Window};

const F4: &str = "\u{e034}";

/// Opens a file in the home of a running session with an editor that only tells what it was given;
/// returns where the copy is that such an editor would save.
///
/// # Errors
/// When the file can't be made or opened.
pub async fn open_in_editor(
    home: &Home,
    window: &Window,
    session: &str,
    name: &str,
) -> Result<PathBuf> {
    let editor = home.path("bin/my-editor");
    let opened = home.path("opened");
    let script = format!("#!/bin/sh\nprintf %s \"$1\" > '{}'\n", opened.display());
    fs::write(&editor, script)?;
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755))?;
    let mut settings = home.gangway(&["call", "settings.get", "{}"])?;
    settings["editor"] = "my-editor".into();
    home.gangway(&["call", "settings.set", &settings.to_string()])?;
    let write = format!("echo of the session > /home/work/{name}");
    home.gangway(&["session", "exec", session, "--", "sh", "-c", &write])?;

    let shown = home.gangway(&["session", "show", session])?;
    let id = shown["id"].as_str().context("id")?;
    window.go(&format!("/sessions?open={id}&tab=files")).await?;
    window.click(&format!("files.row.remote.{name}")).await?;
    window.keys(F4).await?;
    let copy = window
        .eventually("the editor to be started", async || {
            Ok(fs::read_to_string(&opened).ok().filter(|it| !it.is_empty()))
        })
        .await?;
    let open = format!("[data-testid=\"files.editing.{name}\"][data-state=\"same\"]");
    window.css(&open).await?;
    Ok(copy.into())
}

/// Waits until a file of a session holds `text`.
///
/// # Errors
/// When it never does; the message says what it held at last.
pub fn session_has(home: &Home, session: &str, name: &str, text: &str) -> Result<()> {
    let mut last = String::new();
    // A file that is not there yet is no failure.
    let read = ["--", "sh", "-c", "cat \"$0\" || true", name];
    let held = eventually("what was saved to be put back", PATIENCE, || {
        let answer = home.gangway(&[&["session", "exec", session][..], &read].concat())?;
        last = answer["stdout"].as_str().unwrap_or_default().to_owned();
        Ok((last == text).then_some(()))
    });
    held.with_context(|| format!("{name} holds {last:?}"))?;
    ensure!(last == text);
    Ok(())
}

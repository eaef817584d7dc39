//! Editors of this computer that work inside a session, over its SSH server.

use std::process::{Command, Stdio};

use crate::context::Context;
use crate::system::on_path;
use crate::types::{Failure, FailureCode, Nothing, SessionRef};

/// Editors of one family, in the order of how likely they are wanted.
const EDITORS: [&str; 6] = [
    "code",
    "codium",
    "code-insiders",
    "cursor",
    "windsurf",
    "code-oss",
];
/// Where a session's own files lie.
const HOME: &str = "/home/work";

pub(crate) async fn open(context: &Context, request: SessionRef) -> Result<Nothing, Failure> {
    let info = crate::ssh::info(context, request).await?;
    if !crate::ssh::is_installed(context)? {
        let message = "the editor finds sessions through the SSH configuration";
        return Err(Failure::new(FailureCode::ConfirmationNeeded, message)
            .hint("install it first: `gangway ssh-config install`"));
    }
    let Some(program) = EDITORS.into_iter().find_map(on_path) else {
        let message = "Visual Studio Code was not found on this computer";
        return Err(Failure::new(FailureCode::ProgramMissing, message)
            .hint("install it, with its command `code`"));
    };
    let mut child = Command::new(&program)
        .arg("--folder-uri")
        .arg(format!("vscode-remote://ssh-remote+{}{HOME}", info.host))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| {
            let message = format!("{}: {error}", program.display());
            Failure::new(FailureCode::ProgramMissing, message)
        })?;
    // Somebody has to take note of its end.
    std::thread::spawn(move || child.wait());
    Ok(Nothing {})
}

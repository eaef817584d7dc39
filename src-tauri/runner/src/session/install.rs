//! Brings an app into the session with pip or npm.

use std::{io, process::Stdio, sync::Arc};

use nix::sys::signal::{Signal, killpg};
use protocol::runner::{Answer, Fault, FaultKind};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::{UnixStream, unix::pipe},
};

use super::{
    Session,
    apps::{self, Source},
    children::Children,
    frame,
};

/// Installs an app, streaming the installer's words; an engine that hangs up stops it.
pub(super) async fn run(
    mut stream: UnixStream,
    session: &Arc<Session>,
    app: &str,
) -> io::Result<()> {
    let fault = |kind, message: String| Answer::Failed(Fault { kind, message });
    let Some(source) = apps::source(app) else {
        let answer = fault(
            FaultKind::NotFound,
            format!("{app} can't be installed into a session"),
        );
        return frame::write(&mut stream, &answer).await;
    };
    let installer = source.installer();
    if session.environ.find(installer).is_none() {
        let message = format!("{app} is installed with {installer}, which this computer lacks");
        let answer = fault(FaultKind::NotFound, message);
        return frame::write(&mut stream, &answer).await;
    }
    let mut command = Children::command("/bin/sh", None);
    match source {
        Source::Pip(package) => command.args([
            "-c",
            "exec python3 -m pip install --progress-bar off --no-input \"$1\" 2>&1",
            "sh",
            package,
        ]),
        Source::Npm(script) => command.args(["-c", &format!("exec 2>&1\n{script}")]),
    };
    command.envs(session.environ.iter());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut started = session.children.spawn(&mut command)?;
    if let Some(stdout) = started.child.stdout.take() {
        let mut lines = BufReader::new(pipe::Receiver::from_owned_fd(stdout.into())?).lines();
        let mut hung_up = [0];
        loop {
            tokio::select! {
                line = lines.next_line() => match line {
                    Ok(Some(text)) => frame::write(&mut stream, &Answer::Line { text }).await?,
                    _ => break,
                },
                _ = stream.read(&mut hung_up) => {
                    // It may have ended at this very moment.
                    let _ = killpg(started.pid, Signal::SIGTERM);
                    return Ok(());
                }
            }
        }
    }
    let exit_code = started.exit.await.map_or(-1, ssh::server::ExitStatus::code);
    frame::write(&mut stream, &Answer::Installed { exit_code }).await
}

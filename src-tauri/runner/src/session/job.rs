//! The bootstrap script and the batch job.

use std::{process::Stdio, sync::Arc, time::Duration};

use nix::sys::signal::{Signal, killpg};
use protocol::runner::{NoticeCode, launch::ExitNote};
use tokio::net::unix::pipe;

use super::{
    Session,
    children::{Children, Started},
    environ,
};

/// Time that programs get between SIGTERM and SIGKILL when a job is over.
const GRACE: Duration = Duration::from_secs(2);

/// Runs the bootstrap script to its end. A failure is told, not fatal.
pub(super) async fn bootstrap(session: &Session) {
    let Some(script) = &session.plan.bootstrap_script else {
        return;
    };
    if script.trim().is_empty() {
        return;
    }
    let code = match start(session, script) {
        Ok(started) => finish(session, started).await,
        Err(error) => {
            session
                .journal
                .write(format!("bootstrap: {error}\n").as_bytes());
            -1
        }
    };
    if code != 0 {
        session.notices.add(
            NoticeCode::BootstrapFailed,
            format!("the bootstrap script ended with code {code}"),
        );
    }
}

/// Runs the batch job; the session ends with it.
pub(super) async fn batch(session: Arc<Session>) {
    let Some(job) = &session.plan.batch else {
        return;
    };
    let note = match start(&session, &job.command) {
        Err(error) => {
            session.journal.write(format!("{error}\n").as_bytes());
            ExitNote::BatchFinished { exit_code: -1 }
        }
        Ok(started) => {
            let group = started.pid;
            let limit = job.timeout.unwrap_or(Duration::MAX);
            match tokio::time::timeout(limit, finish(&session, started)).await {
                Ok(exit_code) => ExitNote::BatchFinished { exit_code },
                Err(_) => {
                    // It may have ended at this very moment.
                    let _ = killpg(group, Signal::SIGTERM);
                    ExitNote::BatchTimeout
                }
            }
        }
    };
    session.lifetime.end(&note, GRACE).await;
}

fn start(session: &Session, script: &str) -> std::io::Result<Started> {
    let mut command = Children::command(environ::shell(), None);
    command.arg("-c").arg(script).envs(session.environ.iter());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    session.children.spawn(&mut command)
}

/// Copies the output into the log and waits for the end; gives the exit code.
async fn finish(session: &Session, mut started: Started) -> i32 {
    let stdout = started
        .child
        .stdout
        .take()
        .map(|pipe| pipe::Receiver::from_owned_fd(pipe.into()));
    let stderr = started
        .child
        .stderr
        .take()
        .map(|pipe| pipe::Receiver::from_owned_fd(pipe.into()));
    let copy = async |stream: Option<std::io::Result<pipe::Receiver>>| {
        if let Some(Ok(stream)) = stream {
            session.journal.drain(stream, |_| {}).await;
        }
    };
    let ended = async {
        let status = started.exit.await;
        // What the job left running may hold its output open for ever.
        tokio::time::sleep(Duration::from_millis(100)).await;
        status
    };
    tokio::pin!(ended);
    let both = async { tokio::join!(copy(stdout), copy(stderr)) };
    tokio::pin!(both);
    let status = tokio::select! {
        status = &mut ended => status,
        _ = &mut both => ended.await,
    };
    status.map_or(-1, ssh::server::ExitStatus::code)
}

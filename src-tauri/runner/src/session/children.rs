//! Starts processes and collects those that ended: the runner is the session's first process, so
//! orphans become its children too.

use std::{
    collections::HashMap,
    ffi::OsStr,
    io,
    path::Path,
    process::{Child, Command},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nix::{
    errno::Errno,
    sys::wait::{WaitPidFlag, WaitStatus, waitpid},
    unistd::Pid,
};
use protocol::runner::launch::{HOME, RUNNER_PATH};
use ssh::server::ExitStatus;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

type Waiting = HashMap<i32, oneshot::Sender<ExitStatus>>;

/// The session's processes, as far as the runner started them.
pub(super) struct Children {
    waiting: Mutex<Waiting>,
}

/// A process that was started: it leads its own session and process group.
pub(super) struct Started {
    pub(super) pid: Pid,
    pub(super) child: Child,
    pub(super) exit: oneshot::Receiver<ExitStatus>,
}

impl Children {
    /// Begins to collect ended processes. Needs the runtime.
    pub(super) fn new() -> io::Result<Arc<Self>> {
        let children = Arc::new(Self {
            waiting: Mutex::default(),
        });
        let mut ended = signal(SignalKind::child())?;
        let reaper = children.clone();
        tokio::spawn(async move {
            while ended.recv().await.is_some() {
                reaper.reap();
            }
        });
        Ok(children)
    }

    /// A command for a program of the session; `terminal` becomes its controlling terminal.
    pub(super) fn command(program: impl AsRef<OsStr>, terminal: Option<&Path>) -> Command {
        let mut command = Command::new(RUNNER_PATH);
        command.arg("exec");
        if let Some(path) = terminal {
            command.arg("--tty").arg(path);
        }
        command.arg("--").arg(program).current_dir(HOME).env_clear();
        command
    }

    /// Starts a command made by [`Children::command`].
    pub(super) fn spawn(&self, command: &mut Command) -> io::Result<Started> {
        // Held while starting: a process that ends at once must find its place in the map, and
        // the standard library must be the one to collect a process that could not be started.
        let mut waiting = self.lock();
        let child = command.spawn()?;
        let pid = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
        let (told, exit) = oneshot::channel();
        waiting.insert(pid.as_raw(), told);
        Ok(Started { pid, child, exit })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reap(&self) {
        let mut waiting = self.lock();
        loop {
            let (pid, status) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (
                    pid,
                    ExitStatus::Code(u8::try_from(code & 0xff).unwrap_or(255)),
                ),
                Ok(WaitStatus::Signaled(pid, signal, _)) => {
                    (pid, ExitStatus::Signal(signal as i32))
                }
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                Err(Errno::EINTR) | Ok(_) => continue,
                Err(error) => {
                    tracing::warn!(%error, "can't collect ended processes");
                    return;
                }
            };
            if let Some(told) = waiting.remove(&pid.as_raw()) {
                // Nobody may be interested any more.
                let _ = told.send(status);
            }
        }
    }
}

//! Shells and commands for the SSH server.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use async_trait::async_trait;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use protocol::runner::launch::HOME;
use ssh::server::{ChildIo, Host, Order, Process, ProcessControl, PtySize};
use tokio::net::unix::pipe;

use super::{Session, children::Children, environ, pty::Pty};

/// Starts what SSH clients ask for.
pub(super) struct Shells {
    session: Arc<Session>,
}

impl Shells {
    pub(super) fn new(session: Arc<Session>) -> Self {
        Self { session }
    }
}

#[async_trait]
impl Host for Shells {
    async fn authorized_keys(&self) -> String {
        let path = Path::new(HOME).join(".ssh/authorized_keys");
        tokio::fs::read_to_string(path).await.unwrap_or_default()
    }

    async fn spawn(&self, order: Order) -> io::Result<Process> {
        match &order.pty {
            Some((term, size)) => self.on_terminal(&order, term, *size),
            None => self.on_pipes(&order),
        }
    }

    fn home(&self) -> PathBuf {
        PathBuf::from(HOME)
    }

    fn sockets(&self) -> PathBuf {
        PathBuf::from("/tmp")
    }
}

impl Shells {
    fn command(&self, order: &Order, terminal: Option<&Path>) -> std::process::Command {
        let shell = environ::shell();
        let mut command = Children::command(&shell, terminal);
        match &order.command {
            Some(text) => command.arg("-c").arg(text),
            None => command.arg("-l"),
        };
        command.envs(self.session.environ.iter());
        command.envs(order.environ.iter().map(|(name, value)| (name, value)));
        command.env("SSH_CONNECTION", "127.0.0.1 0 127.0.0.1 2200");
        command
    }

    fn on_terminal(&self, order: &Order, term: &str, size: PtySize) -> io::Result<Process> {
        let (pty, path) = Pty::open(size)?;
        let mut command = self.command(order, Some(&path));
        command.env("TERM", term).env("SSH_TTY", &path);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let started = self.session.children.spawn(&mut command)?;
        Ok(Process {
            io: ChildIo::Pty {
                output: Box::new(pty.clone()),
                input: Box::new(pty.clone()),
            },
            control: Box::new(Control {
                pid: started.pid,
                pty: Some(pty),
            }),
            exit: started.exit,
        })
    }

    fn on_pipes(&self, order: &Order) -> io::Result<Process> {
        let mut command = self.command(order, None);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut started = self.session.children.spawn(&mut command)?;
        let gone = || io::Error::other("the process has no streams");
        let stdin = started.child.stdin.take().ok_or_else(gone)?;
        let stdout = started.child.stdout.take().ok_or_else(gone)?;
        let stderr = started.child.stderr.take().ok_or_else(gone)?;
        Ok(Process {
            io: ChildIo::Pipes {
                stdin: Box::new(pipe::Sender::from_owned_fd(stdin.into())?),
                stdout: Box::new(pipe::Receiver::from_owned_fd(stdout.into())?),
                stderr: Box::new(pipe::Receiver::from_owned_fd(stderr.into())?),
            },
            control: Box::new(Control {
                pid: started.pid,
                pty: None,
            }),
            exit: started.exit,
        })
    }
}

struct Control {
    pid: Pid,
    pty: Option<Pty>,
}

impl ProcessControl for Control {
    fn resize(&self, size: PtySize) {
        if let Some(Err(error)) = self.pty.as_ref().map(|pty| pty.resize(size)) {
            tracing::debug!(%error, "can't resize a terminal");
        }
    }

    fn signal(&self, name: &str) {
        if let Ok(signal) = format!("SIG{name}").parse::<Signal>() {
            // The process may have ended in the meantime.
            let _ = killpg(self.pid, signal);
        }
    }

    fn hang_up(&self) {
        let _ = killpg(self.pid, Signal::SIGHUP);
    }
}

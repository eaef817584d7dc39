//! What a started process looks like to the server.

use std::fmt;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
};

/// A process that a client asks for.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Given to the user's shell; a login shell when absent.
    pub command: Option<String>,
    /// Variables that the client sent.
    pub environ: Vec<(String, String)>,
    /// Wants a terminal, of this type and size.
    pub pty: Option<(String, PtySize)>,
}

/// Size of a terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PtySize {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// Ends of a process's standard streams.
pub enum ChildIo {
    /// One terminal for all.
    Pty {
        /// What it prints.
        output: Box<dyn AsyncRead + Send + Unpin>,
        /// What is typed.
        input: Box<dyn AsyncWrite + Send + Unpin>,
    },
    /// Three pipes.
    Pipes {
        /// Standard input.
        stdin: Box<dyn AsyncWrite + Send + Unpin>,
        /// Standard output.
        stdout: Box<dyn AsyncRead + Send + Unpin>,
        /// Standard error.
        stderr: Box<dyn AsyncRead + Send + Unpin>,
    },
}

impl fmt::Debug for ChildIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pty { .. } => "Pty",
            Self::Pipes { .. } => "Pipes",
        })
    }
}

/// A running process.
pub struct Process {
    /// Its streams.
    pub io: ChildIo,
    /// Signals and size.
    pub control: Box<dyn ProcessControl>,
    /// Told once when it has ended.
    pub exit: oneshot::Receiver<ExitStatus>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("io", &self.io)
            .finish_non_exhaustive()
    }
}

/// What can be done to a running process from afar.
pub trait ProcessControl: Send + Sync {
    /// Tells the terminal its new size.
    fn resize(&self, size: PtySize);
    /// Sends a signal by its SSH name (`INT`, `TERM`, …) to the whole process group.
    fn signal(&self, name: &str);
    /// The client is gone: hang up.
    fn hang_up(&self);
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// By itself.
    Code(u8),
    /// By a signal, with its number.
    Signal(i32),
}

impl ExitStatus {
    /// As a shell would say it: 128 + n for signal n.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => i32::from(code),
            Self::Signal(signal) => 128 + signal,
        }
    }
}

//! `gangway ssh-proxy`: standard input and output to a session's SSH server. `ssh` waits for it
//! at every connection, so it does nothing else.

use std::io;

use commands::types::{Failure, FailureCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::Program;

/// What the manager sends at most in one frame.
const BUFFER: usize = 256 * 1024;

pub(crate) async fn run(program: &Program, session: &str) -> Result<(), Failure> {
    let stream = program.table.ssh_stream(session).await?;
    let (mut from, mut to) = tokio::io::split(stream);
    let (mut input, mut output) = standard_streams();
    let up = async {
        copy(&mut input, &mut to).await?;
        to.shutdown().await
    };
    let down = copy(&mut from, &mut output);
    // Whichever side closes first, the other has nothing more to say: both are one SSH client
    // and one SSH server.
    let moved = tokio::select! {
        moved = up => moved,
        moved = down => moved,
    };
    match moved {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(
            FailureCode::TunnelFailed,
            format!("the connection broke: {error}"),
        )),
        _ => Ok(()),
    }
}

async fn copy<R, W>(from: &mut R, to: &mut W) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..count]).await?;
        to.flush().await?;
    }
}

type Reader = Box<dyn AsyncRead + Unpin>;
type Writer = Box<dyn AsyncWrite + Unpin>;

/// `ssh` gives pipes or a socket, which the event loop can wait for. Anything else (a file, a
/// terminal) goes through a thread.
#[cfg(unix)]
fn standard_streams() -> (Reader, Writer) {
    use std::os::fd::AsFd;
    use tokio::net::unix::pipe::{Receiver, Sender};
    let input = io::stdin().as_fd().try_clone_to_owned().ok();
    let output = io::stdout().as_fd().try_clone_to_owned().ok();
    let reader: Reader = match input.and_then(|fd| Receiver::from_owned_fd(fd).ok()) {
        Some(pipe) => Box::new(pipe),
        None => socket(io::stdin().as_fd()).map_or_else(
            || Box::new(tokio::io::stdin()) as Reader,
            |socket| Box::new(socket),
        ),
    };
    let writer: Writer = match output.and_then(|fd| Sender::from_owned_fd(fd).ok()) {
        Some(pipe) => Box::new(pipe),
        None => socket(io::stdout().as_fd()).map_or_else(
            || Box::new(tokio::io::stdout()) as Writer,
            |socket| Box::new(socket),
        ),
    };
    (reader, writer)
}

#[cfg(unix)]
fn socket(fd: std::os::fd::BorrowedFd<'_>) -> Option<tokio::net::UnixStream> {
    use std::os::unix::fs::FileTypeExt;
    let file = std::fs::File::from(fd.try_clone_to_owned().ok()?);
    if !file.metadata().ok()?.file_type().is_socket() {
        return None;
    }
    let socket = std::os::unix::net::UnixStream::from(std::os::fd::OwnedFd::from(file));
    socket.set_nonblocking(true).ok()?;
    tokio::net::UnixStream::from_std(socket).ok()
}

#[cfg(not(unix))]
fn standard_streams() -> (Reader, Writer) {
    (Box::new(tokio::io::stdin()), Box::new(tokio::io::stdout()))
}

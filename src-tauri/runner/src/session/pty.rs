//! Pseudo-terminals for tokio.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use ssh::server::PtySize;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, unix::AsyncFd};

/// The outer end of a terminal. Clones are the same terminal.
#[derive(Clone)]
pub(super) struct Pty {
    master: Arc<AsyncFd<OwnedFd>>,
}

impl Pty {
    /// Makes a terminal; gives the path of its inner end too.
    pub(super) fn open(size: PtySize) -> io::Result<(Self, PathBuf)> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let path = PathBuf::from(std::ffi::OsString::from_vec(
            ptsname(&master, Vec::new())?.into_bytes(),
        ));
        rustix::io::ioctl_fionbio(&master, true)?;
        let pty = Self {
            master: Arc::new(watch(master)?),
        };
        pty.resize(size)?;
        Ok((pty, path))
    }

    /// The process group in the foreground, where there is one.
    pub(super) fn foreground(&self) -> Option<i32> {
        let group = rustix::termios::tcgetpgrp(self.master.as_fd()).ok()?;
        Some(group.as_raw_nonzero().get())
    }

    /// Tells the terminal, and with it the programs in it, its size.
    pub(super) fn resize(&self, size: PtySize) -> io::Result<()> {
        tcsetwinsize(
            self.master.as_fd(),
            Winsize {
                ws_row: size.rows,
                ws_col: size.columns,
                ws_xpixel: 0,
                ws_ypixel: 0,
            },
        )?;
        Ok(())
    }
}

#[expect(
    unsafe_code,
    reason = "tokio can't see that an owned descriptor stays open"
)]
fn watch(master: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open and stays the same descriptor until it is dropped, which the
    // `AsyncFd` does.
    Ok(unsafe { AsyncFd::register(master) }?)
}

impl AsyncRead for Pty {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.master.poll_read_ready(cx))?;
            let space = buffer.initialize_unfilled();
            match ready.try_io(|fd| Ok(rustix::io::read(fd, &mut *space)?)) {
                Ok(result) => {
                    buffer.advance(result?);
                    return Poll::Ready(Ok(()));
                }
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Pty {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.master.poll_write_ready(cx))?;
            match ready.try_io(|fd| Ok(rustix::io::write(fd, bytes)?)) {
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

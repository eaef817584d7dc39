//! Streams that were made before anybody needs them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use client::ServiceStream;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tunnel::Held;

/// So long a stream is used again and again: whoever has logged out is to get no further on one
/// that was made before.
const USED_FOR: Duration = Duration::from_secs(10);

/// A stream that waits for its use.
pub(crate) struct Waiting {
    stream: ServiceStream,
    since: Instant,
}

impl From<ServiceStream> for Waiting {
    fn from(stream: ServiceStream) -> Self {
        let since = Instant::now();
        Self { stream, since }
    }
}

impl Held for Waiting {
    fn begin(&mut self) {
        self.stream.begin();
    }

    fn is_there(&mut self) -> BoxFuture<'_, bool> {
        self.stream.is_there().boxed()
    }

    fn again(&mut self) -> bool {
        self.since.elapsed() < USED_FOR && self.stream.reuse()
    }
}

impl AsyncRead for Waiting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Waiting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

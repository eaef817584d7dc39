//! The frames' payload as a stream of bytes.

mod outbox;
mod read;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::frame::{self, Kind};
use outbox::Outbox;

/// Frames are not longer than this: as large as the manager's own pieces.
const LONGEST_FRAME: usize = 256 * 1024;
/// What is read when a header is due. Short messages come whole with it; of long ones the rest
/// goes straight into the reader's own buffer.
const HELD: usize = 4096;
/// Answers to pings that nobody takes are dropped beyond this.
const MOST_UNSENT: usize = 64 * 1024;
/// The text by which one end says that it will send nothing more, where the other can still
/// answer. Managers that do not know it ignore texts.
const EOF: &[u8] = b"eof";

/// Close codes of the manager.
pub mod code {
    /// Done.
    pub const NORMAL: u16 = 1000;
    /// The far side has closed the connection.
    pub const GOING_AWAY: u16 = 1001;
    /// What arrived breaks the rules.
    pub const PROTOCOL: u16 = 1002;
    /// No code was given.
    pub const NONE: u16 = 1005;
    /// The far side could not be reached, for a reason that does not pass by itself.
    pub const INTERNAL: u16 = 1011;
    /// Nothing listens there yet.
    pub const TRY_AGAIN: u16 = 1013;
}

/// Which end this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Masks what it sends.
    Client,
    /// Does not.
    Server,
}

/// How a link that died without a word is noticed: by a ping after so long a silence; no answer
/// for as long again ends the connection.
#[derive(Debug, Clone, Copy)]
pub struct KeepAlive {
    /// How long the silence is.
    pub every: Duration,
}

/// Why the other end closed the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", if reason.is_empty() { format!("the other end closed the stream with code {code}") } else { reason.clone() })]
pub struct Close {
    /// Close code (RFC 6455 §7.4).
    pub code: u16,
    /// What it said.
    pub reason: String,
}

impl Close {
    fn parse(payload: &[u8]) -> Self {
        match payload.split_first_chunk::<2>() {
            Some((code, reason)) => Self {
                code: u16::from_be_bytes(*code),
                reason: String::from_utf8_lossy(reason).into_owned(),
            },
            None => Self {
                code: code::NONE,
                reason: String::new(),
            },
        }
    }

    /// The end of the connection as a reader sees it.
    fn result(self) -> io::Result<()> {
        let kind = match self.code {
            // 1001 is how the manager says that the service has closed its side.
            code::NORMAL | code::GOING_AWAY | code::NONE => return Ok(()),
            code::TRY_AGAIN => io::ErrorKind::ConnectionRefused,
            code::INTERNAL => io::ErrorKind::ConnectionReset,
            _ => io::ErrorKind::Other,
        };
        Err(io::Error::new(kind, self))
    }
}

/// What is known of the frame that is being read.
#[derive(Debug, Clone, Copy, Default)]
struct Current {
    left: u64,
    mask: Option<[u8; 4]>,
    phase: usize,
    /// A text, which nobody reads.
    ignored: bool,
}

/// A connection's bytes, to and from the other end of a WebSocket.
///
/// `shutdown` says that nothing more will come from here, and leaves the other direction open.
/// Both directions may be used from different tasks. Back-pressure is the transport's: a write is
/// taken when the one before has left.
pub struct Socket<S> {
    io: S,
    role: Role,
    held: Box<[u8]>,
    from: usize,
    to: usize,
    current: Current,
    /// The kind of a message that comes in several frames.
    message: Option<Kind>,
    /// Nothing more can be read.
    over: bool,
    unsent: Outbox,
    writer: Option<Waker>,
    closing: bool,
    /// Each end has said, in order, that it will send nothing more.
    said_eof: bool,
    heard_eof: bool,
    /// Whether an empty frame is worth telling, and whether one came.
    waits: bool,
    nudged: bool,
    /// What was sent with a ping whose answer somebody waits for.
    question: Option<[u8; 4]>,
    keep_alive: Option<Alive>,
}

#[derive(Debug)]
struct Alive {
    every: Duration,
    sleep: Pin<Box<Sleep>>,
    heard: bool,
    asked: bool,
}

impl<S> std::fmt::Debug for Socket<S> {
    /// Without the bytes that nobody has read yet: they are the user's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket")
            .field("role", &self.role)
            .field("held", &(self.to - self.from))
            .field("unsent", &self.unsent.len())
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// The payload of an upgraded connection. Needs a runtime with a clock for `keep_alive`.
    pub fn new(io: S, role: Role, keep_alive: Option<KeepAlive>) -> Self {
        let keep_alive = keep_alive.map(|KeepAlive { every }| Alive {
            every,
            sleep: Box::pin(tokio::time::sleep(every)),
            heard: true,
            asked: false,
        });
        Self {
            io,
            role,
            held: vec![0; HELD].into_boxed_slice(),
            from: 0,
            to: 0,
            current: Current::default(),
            message: None,
            over: false,
            unsent: Outbox::default(),
            writer: None,
            closing: false,
            said_eof: false,
            heard_eof: false,
            waits: false,
            nudged: false,
            question: None,
            keep_alive,
        }
    }

    /// Puts a frame without bytes of the connection in line; it goes out with the next flush.
    /// A manager that waits for the first frame begins with it.
    pub fn nudge(&mut self) {
        self.put(Kind::Binary, &[]);
    }

    /// Asks whether the other end is there, while nothing is due from it; one round trip. `false`: it
    /// is not, or something else came. A link that is gone without a word gives no answer at all.
    pub async fn is_there(&mut self) -> bool {
        let question: [u8; 4] = rand::random();
        self.question = Some(question);
        self.put(Kind::Ping, &question);
        let flushed = std::future::poll_fn(|context| Pin::new(&mut *self).poll_flush(context));
        if flushed.await.is_err() {
            return false;
        }
        let mut byte = [0];
        std::future::poll_fn(|context| {
            let mut space = ReadBuf::new(&mut byte);
            let read = ready!(self.poll_more(context, &mut space));
            let only_answer = read.is_ok() && space.filled().is_empty() && !self.over;
            Poll::Ready(only_answer && self.question.is_none())
        })
        .await
    }

    /// Makes the socket ready for another connection, where both ends have said that the last one
    /// is over and neither has broken off. `false`: it can't be used again.
    pub fn reuse(&mut self) -> bool {
        let clean = self.said_eof && self.heard_eof && !self.over && self.unsent.is_empty();
        if clean {
            (self.said_eof, self.heard_eof, self.closing) = (false, false, false);
        }
        clean
    }

    /// Waits for the other end to begin, by [`Self::nudge`] or by bytes: how many of them are in
    /// `buffer`. `None`: it has gone instead.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn begun(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        std::future::poll_fn(|context| {
            let mut filled = ReadBuf::new(buffer);
            self.nudged = false;
            self.waits = true;
            let read = self.poll_more(context, &mut filled);
            self.waits = false;
            let length = filled.filled().len();
            read.map_ok(|()| (length > 0 || self.nudged).then_some(length))
        })
        .await
    }

    /// Ends the connection with a code, for the other end to see.
    ///
    /// # Errors
    /// When the transport fails.
    pub async fn close(&mut self, code: u16, reason: &str) -> io::Result<()> {
        self.put_close(code, reason);
        std::future::poll_fn(|context| self.poll_drain(context)).await?;
        std::future::poll_fn(|context| Pin::new(&mut self.io).poll_flush(context)).await
    }

    fn put_close(&mut self, code: u16, reason: &str) {
        if std::mem::replace(&mut self.closing, true) {
            return;
        }
        // A close frame carries at most 123 bytes of reason.
        let mut end = reason.len().min(120);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend_from_slice(&reason.as_bytes()[..end]);
        self.put(Kind::Close, &payload);
    }

    fn key(&self) -> Option<[u8; 4]> {
        // Fresh for each frame and not to be guessed (§10.3): it is there so that no web page can
        // write what it likes onto a line with old proxies.
        (self.role == Role::Client).then(rand::random)
    }

    /// Puts a frame behind what has not left yet.
    fn put(&mut self, kind: Kind, payload: &[u8]) {
        let key = self.key();
        let (header, length) = frame::header(kind, payload.len(), key);
        self.unsent.push(&header[..length]);
        match key {
            Some(key) => self.unsent.push_masked(payload, key),
            None => self.unsent.push(payload),
        }
    }

    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(context, self.unsent.rest()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.unsent.left(written),
            }
        }
        self.unsent.reset();
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
        Poll::Ready(Ok(()))
    }

    /// As [`Self::poll_drain`], for whoever writes: a reader that drains wakes it.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let drained = self.poll_drain(context);
        if drained.is_pending() {
            self.writer = Some(context.waker().clone());
        }
        drained
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if this.closing {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(this.poll_room(context))?;
        let piece = &bytes[..bytes.len().min(LONGEST_FRAME)];
        if this.role == Role::Server && this.io.is_write_vectored() {
            // Nothing has to be masked, so nothing has to be copied.
            let (header, length) = frame::header(Kind::Binary, piece.len(), None);
            let both = [IoSlice::new(&header[..length]), IoSlice::new(piece)];
            let written = match Pin::new(&mut this.io).poll_write_vectored(context, &both) {
                Poll::Ready(written) => written?,
                Poll::Pending => return Poll::Pending,
            };
            if written < length {
                this.unsent.push(&header[written..length]);
            }
            let rest = written.saturating_sub(length);
            this.unsent.push(&piece[rest..]);
            return Poll::Ready(Ok(piece.len()));
        }
        this.put(Kind::Binary, piece);
        // What does not leave now leaves with the next flush or write.
        match this.poll_room(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(piece.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_room(context))?;
        Pin::new(&mut this.io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.closing, true) {
            // A close frame would make the manager drop what the service still has to say.
            this.put(Kind::Text, EOF);
            this.said_eof = true;
        }
        ready!(this.poll_room(context))?;
        Pin::new(&mut this.io).poll_flush(context)
    }
}

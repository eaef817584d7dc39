//! From frames to bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::{Close, Current, EOF, MOST_UNSENT, Role, Socket, code};
use crate::frame::{self, Header, Kind, Malformed};

/// What a look at the held bytes led to.
enum Step {
    /// Payload is due.
    Payload,
    /// More has to be read first.
    More,
    /// The other end will send nothing more, and still reads; or it has sent nothing on purpose.
    Pause,
    Closed(Close),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Goes through what is held until payload is due or there is nothing to look at.
    fn step(&mut self) -> Result<Step, Malformed> {
        loop {
            if self.current.left > 0 {
                if !self.current.ignored {
                    return Ok(Step::Payload);
                }
                let held = (self.to - self.from) as u64;
                if held == 0 {
                    return Ok(Step::More);
                }
                let skipped = held.min(self.current.left);
                self.current.left -= skipped;
                // At most what is held, which is an index.
                self.from += usize::try_from(skipped).unwrap_or(0);
                continue;
            }
            let bytes = &self.held[self.from..self.to];
            let Some((header, used)) = frame::parse(bytes)? else {
                return Ok(Step::More);
            };
            if header.mask.is_some() != (self.role == Role::Server) {
                return Err(Malformed::Mask);
            }
            let whole = header.kind.is_control()
                || (header.kind == Kind::Text && header.last && header.length <= 125);
            if !whole {
                self.from += used;
                self.begin(header)?;
                if self.waits && header.kind == Kind::Binary && header.length == 0 {
                    self.nudged = true;
                    return Ok(Step::Pause);
                }
                continue;
            }
            let length = used + usize::try_from(header.length).unwrap_or(0);
            if bytes.len() < length {
                return Ok(Step::More);
            }
            let mut payload = bytes[used..length].to_vec();
            if let Some(mask) = header.mask {
                frame::mask(&mut payload, mask, 0);
            }
            self.from += length;
            match header.kind {
                Kind::Close => return Ok(Step::Closed(Close::parse(&payload))),
                Kind::Text if payload == EOF => {
                    self.heard_eof = true;
                    return Ok(Step::Pause);
                }
                Kind::Ping if self.unsent.len() < MOST_UNSENT => {
                    self.put(Kind::Pong, &payload);
                }
                Kind::Pong if self.question.is_some_and(|it| it[..] == payload[..]) => {
                    self.question = None;
                    return Ok(Step::Pause);
                }
                _ => {}
            }
        }
    }

    /// Takes up a frame of a message.
    fn begin(&mut self, header: Header) -> Result<(), Malformed> {
        let kind = match (header.kind, self.message) {
            (Kind::Continuation, Some(kind)) => kind,
            (Kind::Continuation, None) | (_, Some(_)) => return Err(Malformed::Sequence),
            (kind, None) => kind,
        };
        self.message = (!header.last).then_some(kind);
        self.current = Current {
            left: header.length,
            mask: header.mask,
            phase: 0,
            ignored: kind == Kind::Text,
        };
        Ok(())
    }

    /// Gives `bytes`, which are payload, to the reader.
    fn took(current: &mut Current, bytes: &mut [u8]) {
        if let Some(mask) = current.mask {
            frame::mask(bytes, mask, current.phase);
            current.phase = (current.phase + bytes.len()) % 4;
        }
        current.left -= bytes.len() as u64;
    }

    /// What is due next, straight into the reader's buffer.
    fn poll_payload(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = usize::try_from(self.current.left)
            .unwrap_or(usize::MAX)
            .min(buffer.remaining());
        let held = (self.to - self.from).min(most);
        if held > 0 {
            let target = buffer.initialize_unfilled_to(held);
            target.copy_from_slice(&self.held[self.from..self.from + held]);
            Self::took(&mut self.current, target);
            buffer.advance(held);
            self.from += held;
            return Poll::Ready(Ok(()));
        }
        let mut target = ReadBuf::new(buffer.initialize_unfilled_to(most));
        ready!(Pin::new(&mut self.io).poll_read(context, &mut target))?;
        let read = target.filled().len();
        Self::took(&mut self.current, target.filled_mut());
        buffer.advance(read);
        if read == 0 {
            return Poll::Ready(Err(cut()));
        }
        Poll::Ready(Ok(()))
    }

    /// Reads more to be looked at.
    fn poll_held(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // No header and no control frame is longer than what fits.
        self.held.copy_within(self.from..self.to, 0);
        self.to -= self.from;
        self.from = 0;
        let mut space = ReadBuf::new(&mut self.held[self.to..]);
        ready!(Pin::new(&mut self.io).poll_read(context, &mut space))?;
        match space.filled().len() {
            0 => Poll::Ready(Err(cut())),
            read => {
                self.to += read;
                Poll::Ready(Ok(()))
            }
        }
    }

    /// While nothing comes: sends what the reader owes, and asks whether anybody is there.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if let Some(alive) = &mut self.keep_alive
            && alive.sleep.as_mut().poll(context).is_ready()
        {
            let silent = !std::mem::replace(&mut alive.heard, false);
            if silent && alive.asked {
                let text = "nothing came from the manager for too long";
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            alive.asked = silent;
            alive.sleep.as_mut().reset(Instant::now() + alive.every);
            // Registers for the next time.
            let _ = alive.sleep.as_mut().poll(context);
            if silent && self.unsent.len() < MOST_UNSENT {
                self.put(Kind::Ping, &[]);
            }
        }
        if !self.unsent.is_empty() {
            // A transport that can't be written to fails at the next read as well.
            let _ = self.poll_drain(context);
        }
        Poll::Pending
    }

    fn heard(&mut self) {
        if let Some(alive) = &mut self.keep_alive {
            alive.heard = true;
        }
    }

    pub(super) fn poll_more(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        loop {
            let some = buffer.filled().len() > before;
            let due = self.current.left > 0 && !self.current.ignored && buffer.remaining() > 0;
            if some && !due {
                // What comes next may be an end or an error, which is told by a read of its own.
                return Poll::Ready(Ok(()));
            }
            let step = match self.step() {
                Ok(step) => step,
                Err(malformed) => {
                    self.put_close(code::PROTOCOL, &malformed.to_string());
                    let _ = self.poll_drain(context);
                    self.over = true;
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, malformed)));
                }
            };
            let read = match step {
                Step::Payload => self.poll_payload(context, buffer),
                Step::More => self.poll_held(context),
                Step::Pause => return Poll::Ready(Ok(())),
                Step::Closed(close) => {
                    self.over = true;
                    let code = match close.code {
                        code::NONE => code::NORMAL,
                        code => code,
                    };
                    self.put_close(code, "");
                    let _ = self.poll_drain(context);
                    return Poll::Ready(close.result());
                }
            };
            match read {
                Poll::Ready(Ok(())) => self.heard(),
                Poll::Ready(Err(_)) | Poll::Pending if some => {
                    // An error comes again with the next read.
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Err(error)) => {
                    self.over = true;
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => return self.poll_silence(context).map(Err),
            }
        }
    }
}

fn cut() -> io::Error {
    let text = "the connection to the manager was cut";
    io::Error::new(io::ErrorKind::ConnectionReset, text)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.over || buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let read = this.poll_more(context, buffer);
        if read.is_ready() && !this.unsent.is_empty() {
            // A pong that is owed; a transport that can't be written to fails at the next read.
            let _ = this.poll_drain(context);
        }
        read
    }
}

//! The engine's end of the channel to a runner. Whatever comes back is checked: a session's owner
//! may do what they like with their own session, but not with the engine.

use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use protocol::runner::{
    Answer, FaultKind, Hello, MAX_FRAME, OLDEST_VERSION, Request, VERSION, Welcome,
};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::UnixStream,
};

use crate::{KernelId, RuntimeError};

/// How long a runner may take for an answer that needs no waiting of its own.
const QUICK: Duration = Duration::from_secs(20);
/// How often a runner is asked for while too many stand before it, and how soon again.
const CROWDED_TRIES: u32 = 50;
const CROWDED_PAUSE: Duration = Duration::from_millis(20);

/// Reaches one kernel's runner.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    kernel: KernelId,
    socket: PathBuf,
}

/// A conversation whose request has been sent.
#[derive(Debug)]
pub(crate) struct Conversation {
    kernel: KernelId,
    stream: UnixStream,
}

impl Channel {
    pub(crate) fn new(kernel: KernelId, socket: &Path) -> Self {
        Self {
            kernel,
            socket: socket.to_owned(),
        }
    }

    /// Sends a request; answers are then read one by one.
    pub(crate) async fn ask(&self, request: Request) -> Result<Conversation, RuntimeError> {
        let stream = reach(&self.socket)
            .await
            .map_err(RuntimeError::io("talk to the session"))?
            .ok_or(RuntimeError::Gone(self.kernel))?;
        let mut conversation = Conversation {
            kernel: self.kernel,
            stream,
        };
        conversation
            .send(&Hello {
                version: VERSION,
                request,
            })
            .await?;
        let (welcome, _) = conversation.receive::<Welcome>().await?;
        if welcome.version < OLDEST_VERSION {
            return Err(RuntimeError::Version {
                theirs: welcome.version,
                ours: VERSION,
            });
        }
        Ok(conversation)
    }

    /// Asks for one answer, which must come soon.
    pub(crate) async fn quick(&self, request: Request) -> Result<Answer, RuntimeError> {
        self.within(QUICK, request).await
    }

    /// Asks for one answer.
    pub(crate) async fn within(
        &self,
        limit: Duration,
        request: Request,
    ) -> Result<Answer, RuntimeError> {
        let conversation = async { self.ask(request).await?.next().await };
        match tokio::time::timeout(limit, conversation).await {
            Ok(answer) => Ok(answer?.0),
            Err(_) => Err(late()),
        }
    }

    /// Asks for a descriptor.
    pub(crate) async fn descriptor(&self, request: Request) -> Result<OwnedFd, RuntimeError> {
        let conversation = async { self.ask(request).await?.next().await };
        match tokio::time::timeout(QUICK, conversation).await {
            Ok(answer) => match answer? {
                (Answer::Descriptor, Some(descriptor)) => Ok(descriptor),
                _ => Err(unexpected()),
            },
            Err(_) => Err(late()),
        }
    }
}

/// Connects to the socket of a runner; `None` when none listens there. Any other reason not to get
/// through says nothing about the runner.
pub(crate) async fn reach(socket: &Path) -> io::Result<Option<UnixStream>> {
    let mut tries = 0;
    loop {
        match UnixStream::connect(socket).await {
            Ok(stream) => return Ok(Some(stream)),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => return Ok(None),
                // Too many stand before it at this moment.
                io::ErrorKind::WouldBlock if tries < CROWDED_TRIES => {
                    tries += 1;
                    tokio::time::sleep(CROWDED_PAUSE).await;
                }
                _ => return Err(error),
            },
        }
    }
}

/// An answer of the wrong kind.
pub(crate) fn unexpected() -> RuntimeError {
    fault(
        FaultKind::Other,
        "the session's runner gave an answer that does not fit",
    )
}

fn late() -> RuntimeError {
    fault(FaultKind::Other, "the session does not answer")
}

pub(crate) fn fault(kind: FaultKind, message: &str) -> RuntimeError {
    RuntimeError::Fault(protocol::runner::Fault {
        kind,
        message: message.to_owned(),
    })
}

impl Conversation {
    /// The next answer, with the descriptor that came with it.
    pub(crate) async fn next(&mut self) -> Result<(Answer, Option<OwnedFd>), RuntimeError> {
        match self.receive().await? {
            (Answer::Failed(fault), _) => Err(RuntimeError::Fault(fault)),
            other => Ok(other),
        }
    }

    async fn send(&mut self, hello: &Hello) -> Result<(), RuntimeError> {
        let text = serde_json::to_vec(hello).map_err(RuntimeError::Garbled)?;
        let length = u32::try_from(text.len())
            .ok()
            .filter(|length| *length as usize <= MAX_FRAME);
        let length =
            length.ok_or_else(|| RuntimeError::Invalid("the request is too long".to_owned()))?;
        let mut frame = length.to_be_bytes().to_vec();
        frame.extend_from_slice(&text);
        self.stream
            .write_all(&frame)
            .await
            .map_err(|_| RuntimeError::Gone(self.kernel))
    }

    async fn receive<T: DeserializeOwned>(&mut self) -> Result<(T, Option<OwnedFd>), RuntimeError> {
        let gone = |_| RuntimeError::Gone(self.kernel);
        let mut descriptor = None;
        let mut length = [0; 4];
        let mut filled = 0;
        while filled < length.len() {
            // A descriptor comes with the first byte of its frame.
            let read = receive_with(&self.stream, &mut length[filled..], &mut descriptor)
                .await
                .map_err(gone)?;
            if read == 0 {
                return Err(RuntimeError::Gone(self.kernel));
            }
            filled += read;
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > MAX_FRAME {
            return Err(unexpected());
        }
        let mut text = vec![0; length];
        self.stream.read_exact(&mut text).await.map_err(gone)?;
        let message = serde_json::from_slice(&text).map_err(RuntimeError::Garbled)?;
        Ok((message, descriptor))
    }
}

async fn receive_with(
    stream: &UnixStream,
    buffer: &mut [u8],
    descriptor: &mut Option<OwnedFd>,
) -> io::Result<usize> {
    stream
        .async_io(Interest::READABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut slices = [IoSliceMut::new(&mut *buffer)];
            let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
            let received = recvmsg(stream.as_fd(), &mut slices, &mut control, flags)?;
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                    *descriptor = descriptors.into_iter().next().or(descriptor.take());
                }
            }
            Ok(received.bytes)
        })
        .await
}

#[cfg(test)]
mod properties {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// What a session's owner makes of their runner may say anything.
    fn heard(bytes: &[u8]) -> Vec<Result<Answer, RuntimeError>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (stream, mut other) = UnixStream::pair().unwrap();
            other.write_all(bytes).await.unwrap();
            drop(other);
            let mut conversation = Conversation {
                kernel: KernelId::nil(),
                stream,
            };
            let mut heard = Vec::new();
            loop {
                let next = conversation.next().await;
                let end = next.is_err();
                heard.push(next.map(|(answer, _)| answer));
                if end {
                    return heard;
                }
            }
        })
    }

    fn frame(text: &[u8]) -> Vec<u8> {
        [&(text.len() as u32).to_be_bytes()[..], text].concat()
    }

    proptest! {
        #[test]
        fn any_bytes_of_a_runner_are_an_answer_or_an_error(bytes in vec(any::<u8>(), 0..200), framed in any::<bool>()) {
            let bytes = if framed { frame(&bytes) } else { bytes };
            let heard = heard(&bytes);
            prop_assert!(matches!(heard.last(), Some(Err(_))));
        }

        #[test]
        fn answers_are_heard_as_they_were_said(
            texts in vec("\\PC{0,40}", 0..4),
            change in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let said: Vec<Answer> = texts.into_iter().map(|text| Answer::Line { text }).collect();
            let mut bytes: Vec<u8> = said.iter().flat_map(|it| frame(&serde_json::to_vec(it).unwrap())).collect();
            match change {
                Some((at, byte)) if !bytes.is_empty() => {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                    heard(&bytes);
                }
                _ => {
                    let heard = heard(&bytes);
                    let lines: Vec<String> = heard.iter().flatten().map(|it| format!("{it:?}")).collect();
                    let wanted: Vec<String> = said.iter().map(|it| format!("{it:?}")).collect();
                    prop_assert_eq!(lines, wanted);
                }
            }
        }
    }

    #[test]
    fn a_frame_that_is_longer_than_any_is_not_waited_for() {
        let length = u32::try_from(MAX_FRAME + 1).unwrap();
        assert!(matches!(
            &heard(&length.to_be_bytes())[..],
            [Err(RuntimeError::Fault(_))]
        ));
    }
}

//! Frames on the control socket: a length, JSON, and perhaps a descriptor.

use std::{
    io,
    io::IoSlice,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd},
};

use protocol::runner::MAX_FRAME;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::UnixStream,
};

/// Reads one frame; `None` when the other side is gone.
pub(super) async fn read<T: DeserializeOwned>(stream: &mut UnixStream) -> io::Result<Option<T>> {
    let length = match stream.read_u32().await {
        Ok(length) => length as usize,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > MAX_FRAME {
        return Err(io::Error::other("the frame is too long"));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}

/// Writes one frame.
pub(super) async fn write<T: Serialize>(stream: &mut UnixStream, message: &T) -> io::Result<()> {
    stream.write_all(&encode(message)?).await
}

/// Writes one frame with a descriptor.
pub(super) async fn write_with<T: Serialize>(
    stream: &mut UnixStream,
    message: &T,
    descriptor: BorrowedFd<'_>,
) -> io::Result<()> {
    let frame = encode(message)?;
    let sent = stream
        .async_io(Interest::WRITABLE, || {
            let descriptors = [descriptor];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            control.push(SendAncillaryMessage::ScmRights(&descriptors));
            let sent = sendmsg(
                stream.as_fd(),
                &[IoSlice::new(&frame)],
                &mut control,
                SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
            )?;
            Ok(sent)
        })
        .await?;
    stream.write_all(&frame[sent..]).await
}

fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = u32::try_from(frame.len() - 4).map_err(io::Error::other)?;
    if length as usize > MAX_FRAME {
        return Err(io::Error::other("the frame is too long"));
    }
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

#[cfg(test)]
mod properties {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn heard(bytes: &[u8]) -> io::Result<Vec<Value>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let (mut stream, mut other) = UnixStream::pair()?;
            other.write_all(bytes).await?;
            drop(other);
            let mut heard = Vec::new();
            while let Some(value) = read(&mut stream).await? {
                heard.push(value);
            }
            Ok(heard)
        })
    }

    proptest! {
        #[test]
        fn any_bytes_are_messages_or_an_error(bytes in vec(any::<u8>(), 0..200)) {
            let _ = heard(&bytes);
            let framed = [&(bytes.len() as u32).to_be_bytes()[..], &bytes].concat();
            let _ = heard(&framed);
        }

        #[test]
        fn what_is_written_is_read(texts in vec("\\PC{0,40}", 0..4)) {
            let said: Vec<Value> = texts.iter().map(|text| json!({ "text": text })).collect();
            let bytes: Vec<u8> = said.iter().flat_map(|it| encode(it).unwrap()).collect();
            prop_assert_eq!(heard(&bytes).unwrap(), said);
        }
    }
}

//! SFTP version 3, as OpenSSH speaks it, over a channel.
//!
//! Requests are served one after another on a thread of their own, since every one of them is file
//! work; answers to requests that arrived together leave together. The session's user is the limit
//! of what can be reached, as with OpenSSH's own server.

mod attributes;
mod files;
mod refusal;
mod wire;

use std::path::PathBuf;

use bytes::{Buf, BytesMut};
use russh::{ChannelMsg, ChannelWriteHalf, server::Msg};
use tokio::runtime::Handle;

use super::inbox::Inbox;
use files::Files;
use wire::{Fields, MAX_PACKET, Replies};

/// Answers are sent when so many bytes have gathered, even if more requests wait.
const SEND_AT: usize = 512 << 10;

/// Serves one client until it closes the channel.
pub(super) async fn run(inbox: Inbox, writer: ChannelWriteHalf<Msg>, home: PathBuf) {
    let runtime = Handle::current();
    let served = tokio::task::spawn_blocking(move || serve(&runtime, inbox, writer, home)).await;
    if let Err(error) = served {
        tracing::warn!(%error, "sftp ended badly");
    }
}

fn serve(runtime: &Handle, mut inbox: Inbox, writer: ChannelWriteHalf<Msg>, home: PathBuf) {
    let mut files = Files::new(home);
    let mut received = BytesMut::new();
    let mut replies = Replies::default();
    while let Some(message) = runtime.block_on(inbox.next()) {
        match message {
            ChannelMsg::Data { data } if received.is_empty() => received = BytesMut::from(data),
            ChannelMsg::Data { data } => received.extend_from_slice(&data),
            ChannelMsg::Eof | ChannelMsg::Close => break,
            _ => continue,
        }
        loop {
            match next_packet(&mut received) {
                Ok(Some(packet)) => files.answer(packet, &mut replies),
                Ok(None) => break,
                Err(length) => {
                    tracing::debug!(length, "sftp packet too long");
                    // Nothing after a packet of nonsense length can be trusted.
                    let _ = runtime.block_on(writer.close());
                    return;
                }
            }
            if replies.0.len() >= SEND_AT && !send(runtime, &writer, &mut replies) {
                return;
            }
        }
        if !send(runtime, &writer, &mut replies) {
            return;
        }
    }
    // A client that is gone needs no good-bye.
    let _ = runtime.block_on(async {
        writer.exit_status(0).await?;
        writer.eof().await?;
        writer.close().await
    });
}

fn send(runtime: &Handle, writer: &ChannelWriteHalf<Msg>, replies: &mut Replies) -> bool {
    if replies.0.is_empty() {
        return true;
    }
    let bytes = replies.0.split().freeze();
    runtime.block_on(writer.data_bytes(bytes)).is_ok()
}

/// Takes a whole packet off the front, if there is one; says its length when that is too much.
fn next_packet(received: &mut BytesMut) -> Result<Option<Fields>, usize> {
    let Some(length) = received.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length) as usize;
    if length > MAX_PACKET || length == 0 {
        return Err(length);
    }
    if received.len() < 4 + length {
        received.reserve(4 + length - received.len());
        return Ok(None);
    }
    received.advance(4);
    Ok(Some(Fields(received.split_to(length).freeze())))
}

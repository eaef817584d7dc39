//! Port forwarding, both ways.

use std::{collections::HashMap, io};

use bytes::BytesMut;
use russh::{
    ChannelMsg, ChannelOpenFailure, ChannelWriteHalf,
    server::{ChannelOpenHandle, Handle, Msg},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    task::AbortHandle,
};

use super::inbox::{Backlogs, Inbox};

/// A channel's halves.
pub(super) type Halves = (Inbox, ChannelWriteHalf<Msg>);

/// What is read from the other side at a time.
const CHUNK: usize = 64 << 10;

/// Connects a channel to a TCP port that the session can reach (`ssh -L`, `ssh -J`).
pub(super) async fn direct_tcp(channel: Halves, host: String, port: u16, reply: ChannelOpenHandle) {
    let target = TcpStream::connect((host.as_str(), port)).await;
    let target = target.and_then(|target| target.set_nodelay(true).map(|()| target));
    accepted(channel, target, reply).await;
}

/// Connects a channel to a Unix socket of the session.
pub(super) async fn direct_unix(channel: Halves, path: String, reply: ChannelOpenHandle) {
    accepted(channel, UnixStream::connect(path).await, reply).await;
}

async fn accepted<S>(channel: Halves, target: io::Result<S>, reply: ChannelOpenHandle)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let target = match target {
        Ok(target) => target,
        Err(error) => {
            tracing::debug!(%error, "forwarding refused");
            return reply.reject(ChannelOpenFailure::ConnectFailed).await;
        }
    };
    reply.accept().await;
    join(channel, target).await;
}

/// Copies both ways until both have ended, or the client closes the channel.
pub(super) async fn join<S>((mut inbox, writer): Halves, target: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut from, mut to) = tokio::io::split(target);
    let outward = async {
        let mut buffer = BytesMut::with_capacity(CHUNK);
        loop {
            buffer.reserve(CHUNK / 4);
            match from.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(_) if writer.data_bytes(buffer.split().freeze()).await.is_err() => break,
                Ok(_) => {}
            }
        }
        // A client that is gone needs no good-bye.
        let _ = writer.eof().await;
    };
    let inward = async {
        let mut closed = false;
        while let Some(message) = inbox.next().await {
            match message {
                ChannelMsg::Data { data } if to.write_all(&data).await.is_ok() => {}
                ChannelMsg::Data { .. } | ChannelMsg::Close => {
                    closed = true;
                    break;
                }
                ChannelMsg::Eof => break,
                _ => {}
            }
        }
        let _ = to.shutdown().await;
        closed
    };
    {
        tokio::pin!(outward, inward);
        tokio::select! {
            () = &mut outward => {
                inward.await;
            }
            // The client may stop sending and still listen.
            closed = &mut inward => if !closed {
                outward.await;
            },
        }
    }
    let _ = writer.close().await;
}

/// Ports that listen inside the session for a client (`ssh -R`), closed with the connection.
#[derive(Default)]
pub(super) struct Listeners(HashMap<(String, u32), AbortHandle>);

impl Drop for Listeners {
    fn drop(&mut self) {
        for task in self.0.values() {
            task.abort();
        }
    }
}

impl Listeners {
    /// Listens; `port` 0 is replaced by the port that was found free.
    pub(super) async fn open(
        &mut self,
        address: &str,
        port: &mut u32,
        handle: Handle,
        backlogs: Backlogs,
    ) -> bool {
        let Ok(wanted) = u16::try_from(*port) else {
            return false;
        };
        // The session's network is its own, so every address of it is private.
        let bind = match address {
            "" | "*" | "localhost" => "127.0.0.1",
            other => other,
        };
        let listener = match TcpListener::bind((bind, wanted)).await {
            Ok(listener) => listener,
            Err(error) => {
                tracing::debug!(%error, address, port, "reverse forwarding refused");
                return false;
            }
        };
        if let Ok(local) = listener.local_addr() {
            *port = u32::from(local.port());
        }
        let task = tokio::spawn(accept(
            listener,
            address.to_owned(),
            *port,
            handle,
            backlogs,
        ));
        self.0
            .insert((address.to_owned(), *port), task.abort_handle());
        true
    }

    /// Stops listening.
    pub(super) fn close(&mut self, address: &str, port: u32) -> bool {
        match self.0.remove(&(address.to_owned(), port)) {
            Some(task) => {
                task.abort();
                true
            }
            None => false,
        }
    }
}

async fn accept(
    listener: TcpListener,
    address: String,
    port: u32,
    handle: Handle,
    backlogs: Backlogs,
) {
    while let Ok((socket, peer)) = listener.accept().await {
        let (handle, backlogs) = (handle.clone(), backlogs.clone());
        let address = address.clone();
        tokio::spawn(async move {
            let opened = handle
                .channel_open_forwarded_tcpip(
                    address,
                    port,
                    peer.ip().to_string(),
                    u32::from(peer.port()),
                )
                .await;
            if let Ok(channel) = opened {
                join(backlogs.split(channel), socket).await;
            }
        });
    }
}

//! Port forwarding, both ways.

use std::{collections::HashMap, io};

use russh::{
    Channel, ChannelOpenFailure,
    server::{ChannelOpenHandle, Handle, Msg},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixStream},
    task::AbortHandle,
};

/// Connects a channel to a TCP port that the session can reach (`ssh -L`, `ssh -J`).
pub(super) async fn direct_tcp(
    channel: Channel<Msg>,
    host: String,
    port: u16,
    reply: ChannelOpenHandle,
) {
    join(
        channel,
        TcpStream::connect((host.as_str(), port)).await,
        reply,
    )
    .await;
}

/// Connects a channel to a Unix socket of the session.
pub(super) async fn direct_unix(channel: Channel<Msg>, path: String, reply: ChannelOpenHandle) {
    join(channel, UnixStream::connect(path).await, reply).await;
}

async fn join<S>(channel: Channel<Msg>, target: io::Result<S>, reply: ChannelOpenHandle)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut target = match target {
        Ok(target) => target,
        Err(error) => {
            tracing::debug!(%error, "forwarding refused");
            return reply.reject(ChannelOpenFailure::ConnectFailed).await;
        }
    };
    reply.accept().await;
    let mut stream = channel.into_stream();
    // Either end may break off at any time; both are closed by then.
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut target).await;
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
    pub(super) async fn open(&mut self, address: &str, port: &mut u32, handle: Handle) -> bool {
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
        let task = tokio::spawn(accept(listener, address.to_owned(), *port, handle));
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

async fn accept(listener: TcpListener, address: String, port: u32, handle: Handle) {
    while let Ok((mut socket, peer)) = listener.accept().await {
        let handle = handle.clone();
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
                let mut stream = channel.into_stream();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut socket).await;
            }
        });
    }
}

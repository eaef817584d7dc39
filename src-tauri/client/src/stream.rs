//! One TCP connection into a session, carried by one WebSocket to the manager.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream};
use http::{Method, StatusCode, header};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::{Client, Error};

/// As large as the manager's own pieces.
const FRAME: usize = 256 * 1024;

/// How a service is to be started, where it does not run yet.
#[derive(Debug, Clone, Default)]
pub struct StartOptions {
    /// Which of its ports; the first when absent.
    pub port: Option<u16>,
    /// Environment.
    pub envs: BTreeMap<String, String>,
    /// Arguments.
    pub arguments: BTreeMap<String, String>,
}

/// Bytes to and from a service of a session. The protocol knows no half-close: after
/// [`tokio::io::AsyncWriteExt::shutdown`] reading goes on until the service ends, but the service
/// does not learn that nothing more will come.
pub struct ServiceStream {
    socket: WebSocketStream<reqwest::Upgraded>,
    unread: Bytes,
    ended: bool,
}

impl std::fmt::Debug for ServiceStream {
    /// Without the bytes that nobody has read yet: they are the user's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceStream")
            .field("unread", &self.unread.len())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Connects to the service `app` of a session, which the manager starts when needed.
    ///
    /// # Errors
    /// [`Error::Manager`] when the session, the service or its port is not there, or the service
    /// does not start.
    pub async fn connect_service(
        &self,
        session: &str,
        app: &str,
        options: &StartOptions,
    ) -> Result<ServiceStream, Error> {
        let mut query = vec![("app", app.to_owned())];
        if let Some(port) = options.port {
            query.push(("port", port.to_string()));
        }
        let text = |map: &BTreeMap<String, String>| {
            serde_json::to_string(map).map_err(|error| Error::Request(error.to_string()))
        };
        if !options.envs.is_empty() {
            query.push(("envs", text(&options.envs)?));
        }
        if !options.arguments.is_empty() {
            query.push(("arguments", text(&options.arguments)?));
        }
        let url = self.url(&["stream", "session", session, "tcpproxy"], &query)?;
        let key = generate_key();
        // Through the same transport as every request: its proxies, certificates and time limits,
        // and the whole of a refusal.
        let response = self
            .upgradable()?
            .get(url.clone())
            .headers(self.sign(&Method::GET, &url, None)?)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, &key)
            .send()
            .await
            .map_err(|error| self.unreachable(error))?;
        let response = self.check(response).await?;
        let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
        if response.status() != StatusCode::SWITCHING_PROTOCOLS
            || accepted.is_none_or(|accepted| accepted != &derive_accept_key(key.as_bytes()))
        {
            return Err(Error::answer("a connection to a service", "no WebSocket"));
        }
        let upgraded = response
            .upgrade()
            .await
            .map_err(|error| self.unreachable(error))?;
        let config = WebSocketConfig::default()
            .read_buffer_size(FRAME)
            // Every frame goes out at once: a key press waits for nothing.
            .write_buffer_size(0)
            .max_write_buffer_size(4 * FRAME)
            .max_message_size(Some(16 * 1024 * 1024))
            .max_frame_size(Some(16 * 1024 * 1024));
        Ok(ServiceStream {
            socket: WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await,
            unread: Bytes::new(),
            ended: false,
        })
    }
}

/// What a close frame means for whoever reads: the end, or an error.
fn closed(frame: Option<CloseFrame>) -> io::Result<()> {
    let Some(frame) = frame else { return Ok(()) };
    let reason = frame.reason.to_string();
    let or = |text: &str| {
        if reason.is_empty() {
            text.to_owned()
        } else {
            reason.clone()
        }
    };
    match frame.code {
        // 1001 is how the manager says that the service has closed its side.
        CloseCode::Normal | CloseCode::Away | CloseCode::Status => Ok(()),
        CloseCode::Again => Err(io::Error::new(
            io::ErrorKind::ConnectionRefused,
            or("the service does not accept connections"),
        )),
        CloseCode::Error => Err(io::Error::new(
            io::ErrorKind::ConnectionReset,
            or("the manager lost the connection to the service"),
        )),
        code => Err(io::Error::other(or(&format!(
            "the manager closed the stream ({code})"
        )))),
    }
}

fn broken(error: tungstenite::Error) -> io::Error {
    match error {
        tungstenite::Error::Io(error) => error,
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            io::ErrorKind::BrokenPipe.into()
        }
        error => io::Error::new(io::ErrorKind::ConnectionReset, error),
    }
}

impl AsyncRead for ServiceStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.unread.is_empty() {
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut this.socket).poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => this.unread = bytes,
                Some(Ok(Message::Close(frame))) => {
                    this.ended = true;
                    closed(frame)?;
                }
                // Pings are answered below us.
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    this.ended = true;
                    return Poll::Ready(Err(broken(error)));
                }
                None => this.ended = true,
            }
        }
        let count = this.unread.len().min(buffer.remaining());
        buffer.put_slice(&this.unread[..count]);
        this.unread.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ServiceStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(Pin::new(&mut this.socket).poll_ready(context)).map_err(broken)?;
        let piece = &bytes[..bytes.len().min(FRAME)];
        Pin::new(&mut this.socket)
            .start_send(Message::Binary(Bytes::copy_from_slice(piece)))
            .map_err(broken)?;
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket)
            .poll_flush(context)
            .map_err(broken)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A close frame would make the manager drop what the service still has to say.
        Pin::new(&mut self.get_mut().socket)
            .poll_flush(context)
            .map_err(broken)
    }
}

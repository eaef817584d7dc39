//! One TCP connection into a session, carried by one WebSocket to the manager.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Method, StatusCode, header};
use protocol::api::gangway::capability;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use websocket::{KeepAlive, Role, Socket};

use crate::{Client, Error};

/// Idle connections stay for ever: so often something passes on them that whatever stands between
/// does not cut them, and one that is dead is found out within three times as long.
const KEEP_ALIVE: KeepAlive = KeepAlive {
    every: Duration::from_secs(15),
};

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
/// [`tokio::io::AsyncWriteExt::shutdown`] reading goes on until the service ends; that nothing more
/// will come the service learns only where the manager is our engine.
#[derive(Debug)]
pub struct ServiceStream {
    socket: Socket<reqwest::Upgraded>,
}

impl ServiceStream {
    /// Has the manager connect a stream of [`Client::hold_service`] to its service; writing does
    /// the same.
    pub fn begin(&mut self) {
        self.socket.nudge();
    }

    /// Makes a stream of [`Client::hold_service`] ready for another connection to its service,
    /// after both directions have ended as they should. `false`: it is of no more use.
    pub fn reuse(&mut self) -> bool {
        self.socket.reuse()
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
        self.stream(session, app, options, false).await
    }

    /// The same, as far as it goes without connecting to the service: that happens when the stream
    /// is used, which then costs nothing more than a direct connection. `None` where the manager
    /// does not know how to wait.
    ///
    /// # Errors
    /// As [`Self::connect_service`].
    pub async fn hold_service(
        &self,
        session: &str,
        app: &str,
        options: &StartOptions,
    ) -> Result<Option<ServiceStream>, Error> {
        if !self.has(capability::STREAM_HOLD).await? {
            return Ok(None);
        }
        self.stream(session, app, options, true).await.map(Some)
    }

    async fn stream(
        &self,
        session: &str,
        app: &str,
        options: &StartOptions,
        hold: bool,
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
        if hold {
            query.push(("hold", "1".to_owned()));
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
        Ok(ServiceStream {
            socket: Socket::new(upgraded, Role::Client, Some(KEEP_ALIVE)),
        })
    }
}

impl AsyncRead for ServiceStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for ServiceStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

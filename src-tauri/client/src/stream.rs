//! One TCP connection into a session, carried by one WebSocket to the manager.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::Empty;
use protocol::api::gangway::capability;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use url::{Position, Url};
use websocket::{Close, KeepAlive, Role, Socket, code};

use crate::call::Call;
use crate::{Client, Error, connect};

/// Idle connections stay for ever: so often something passes on them that whatever stands between
/// does not cut them, and one that is dead is found out within three times as long.
const KEEP_ALIVE: KeepAlive = KeepAlive {
    every: Duration::from_secs(15),
};

/// The manager answers when it has started the service, which takes some programs long.
const START: Duration = Duration::from_secs(60);
/// So much later than the time that a service was given its manager may answer.
const MARGIN: Duration = Duration::from_secs(15);

/// The service that lets nobody in without a key: the SSH server.
const GUARDED: &str = "sshd";

/// How a service is to be started, where it does not run yet.
#[derive(Debug, Clone, Default)]
pub struct StartOptions {
    /// Which of its ports; the first when absent.
    pub port: Option<u16>,
    /// Environment.
    pub envs: BTreeMap<String, String>,
    /// Arguments.
    pub arguments: BTreeMap<String, String>,
    /// How long it may take until its port answers; the manager's own limit when absent, or where
    /// the manager knows no other.
    pub limit: Option<Duration>,
}

/// Bytes to and from a service of a session. The protocol knows no half-close: after
/// [`tokio::io::AsyncWriteExt::shutdown`] reading goes on until the service ends; that nothing more
/// will come the service learns only where the manager is our engine.
#[derive(Debug)]
pub struct ServiceStream {
    way: Way,
    /// To be set when the manager turns out to have no way to the service.
    past_manager: Arc<AtomicBool>,
    /// Whether anything has come from the service: then there was a way.
    heard: bool,
}

/// What carries the bytes.
#[derive(Debug)]
enum Way {
    /// The manager, in a WebSocket.
    Manager(Box<Socket<reqwest::Upgraded>>),
    /// The app proxy, as they are.
    AppProxy(TcpStream),
}

impl ServiceStream {
    /// Has the manager connect a stream of [`Client::hold_service`] to its service; writing does
    /// the same.
    pub fn begin(&mut self) {
        if let Way::Manager(socket) = &mut self.way {
            socket.nudge();
        }
    }

    /// Asks whether a stream of [`Client::hold_service`] that nobody uses still leads to the manager;
    /// no answer at all where the link is gone without a word.
    pub async fn is_there(&mut self) -> bool {
        match &mut self.way {
            Way::Manager(socket) => socket.is_there().await,
            Way::AppProxy(_) => true,
        }
    }

    /// Makes a stream of [`Client::hold_service`] ready for another connection to its service,
    /// after both directions have ended as they should. `false`: it is of no more use.
    pub fn reuse(&mut self) -> bool {
        match &mut self.way {
            Way::Manager(socket) => socket.reuse(),
            Way::AppProxy(_) => false,
        }
    }
}

impl Client {
    /// Connects to the service `app` of a session, which the manager starts when needed: by a
    /// stream of the manager. Where that can't be had, the SSH server is reached by the cluster's
    /// app proxy.
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
        // An app proxy lets in whoever comes: only a service that asks for a key may go there.
        let may_go = app == GUARDED;
        let past = async || {
            let connected = self.past_the_manager(session, app, options).await;
            connected.map(|stream| self.carried(Way::AppProxy(stream)))
        };
        let learnt = self.is_past_manager();
        if may_go
            && learnt
            && let Ok(stream) = past().await
        {
            return Ok(stream);
        }
        match self.stream(session, app, options, false).await {
            Err(error) if no_websockets(&error) && !self.is_ours().await.unwrap_or(true) => {
                self.past_manager().store(true, Ordering::Relaxed);
                if learnt || !may_go {
                    return Err(error);
                }
                past().await.map_err(|second| {
                    tracing::info!(%second, "no way past the manager");
                    error
                })
            }
            outcome => outcome,
        }
    }

    /// Whether the manager has turned out to have no streams for the services of its sessions. The
    /// SSH server is reached past it then, and everything else through the SSH server.
    #[must_use]
    pub fn is_past_manager(&self) -> bool {
        self.past_manager().load(Ordering::Relaxed)
    }

    fn carried(&self, way: Way) -> ServiceStream {
        ServiceStream {
            way,
            past_manager: Arc::clone(self.past_manager()),
            heard: false,
        }
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

    /// Ends a service of a session, also one that is being started where the manager can do that.
    ///
    /// # Errors
    /// [`Error::Manager`] when it does not run.
    pub async fn shutdown_service(&self, session: &str, app: &str) -> Result<(), Error> {
        let call = Call::post(&["session", session, "shutdown-service"]);
        self.done(call.query("service_name", app)).await
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
        let mut patience = START;
        if let Some(limit) = options.limit
            && self.has(capability::START_PROGRESS).await?
        {
            query.push(("start_limit", limit.as_secs().max(1).to_string()));
            patience = patience.max(limit + MARGIN);
        }
        if hold {
            query.push(("hold", "1".to_owned()));
        }
        let url = self.url(&["stream", "session", session, "tcpproxy"], &query)?;
        let key = generate_key();
        let mut headers = self.sign(&Method::GET, &url, None)?;
        for (name, value) in [
            (header::CONNECTION, "Upgrade"),
            (header::UPGRADE, "websocket"),
            (header::SEC_WEBSOCKET_VERSION, "13"),
            (header::SEC_WEBSOCKET_KEY, key.as_str()),
        ] {
            let value = HeaderValue::from_str(value);
            headers.insert(
                name,
                value.map_err(|error| Error::Request(error.to_string()))?,
            );
        }
        let (headers, upgraded) = self.upgrade(url, headers, patience).await?;
        let accepted = headers.get(header::SEC_WEBSOCKET_ACCEPT);
        let upgraded = upgraded
            .filter(|_| {
                accepted.is_some_and(|accepted| accepted == &derive_accept_key(key.as_bytes()))
            })
            .ok_or_else(|| Error::answer("a connection to a service", "no WebSocket"))?;
        let socket = Socket::new(upgraded, Role::Client, Some(KEEP_ALIVE));
        Ok(self.carried(Way::Manager(Box::new(socket))))
    }

    /// Asks for a connection to become something else. What it became is absent where the answer was
    /// another one, and no refusal.
    async fn upgrade(
        &self,
        url: Url,
        headers: HeaderMap,
        patience: Duration,
    ) -> Result<(HeaderMap, Option<reqwest::Upgraded>), Error> {
        let plain: http::Uri = url
            .as_str()
            .parse()
            .map_err(|error: http::uri::InvalidUri| Error::Request(error.to_string()))?;
        if connect::is_read_on_the_way(self.network(), &plain) {
            let mut request = http::Request::new(Empty::new());
            let host = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]);
            *request.headers_mut() = headers;
            let host = host.map_err(|error| Error::Request(error.to_string()))?;
            request.headers_mut().insert(header::HOST, host);
            *request.uri_mut() = plain;
            let asked = connect::upgrade(self.network(), request);
            let asked = tokio::time::timeout(patience, asked)
                .await
                .map_err(|_| self.silent(patience))?;
            let (parts, answer) = asked.map_err(|error| self.unreachable(error))?;
            return match answer {
                connect::Answer::Upgraded(upgraded) => Ok((parts.headers, Some(upgraded))),
                connect::Answer::Refused(body) => {
                    let headers = parts.headers.clone();
                    let response = http::Response::from_parts(parts, body);
                    self.check(response.into()).await?;
                    Ok((headers, None))
                }
            };
        }
        // Through the same transport as every request: its proxies, certificates and time limits,
        // and the whole of a refusal.
        let asked = self.upgradable()?.get(url).headers(headers).send();
        let response = self.within(patience, asked).await?;
        let response = self.check(response).await?;
        let headers = response.headers().clone();
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok((headers, None));
        }
        let upgraded = response
            .upgrade()
            .await
            .map_err(|error| self.unreachable(error))?;
        Ok((headers, Some(upgraded)))
    }
}

/// Whether an answer looks as if the upgrade got lost on the way: something in between has answered
/// itself, or the manager saw an ordinary request.
fn no_websockets(error: &Error) -> bool {
    match error {
        Error::Answer { .. } => true,
        Error::Manager { status, problem } => match problem.slug() {
            "generic-bad-request" => true,
            "unknown" => matches!(status, 400 | 403 | 405 | 426 | 501 | 502),
            _ => false,
        },
        _ => false,
    }
}

/// Whether the manager has closed the stream since it can't reach the service: not for now, as
/// while it starts, but at all.
fn is_out_of_its_reach(error: &io::Error) -> bool {
    let close = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Close>());
    close.is_some_and(|close| close.code == code::INTERNAL)
}

impl AsyncRead for ServiceStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match &mut this.way {
            Way::AppProxy(stream) => Pin::new(stream).poll_read(context, buffer),
            Way::Manager(socket) => {
                let read = ready!(Pin::new(socket).poll_read(context, buffer));
                match &read {
                    Ok(()) => this.heard = true,
                    Err(error) if !this.heard && is_out_of_its_reach(error) => {
                        this.past_manager.store(true, Ordering::Relaxed);
                    }
                    Err(_) => {}
                }
                Poll::Ready(read)
            }
        }
    }
}

impl AsyncWrite for ServiceStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.way {
            Way::Manager(socket) => Pin::new(socket).poll_write(context, bytes),
            Way::AppProxy(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.way {
            Way::Manager(socket) => Pin::new(socket).poll_flush(context),
            Way::AppProxy(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.way {
            Way::Manager(socket) => Pin::new(socket).poll_shutdown(context),
            Way::AppProxy(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

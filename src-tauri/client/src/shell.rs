//! The shells that a session keeps while nobody looks (see [`protocol::runner::shell`]).

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use http::Method;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use protocol::api::gangway::capability;
use protocol::runner::shell::{ENDED, ShellInfo, Size};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::{Client, Error, ServiceStream, StartOptions};

/// The service that has the shells.
const SERVICE: &str = "ttyd";
/// A list of a few shells is far smaller.
const LIST_MOST: usize = 1 << 20;
/// A shell's service answers at once; a session that hangs must not hang its list too.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a shell shows.
pub struct ShellReader(SplitStream<WebSocketStream<ServiceStream>>);

/// What is typed into it.
pub struct ShellWriter(SplitSink<WebSocketStream<ServiceStream>, Message>);

impl Client {
    /// The shells that a session keeps, the oldest first.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the manager or the session knows none.
    pub async fn shells(&self, session: &str) -> Result<Vec<ShellInfo>, Error> {
        let (status, body) = self.shell_request(session, Method::GET, "/shells").await?;
        match status {
            200 => serde_json::from_slice(&body)
                .map_err(|error| Error::answer("the list of shells", error.to_string())),
            // The runner of a session that was started by an older version.
            _ => Err(Error::Unsupported {
                what: capability::SHELLS,
            }),
        }
    }

    /// Hangs a shell up; one that has ended already is no error.
    ///
    /// # Errors
    /// When the session can't be reached.
    pub async fn hang_up_shell(&self, session: &str, id: &str) -> Result<(), Error> {
        let path = format!("/shells/{}", encoded(id));
        let asked = self.shell_request(session, Method::DELETE, &path).await;
        asked.map(drop)
    }

    /// Takes up the shell of this name, or starts it.
    ///
    /// # Errors
    /// When the session can't be reached or has too many shells.
    pub async fn shell(
        &self,
        session: &str,
        id: &str,
    ) -> Result<(ShellReader, ShellWriter), Error> {
        let stream = self.shell_service(session).await?;
        let address = format!("ws://localhost/ws?id={}", encoded(id));
        let config = WebSocketConfig::default().max_message_size(Some(1 << 20));
        let connect = client_async_with_config(address, stream, Some(config));
        let connected = tokio::time::timeout(PATIENCE, connect).await;
        let (socket, _) = connected
            .map_err(|_| Error::answer("a shell", "it does not answer"))?
            .map_err(|error| Error::answer("a shell", error.to_string()))?;
        let (writer, reader) = socket.split();
        Ok((ShellReader(reader), ShellWriter(writer)))
    }

    async fn shell_service(&self, session: &str) -> Result<ServiceStream, Error> {
        self.require(capability::SHELLS).await?;
        self.connect_service(session, SERVICE, &StartOptions::default())
            .await
    }

    async fn shell_request(
        &self,
        session: &str,
        method: Method,
        path: &str,
    ) -> Result<(u16, Bytes), Error> {
        let stream = self.shell_service(session).await?;
        let asked = async {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            let request = http::Request::builder()
                .method(method)
                .uri(path)
                .header(http::header::HOST, "localhost")
                .body(Empty::<Bytes>::new())?;
            let response = sender.send_request(request).await?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), LIST_MOST);
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((
                status,
                body.collect().await?.to_bytes(),
            ))
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Error::answer("the list of shells", error.to_string())),
            Err(_) => Err(Error::answer("the list of shells", "none came")),
        }
    }
}

/// A name as part of an address.
fn encoded(id: &str) -> String {
    url::form_urlencoded::byte_serialize(id.as_bytes()).collect()
}

impl ShellReader {
    /// What comes next; `None` when the shell has ended.
    ///
    /// # Errors
    /// When the connection is lost: the shell goes on, and can be taken up again.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Binary(bytes))) => return Ok(Some(bytes)),
                Some(Ok(Message::Close(Some(frame)))) if u16::from(frame.code) == ENDED => {
                    return Ok(None);
                }
                Some(Ok(Message::Close(_))) | None => {
                    return Err(Error::answer("a shell", "the connection ended"));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(Error::answer("a shell", error.to_string())),
            }
        }
    }
}

impl ShellWriter {
    /// Types `data`.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn write(&mut self, data: impl Into<Bytes>) -> Result<(), Error> {
        self.send(Message::Binary(data.into())).await
    }

    /// Tells the new size.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn resize(&mut self, size: Size) -> Result<(), Error> {
        let text = serde_json::to_string(&size).map_err(|e| Error::Request(e.to_string()))?;
        self.send(Message::Text(text.into())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Error> {
        let sent = self.0.send(message).await;
        sent.map_err(|error| Error::answer("a shell", error.to_string()))
    }
}

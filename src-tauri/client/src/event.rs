//! What happens to sessions, as the manager tells it.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use protocol::api::event::SessionEvent;

use crate::answer::events;
use crate::call::Call;
use crate::{Client, Error};

/// Longer than two of the manager's pings (15 s): the connection is dead.
const SILENCE: Duration = Duration::from_secs(40);

/// One piece of news.
#[derive(Debug, Clone)]
pub struct SessionNews {
    /// `session_started`, `kernel_terminated`, …
    pub name: String,
    /// Which session, and why.
    pub event: SessionEvent,
}

/// News until the connection ends; then the caller asks for the state and subscribes again.
pub struct EventFeed {
    frames: BoxStream<'static, Result<eventsource_stream::Event, String>>,
}

impl Client {
    /// Subscribes to what happens to the account's sessions.
    ///
    /// # Errors
    /// When the manager refuses or can't be reached.
    pub async fn session_events(&self) -> Result<EventFeed, Error> {
        let call = Call::get(&["events", "session"])
            .query("sessionName", "*")
            // Sessions and kernels: older managers know no list of both.
            .query("scope", "*");
        let response = self.send(call).await?;
        // The pings are comments, which the parser swallows: watch the bytes below it.
        let bytes = tokio_stream_timeout(response.bytes_stream().boxed());
        Ok(EventFeed {
            frames: events(bytes).boxed(),
        })
    }
}

fn tokio_stream_timeout(
    bytes: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
) -> BoxStream<'static, Result<bytes::Bytes, String>> {
    futures_util::stream::unfold(bytes, |mut bytes| async move {
        match tokio::time::timeout(SILENCE, bytes.next()).await {
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), bytes)),
            Ok(Some(Err(error))) => Some((Err(error.to_string()), bytes)),
            Ok(None) | Err(_) => None,
        }
    })
    .boxed()
}

impl EventFeed {
    /// The next piece of news; `None` when the connection has ended.
    pub async fn next(&mut self) -> Option<SessionNews> {
        loop {
            let frame = match self.frames.next().await? {
                Ok(frame) => frame,
                Err(error) => {
                    tracing::debug!(error, "events");
                    return None;
                }
            };
            if frame.event == "server_close" {
                return None;
            }
            match serde_json::from_str(&frame.data) {
                Ok(event) => {
                    return Some(SessionNews {
                        name: frame.event,
                        event,
                    });
                }
                Err(error) => tracing::debug!(%error, name = frame.event, "event not understood"),
            }
        }
    }
}

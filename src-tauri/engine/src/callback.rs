//! Calls those who asked to be called about their sessions (`callback_url`).
//!
//! Calls about one session come in order, a failed one is tried again a few times; nobody is
//! waited for for ever, and nothing of the engine waits for them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;
use jiff::Timestamp;
use protocol::session::SessionStatus;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, mpsc};
use uuid::Uuid;

use crate::events::SessionEvent;
use crate::state::App;
use crate::store::At;

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pauses before a call is tried again.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// Calls that are made at the same time.
const AT_ONCE: usize = 16;
/// Calls about one session that wait for their turn; more are lost.
const WAITING: usize = 64;

/// Whether an address can be called.
pub(crate) fn is_address(text: &str) -> bool {
    text.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
    })
}

/// Whether an address is on this computer.
fn is_here(text: &str) -> bool {
    let host = text.parse::<Uri>().ok().and_then(|uri| {
        let host = uri.host()?;
        Some(host.trim_matches(['[', ']']).to_owned())
    });
    host.is_some_and(|host| {
        host.eq_ignore_ascii_case("localhost")
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    })
}

/// Listens to events and calls, until the engine stops.
pub(crate) async fn run(app: App) {
    let mut events = app.events.listen();
    let mut lines: HashMap<Uuid, mpsc::Sender<Call>> = HashMap::new();
    let mut caller: Option<Caller> = None;
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = app.stop.cancelled() => return,
        };
        let event = match event {
            Ok(event) => event,
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "events that nobody is called about");
                continue;
            }
            Err(RecvError::Closed) => return,
        };
        let Some(call) = Call::of(&event) else {
            continue;
        };
        let Some(caller) = caller.get_or_insert_with(Caller::new).ready() else {
            continue;
        };
        let line = lines.entry(event.session).or_insert_with(|| {
            let (line, calls) = mpsc::channel(WAITING);
            tokio::spawn(caller.make(calls));
            line
        });
        if line.try_send(call).is_err() {
            tracing::warn!(session = %event.session, "too many calls wait");
        }
        if is_last(&event) {
            lines.remove(&event.session);
        }
    }
}

/// Whether nothing can follow an event.
fn is_last(event: &SessionEvent) -> bool {
    SessionStatus::ALL
        .iter()
        .any(|status| status.is_terminal() && status.event_name() == event.name)
}

/// One call.
struct Call {
    url: String,
    body: Value,
}

impl Call {
    fn of(event: &SessionEvent) -> Option<Self> {
        let wanted = event.callback.as_ref()?;
        let name = event.name.strip_prefix("session_")?;
        Some(Self {
            url: wanted.url.clone(),
            body: json!({
                "type": "session_lifecycle",
                "event": name,
                "session_id": event.session,
                "when": At(Timestamp::now()).iso(),
                "status_history": wanted.status_history,
                "status_data": wanted.status_data,
                "result": wanted.result.as_str().to_uppercase(),
            }),
        })
    }
}

/// Makes calls.
#[derive(Clone)]
struct Caller {
    /// To others, and to this computer: there no proxy helps.
    clients: Option<(reqwest::Client, reqwest::Client)>,
    places: Arc<Semaphore>,
}

impl Caller {
    fn new() -> Self {
        let builder = || {
            reqwest::Client::builder()
                .timeout(PATIENCE)
                // A redirect could lead anywhere; whoever wants to be called says where.
                .redirect(reqwest::redirect::Policy::none())
                .user_agent(concat!("gangway-engine/", env!("CARGO_PKG_VERSION")))
        };
        let clients = builder()
            .build()
            .and_then(|others| Ok((others, builder().no_proxy().build()?)))
            .inspect_err(|error| tracing::warn!(%error, "nobody can be called"));
        Self {
            clients: clients.ok(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    fn ready(&self) -> Option<Self> {
        self.clients.as_ref().map(|_| self.clone())
    }

    /// Makes the calls about one session, one after the other.
    async fn make(self, mut calls: mpsc::Receiver<Call>) {
        while let Some(call) = calls.recv().await {
            let Ok(_place) = self.places.acquire().await else {
                return;
            };
            self.try_call(&call).await;
        }
    }

    async fn try_call(&self, call: &Call) {
        let Some((others, here)) = &self.clients else {
            return;
        };
        let client = if is_here(&call.url) { here } else { others };
        let mut pauses = PAUSES.into_iter();
        loop {
            let problem = match client.post(&call.url).json(&call.body).send().await {
                Ok(answer) if answer.status().is_server_error() => answer.status().to_string(),
                // Whatever else they say, they have heard.
                Ok(_) => return,
                // The address is the user's: it may hold a secret, so it is not logged.
                Err(error) => error.without_url().to_string(),
            };
            let Some(pause) = pauses.next() else {
                let session = call.body["session_id"].as_str().unwrap_or_default();
                tracing::warn!(session, problem, "a callback failed");
                return;
            };
            tokio::time::sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_can_be_called() {
        assert!(is_address("http://127.0.0.1:8000/hook?x=1"));
        assert!(is_address("https://example.org/hook"));
        assert!(!is_address("file:///etc/passwd"));
        assert!(!is_address("example.org"));
        assert!(!is_address(""));
        assert!(is_here("http://[::1]:8000/") && is_here("http://localhost/"));
        assert!(!is_here("http://example.org/localhost"));
    }
}

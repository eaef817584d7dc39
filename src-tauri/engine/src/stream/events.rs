//! Server-sent events (protocol page "Sessions" §13): CRLF line ends, a comment as ping.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::Problem;
use crate::events::SessionEvent;
use crate::rest::extract::Params;
use crate::state::App;
use crate::store;

/// How long a stream may be silent before a ping.
const PING: Duration = Duration::from_secs(15);

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/events/session", get(sessions))
        .route("/stream/kernel/_/events", get(sessions))
}

#[derive(Deserialize)]
struct Query {
    #[serde(default, alias = "sessionName", alias = "name")]
    session_name: Option<String>,
    #[serde(default, alias = "ownerAccessKey")]
    owner_access_key: Option<String>,
    #[serde(default, alias = "sessionId")]
    session_id: Option<Uuid>,
    #[serde(default, alias = "groupName", alias = "group")]
    group_name: Option<String>,
    #[serde(default)]
    scope: Option<String>,
}

/// Which events a listener hears.
struct Filter {
    name: Option<String>,
    id: Option<Uuid>,
    /// `None`: everybody's.
    access_key: Option<String>,
    user: Option<Uuid>,
    project: Option<Uuid>,
    sessions: bool,
    kernels: bool,
}

impl Filter {
    fn passes(&self, event: &SessionEvent) -> bool {
        fn is<T: PartialEq>(wanted: &Option<T>, value: &T) -> bool {
            wanted.as_ref().is_none_or(|wanted| wanted == value)
        }
        is(&self.name, &event.session_name)
            && is(&self.id, &event.session)
            && is(&self.access_key, &event.access_key)
            && is(&self.user, &event.user)
            && is(&self.project, &event.project)
            && if event.kernel.is_some() {
                self.kernels
            } else {
                self.sessions
            }
    }
}

async fn sessions(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<Query>,
) -> Result<Response, Problem> {
    let named = |text: Option<String>| text.filter(|text| !text.is_empty() && text != "*");
    let access_key = named(query.owner_access_key);
    let own = access_key
        .as_ref()
        .is_none_or(|key| *key == caller.keypair.access_key);
    if !own && !caller.is_superadmin() {
        return Err(Problem::forbidden(
            "You can listen to your own sessions only.",
        ));
    }
    let project = match named(query.group_name) {
        None => None,
        Some(name) => {
            let user = caller.user_id();
            let projects = app
                .store
                .read(move |db| -> Result<_, Problem> { Ok(store::project::of_user(db, user)?) })
                .await?;
            let found = projects.into_iter().find(|project| project.name == name);
            Some(
                found
                    .ok_or_else(|| Problem::not_found("project", "group_read_not-found"))?
                    .id,
            )
        }
    };
    let scope = named(query.scope).unwrap_or_else(|| "session,kernel".into());
    let filter = Filter {
        name: named(query.session_name),
        id: query.session_id,
        access_key,
        user: (!caller.is_superadmin()).then(|| caller.user_id()),
        project,
        sessions: scope.split(',').any(|part| part.trim() == "session"),
        kernels: scope.split(',').any(|part| part.trim() == "kernel"),
    };
    let events = app.events.listen();
    Ok(response(listen(app, events, filter)))
}

/// Answers with a stream of frames.
pub(crate) fn response<S>(frames: S) -> Response
where
    S: Stream<Item = Result<Bytes, Infallible>> + Send + 'static,
{
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONNECTION, "keep-alive"),
    ];
    (StatusCode::OK, headers, Body::from_stream(frames)).into_response()
}

/// One frame on the wire. JSON has no bare line ends, so one `data` line is enough.
pub(crate) fn frame(name: &str, data: &Value) -> Bytes {
    Bytes::from(format!("event: {name}\r\ndata: {data}\r\n\r\n"))
}

/// A comment that keeps the connection open; the first one lets the client know that it is heard.
pub(crate) fn ping() -> Bytes {
    Bytes::from_static(b": ping\r\n\r\n")
}

fn listen(
    app: App,
    events: Receiver<SessionEvent>,
    filter: Filter,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let begin = stream::once(async { Ok(ping()) });
    let rest = stream::unfold(
        (app, events, filter),
        |(app, mut events, filter)| async move {
            let deadline = tokio::time::sleep(PING);
            tokio::pin!(deadline);
            let bytes = loop {
                tokio::select! {
                    event = events.recv() => match event {
                        Ok(event) if filter.passes(&event) => break frame(&event.name, &event.data()),
                        // A listener that fell behind asks the store as it does after every event.
                        Ok(_) | Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return None,
                    },
                    () = &mut deadline => break ping(),
                    () = app.stop.cancelled() => return None,
                }
            };
            Some((Ok(bytes), (app, events, filter)))
        },
    );
    futures_util::StreamExt::chain(begin, rest)
}

//! A session's log as it is written, as server-sent events: what our engine offers beyond the
//! manager API.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use futures_util::StreamExt;
use protocol::api::gangway::LogPiece;
use protocol::session::SessionStatus;
use runtime::LogFollower;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use uuid::Uuid;

use super::events::{frame, ping, response};
use crate::app::session::{self, LOG_LIMIT, chain};
use crate::auth::Caller;
use crate::error::Problem;
use crate::rest::extract::Params;
use crate::state::App;
use crate::store;
use crate::store::kernel::Kernel as KernelRow;

/// How long a stream may be silent before a ping.
const PING: Duration = Duration::from_secs(15);
/// Frames that wait for a listener that is slow; then the log itself has to.
const WAITING: usize = 4;
/// The longest piece of a kept log in one frame, in characters.
const PIECE: usize = 64 << 10;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/gangway/session/{s}/log", get(follow))
}

#[derive(Deserialize)]
struct Query {
    #[serde(default, alias = "kernelId")]
    kernel_id: Option<Uuid>,
}

async fn follow(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Params(query): Params<Query>,
) -> Result<Response, Problem> {
    let (found, kernels) = session::find(&app, &caller, &reference, None).await?;
    let kernel = match query.kernel_id {
        None => kernels.into_iter().next(),
        Some(id) => kernels.into_iter().find(|row| row.id == id),
    };
    let kernel = kernel.ok_or_else(|| Problem::not_found("kernel", "kernel_read_not-found"))?;
    let (sender, frames) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        // A listener that is gone is no failure.
        let _ = tell(&app, found.id, kernel, &Listener(sender)).await;
    });
    let frames = ReceiverStream::new(frames);
    Ok(response(frames.map(Ok::<Bytes, Infallible>)))
}

/// Nobody listens any more.
struct Gone;

struct Listener(mpsc::Sender<Bytes>);

impl Listener {
    async fn hears(&self, frame: Bytes) -> Result<(), Gone> {
        self.0.send(frame).await.map_err(|_| Gone)
    }

    async fn hears_text(&self, text: String) -> Result<(), Gone> {
        self.hears(frame("text", &json!(LogPiece { text }))).await
    }
}

/// Tells the log of a kernel: what is there, then what is added to it, until its session has ended.
async fn tell(app: &App, id: Uuid, row: KernelRow, to: &Listener) -> Result<(), Gone> {
    let mut events = app.events.listen();
    to.hears(ping()).await?;
    // Also when nothing was written yet: the listener then knows as much.
    to.hears_text(String::new()).await?;
    let mut follower = None;
    let mut pings = tokio::time::interval(PING);
    loop {
        let status = status(app, id).await;
        let is_over = status.is_none_or(SessionStatus::is_terminal);
        if follower.is_none() && (is_over || has_begun(status)) {
            follower = begin(app, row.id).await;
        }
        if is_over {
            rest(app, row, follower, to).await?;
            return to.hears(frame("done", &json!({}))).await;
        }
        loop {
            tokio::select! {
                text = next(&mut follower) => to.hears_text(text).await?,
                event = events.recv() => match event {
                    Ok(event) if event.session != id => {}
                    // The store knows what has happened.
                    _ => break,
                },
                _ = pings.tick() => to.hears(ping()).await?,
                () = to.0.closed() => return Err(Gone),
                () = app.stop.cancelled() => return Ok(()),
            }
        }
    }
}

fn has_begun(status: Option<SessionStatus>) -> bool {
    let begun = [
        SessionStatus::Running,
        SessionStatus::Restarting,
        SessionStatus::Terminating,
    ];
    status.is_some_and(|status| begun.contains(&status))
}

async fn begin(app: &App, kernel: Uuid) -> Option<LogFollower> {
    match app.runtime.follow_log(kernel, LOG_LIMIT as u64).await {
        Ok(follower) => follower,
        Err(error) => {
            tracing::warn!(%kernel, error = chain(&error), "a log can't be followed");
            None
        }
    }
}

async fn next(follower: &mut Option<LogFollower>) -> String {
    if let Some(reading) = follower {
        match reading.next().await {
            Ok(text) => return text,
            Err(error) => tracing::warn!(%error, "a log can't be read any more"),
        }
        *follower = None;
    }
    std::future::pending().await
}

/// What was written last, or all that was kept of a log.
async fn rest(
    app: &App,
    row: KernelRow,
    follower: Option<LogFollower>,
    to: &Listener,
) -> Result<(), Gone> {
    if let Some(mut follower) = follower {
        while let Ok(text) = follower.take()
            && !text.is_empty()
        {
            to.hears_text(text).await?;
        }
        return Ok(());
    }
    let kept = session::logs(app, std::slice::from_ref(&row), None).await;
    let kept = kept.unwrap_or_else(|problem| {
        tracing::warn!(kernel = %row.id, %problem, "no log");
        String::new()
    });
    let mut left = kept.as_str();
    while !left.is_empty() {
        let end = left.floor_char_boundary(PIECE);
        let (piece, more) = left.split_at(end);
        to.hears_text(piece.to_owned()).await?;
        left = more;
    }
    Ok(())
}

async fn status(app: &App, id: Uuid) -> Option<SessionStatus> {
    let found = app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::session::get(db, id)?) });
    match found.await {
        Ok(session) => session.map(|session| session.status),
        Err(problem) => {
            tracing::warn!(session = %id, %problem, "its status");
            None
        }
    }
}

//! How far a background task is, as server-sent events (protocol page "Sessions" §13.2).

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use uuid::Uuid;

use super::events::{frame, ping, response};
use crate::app::background::{News, Outcome};
use crate::auth::Caller;
use crate::error::Problem;
use crate::rest::extract::Params;
use crate::state::App;

/// How long a stream may be silent before a ping.
const PING: Duration = Duration::from_secs(15);
/// How long after its beginning a stream tells the first news. The official client of 2023 starts to
/// draw while it waits, and breaks when the whole stream is there at once.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/events/background-task", get(follow))
}

#[derive(Deserialize)]
struct Query {
    #[serde(alias = "taskId")]
    task_id: String,
}

async fn follow(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<Query>,
) -> Result<Response, Problem> {
    let id: Uuid = query.task_id.parse().map_err(|_| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid-bgtask-id",
            "Invalid background task ID format.",
            "bgtask_read_invalid-parameters",
        )
    })?;
    let news = app.background.watch(&caller, id)?;
    Ok(response(listen(id, news)))
}

fn listen(
    id: Uuid,
    mut news: watch::Receiver<News>,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    // What was said last is news to this listener.
    news.mark_changed();
    let begin = stream::once(async { Ok(ping()) });
    let pause = stream::once(tokio::time::sleep(PAUSE)).filter_map(|()| async { None });
    let rest = stream::unfold(Some(news), move |news| async move {
        let mut news = news?;
        match tokio::time::timeout(PING, news.changed()).await {
            Err(_) => Some((Ok(ping()), Some(news))),
            // The task is gone without a word: it broke.
            Ok(Err(_)) => {
                let lost = json!({ "task_id": id, "message": "The task broke off." });
                Some((Ok(last("bgtask_failed", &lost)), None))
            }
            Ok(Ok(())) => {
                let now = news.borrow_and_update().clone();
                let name = match now.outcome {
                    None => {
                        let text = updated(id, &now);
                        return Some((Ok(text), Some(news)));
                    }
                    Some(Outcome::Done) => "bgtask_done",
                    Some(Outcome::Failed) => "bgtask_failed",
                    Some(Outcome::Cancelled) => "bgtask_cancelled",
                };
                let data = json!({ "task_id": id, "message": now.message });
                Some((Ok(last(name, &data)), None))
            }
        }
    });
    begin.chain(pause).chain(rest)
}

fn updated(id: Uuid, news: &News) -> Bytes {
    let data = json!({
        "task_id": id,
        "message": news.message,
        "current_progress": news.current,
        "total_progress": news.total,
    });
    Bytes::from(format!(
        "event: bgtask_updated\r\ndata: {data}\r\nretry: 5\r\n\r\n"
    ))
}

fn last(name: &str, data: &serde_json::Value) -> Bytes {
    let mut text = frame(name, data).to_vec();
    text.extend_from_slice(&frame("server_close", &json!({})));
    text.into()
}

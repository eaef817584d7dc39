//! What a session prints and uses.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::Stream;
use serde_json::Value;

use super::{find, find_running};
use crate::context::Context;
use crate::types::{Failure, LogText, Metric, SessionLogs, SessionLogsRequest, SessionRef, Stats};

/// A log is asked for anew: the protocol has no stream of it.
const LOG_PAUSE: Duration = Duration::from_secs(1);

pub(crate) async fn logs(
    context: &Context,
    request: SessionLogsRequest,
) -> Result<SessionLogs, Failure> {
    let client = context.client().await?;
    let row = find(&client, &request.session).await?;
    Ok(SessionLogs {
        text: client
            .session_logs(&row.session_id.to_string(), request.kernel)
            .await?,
    })
}

/// The log so far, also when nothing was written yet, then what is added to it, until the session
/// has ended.
pub(crate) async fn follow_log(
    context: &Context,
    request: SessionRef,
) -> Result<impl Stream<Item = Result<LogText, Failure>> + Send + use<>, Failure> {
    let client = context.client().await?;
    let row = find(&client, &request.session).await?;
    let state = (client, row.session_id, None, false);
    Ok(futures_util::stream::unfold(
        state,
        |(client, id, mut seen, over)| async move {
            if over {
                return None;
            }
            loop {
                let step = async {
                    let text = client.session_logs(&id.to_string(), None).await?;
                    let ended = client.session(id).await?.status.is_terminal();
                    Ok::<_, client::Error>((text, ended))
                };
                let (text, ended) = match step.await {
                    Ok(step) => step,
                    Err(error) => return Some((Err(error.into()), (client, id, seen, true))),
                };
                // The manager keeps the end of a long log: then there is no telling what is new.
                let known = seen.unwrap_or(0);
                let start = if text.is_char_boundary(known) {
                    known.min(text.len())
                } else {
                    0
                };
                let new = text[start..].to_owned();
                let first = seen.replace(text.len()).is_none();
                if first || !new.is_empty() || ended {
                    return Some((Ok(LogText { text: new }), (client, id, seen, ended)));
                }
                tokio::time::sleep(LOG_PAUSE).await;
            }
        },
    ))
}

pub(crate) async fn stats(context: &Context, request: SessionRef) -> Result<Stats, Failure> {
    let client = context.client().await?;
    let row = find_running(&client, &request.session).await?;
    let stats = client.stats(&row.session_id.to_string()).await?;
    let kernels = stats
        .kernels
        .into_iter()
        .map(|(kernel, metrics)| (kernel.to_string(), metrics_of(metrics)))
        .collect();
    Ok(Stats {
        at: stats.at,
        kernels,
    })
}

fn metrics_of(metrics: Value) -> BTreeMap<String, Metric> {
    let Value::Object(metrics) = metrics else {
        return BTreeMap::new();
    };
    let text = |value: Option<&Value>| match value {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    metrics
        .into_iter()
        .map(|(name, value)| {
            let metric = Metric {
                current: text(value.get("current")),
                capacity: text(value.get("capacity")),
                pct: text(value.get("pct")),
                unit_hint: text(value.get("unit_hint")),
            };
            (name, metric)
        })
        .collect()
}

//! What a session prints and uses.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde_json::Value;

use super::{find, find_running, log_follow};
use crate::context::Context;
use crate::types::{Failure, LogText, Metric, SessionLogs, SessionLogsRequest, SessionRef, Stats};

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
) -> Result<BoxStream<'static, Result<LogText, Failure>>, Failure> {
    let client = context.client().await?;
    let row = find(&client, &request.session).await?;
    if client.streams_logs().await? {
        Ok(log_follow::told(client, row.session_id).await?.boxed())
    } else {
        Ok(log_follow::asked_for(client, row.session_id).boxed())
    }
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

//! Batch jobs in requests: their command, how long they may take, and when they begin.

use jiff::{SignedDuration, Timestamp};
use protocol::api::session::Create;
use protocol::session::SessionType;
use serde_json::Value;

use crate::error::Problem;
use crate::store::At;

/// The job of a new session; all empty when it is not a batch session.
pub(crate) struct Batch {
    pub(crate) command: Option<String>,
    /// Seconds.
    pub(crate) timeout: Option<f64>,
    pub(crate) starts_at: Option<At>,
}

/// Reads the parts of a request that are about a job.
pub(crate) fn read(request: &Create) -> Result<Batch, Problem> {
    let is_batch = request.session_type == SessionType::Batch;
    let command = request
        .startup_command
        .clone()
        .filter(|command| !command.trim().is_empty());
    if is_batch && command.is_none() {
        return Err(Problem::invalid_params(
            "Batch sessions must have a non-empty startup command.",
        ));
    }
    if !is_batch && request.starts_at.is_some() {
        return Err(Problem::invalid_params(
            "Parameter starts_at should be used only for batch sessions",
        ));
    }
    let timeout = request
        .batch_timeout
        .as_ref()
        .filter(|value| !value.is_null());
    if !is_batch && timeout.is_some() {
        return Err(Problem::invalid_params(
            "Parameter batch_timeout should be used only for batch sessions",
        ));
    }
    let starts_at = request.starts_at.as_deref().map(starts_at).transpose()?;
    Ok(Batch {
        command: command.filter(|_| is_batch),
        timeout: timeout.map(batch_timeout).transpose()?,
        starts_at,
    })
}

/// ISO 8601, or a time from now such as `5m` or `1h30m`.
fn starts_at(text: &str) -> Result<At, Problem> {
    if let Some(date) = protocol::signing::parse_date(text) {
        return Ok(At(date.timestamp()));
    }
    seconds(text)
        .and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok())
        .and_then(|later| Timestamp::now().checked_add(later).ok())
        .map(At)
        .ok_or_else(|| Problem::invalid_params(format!("starts_at: \"{text}\" is not a time.")))
}

fn batch_timeout(value: &Value) -> Result<f64, Problem> {
    let parsed = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => seconds(text),
        _ => None,
    };
    parsed
        .filter(|seconds| *seconds > 0.0)
        .ok_or_else(|| Problem::invalid_params(format!("batch_timeout: {value} is not a time.")))
}

/// Seconds of `90`, `1.5h`, `2d 3h`.
pub(crate) fn seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut sum = 0.0;
    while !rest.is_empty() {
        let split = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..split].parse().ok()?;
        rest = rest[split..].trim_start();
        let end = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        sum += number
            * match &rest[..end] {
                "w" | "week" | "weeks" => 604_800.0,
                "d" | "day" | "days" => 86_400.0,
                "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
                "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
                "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
                _ => return None,
            };
        rest = rest[end..].trim_start();
    }
    (!text.is_empty()).then_some(sign * sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_write_them() {
        assert_eq!(seconds("90"), Some(90.0));
        assert_eq!(seconds("1.5h"), Some(5400.0));
        assert_eq!(seconds("2d 3h"), Some(183_600.0));
        assert_eq!(seconds("-5m"), Some(-300.0));
        assert_eq!(seconds("5 parsecs"), None);
        assert_eq!(seconds(""), None);
    }
}

//! What is tried again, and when.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use crate::call::Call;
use crate::{Client, Error};

/// A manager that wants to be left alone for longer is not waited for: somebody sits before the
/// screen.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Who has waited for so long is told; with an attempt that begins just before, that is a minute.
const ENOUGH: Duration = Duration::from_secs(30);

/// Seconds until requests are counted anew. Backend.AI's manager sends this and no `Retry-After`.
const RESET: &str = "x-ratelimit-reset";

/// Why an attempt failed, and how long the manager wants to be left alone.
pub(crate) struct Setback {
    error: Error,
    wait: Option<Duration>,
}

impl From<Error> for Setback {
    fn from(error: Error) -> Self {
        Self { error, wait: None }
    }
}

impl Setback {
    /// After an answer that wanted a pause, or none; who has used up a limit is told how long it
    /// lasts.
    pub(crate) fn after(mut error: Error, wait: Option<Duration>) -> Self {
        if let (
            Error::Manager {
                status: 429,
                problem,
            },
            Some(wait),
        ) = (&mut error, wait)
        {
            let title = problem.title.clone();
            let rest = format!("Requests are taken again in {} s.", wait.as_secs());
            problem
                .msg
                .get_or_insert_with(|| format!("{title} {rest}").trim_start().to_owned());
        }
        Self { error, wait }
    }
}

/// Only seconds are understood: no manager sends the other form of `Retry-After`, a date.
pub(crate) fn wanted_pause(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let seconds = |name: &str| {
        let text = headers.get(name)?.to_str().ok()?;
        text.trim().parse().map(Duration::from_secs).ok()
    };
    let reset = || match status {
        StatusCode::TOO_MANY_REQUESTS => seconds(RESET),
        // On every other answer it is no more than an information.
        _ => None,
    };
    seconds(RETRY_AFTER.as_str()).or_else(reset)
}

impl Client {
    /// Makes attempts until one succeeds or it makes no sense to try again. What changes something
    /// is tried once, and so is whatever goes to this computer.
    pub(crate) async fn repeat<T, F, A>(&self, call: &Call<'_>, mut attempt: A) -> Result<T, Error>
    where
        A: FnMut() -> F,
        F: Future<Output = Result<T, Setback>>,
    {
        let again = !self.is_loopback() && call.reads;
        if !again {
            return attempt().await.map_err(|setback| setback.error);
        }
        let started = Instant::now();
        attempt
            .retry(
                ExponentialBuilder::default()
                    .with_min_delay(Duration::from_millis(200))
                    .with_max_times(3)
                    .with_jitter(),
            )
            .when(|setback| {
                let soon = setback.wait.is_none_or(|wait| wait <= LONGEST_WAIT);
                soon && setback.error.is_temporary() && started.elapsed() < ENOUGH
            })
            .adjust(|setback, pause| pause.map(|pause| pause.max(setback.wait.unwrap_or_default())))
            .await
            .map_err(|setback| setback.error)
    }
}

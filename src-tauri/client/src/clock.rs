//! The manager's time, as far as this computer's own clock is wrong about it. Managers believe no
//! signature whose date is more than 15 minutes off (protocol page "Authentication").

use std::sync::atomic::{AtomicI64, Ordering};

use http::{HeaderMap, header};
use jiff::{SignedDuration, Timestamp};

/// Differences up to this are no reason for a refusal; answers take their time, too.
const LEAST: i64 = 60;

/// Seconds that the manager is ahead.
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicI64);

impl Clock {
    /// What a request says of when it was made.
    pub(crate) fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.0.load(Ordering::Relaxed));
        // A date that can't be written is refused, as this computer's own would be.
        let now = Timestamp::now();
        now.checked_add(ahead).unwrap_or(now)
    }

    /// Takes over what an answer says of the manager's time; whether that is another than was
    /// thought.
    pub(crate) fn learn(&self, headers: &HeaderMap) -> bool {
        let date = headers
            .get(header::DATE)
            .and_then(|date| date.to_str().ok());
        let parsed = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        let Some(theirs) = parsed.map(|zoned| zoned.timestamp()) else {
            return false;
        };
        let off = |from: Timestamp| theirs.duration_since(from).as_secs();
        if off(self.now()).abs() <= LEAST {
            return false;
        }
        let ahead = off(Timestamp::now());
        tracing::info!(
            seconds = ahead,
            "this computer's clock differs from the manager's"
        );
        self.0.store(ahead, Ordering::Relaxed);
        true
    }
}

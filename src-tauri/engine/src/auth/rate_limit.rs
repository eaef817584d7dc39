//! Counts requests by access key over the last fifteen minutes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a request counts.
pub(crate) const WINDOW: Duration = Duration::from_mins(15);
/// The window moves in steps of this length, so that a key costs a few numbers, not a list.
const STEP: Duration = Duration::from_mins(1);
const STEPS: usize = 15;
/// What an answer to nobody in particular says; never enforced.
const ANONYMOUS: u32 = 1000;

/// See the module.
pub(crate) struct RateLimiter {
    began: Instant,
    counts: Mutex<HashMap<String, Counter>>,
}

#[derive(Default)]
struct Counter {
    newest: u64,
    steps: [u32; STEPS],
}

/// What a key has used of its window.
pub(crate) struct Usage {
    limit: Option<u32>,
    used: u32,
    pub(crate) exceeded: bool,
}

impl Default for RateLimiter {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            counts: Mutex::new(HashMap::new()),
        }
    }
}

impl RateLimiter {
    /// Counts one request of `key`; `limit` is in requests per [`WINDOW`], `None` is no limit.
    pub(crate) fn count(&self, key: &str, limit: Option<u32>) -> Usage {
        let now = self.began.elapsed().as_secs() / STEP.as_secs();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let used = counts.entry(key.to_owned()).or_default().count(now);
        Usage {
            limit,
            used,
            exceeded: limit.is_some_and(|limit| used > limit),
        }
    }
}

impl Counter {
    fn count(&mut self, now: u64) -> u32 {
        let steps = STEPS as u64;
        for step in (self.newest + 1)..=now.min(self.newest + steps) {
            self.steps[(step % steps) as usize] = 0;
        }
        self.newest = now;
        let slot = &mut self.steps[(now % steps) as usize];
        *slot = slot.saturating_add(1);
        self.steps
            .iter()
            .fold(0, |sum, step| sum.saturating_add(*step))
    }
}

impl Usage {
    pub(crate) fn anonymous() -> Self {
        Self {
            limit: Some(ANONYMOUS),
            used: 0,
            exceeded: false,
        }
    }

    /// "None" for no limit: the manager prints its null so.
    pub(crate) fn limit_text(&self) -> String {
        self.limit
            .map_or_else(|| "None".to_owned(), |limit| limit.to_string())
    }

    pub(crate) fn remaining_text(&self) -> String {
        self.limit.map_or_else(
            || "None".to_owned(),
            |limit| limit.saturating_sub(self.used).to_string(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_stop_counting_after_the_window() {
        let mut counter = Counter::default();
        assert_eq!(counter.count(0), 1);
        assert_eq!(counter.count(0), 2);
        assert_eq!(counter.count(14), 3);
        assert_eq!(counter.count(15), 2);
        assert_eq!(counter.count(100), 1);
    }

    #[test]
    fn over_the_limit_is_said() {
        let limiter = RateLimiter::default();
        assert!(!limiter.count("a", Some(1)).exceeded);
        assert!(limiter.count("a", Some(1)).exceeded);
        assert!(!limiter.count("b", Some(1)).exceeded);
        assert!(!limiter.count("a", None).exceeded);
    }
}

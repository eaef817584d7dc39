//! Holds transfers to a number of bytes per second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A bucket that fills with time. What is taken beyond its content is waited for by the taker.
pub(crate) struct Limit {
    bucket: Mutex<Bucket>,
}

struct Bucket {
    rate: Option<u64>,
    /// Until when everything taken so far is paid.
    paid: Instant,
}

impl Limit {
    /// `rate` in bytes per second; no limit when absent.
    pub(crate) fn new(rate: Option<u64>) -> Self {
        Self {
            bucket: Mutex::new(Bucket {
                rate,
                paid: Instant::now(),
            }),
        }
    }

    pub(crate) fn get(&self) -> Option<u64> {
        let bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.rate
    }

    pub(crate) fn set(&self, rate: Option<u64>) {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.rate = rate;
        bucket.paid = Instant::now();
    }

    /// Waits until `bytes` more may go.
    pub(crate) async fn take(&self, bytes: usize) {
        let until = {
            let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(rate) = bucket.rate else { return };
            // Time that was not used is not saved up: a burst after a stall would break the limit.
            let start = bucket.paid.max(Instant::now());
            let cost = Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
            bucket.paid = start + cost;
            start
        };
        tokio::time::sleep_until(until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ten_seconds_of_data_take_ten_seconds() {
        let limit = Limit::new(Some(1000));
        let start = Instant::now();
        for _ in 0..100 {
            limit.take(100).await;
        }
        limit.take(0).await;
        let passed = start.elapsed().as_secs_f64();
        assert!((9.9..10.2).contains(&passed), "{passed}");
        limit.set(None);
        let start = Instant::now();
        limit.take(1 << 30).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}

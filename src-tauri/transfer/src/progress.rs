//! How far a transfer is, and how fast, without figures that jump.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The speed shown is an average that forgets with this time constant.
const MEMORY: Duration = Duration::from_secs(4);
/// A speed measured over less time than this says nothing about the rest.
const WARM_UP: Duration = Duration::from_secs(1);

/// Counters of one transfer, written by those who move bytes and read by whoever looks.
#[derive(Default)]
pub(crate) struct Progress {
    /// Bytes done, those that were there already included.
    bytes: AtomicU64,
    /// Bytes that really moved since the program took the transfer up.
    moved: AtomicU64,
    files: AtomicU64,
    total: AtomicU64,
    files_total: AtomicU64,
    skipped: AtomicU64,
    /// The totals are complete.
    counted: AtomicBool,
    meter: Mutex<Meter>,
}

#[derive(Default)]
struct Meter {
    /// Running time before the present run.
    before: Duration,
    started: Option<Instant>,
    last: Option<(Instant, u64)>,
    speed: Option<f64>,
}

/// Figures at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Figures {
    pub(crate) bytes: u64,
    pub(crate) total: Option<u64>,
    pub(crate) files: u64,
    pub(crate) files_total: Option<u64>,
    pub(crate) skipped: u64,
    pub(crate) speed: Option<u64>,
    pub(crate) eta_s: Option<u64>,
    pub(crate) seconds: f64,
}

impl Progress {
    /// Goes on from stored figures.
    pub(crate) fn restored(figures: &Figures) -> Self {
        let progress = Self::default();
        progress.bytes.store(figures.bytes, Ordering::Relaxed);
        progress.files.store(figures.files, Ordering::Relaxed);
        progress.skipped.store(figures.skipped, Ordering::Relaxed);
        if let (Some(total), Some(files)) = (figures.total, figures.files_total) {
            progress.total.store(total, Ordering::Relaxed);
            progress.files_total.store(files, Ordering::Relaxed);
            progress.counted.store(true, Ordering::Relaxed);
        }
        progress.meter().before = Duration::try_from_secs_f64(figures.seconds).unwrap_or_default();
        progress
    }

    /// A run begins. What was counted stays in sight until it is counted anew.
    pub(crate) fn begin(&self, now: Instant) {
        let mut meter = self.meter();
        meter.started = Some(now);
        meter.last = None;
        meter.speed = None;
    }

    /// Both ends are in reach: everything is looked through anew.
    pub(crate) fn recount(&self) {
        for counter in [
            &self.bytes,
            &self.moved,
            &self.files,
            &self.total,
            &self.files_total,
            &self.skipped,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        self.counted.store(false, Ordering::Relaxed);
        self.meter().last = None;
    }

    /// A run ends.
    pub(crate) fn end(&self, now: Instant) {
        let mut meter = self.meter();
        if let Some(started) = meter.started.take() {
            meter.before += now.saturating_duration_since(started);
        }
        meter.speed = None;
    }

    pub(crate) fn found_file(&self, size: u64) {
        self.total.fetch_add(size, Ordering::Relaxed);
        self.files_total.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn counted(&self) {
        self.counted.store(true, Ordering::Relaxed);
    }

    /// Bytes arrived.
    pub(crate) fn moved(&self, bytes: u64) {
        self.moved.fetch_add(bytes, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that need not move.
    pub(crate) fn present(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that were counted and must move again.
    pub(crate) fn undone(&self, bytes: u64) {
        let _ = self
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
                Some(now.saturating_sub(bytes))
            });
    }

    /// A figure that changes whenever anything has moved or been found.
    pub(crate) fn seen(&self) -> u64 {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        load(&self.bytes)
            .wrapping_add(load(&self.moved))
            .wrapping_add(load(&self.files))
            .wrapping_add(load(&self.files_total))
            .wrapping_add(load(&self.skipped))
    }

    pub(crate) fn file_done(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn skipped(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    /// Measures the speed; called a few times a second.
    pub(crate) fn tick(&self, now: Instant) {
        let moved = self.moved.load(Ordering::Relaxed);
        let mut meter = self.meter();
        let Some((then, before)) = meter.last.replace((now, moved)) else {
            return;
        };
        let passed = now.saturating_duration_since(then);
        if passed.is_zero() {
            meter.last = Some((then, before));
            return;
        }
        let present = moved.saturating_sub(before) as f64 / passed.as_secs_f64();
        meter.speed = Some(match meter.speed {
            None => present,
            Some(speed) => {
                let weight = 1.0 - (-passed.as_secs_f64() / MEMORY.as_secs_f64()).exp();
                speed + (present - speed) * weight
            }
        });
    }

    pub(crate) fn figures(&self, now: Instant) -> Figures {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (bytes, counted) = (load(&self.bytes), self.counted.load(Ordering::Relaxed));
        let total = counted.then(|| load(&self.total));
        let meter = self.meter();
        let running = meter
            .started
            .map(|start| now.saturating_duration_since(start));
        let warm = running.is_some_and(|running| running >= WARM_UP);
        let speed = meter.speed.filter(|_| warm);
        let eta_s = match (total, speed) {
            (Some(total), Some(speed)) if speed >= 1.0 => {
                Some((total.saturating_sub(bytes) as f64 / speed).ceil() as u64)
            }
            _ => None,
        };
        Figures {
            bytes,
            total,
            files: load(&self.files),
            files_total: counted.then(|| load(&self.files_total)),
            skipped: load(&self.skipped),
            speed: speed.map(|speed| speed as u64),
            eta_s,
            seconds: (meter.before + running.unwrap_or_default()).as_secs_f64(),
        }
    }

    fn meter(&self) -> std::sync::MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bursty_line_does_not_make_the_time_to_go_jump() {
        let progress = Progress::default();
        let mut now = Instant::now();
        progress.begin(now);
        progress.found_file(100_000_000);
        progress.counted();
        let mut shown = Vec::new();
        for step in 0..80 {
            // 2 MB in every other quarter of a second: 4 MB/s on average.
            progress.moved(if step % 2 == 0 { 2_000_000 } else { 0 });
            now += Duration::from_millis(250);
            progress.tick(now);
            shown.extend(progress.figures(now).eta_s);
        }
        let late = &shown[shown.len() - 20..];
        for pair in late.windows(2) {
            assert!(pair[0].abs_diff(pair[1]) <= 2, "{late:?}");
        }
        let speed = progress.figures(now).speed.unwrap();
        assert!((3_500_000..4_500_000).contains(&speed), "{speed}");
    }

    #[test]
    fn bytes_that_were_there_do_not_count_as_speed() {
        let progress = Progress::default();
        let mut now = Instant::now();
        progress.begin(now);
        progress.present(1 << 40);
        for _ in 0..8 {
            progress.moved(1000);
            now += Duration::from_secs(1);
            progress.tick(now);
        }
        assert_eq!(progress.figures(now).speed, Some(1000));
        assert_eq!(progress.figures(now).bytes, (1 << 40) + 8000);
    }
}

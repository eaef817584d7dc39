//! How much a session used of what it holds, over a window of time.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use super::settings::Settings;
use super::{Checker, INTERVAL, Verdict, millis, seconds_of};

/// Use in per cent by metric, of what was asked for only.
pub(crate) type Sample = BTreeMap<String, f64>;

/// The samples of one session.
#[derive(Debug, Default)]
pub(crate) struct Window {
    samples: VecDeque<(i64, Sample)>,
    /// When the first of all samples was taken, however old it is by now.
    first: Option<i64>,
}

impl Window {
    /// Of a session that is not judged.
    pub(super) fn unjudged() -> Verdict {
        Verdict {
            checker: Checker::Utilization,
            remaining: None,
            idle: false,
            extra: Value::Null,
        }
    }

    /// Takes a sample and says what follows. Times are milliseconds, `length` is seconds.
    pub(super) fn judge(
        &mut self,
        settings: &Settings,
        length: f64,
        grace_end: i64,
        now: i64,
        sample: Option<Sample>,
    ) -> Verdict {
        if now < grace_end {
            // Not a sample yet: a session is left alone while it warms up.
            let until = seconds_of(grace_end.saturating_sub(now)) + length;
            return Verdict {
                remaining: Some(until),
                extra: extra(settings, &Sample::new()),
                ..Self::unjudged()
            };
        }
        if let Some(sample) = sample {
            self.first.get_or_insert(now);
            self.samples.push_back((now, sample));
        }
        let oldest = now.saturating_sub(millis(length));
        while self.samples.front().is_some_and(|(at, _)| *at < oldest) {
            self.samples.pop_front();
        }
        let averages = self.averages();
        // Samples that are as dense as they should be fill the window before its time is over.
        let passed = self.first.map_or(0, |first| now.saturating_sub(first));
        let complete = passed.saturating_add(i64::from(INTERVAL) * 1000) >= millis(length);
        let idle = complete && !self.samples.is_empty() && is_idle(settings, &averages);
        let remaining = if complete {
            0.0
        } else {
            length - seconds_of(passed)
        };
        Verdict {
            remaining: Some(remaining),
            idle,
            extra: extra(settings, &averages),
            ..Self::unjudged()
        }
    }

    fn averages(&self) -> Sample {
        let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        for (metric, value) in self.samples.iter().flat_map(|(_, sample)| sample) {
            let (sum, count) = sums.entry(metric).or_default();
            *sum += value;
            *count += 1.0;
        }
        sums.into_iter()
            .map(|(metric, (sum, count))| (metric.to_owned(), sum / count))
            .collect()
    }
}

/// Whether the averages are below their thresholds: all of them, or with "or" any.
fn is_idle(settings: &Settings, averages: &Sample) -> bool {
    let mut judged = settings
        .thresholds
        .iter()
        .filter_map(|one| Some(*averages.get(&one.metric)? < one.average))
        .peekable();
    if judged.peek().is_none() {
        return false;
    }
    if settings.any_metric {
        judged.any(|below| below)
    } else {
        judged.all(|below| below)
    }
}

fn extra(settings: &Settings, averages: &Sample) -> Value {
    let resources: BTreeMap<&str, [f64; 2]> = settings
        .thresholds
        .iter()
        .filter_map(|one| {
            let average = averages.get(&one.metric)?;
            Some((one.metric.as_str(), [round(*average), one.average]))
        })
        .collect();
    let operator = if settings.any_metric { "or" } else { "and" };
    json!({ "thresholds_check_operator": operator, "resources": resources })
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::super::settings::Threshold;
    use super::*;

    fn settings(any_metric: bool) -> Settings {
        let threshold = |metric: &str, average| Threshold {
            metric: metric.to_owned(),
            resource: metric.to_owned(),
            average,
        };
        Settings {
            utilization: true,
            any_metric,
            thresholds: vec![threshold("cpu_util", 30.0), threshold("mem", 10.0)],
            ..Settings::default()
        }
    }

    fn sample(cpu: f64, mem: f64) -> Option<Sample> {
        Some([("cpu_util".to_owned(), cpu), ("mem".to_owned(), mem)].into())
    }

    /// Samples every 15 s for a minute, in a window of a minute.
    fn after_a_minute(settings: &Settings, sample: &Option<Sample>) -> Verdict {
        let mut window = Window::default();
        let mut verdict = Window::unjudged();
        for at in 0..4 {
            assert!(!verdict.idle, "judged before the window was full");
            verdict = window.judge(settings, 60.0, 0, at * 15_000, sample.clone());
        }
        verdict
    }

    #[test]
    fn a_session_is_judged_when_its_window_is_full() {
        let (all, any) = (settings(false), settings(true));
        assert!(after_a_minute(&all, &sample(5.0, 2.0)).idle);
        assert!(!after_a_minute(&all, &sample(50.0, 2.0)).idle);
        assert!(after_a_minute(&any, &sample(50.0, 2.0)).idle);
        assert!(!after_a_minute(&any, &sample(50.0, 20.0)).idle);
        // Without anything to look at nobody is idle.
        assert!(!after_a_minute(&any, &Some(Sample::new())).idle);
        assert!(!after_a_minute(&any, &None).idle);
    }

    #[test]
    fn a_short_burst_counts_as_part_of_the_average_and_leaves_with_time() {
        let all = settings(false);
        let mut window = Window::default();
        window.judge(&all, 60.0, 0, 0, sample(400.0, 5.0));
        for at in 1..4 {
            assert!(
                !window
                    .judge(&all, 60.0, 0, at * 15_000, sample(0.0, 5.0))
                    .idle
            );
        }
        let later = window.judge(&all, 60.0, 0, 75_000, sample(0.0, 5.0));
        assert!(later.idle);
        assert_eq!(
            later.extra,
            json!({ "thresholds_check_operator": "and",
                    "resources": { "cpu_util": [0.0, 30.0], "mem": [5.0, 10.0] } })
        );
    }

    #[test]
    fn the_grace_period_comes_first() {
        let all = settings(false);
        let mut window = Window::default();
        let early = window.judge(&all, 60.0, 100_000, 40_000, sample(0.0, 0.0));
        assert_eq!((early.remaining, early.idle), (Some(120.0), false));
        let begun = window.judge(&all, 60.0, 100_000, 100_000, sample(0.0, 0.0));
        assert_eq!((begun.remaining, begun.idle), (Some(60.0), false));
    }
}

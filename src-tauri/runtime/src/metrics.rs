//! Numbers in the manager API's form (protocol page "Kernel runner" §8).

use std::{collections::BTreeMap, fs, time::Instant};

use protocol::runner::Metric;

/// A decimal with at most `digits` digits after the point and no zeros at its end.
pub(crate) fn decimal(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "statistics need no more than 52 bits"
)]
pub(crate) fn float(value: u64) -> f64 {
    value as f64
}

/// One metric.
pub(crate) fn metric(current: f64, capacity: Option<f64>, unit: &str) -> Metric {
    let mut metric = Metric::plain(decimal(current, 3), unit);
    if let Some(capacity) = capacity {
        metric.capacity = Some(decimal(capacity, 3));
        if capacity > 0.0 {
            metric.pct = format!("{:.2}", current / capacity * 100.0);
        }
    }
    metric
}

/// What was counted at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) cpu_ms: u64,
    pub(crate) memory: u64,
    pub(crate) read: u64,
    pub(crate) written: u64,
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

/// Makes metrics of counters: rates need the last ones, averages all of them.
#[derive(Debug, Default)]
pub(crate) struct History {
    last: Option<(Instant, Counters)>,
    most_memory: u64,
    most_cpu: f64,
    cpu_sum: f64,
    samples: f64,
}

impl History {
    /// Metrics of a kernel with `memory_limit` bytes.
    pub(crate) fn metrics(
        &mut self,
        now: Instant,
        counters: Counters,
        memory_limit: u64,
    ) -> BTreeMap<String, Metric> {
        let (seconds, before) = match self.last {
            Some((then, before)) => (now.duration_since(then).as_secs_f64(), before),
            None => (0.0, counters),
        };
        let rate = |now: u64, before: u64| {
            if seconds > 0.0 {
                float(now.saturating_sub(before)) / seconds
            } else {
                0.0
            }
        };
        let cpu = rate(counters.cpu_ms, before.cpu_ms);
        self.last = Some((now, counters));
        self.most_memory = self.most_memory.max(counters.memory);
        self.most_cpu = self.most_cpu.max(cpu);
        self.cpu_sum += cpu;
        self.samples += 1.0;

        let mut cpu_util = metric(cpu, Some(1000.0), "percent");
        cpu_util.avg = Some(decimal(self.cpu_sum / self.samples, 3));
        cpu_util.max = Some(decimal(self.most_cpu, 3));
        let mut memory = metric(float(counters.memory), Some(float(memory_limit)), "bytes");
        memory.max = Some(self.most_memory.to_string());
        let mut read = metric(float(counters.read), None, "bytes");
        read.rate = Some(decimal(rate(counters.read, before.read), 3));
        let mut written = metric(float(counters.written), None, "bytes");
        written.rate = Some(decimal(rate(counters.written, before.written), 3));
        BTreeMap::from([
            ("cpu_util".to_owned(), cpu_util),
            (
                "cpu_used".to_owned(),
                metric(float(counters.cpu_ms), None, "msec"),
            ),
            ("mem".to_owned(), memory),
            ("io_read".to_owned(), read),
            ("io_write".to_owned(), written),
            (
                "net_rx".to_owned(),
                metric(rate(counters.received, before.received), None, "bps"),
            ),
            (
                "net_tx".to_owned(),
                metric(rate(counters.sent, before.sent), None, "bps"),
            ),
        ])
    }
}

/// What was counted for the whole computer.
#[derive(Debug, Default)]
pub(crate) struct NodeHistory {
    last: Option<(Instant, u64, (u64, u64))>,
}

impl NodeHistory {
    /// Metrics of this computer, in the form of the agent's `live_stat.node`.
    pub(crate) fn metrics(&mut self, now: Instant) -> BTreeMap<String, Metric> {
        let busy = busy_ms();
        let network = network();
        let (seconds, busy_before, network_before) = match self.last {
            Some((then, busy, network)) => (now.duration_since(then).as_secs_f64(), busy, network),
            None => (0.0, busy, network),
        };
        self.last = Some((now, busy, network));
        let rate = |now: u64, before: u64| {
            if seconds > 0.0 {
                float(now.saturating_sub(before)) / seconds
            } else {
                0.0
            }
        };
        let (total, available) = memory();
        let spent = float(busy.saturating_sub(busy_before));
        BTreeMap::from([
            (
                "cpu_util".to_owned(),
                metric(spent, Some(seconds * 1000.0), "msec"),
            ),
            (
                "mem".to_owned(),
                metric(
                    float(total.saturating_sub(available)),
                    Some(float(total)),
                    "bytes",
                ),
            ),
            (
                "net_rx".to_owned(),
                metric(rate(network.0, network_before.0), None, "bps"),
            ),
            (
                "net_tx".to_owned(),
                metric(rate(network.1, network_before.1), None, "bps"),
            ),
        ])
    }
}

/// CPU time of all cores that was not idle, in milliseconds.
fn busy_ms() -> u64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<u64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .map(|word| word.parse().unwrap_or(0))
        .collect();
    // user, nice, system, (idle, iowait,) irq, softirq
    let ticks: u64 = [0, 1, 2, 5, 6]
        .iter()
        .filter_map(|at| fields.get(*at))
        .sum();
    ticks * 1000 / rustix::param::clock_ticks_per_second().max(1)
}

/// Total and available bytes of memory.
pub(crate) fn memory() -> (u64, u64) {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.unwrap_or(0) << 10
    };
    (field("MemTotal:"), field("MemAvailable:"))
}

fn network() -> (u64, u64) {
    let text = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let mut sum = (0, 0);
    for (name, counters) in text.lines().filter_map(|line| line.split_once(':')) {
        if name.trim() != "lo" {
            let counters: Vec<u64> = counters
                .split_whitespace()
                .map(|word| word.parse().unwrap_or(0))
                .collect();
            sum.0 += counters.first().copied().unwrap_or(0);
            sum.1 += counters.get(8).copied().unwrap_or(0);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn decimals_have_no_idle_digits() {
        assert_eq!(decimal(1.5, 3), "1.5");
        assert_eq!(decimal(100.0, 3), "100");
        assert_eq!(decimal(0.123_456, 3), "0.123");
    }

    #[test]
    fn rates_come_from_two_looks() {
        let mut history = History::default();
        let start = Instant::now();
        let counters = |cpu_ms, received| Counters {
            cpu_ms,
            received,
            memory: 512,
            ..Counters::default()
        };
        history.metrics(start, counters(1000, 100), 1024);
        let metrics = history.metrics(start + Duration::from_secs(2), counters(2000, 300), 1024);
        assert_eq!(metrics["cpu_util"].current, "500");
        assert_eq!(metrics["cpu_util"].pct, "50.00");
        assert_eq!(metrics["net_rx"].current, "100");
        assert_eq!(metrics["mem"].pct, "50.00");
        assert_eq!(metrics["cpu_used"].capacity, None);
    }
}

//! Statistics as far as they can be seen from inside: counted over all processes of the session.
//! Where there are control groups, the engine replaces CPU and memory by what the kernel counted.

use std::{collections::BTreeMap, fs};

use protocol::runner::Metric;

/// Raw values; the engine makes rates of them.
pub(super) fn read() -> BTreeMap<String, Metric> {
    let mut total = Total::default();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        {
            total.add(pid);
        }
    }
    let (received, sent) = network();
    BTreeMap::from([
        ("cpu_used".to_owned(), Metric::plain(total.cpu_ms, "msec")),
        ("mem".to_owned(), Metric::plain(total.memory, "bytes")),
        ("io_read".to_owned(), Metric::plain(total.read, "bytes")),
        ("io_write".to_owned(), Metric::plain(total.written, "bytes")),
        ("net_rx".to_owned(), Metric::plain(received, "bps")),
        ("net_tx".to_owned(), Metric::plain(sent, "bps")),
        (
            "processes".to_owned(),
            Metric::plain(total.processes, "count"),
        ),
    ])
}

#[derive(Default)]
struct Total {
    cpu_ms: u64,
    memory: u64,
    read: u64,
    written: u64,
    processes: u64,
}

impl Total {
    fn add(&mut self, pid: u32) {
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            return;
        };
        self.processes += 1;
        // The name may hold spaces and brackets; the rest begins after the last one.
        let rest: Vec<u64> = stat
            .rsplit_once(") ")
            .map(|(_, rest)| {
                rest.split(' ')
                    .skip(1)
                    .map(|word| word.parse().unwrap_or(0))
                    .collect()
            })
            .unwrap_or_default();
        let field = |number: usize| rest.get(number - 4).copied().unwrap_or(0);
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        let mut spent = field(14) + field(15);
        if pid == 1 {
            // Ended processes count for the first one, which collects them all.
            spent += field(16) + field(17);
        }
        self.cpu_ms += spent * 1000 / ticks;
        self.memory += field(24) * rustix::param::page_size() as u64;
        for line in fs::read_to_string(format!("/proc/{pid}/io"))
            .unwrap_or_default()
            .lines()
        {
            match line.split_once(": ") {
                Some(("read_bytes", value)) => self.read += value.parse().unwrap_or(0),
                Some(("write_bytes", value)) => self.written += value.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

/// Bytes received and sent over all interfaces but loopback and the bridge's ports.
fn network() -> (u64, u64) {
    let text = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let mut sum = (0, 0);
    for (name, counters) in text.lines().filter_map(|line| line.split_once(':')) {
        if name.trim() != "lo" && !name.trim().starts_with("cluster.") {
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

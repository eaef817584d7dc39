//! What processes cost, with all that they have started.

use std::collections::BTreeSet;
use std::fs;

/// Seconds of processor time so far.
pub(crate) fn cpu(roots: &[u32]) -> f64 {
    let ticks: f64 = tree(roots)
        .iter()
        .filter_map(|pid| {
            let fields = stat(*pid)?;
            // User and system time, and those of children that were waited for (proc(5)).
            Some(
                (11..15)
                    .filter_map(|at| fields.get(at)?.parse::<f64>().ok())
                    .sum::<f64>(),
            )
        })
        .sum();
    ticks / 100.0
}

/// Most MiB at the same time since [`forget`].
pub(crate) fn peak(roots: &[u32]) -> f64 {
    memory(roots, "VmHWM:")
}

/// MiB now.
pub(crate) fn now(roots: &[u32]) -> f64 {
    memory(roots, "VmRSS:")
}

/// Begins a new [`peak`].
pub(crate) fn forget(roots: &[u32]) {
    for pid in tree(roots) {
        let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
    }
}

fn memory(roots: &[u32], field: &str) -> f64 {
    tree(roots)
        .iter()
        .filter_map(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find(|line| line.starts_with(field))?;
            line.split_whitespace().nth(1)?.parse::<f64>().ok()
        })
        .sum::<f64>()
        / 1024.0
}

/// The fields after the name, which may hold anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_owned).collect())
}

fn tree(roots: &[u32]) -> BTreeSet<u32> {
    let mut all: BTreeSet<u32> = roots.iter().copied().collect();
    let processes: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some((pid, stat(pid)?.get(1)?.parse().ok()?))
        })
        .collect();
    loop {
        let before = all.len();
        for (pid, parent) in &processes {
            if all.contains(parent) {
                all.insert(*pid);
            }
        }
        if all.len() == before {
            return all;
        }
    }
}

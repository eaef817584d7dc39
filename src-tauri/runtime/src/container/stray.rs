//! Processes of a container that its engine began and lost: killed between making a container and
//! starting it, it leaves the container's first process waiting for ever, and removes the container
//! without it.

use std::fs;

use rustix::process::{Signal, pidfd_send_signal};

use crate::process::descriptor_of;

/// Letters of a container's full id; fewer could be anything.
const ID: usize = 64;

/// Ends what is still in the control group of a container that does not run.
pub(super) fn end(container: &str) {
    if container.len() != ID || !container.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return;
    }
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|it| it.parse().ok()) else {
            continue;
        };
        // Held before it is looked at: its number may be another's by then.
        let Ok(process) = descriptor_of(pid) else {
            continue;
        };
        let groups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        if groups.contains(container) {
            tracing::warn!(
                pid,
                container,
                "ended a process that its container has lost"
            );
            // One that is gone already is as good.
            let _ = pidfd_send_signal(&process, Signal::KILL);
        }
    }
}

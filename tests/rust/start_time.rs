//! How long a session takes to start, and what the engine weighs without one. Figures are only
//! worth something from a release build on an idle machine.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tests::computer::Computer;
use tests::process::figure;

/// From the command to the first SSH prompt, median.
const LIMIT: Duration = Duration::from_millis(300);
/// Of the engine without sessions.
const LIMIT_KIB: u64 = 40 * 1024;

#[test]
#[ignore = "long, and for release builds"]
fn start_time() -> Result<()> {
    let count: usize = std::env::var("GANGWAY_STARTS")
        .ok()
        .map_or(Ok(50), |it| it.parse())?;
    let computer = Computer::logged_in()?;
    let pid = computer.engine()?["pid"].as_u64().context("pid")?;
    let weight = pss(pid)?;
    figure(
        "engine without sessions, PSS",
        &format!("{} MiB", LIMIT_KIB / 1024),
        format!("{:.1} MiB", weight as f64 / 1024.0),
    );

    computer.gangway(&["ssh-config", "install", "--yes"])?;
    let (mut launched, mut reached) = (Vec::new(), Vec::new());
    // One that does not count: files and tables that every later one finds warm.
    for round in 0..=count {
        let name = format!("start-{round}");
        let started = Instant::now();
        computer.launch(&name, &[])?;
        let running = started.elapsed();
        // `gangway ssh` is the system's ssh with `gangway ssh-proxy` as its ProxyCommand.
        let output = computer
            .command(&["ssh", &name, "--", "echo", "prompt"])
            .stdin(Stdio::null())
            .output()?;
        let took = started.elapsed();
        ensure!(output.stdout == b"prompt\n", "{output:?}");
        computer.gangway(&["session", "rm", "--yes", "--force", &name])?;
        if round > 0 {
            launched.push(running);
            reached.push(took);
        }
    }
    let (half, median) = (median(&mut launched), median(&mut reached));
    figure(
        &format!("from `session launch` to the first answer over `ssh-proxy`, median of {count}"),
        &format!("{LIMIT:.0?}"),
        format!(
            "{median:.0?} (fastest {:.0?}, slowest {:.0?}; RUNNING after {half:.0?})",
            reached[0],
            reached[reached.len() - 1]
        ),
    );
    figure(
        &format!("engine after {count} sessions, PSS"),
        "",
        format!("{:.1} MiB", pss(pid)? as f64 / 1024.0),
    );
    ensure!(median < LIMIT, "{median:?} is over {LIMIT:?}");
    ensure!(weight < LIMIT_KIB, "{weight} KiB is over {LIMIT_KIB} KiB");
    Ok(())
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The proportional share of a process in memory, in KiB.
fn pss(pid: u64) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text
        .lines()
        .find(|line| line.starts_with("Pss:"))
        .context("Pss")?;
    Ok(line.split_whitespace().nth(1).context("Pss")?.parse()?)
}

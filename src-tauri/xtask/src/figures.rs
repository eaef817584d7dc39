//! `tests/figures.md`: what the last full run has measured, with its bars, date and machine. Written
//! by the run and by nobody else.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::run::{command, output, root};

const FILE: &str = "tests/figures.md";
/// How a test begins a line for the table; `what | bar | figure` follows.
const MARK: &str = "figure: ";

/// Figures, collected step by step.
pub(crate) struct Figures {
    /// Other work on the machine when the run began, as the system counts it.
    load: String,
    rows: Vec<String>,
    benches: Vec<(String, Vec<String>)>,
}

impl Figures {
    pub(crate) fn new() -> Self {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or_default().to_owned();
        Self {
            load,
            rows: Vec::new(),
            benches: Vec::new(),
        }
    }

    /// Runs tests with their output shown, and keeps what they have measured.
    pub(crate) fn of_tests(&mut self, tests: &mut Command) -> Result<()> {
        let rows = &mut self.rows;
        // A backtrace of an error is a hundred lines of the test harness.
        tests.env("RUST_BACKTRACE", "0");
        watched(tests, |line| rows.extend(row(line)))
    }

    /// The same for a bench that prints Markdown: tables, with headings if there are several.
    pub(crate) fn of_bench(&mut self, name: &str, bench: &mut Command) -> Result<()> {
        let mut table = Vec::new();
        watched(bench, |line| {
            if line.starts_with('|') {
                table.push(line.to_owned());
            } else if let Some(heading) = line.strip_prefix("## ") {
                table.push(format!("\n{heading}:\n"));
            }
        })?;
        if table.is_empty() {
            bail!("{name} printed no table");
        }
        self.benches.push((name.to_owned(), table));
        Ok(())
    }

    /// Writes the file.
    pub(crate) fn write(&self, steps: &[(String, Duration)], took: Duration) -> Result<()> {
        let date = output(command("date").arg("+%F"))?;
        let text = self.text(date.trim(), &machine(), steps, took);
        fs::write(root().join(FILE), text).context(FILE)
    }

    fn text(
        &self,
        date: &str,
        machine: &str,
        steps: &[(String, Duration)],
        took: Duration,
    ) -> String {
        let mut text = format!(
            "# Last figures\n\n\
             Written by the long part of `cargo xtask test --full` on {date}, which took {} min: release builds, \
             {machine}, load {} before the run (0: nothing else was running).\n\n\
             | what | bar | figure |\n|---|---|---|\n",
            took.as_secs() / 60,
            self.load
        );
        for row in &self.rows {
            text.push_str(row);
            text.push('\n');
        }
        for (name, table) in &self.benches {
            let _ = write!(text, "\n`{name}`:\n\n{}\n", table.join("\n"));
        }
        text.push_str("\nWhere the time went:\n\n| step | s |\n|---|---|\n");
        for (name, took) in steps {
            let _ = writeln!(text, "| {name} | {:.0} |", took.as_secs_f64());
        }
        text
    }
}

/// Runs a command whose output is both shown and looked at, line by line.
fn watched(running: &mut Command, mut look: impl FnMut(&str)) -> Result<()> {
    let mut child = running.stdout(Stdio::piped()).spawn().context("cargo")?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            look(&line);
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("this failed ({status}): {running:?}");
    }
    Ok(())
}

/// A line of the table. The harness writes the test's name before the first line of a test.
fn row(line: &str) -> Option<String> {
    let (_, row) = line.split_once(MARK)?;
    Some(format!("| {} |", row.trim()))
}

fn machine() -> String {
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = value(&system, "PRETTY_NAME=").trim_matches('"').to_owned();
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = value(&processors, "model name\t: ").to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = value(&memory, "MemTotal:")
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap_or(0);
    format!("{system}, {cores} × {model}, {} GiB", kib >> 20)
}

/// The rest of the first line that begins with `key`.
fn value<'a>(text: &'a str, key: &str) -> &'a str {
    text.lines()
        .find_map(|line| line.strip_prefix(key))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_found_wherever_the_harness_lets_it_stand() {
        let wanted = Some("| engine, PSS | 40 MiB | 20 MiB |".to_owned());
        for line in [
            "test start_time ... figure: engine, PSS | 40 MiB | 20 MiB",
            "figure: engine, PSS | 40 MiB | 20 MiB",
        ] {
            assert_eq!(row(line), wanted, "{line}");
        }
        assert_eq!(row("test start_time ... ok"), None);
    }

    #[test]
    fn the_file_says_when_where_and_against_which_bar() {
        let figures = Figures {
            load: "0.10".to_owned(),
            rows: vec!["| start | 300 ms | 80 ms |".to_owned()],
            benches: vec![("a bench".to_owned(), vec!["| a |".to_owned()])],
        };
        let steps = [("release builds".to_owned(), Duration::from_secs(600))];
        let text = figures.text("2026-01-02", "a machine", &steps, Duration::from_secs(3600));
        for part in [
            "`cargo xtask test --full` on 2026-01-02, which took 60 min",
            "a machine, load 0.10 before the run",
            "| start | 300 ms | 80 ms |",
            "`a bench`:\n\n| a |\n",
            "| release builds | 600 |",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}

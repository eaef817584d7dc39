//! Runs tests that drive real programs. Those of the product as a whole get a second attempt, since
//! a busy machine may starve a browser of them; what needed it is named, and so is what failed, again
//! at the end of the log.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};

use crate::build;

/// The package whose tests use the product from outside.
const WHOLE_PRODUCT: &str = "-p tests --test ";
/// Lines of a failed test that are shown again.
const SHOWN_AGAIN: usize = 60;

/// Runs every integration test.
pub(crate) fn real_processes() -> Result<()> {
    let mut all = build::workspace("test");
    let first = Outcome::of(all.args(["--tests", "--no-fail-fast"]))?;
    if first.passed {
        return Ok(());
    }
    first.show_again();
    let Some(targets) = first.second_attempts() else {
        bail!("tests failed: {}", first.targets.join(", "));
    };
    println!("\nA second attempt: {}", targets.join(", "));
    let mut again = build::workspace("test");
    for target in &targets {
        again.args(["--test", target]);
    }
    let second = Outcome::of(again.arg("--no-fail-fast"))?;
    if second.passed {
        println!(
            "\nPassed at the second attempt only: {}",
            targets.join(", ")
        );
        return Ok(());
    }
    second.show_again();
    bail!("tests failed twice: {}", second.targets.join(", "))
}

#[derive(Debug, Default)]
struct Outcome {
    passed: bool,
    /// As cargo names them: `-p tests --test web`.
    targets: Vec<String>,
    /// What the failed tests said.
    said: Vec<String>,
}

impl Outcome {
    fn of(tests: &mut Command) -> Result<Self> {
        // A backtrace of an error is a hundred lines of the test harness.
        tests.env("RUST_BACKTRACE", "0").stdout(Stdio::piped());
        let mut child = tests.stderr(Stdio::piped()).spawn().context("cargo")?;
        let stdout = child.stdout.take().context("stdout")?;
        let stderr = child.stderr.take().context("stderr")?;
        let said = thread::spawn(move || passed_on(stdout, |line| println!("{line}")));
        let told = passed_on(stderr, |line| eprintln!("{line}"));
        let said = said.join().unwrap_or_default();
        Ok(Self {
            passed: child.wait()?.success(),
            targets: failed_targets(&told),
            said: failures(&said),
        })
    }

    fn show_again(&self) {
        println!("\nWhat failed:");
        for line in &self.said {
            println!("{line}");
        }
    }

    /// The test files to run again, if all that failed are tests of the whole product.
    fn second_attempts(&self) -> Option<Vec<&str>> {
        let named: Option<Vec<&str>> = self
            .targets
            .iter()
            .map(|target| target.strip_prefix(WHOLE_PRODUCT))
            .collect();
        named.filter(|targets| !targets.is_empty())
    }
}

/// Shows each line as it comes, and returns them all.
fn passed_on(stream: impl Read, show: impl Fn(&str)) -> Vec<String> {
    let mut lines = Vec::new();
    for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        show(&line);
        lines.push(line);
    }
    lines
}

/// From the list that cargo ends with.
fn failed_targets(lines: &[String]) -> Vec<String> {
    lines
        .iter()
        .skip_while(|line| !line.ends_with("failed:"))
        .filter_map(|line| line.trim().strip_prefix('`')?.strip_suffix('`'))
        .map(str::to_owned)
        .collect()
}

/// The blocks that the harness heads with `---- name stdout ----`.
fn failures(lines: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut room = 0;
    for line in lines {
        if line.starts_with("---- ") {
            room = SHOWN_AGAIN;
        } else if line == "failures:" {
            room = 0;
        }
        if room > 0 {
            found.push(line.clone());
            room -= 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn only_tests_of_the_whole_product_are_tried_again() {
        let told = "error: test failed, to rerun pass `-p tests --test web`\n\
                    error: 2 targets failed:\n    `-p tests --test web`\n    `-p ssh --lib`";
        let mut outcome = Outcome {
            targets: failed_targets(&lines(told)),
            ..Outcome::default()
        };
        assert_eq!(outcome.targets, ["-p tests --test web", "-p ssh --lib"]);
        assert_eq!(outcome.second_attempts(), None);
        outcome.targets.pop();
        assert_eq!(outcome.second_attempts(), Some(vec!["web"]));
        // What does not compile has no tests that failed.
        outcome.targets.clear();
        assert_eq!(outcome.second_attempts(), None);
    }

    #[test]
    fn what_failed_is_found_in_the_log() {
        let said = "running 2 tests\n\nfailures:\n\n---- one stdout ----\nError: why\n\nfailures:\n    one\n";
        assert_eq!(
            failures(&lines(said)),
            ["---- one stdout ----", "Error: why", ""]
        );
    }
}

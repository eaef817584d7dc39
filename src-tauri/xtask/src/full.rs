//! `cargo xtask test --full`: what takes too long for every commit.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::build;
use crate::package::{self, Packages};
use crate::run::{Steps, cargo, command, has, root, shown};
use crate::setup::RUNNER_TARGET;

/// Release builds, large counts, one package updated to the next, and the licence and advisory
/// check by cargo-deny.
pub(crate) fn everything(steps: &mut Steps) -> Result<()> {
    steps.step("licences and advisories (cargo deny)", deny)?;
    steps.step("lints of the runner on its own target", || {
        let mut clippy = cargo();
        clippy.args([
            "clippy",
            "--locked",
            "-p",
            "runner",
            "--all-targets",
            "--target",
            RUNNER_TARGET,
        ]);
        shown(clippy.args(["--", "-D", "warnings"]))
    })?;
    steps.step("release builds", package::release)?;
    steps.step("large counts and long runs", figures)?;
    let packages = steps.step("two packages, signed", package::two_versions)?;
    steps.step("one package updated to the next", || update(&packages))
}

/// Where the last figures are kept.
const FIGURES: &str = "tests/figures.txt";

/// Runs the tests that are left out of every commit, against release builds, and keeps what they
/// have measured.
fn figures() -> Result<()> {
    let mut tests = build::workspace("test");
    tests
        .args([
            "--tests",
            "--",
            "--ignored",
            "--test-threads=1",
            "--nocapture",
        ])
        .args(["--skip", "package_"])
        .env("GANGWAY_PROGRAMS", package::release_dir())
        .stdout(Stdio::piped());
    let mut running = tests.spawn().context("cargo test")?;
    let mut kept = String::from("Measured by `cargo xtask test --full` with release builds.\n\n");
    if let Some(output) = running.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            if let Some(figure) = figure(&line) {
                kept.push_str(figure);
                kept.push('\n');
            }
        }
    }
    let status = running.wait()?;
    if !status.success() {
        bail!("the long tests failed ({status})");
    }
    std::fs::write(root().join(FIGURES), kept).context(FIGURES)
}

/// What a test itself has printed; the harness writes the test's name before the first line.
fn figure(line: &str) -> Option<&str> {
    let own = match line
        .strip_prefix("test ")
        .and_then(|rest| rest.split_once(" ... "))
    {
        Some((_, own)) => own,
        None => line,
    };
    let harness = ["running ", "test ", "ok", "ignored", "FAILED", "failures"];
    (!own.trim().is_empty() && !harness.iter().any(|it| own.starts_with(it))).then_some(own)
}

fn deny() -> Result<()> {
    if !has("cargo-deny") {
        shown(cargo().args(["install", "--locked", "cargo-deny"]))?;
    }
    shown(command("cargo-deny").args([
        "check",
        "--config",
        ".deny.toml",
        "licenses",
        "bans",
        "sources",
    ]))
}

fn update(packages: &Packages) -> Result<()> {
    shown(
        build::workspace("test")
            .args(["--test", "update", "--", "--ignored", "--nocapture"])
            .env("GANGWAY_OLD_PACKAGE", &packages.old)
            .env("GANGWAY_NEW_PACKAGE", &packages.new)
            .env("GANGWAY_NEW_VERSION", package::NEXT_VERSION),
    )
}

#[cfg(test)]
mod tests {
    use super::figure;

    #[test]
    fn only_what_a_test_has_measured_is_kept() {
        assert_eq!(
            figure("test start_time ... engine: 30 MiB"),
            Some("engine: 30 MiB")
        );
        assert_eq!(figure("50 starts: 0.2 s"), Some("50 starts: 0.2 s"));
        for harness in [
            "test start_time ... ok",
            "running 3 tests",
            "test result: ok. 1",
            "",
            "ok",
        ] {
            assert_eq!(figure(harness), None, "{harness}");
        }
    }
}

//! `cargo xtask test`: what every commit has to pass.

use anyhow::Result;

use crate::run::{Steps, cargo, shown};
use crate::setup::{self, Need, npm};
use crate::{attempts, build, full};

/// The tests of every commit, their set-up included.
pub(crate) fn every_commit() -> Result<()> {
    let mut steps = Steps::new();
    let outcome = commit(&mut steps);
    steps.summary();
    outcome?;
    println!("\nAll tests passed.");
    Ok(())
}

/// What takes long; `everything` says whether the tests of every commit come first.
pub(crate) fn long(everything: bool) -> Result<()> {
    let mut steps = Steps::new();
    let first = if everything {
        commit(&mut steps)
    } else {
        Ok(())
    };
    let outcome = first.and_then(|()| full::everything(&mut steps));
    steps.summary();
    outcome?;
    println!("\nAll long tests passed.");
    Ok(())
}

fn commit(steps: &mut Steps) -> Result<()> {
    steps.step("set-up", || setup::everything(Need::Test))?;
    steps.step("formats (cargo fmt)", || {
        shown(cargo().args(["fmt", "--all", "--check"]))
    })?;
    steps.step("user interface: lint", || {
        shown(npm().args(["run", "lint"]))
    })?;
    steps.step("user interface: build and types", build::ui)?;
    steps.step("user interface: tests", || {
        shown(npm().args(["run", "test"]))
    })?;
    steps.step("lints (cargo clippy)", clippy)?;
    steps.step("programs", || {
        shown(build::workspace("build").arg("--all-targets"))?;
        build::runner()
    })?;
    steps.step("layout, architecture, licences", || {
        tests(&[
            "--test",
            "architecture",
            "--test",
            "layout",
            "--test",
            "licences",
        ])
    })?;
    steps.step("tests of each crate", || tests(&["--lib", "--bins"]))?;
    steps.step("tests of what runs inside sessions", || {
        shown(&mut build::in_sessions("test"))
    })?;
    steps.step("examples in the documentation", || tests(&["--doc"]))?;
    steps.step("tests with real processes", attempts::real_processes)?;
    steps.step("both ends of SSH against each other", || {
        tests(&["--features", "ssh/server", "--test", "both_ends"])
    })?;
    steps.step("generated files are fresh", generated)
}

fn clippy() -> Result<()> {
    let mut clippy = cargo();
    clippy.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        "app/custom-protocol",
        "--locked",
    ]);
    shown(clippy.args(["--", "-D", "warnings"]))
}

/// Tests of the programs that the step before has built.
pub(crate) fn tests(arguments: &[&str]) -> Result<()> {
    shown(build::workspace("test").args(arguments))
}

/// The tests write the TypeScript side of the command table; a difference from what is committed
/// means that somebody changed a type and did not commit what follows from it.
fn generated() -> Result<()> {
    shown(crate::run::command("git").args([
        "diff",
        "--exit-code",
        "--stat",
        "--",
        "ui/src/bridge/generated",
    ]))
}

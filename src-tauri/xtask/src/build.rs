//! How our programs are compiled. One feature set for everything, since cargo rebuilds hundreds
//! of crates whenever the set changes.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{cargo, debug_dir, root, shown};
use crate::setup::{RUNNER_TARGET, npm};

/// Everything but the runner, which is built for musl; with the UI embedded.
pub(crate) const SELECTION: &[&str] = &[
    "--workspace",
    "--exclude",
    "runner",
    "--features",
    "app/custom-protocol",
    "--locked",
];

/// `cargo <verb>` over [`SELECTION`].
pub(crate) fn workspace(verb: &str) -> Command {
    let mut cargo = cargo();
    cargo.arg(verb).args(SELECTION);
    cargo
}

/// `cargo <verb>` over what sessions run: the runner, and the server end of SSH, which is in no
/// other program.
pub(crate) fn in_sessions(verb: &str) -> Command {
    let mut cargo = cargo();
    cargo.args([verb, "--locked", "-p", "runner", "-p", "ssh"]);
    cargo.args(["--no-default-features", "--features", "ssh/server"]);
    cargo.args(["--lib", "--bins", "--target", RUNNER_TARGET]);
    cargo
}

/// The user interface, into `ui/dist`.
pub(crate) fn ui() -> Result<()> {
    shown(npm().args(["run", "build"]))
}

/// The runner, and a copy beside the other programs, where the engine looks for it.
pub(crate) fn runner() -> Result<()> {
    shown(cargo().args([
        "build",
        "--locked",
        "-p",
        "runner",
        "--target",
        RUNNER_TARGET,
    ]))?;
    let built = root()
        .join("target")
        .join(RUNNER_TARGET)
        .join("debug/gangway-runner");
    let beside = debug_dir().join("gangway-runner");
    fs::create_dir_all(debug_dir())?;
    // Another cargo command may have put a hard link here; writing through it would change
    // cargo's own copy, and a session may be running the old file.
    let fresh = beside.with_extension("new");
    fs::copy(&built, &fresh).with_context(|| format!("{} can't be copied", built.display()))?;
    fs::rename(&fresh, &beside).context("the runner can't be put beside the other programs")
}

/// All programs that the app needs.
pub(crate) fn programs() -> Result<()> {
    shown(&mut workspace("build"))?;
    runner()
}

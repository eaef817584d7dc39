//! What has to be there before anything can be built.

use std::process::Stdio;

use anyhow::{Context, Result, bail};

pub(crate) use crate::packages::Need;
use crate::run::{command, has, output, root, shown};
use crate::{display, packages};

/// The runner is one static binary, so that it runs inside any image.
pub(crate) const RUNNER_TARGET: &str = if cfg!(target_arch = "aarch64") {
    "aarch64-unknown-linux-musl"
} else {
    "x86_64-unknown-linux-musl"
};

/// The oldest Rust with the edition and the libraries that we use; `rust-version` in Cargo.toml.
const RUST: Version = Version(1, 95);
/// The oldest Node that the UI's build tools accept.
const NODE: Version = Version(20, 19);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

impl Version {
    /// The first `X.Y` of a line such as `rustc 1.95.0 (…)` or `v20.20.2`.
    fn find(line: &str) -> Option<Self> {
        let word = line.split_whitespace().find(|word| {
            word.trim_start_matches('v')
                .starts_with(|letter: char| letter.is_ascii_digit())
        })?;
        let mut parts = word.trim_start_matches('v').split('.');
        Some(Self(
            parts.next()?.parse().ok()?,
            parts.next()?.parse().ok()?,
        ))
    }
}

/// Versions, system packages, the runner's target and the UI's packages.
pub(crate) fn everything(need: Need) -> Result<()> {
    versions()?;
    packages::install(need, display::present())?;
    runner_target()?;
    ui_packages()
}

/// Both languages first: without them nothing else makes sense.
fn versions() -> Result<()> {
    let rust = output(command("rustc").arg("--version"))
        .context("Rust was not found. Install it from https://rustup.rs")?;
    match Version::find(&rust) {
        Some(version) if version >= RUST => println!("Rust: {}", rust.trim()),
        _ => bail!(
            "Gangway needs Rust {}.{} or newer, and this is {}. Run: rustup update stable",
            RUST.0,
            RUST.1,
            rust.trim()
        ),
    }
    let node = output(command("node").arg("--version"))
        .context("Node was not found. Install Node 20.19 or newer from https://nodejs.org")?;
    match Version::find(&node) {
        Some(version) if version >= NODE => println!("Node: {}", node.trim()),
        _ => bail!(
            "Gangway needs Node {}.{} or newer, and this is {}. See https://nodejs.org",
            NODE.0,
            NODE.1,
            node.trim()
        ),
    }
    if !has("npm") {
        bail!(
            "npm was not found. It comes with Node from https://nodejs.org (on Debian: apt-get install npm)"
        );
    }
    Ok(())
}

fn runner_target() -> Result<()> {
    let libraries =
        output(command("rustc").args(["--print", "target-libdir", "--target", RUNNER_TARGET]))?;
    if std::fs::read_dir(libraries.trim()).is_ok_and(|mut files| files.next().is_some()) {
        return Ok(());
    }
    if !has("rustup") {
        bail!("the Rust target {RUNNER_TARGET} is missing, and there is no rustup to add it");
    }
    println!("The session runner is a static program: rustup target add {RUNNER_TARGET}");
    shown(command("rustup").args(["target", "add", RUNNER_TARGET]))
}

/// `npm ci`, only when the lock file is another than the one that was installed last.
fn ui_packages() -> Result<()> {
    let ui = root().join("ui");
    let stamp = ui.join("node_modules/.gangway-installed");
    let lock = std::fs::read(ui.join("package-lock.json")).context("ui/package-lock.json")?;
    if std::fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    println!("Packages of the user interface: npm ci");
    shown(npm().args(["ci", "--no-audit", "--no-fund"]))?;
    std::fs::write(&stamp, lock).context("node_modules can't be written")
}

/// npm in the UI's folder.
pub(crate) fn npm() -> std::process::Command {
    let mut npm = command("npm");
    npm.current_dir(root().join("ui")).stdin(Stdio::null());
    npm
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn versions_are_read_from_what_the_programs_print() {
        assert_eq!(
            Version::find("rustc 1.95.0 (59807616e 2026-04-14)\n"),
            Some(Version(1, 95))
        );
        assert_eq!(Version::find("v20.19.4\n"), Some(Version(20, 19)));
        assert_eq!(Version::find("rustc 1.97.0-nightly"), Some(Version(1, 97)));
        assert!(Version(20, 9) < Version(20, 19) && Version(22, 1) > Version(20, 19));
        assert_eq!(Version::find("no number"), None);
    }
}

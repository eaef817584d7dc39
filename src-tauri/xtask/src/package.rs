//! `cargo xtask package`: .deb and .rpm with all our programs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::build;
use crate::run::{Steps, cargo, command, output, root, shown};
use crate::setup::{self, Need, RUNNER_TARGET};

/// The Tauri CLI that bundles. It is kept out of `ui/package.json`, whose lock file it would fill
/// with programs for other systems that `npm ci` then wants to have.
const TAURI_CLI: &str = "@tauri-apps/cli@2.12.5";
/// The version that the update test moves to.
pub(crate) const NEXT_VERSION: &str = "0.2.0";
/// Where the update test's loopback server listens; written into the test packages.
const UPDATE_ENDPOINT: &str = "http://127.0.0.1:8077/latest.json";

/// The packages that the update test installs one after the other, and one that it does not.
pub(crate) struct Packages {
    pub(crate) old: PathBuf,
    pub(crate) new: PathBuf,
    pub(crate) rpm: PathBuf,
}

/// Where release builds of our programs lie.
pub(crate) fn release_dir() -> PathBuf {
    root().join("target/release")
}

/// Packages for people.
pub(crate) fn package() -> Result<()> {
    let mut steps = Steps::new();
    steps.step("set-up", || setup::everything(Need::App))?;
    steps.step("user interface", build::ui)?;
    steps.step("release builds", release)?;
    let made = steps.step("packages", || bundle("deb,rpm", &[], None))?;
    for file in made {
        println!("{}", file.display());
    }
    Ok(())
}

/// Every program, optimised, beside each other in `target/release`.
pub(crate) fn release() -> Result<()> {
    shown(build::workspace("build").arg("--release"))?;
    shown(cargo().args([
        "build",
        "--locked",
        "--release",
        "-p",
        "runner",
        "--target",
        RUNNER_TARGET,
    ]))?;
    let built = root()
        .join("target")
        .join(RUNNER_TARGET)
        .join("release/gangway-runner");
    let beside = release_dir().join("gangway-runner");
    let fresh = beside.with_extension("new");
    fs::copy(&built, &fresh)?;
    fs::rename(&fresh, &beside)?;
    Ok(())
}

/// Version now and version next, signed with a key made for this run.
pub(crate) fn two_versions() -> Result<Packages> {
    let folder = root().join("target/update-test");
    fs::create_dir_all(&folder)?;
    let key = folder.join("key");
    let tauri = tauri_cli()?;
    let mut generate = command(&tauri);
    shown(
        generate
            .args(["signer", "generate", "--ci", "-f", "-p", "", "-w"])
            .arg(&key),
    )?;
    let secret = fs::read_to_string(&key)?;
    let public = fs::read_to_string(key.with_extension("pub"))?;
    let overlay = folder.join("overlay.json");
    fs::write(
        &overlay,
        format!(
            r#"{{"bundle":{{"createUpdaterArtifacts":true}},"plugins":{{"updater":{{"endpoints":["{UPDATE_ENDPOINT}"],"pubkey":"{}","dangerousInsecureTransportProtocol":true}}}}}}"#,
            public.trim()
        ),
    )?;
    let version = folder.join("version.json");
    fs::write(&version, format!(r#"{{"version":"{NEXT_VERSION}"}}"#))?;
    let made = bundle("deb,rpm", &[&overlay], Some(&secret))?;
    let old = keep(&folder, "old", "deb", &made)?;
    let rpm = keep(&folder, "old", "rpm", &made)?;
    let made = bundle("deb", &[&overlay, &version], Some(&secret))?;
    let new = keep(&folder, "new", "deb", &made)?;
    Ok(Packages { old, new, rpm })
}

/// Copies a package and its signature to where the next bundling leaves them alone.
fn keep(folder: &Path, name: &str, kind: &str, made: &[PathBuf]) -> Result<PathBuf> {
    let package = made
        .iter()
        .find(|file| file.extension().is_some_and(|it| it == kind))
        .with_context(|| format!("no .{kind} was made"))?;
    let kept = folder.join(format!("{name}.{kind}"));
    fs::copy(package, &kept)?;
    let signature = PathBuf::from(format!("{}.sig", package.display()));
    fs::copy(signature, folder.join(format!("{name}.{kind}.sig")))?;
    Ok(kept)
}

/// Runs the bundler and returns the files that it says it has made.
fn bundle(kinds: &str, overlays: &[&Path], secret: Option<&str>) -> Result<Vec<PathBuf>> {
    let mut tauri = command(tauri_cli()?);
    tauri.args([
        "build",
        "--bundles",
        kinds,
        "--config",
        r#"{"build":{"beforeBuildCommand":""}}"#,
    ]);
    for overlay in overlays {
        tauri.arg("--config").arg(overlay);
    }
    // The same selection as everywhere, or hundreds of crates are compiled again.
    tauri.args(["--features", "app/custom-protocol"]);
    tauri.args(["--", "--workspace", "--exclude", "runner", "--locked"]);
    if let Some(secret) = secret {
        tauri
            .env("TAURI_SIGNING_PRIVATE_KEY", secret.trim())
            .env("TAURI_SIGNING_PRIVATE_KEY_PASSWORD", "");
    }
    let folder = release_dir().join("bundle");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    shown(&mut tauri)?;
    let mut made = Vec::new();
    for kind in kinds.split(',') {
        for file in fs::read_dir(folder.join(kind))? {
            let path = file?.path();
            if path
                .extension()
                .is_some_and(|it| it == "deb" || it == "rpm")
            {
                made.push(path);
            }
        }
    }
    Ok(made)
}

/// The Tauri CLI in a folder of its own under `target/`.
fn tauri_cli() -> Result<PathBuf> {
    let folder = root().join("target/tools/tauri");
    let program = folder.join("node_modules/.bin/tauri");
    let version = TAURI_CLI.rsplit('@').next().unwrap_or_default();
    if program.exists() && output(command(&program).arg("--version"))?.contains(version) {
        return Ok(program);
    }
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("package.json"), r#"{"private":true}"#)?;
    shown(
        command("npm")
            .args([
                "install",
                "--no-audit",
                "--no-fund",
                "--save-exact",
                TAURI_CLI,
            ])
            .current_dir(&folder),
    )?;
    Ok(program)
}

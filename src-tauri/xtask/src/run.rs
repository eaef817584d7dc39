//! Starts other programs, and times the steps that people wait for.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The repository: two folders above this crate.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// Where development builds of our programs lie.
pub(crate) fn debug_dir() -> PathBuf {
    root().join("target/debug")
}

/// A program started in the repository's root, free of the variables that `cargo run` gave to
/// xtask: they would make cargo think that the environment of build scripts changed.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    for (name, value) in std::env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let of_cargo_run = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
        ];
        if of_cargo_run.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
        if text == "LD_LIBRARY_PATH" {
            let kept: Vec<PathBuf> = std::env::split_paths(&value)
                .filter(|path| {
                    !path.starts_with(root())
                        && !path.ends_with("rustlib/x86_64-unknown-linux-gnu/lib")
                })
                .filter(|path| !path.to_string_lossy().contains("/toolchains/"))
                .collect();
            match std::env::join_paths(kept) {
                Ok(paths) if !paths.is_empty() => command.env(&name, paths),
                _ => command.env_remove(&name),
            };
        }
    }
    command
}

/// Our cargo, or the one in PATH.
pub(crate) fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs to the end with its output shown; an error names the command.
pub(crate) fn shown(command: &mut Command) -> Result<()> {
    let line = words(command);
    let status = command
        .status()
        .with_context(|| format!("could not start: {line}"))?;
    if !status.success() {
        bail!("this failed ({status}): {line}");
    }
    Ok(())
}

/// Runs to the end and returns what it wrote to standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = words(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("could not start: {line}"))?;
    if !output.status.success() {
        bail!("this failed ({}): {line}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program is in PATH.
pub(crate) fn has(program: &str) -> bool {
    find(program).is_some()
}

/// Where in PATH a program is.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn words(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A list of steps with their times.
pub(crate) struct Steps {
    started: Instant,
    done: Vec<(String, Duration)>,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            done: Vec::new(),
        }
    }

    /// Does one step, saying so before and after.
    pub(crate) fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("\n── {name}");
        let started = Instant::now();
        let result = work().with_context(|| name.to_owned());
        let took = started.elapsed();
        match &result {
            Ok(_) => println!("── {name}: {}", seconds(took)),
            Err(_) => println!("── {name}: FAILED after {}", seconds(took)),
        }
        self.done.push((name.to_owned(), took));
        result
    }

    /// The steps so far with their times.
    pub(crate) fn done(&self) -> &[(String, Duration)] {
        &self.done
    }

    /// Time since the first step.
    pub(crate) fn took(&self) -> Duration {
        self.started.elapsed()
    }

    /// Prints every step again with its time, for the end of a log.
    pub(crate) fn summary(&self) {
        println!();
        for (name, took) in &self.done {
            println!("{:>9}  {name}", seconds(*took));
        }
        println!("{:>9}  altogether", seconds(self.started.elapsed()));
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

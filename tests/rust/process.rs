//! Our programs, started and ended by a test.

use std::path::PathBuf;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::repository;

/// One of our programs: from `GANGWAY_PROGRAMS` when that is set (release builds, installed
/// packages), else from the development build.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("GANGWAY_PROGRAMS")
        .map_or_else(|| repository::root().join("target/debug"), PathBuf::from);
    folder.join(name)
}

/// A program in the background; asked to end, then made to, when this value goes.
#[derive(Debug)]
pub struct Running {
    child: Child,
}

impl Running {
    /// Starts `command`.
    ///
    /// # Errors
    /// When the program can't be started; the message names it.
    pub fn start(command: &mut Command) -> Result<Self> {
        let child = command
            .spawn()
            .with_context(|| format!("{} can't be started", command.get_program().display()))?;
        Ok(Self { child })
    }

    /// The process, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends a signal by name ("TERM").
    pub fn signal(&self, name: &str) {
        // The process may have ended already, which is what the caller wants in the end.
        let _ = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .output();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal("TERM");
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(5) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs to the end and returns what was printed; a failure shows both outputs.
///
/// # Errors
/// When the program can't be started or ends with another status than 0.
pub fn run(command: &mut Command) -> Result<String> {
    let output = finish(command)?;
    ensure!(
        output.status.success(),
        "{command:?} ended with {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs to the end, whatever the status is.
///
/// # Errors
/// When the program can't be started.
pub fn finish(command: &mut Command) -> Result<Output> {
    command
        .output()
        .with_context(|| format!("{} can't be started", command.get_program().display()))
}

/// Asks again and again until there is an answer.
///
/// # Errors
/// When there is none within `limit`; the message says what was waited for.
pub fn eventually<T>(
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if started.elapsed() > limit {
            bail!("waited {limit:?} for {what}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Tells what was measured: `cargo xtask test --full` collects these lines in `tests/figures.md`.
/// `bar` is what it has to reach, empty where nothing was promised.
pub fn figure(what: &str, bar: &str, measured: impl std::fmt::Display) {
    println!("figure: {what} | {bar} | {measured}");
}

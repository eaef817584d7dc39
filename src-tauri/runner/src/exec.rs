//! Starts one program of the session: `exec [--tty PATH] -- PROGRAM ARGUMENT…`.
//!
//! A program of its own, because what has to be done between fork and exec (own process group, own
//! terminal, a higher chance to be the one that is killed when memory runs out) can't be done
//! safely in a program with threads.

use std::{
    ffi::OsString,
    fs::OpenOptions,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

/// Added to the badness of every program of the session, so that the runner is never the one that
/// the kernel picks when the session runs out of memory.
const OOM_SCORE: &str = "300";

/// Becomes the program; returns only when that fails.
pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut arguments = arguments.into_iter().peekable();
    let mut terminal = None;
    if arguments.peek().is_some_and(|word| word == "--tty") {
        arguments.next();
        terminal = arguments.next();
    }
    if arguments.next().is_none_or(|word| word != "--") {
        return Err("expected --".into());
    }
    let program = arguments.next().ok_or("expected a program")?;
    // Not every kernel lets it be raised; then the program is as likely as the runner.
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    nix::unistd::setsid()?;
    if let Some(path) = terminal {
        // The first terminal that a session leader opens becomes its controlling terminal.
        let tty = OpenOptions::new().read(true).write(true).open(path)?;
        rustix::stdio::dup2_stdin(&tty)?;
        rustix::stdio::dup2_stdout(&tty)?;
        rustix::stdio::dup2_stderr(&tty)?;
    }
    let error = Command::new(&program).args(arguments).exec();
    eprintln!("{}: {error}", program.to_string_lossy());
    Ok(ExitCode::from(
        if error.kind() == std::io::ErrorKind::NotFound {
            127
        } else {
            126
        },
    ))
}

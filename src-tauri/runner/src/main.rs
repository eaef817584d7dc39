//! The launcher of sandboxes and what runs inside them, in one program: it is shown inside every
//! session, so there is nothing else to install there.
//!
//! Inside it is the session's SSH and SFTP server, web terminal, services, logs and statistics;
//! outside, the supervisor that makes the sandbox and notes its end. Hidden here are namespaces,
//! bubblewrap and what a session's first process owes its children. Others start the program and
//! speak to it in the messages of `protocol::runner`; nothing is linked.

use std::process::ExitCode;

mod container;
mod exec;
mod fds;
mod launch;
mod session;
mod tree;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let mode = arguments.next();
    let rest: Vec<_> = arguments.collect();
    let outcome = match mode.as_deref().and_then(|mode| mode.to_str()) {
        Some("launch") => launch::supervise(),
        Some("enter") => launch::enter(),
        Some("nest") => launch::nest(&rest),
        Some("tree") => tree::order(),
        Some("tree-inside") => tree::inside(&rest),
        Some("try-overlay") => launch::try_overlay(),
        Some("probe") => launch::probe(),
        Some("session") => session::run(&rest),
        Some("container") => container::run(),
        Some("exec") => exec::run(rest),
        Some("version") => {
            println!("{}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("gangway-runner is started by gangway-engine; it does nothing by itself");
            return ExitCode::from(64);
        }
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("gangway-runner: {error}");
            ExitCode::FAILURE
        }
    }
}

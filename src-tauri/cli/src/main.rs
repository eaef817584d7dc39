//! `gangway`: the same commands as the app, in a terminal.

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}

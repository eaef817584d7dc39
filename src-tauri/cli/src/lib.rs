//! Gangway in a terminal: verbs and flags on the outside, the command table on the inside.
//!
//! Hidden here: how people type and what they see: tables, progress, questions, exit codes, and
//! the bridge that shows the whole user interface in the user's own browser. No command's meaning
//! is decided here.

mod account;
mod app;
mod args;
mod ask;
mod certificate;
mod engine;
mod folder;
mod history;
mod image;
mod output;
mod session;
mod ssh;
mod ssh_proxy;
mod system;
mod terminal_host;
mod transfer;
mod tunnel;
mod ui;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use commands::types::{Failure, FailureCode};
use commands::{Options, Surface, Table};

use crate::args::{Arguments, Verb};
use crate::output::Output;

/// What every verb may use.
pub(crate) struct Program {
    pub(crate) table: Table,
    pub(crate) output: Output,
    pub(crate) yes: bool,
}

/// Runs the program with the arguments of this process.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    // Both providers are linked; without a choice the first TLS connection would panic.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    start_log();
    let output = Output::new(arguments.json, arguments.quiet);
    // One thread is enough to move bytes, and is there sooner.
    let mut builder = match arguments.verb {
        Verb::SshProxy { .. } => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output.fail(&Failure::new(FailureCode::Internal, error)),
    };
    let done = runtime.block_on(work(arguments, output));
    // A thread that waits for a terminal's input would hold up the end.
    runtime.shutdown_background();
    match done {
        Ok(code) => code,
        Err(failure) => output.fail(&failure),
    }
}

async fn work(arguments: Arguments, output: Output) -> Result<ExitCode, Failure> {
    let options = Options {
        surface: Surface::Cli,
        host: Arc::new(terminal_host::Terminal),
        profile: arguments.profile,
    };
    let program = Program {
        table: Table::with(options).await?,
        output,
        yes: arguments.yes,
    };
    let done = |()| ExitCode::SUCCESS;
    match arguments.verb {
        Verb::Engine { verb } => engine::run(&program, verb).await.map(done),
        Verb::Login(login) => account::login(&program, login).await.map(done),
        Verb::Logout => account::logout(&program).await.map(done),
        Verb::Whoami => account::whoami(&program).await.map(done),
        Verb::Profile { verb } => account::profile(&program, verb).await.map(done),
        Verb::Keypair { verb } => account::keypair(&program, verb).await.map(done),
        Verb::Session { verb } => session::run(&program, verb).await,
        Verb::App { verb } => app::run(&program, verb).await.map(done),
        Verb::Tunnel { verb } => tunnel::run(&program, verb).await.map(done),
        Verb::Proxy { verb } => tunnel::proxy(&program, verb).await.map(done),
        Verb::Cp(args) => transfer::copy(&program, args).await,
        Verb::Transfer { verb } => transfer::run(&program, verb).await.map(done),
        Verb::Ui(args) => ui::run(&program, args).await.map(done),
        Verb::Ssh { session, command } => ssh::run(&program, &session, command).await,
        Verb::SshProxy { session } => ssh_proxy::run(&program, &session).await.map(done),
        Verb::SshConfig { verb } => ssh::config(&program, verb).await.map(done),
        Verb::SshKey { verb } => ssh::key(&program, verb).await.map(done),
        Verb::Folder { verb } => folder::run(&program, verb).await.map(done),
        Verb::Image { verb } => image::run(&program, verb).await.map(done),
        Verb::Registry { verb } => image::registry(&program, verb).await.map(done),
        Verb::History { verb } => history::run(&program, verb).await.map(done),
        Verb::Doctor => system::doctor(&program).await,
        Verb::Paths => system::paths(&program).await.map(done),
        Verb::Version => system::version(&program).await.map(done),
        Verb::Completions { shell } => system::completions(shell).map(done),
        Verb::Man => system::man().map(done),
        Verb::Call { command, payload } => {
            system::call(&program, &command, payload).await.map(done)
        }
    }
}

/// Messages for whoever looks for a fault, on standard error, when `GANGWAY_LOG` asks for them.
fn start_log() {
    let Ok(filter) = tracing_subscriber::EnvFilter::try_from_env("GANGWAY_LOG") else {
        return;
    };
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}

//! `gangway engine`.

use std::path::PathBuf;

use clap::Subcommand;
use commands::settings::{self, Program as Binary};
use commands::types::{EngineStatus, Failure, FailureCode, Nothing};

use crate::Program;
use crate::output::pairs;

#[derive(Debug, Subcommand)]
pub(crate) enum EngineVerb {
    /// Start it in the background
    Start,
    /// Stop it; sessions go on
    Stop,
    /// Show whether it runs
    Status,
    /// Run it in the foreground, for a server
    Run {
        /// Where its data lies
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// Address to listen on
        #[arg(long, value_name = "ADDR:PORT")]
        listen: Option<String>,
        /// How much it writes to its log
        #[arg(long, value_name = "LEVEL")]
        log_level: Option<String>,
    },
}

pub(crate) async fn run(program: &Program, verb: EngineVerb) -> Result<(), Failure> {
    let status: EngineStatus = match verb {
        EngineVerb::Start => program.table.ask("engine.start", &Nothing {}).await?,
        EngineVerb::Stop => program.table.ask("engine.stop", &Nothing {}).await?,
        EngineVerb::Status => program.table.ask("engine.status", &Nothing {}).await?,
        EngineVerb::Run {
            data_dir,
            listen,
            log_level,
        } => {
            return Err(become_engine(program, data_dir, listen, log_level));
        }
    };
    program.output.answer(&status, human);
    Ok(())
}

fn human(status: &EngineStatus) -> String {
    if !status.running {
        return "The engine does not run.".to_owned();
    }
    pairs([
        ("Address", status.endpoint.clone().unwrap_or_default()),
        (
            "Process",
            status.pid.map(|pid| pid.to_string()).unwrap_or_default(),
        ),
        ("Version", status.version.clone().unwrap_or_default()),
        (
            "Sessions",
            status
                .sessions
                .map(|count| count.to_string())
                .unwrap_or_default(),
        ),
        ("Data", status.data_dir.clone()),
    ])
}

/// This process becomes the engine, so that whoever started it can watch and stop it.
#[cfg(unix)]
fn become_engine(
    program: &Program,
    data_dir: Option<PathBuf>,
    listen: Option<String>,
    log_level: Option<String>,
) -> Failure {
    use std::os::unix::process::CommandExt;
    let binary = match settings::find(Binary::Engine) {
        Ok(binary) => binary,
        Err(error) => return error.into(),
    };
    let mut command = std::process::Command::new(&binary);
    let data_dir = data_dir.unwrap_or_else(|| program.table.paths().engine_dir.clone());
    command.arg("--data-dir").arg(data_dir);
    if let Some(listen) = listen {
        command.arg("--listen").arg(listen);
    }
    if let Some(level) = log_level {
        command.arg("--log-level").arg(level);
    }
    let error = command.exec();
    Failure::new(
        FailureCode::EngineFailed,
        format!("{}: {error}", binary.display()),
    )
}

#[cfg(not(unix))]
fn become_engine(
    _program: &Program,
    _data_dir: Option<PathBuf>,
    _listen: Option<String>,
    _log_level: Option<String>,
) -> Failure {
    let _ = settings::find(Binary::Engine);
    Failure::new(
        FailureCode::Unsupported,
        "the engine does not run on this system yet",
    )
}

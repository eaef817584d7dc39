//! `gangway doctor`, `paths`, `version`, `completions`, `man`, `call`.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;
use commands::Surface;
use commands::table::{self, Effect};
use commands::types::{
    AppInfo, Check, CheckList, CheckState, Failure, FailureCode, Nothing, PathsShown,
};
use serde_json::Value;

use crate::Program;
use crate::args::Arguments;
use crate::ask;
use crate::output::pairs;

pub(crate) async fn doctor(program: &Program) -> Result<ExitCode, Failure> {
    let list: CheckList = program.table.ask("doctor.run", &Nothing {}).await?;
    program
        .output
        .answer(&list, |list| list.checks.iter().map(check).collect());
    let failed = list
        .checks
        .iter()
        .any(|check| check.state == CheckState::Failed);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn check(check: &Check) -> String {
    let mark = match check.state {
        CheckState::Ok => "ok     ",
        CheckState::Warning => "warning",
        CheckState::Failed => "FAILED ",
    };
    let fix = check
        .fix
        .as_ref()
        .map(|fix| format!("         -> {fix}\n"))
        .unwrap_or_default();
    format!("{mark}  {}: {}\n{fix}", check.name, check.detail)
}

pub(crate) async fn paths(program: &Program) -> Result<(), Failure> {
    let paths: PathsShown = program.table.ask("paths.show", &Nothing {}).await?;
    program.output.answer(&paths, |paths| {
        pairs([
            ("Configuration", paths.config.clone()),
            ("State", paths.state.clone()),
            ("Logs", paths.logs.clone()),
            ("Engine", paths.engine.clone()),
            ("Sockets", paths.runtime.clone()),
        ])
    });
    Ok(())
}

pub(crate) async fn version(program: &Program) -> Result<(), Failure> {
    let info: AppInfo = program.table.ask("app.info", &Nothing {}).await?;
    program.output.answer(&info, |info| {
        format!(
            "gangway {} (API {}, {})",
            info.version, info.api_version, info.platform
        )
    });
    Ok(())
}

pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    clap_complete::generate(
        shell,
        &mut Arguments::command(),
        "gangway",
        &mut std::io::stdout(),
    );
    Ok(())
}

pub(crate) fn man() -> Result<(), Failure> {
    clap_mangen::Man::new(Arguments::command())
        .render(&mut std::io::stdout())
        .map_err(|error| Failure::new(FailureCode::FileFailed, error))
}

pub(crate) async fn call(
    program: &Program,
    command: &str,
    payload: Option<String>,
) -> Result<(), Failure> {
    let payload: Value = match payload {
        Some(text) => serde_json::from_str(&text).map_err(|error| {
            Failure::new(FailureCode::InvalidInput, format!("payload: {error}"))
        })?,
        None => Value::Null,
    };
    if table::command(command).is_some_and(|command| command.effect == Effect::Destroy) {
        ask::confirm(
            program,
            &format!("{command} loses something for good. Go on?"),
            serde_json::Value::Null,
        )?;
    }
    let answer = program.table.call(Surface::Cli, command, payload).await?;
    program.output.answer(&answer, |answer| {
        serde_json::to_string_pretty(answer).unwrap_or_default()
    });
    Ok(())
}

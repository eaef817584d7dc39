//! `gangway app`.

use std::io::IsTerminal;

use clap::Subcommand;
use commands::types::{
    AppList, AppOpen, AppState, Failure, FailureCode, InstallProgress, OpenedApp, SessionRef,
};
use commands::{Message, Surface};
use futures_util::StreamExt;

use crate::Program;
use crate::account::word;
use crate::output::grid;
use crate::session::assignment;

#[derive(Debug, Subcommand)]
pub(crate) enum AppVerb {
    /// List the apps of a session
    Ls {
        /// Name or id of the session, or a start of one
        session: String,
    },
    /// Open one through the local proxy
    Open {
        /// Name or id of the session, or a start of one
        session: String,
        /// Name of the app
        app: String,
        /// Port of this computer to use when it is free
        #[arg(long, value_name = "PORT")]
        port: Option<u16>,
        /// Argument for the app's start
        #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
        arg: Vec<(String, String)>,
        /// Environment variable for the app's start
        #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
        env: Vec<(String, String)>,
        /// Print the address and open no browser
        #[arg(long)]
        print_url: bool,
    },
    /// Install one that is missing into a session
    Install {
        /// Name or id of the session, or a start of one
        session: String,
        /// Name of the app
        app: String,
    },
}

pub(crate) async fn run(program: &Program, verb: AppVerb) -> Result<(), Failure> {
    match verb {
        AppVerb::Ls { session } => {
            let list: AppList = program
                .table
                .ask("app.list", &SessionRef { session })
                .await?;
            program.output.answer(&list, |list| {
                let row = |app: &AppState| {
                    let ports: Vec<String> = app.ports.iter().map(u16::to_string).collect();
                    [
                        app.name.clone(),
                        app.title.clone(),
                        word(&app.protocol),
                        ports.join(","),
                        word(&app.state),
                    ]
                };
                grid(
                    ["APP", "TITLE", "PROTOCOL", "PORTS", "STATE"],
                    list.apps.iter().map(row),
                )
            });
            Ok(())
        }
        AppVerb::Open {
            session,
            app,
            port,
            arg,
            env,
            print_url,
        } => {
            let request = AppOpen {
                session,
                app,
                port,
                arguments: arg.into_iter().collect(),
                envs: env.into_iter().collect(),
                guarded: false,
            };
            let opened: OpenedApp = program.table.ask("app.open", &request).await?;
            program.output.answer(&opened, |opened| opened.url.clone());
            // By a name of its own, which keeps the cookies of two apps apart.
            if let Some(page) = &opened.browser_url
                && !print_url
                && !program.output.json
                && std::io::stdout().is_terminal()
            {
                program.table.open_url(page)?;
            }
            Ok(())
        }
        AppVerb::Install { session, app } => install(program, session, app).await,
    }
}

async fn install(program: &Program, session: String, app: String) -> Result<(), Failure> {
    let payload = serde_json::json!({ "session": session, "app": app });
    let mut messages = program
        .table
        .stream(Surface::Cli, "app.install", payload)
        .await?;
    while let Some(message) = messages.next().await {
        let Message::Json(value) = message? else {
            continue;
        };
        let progress: InstallProgress = serde_json::from_value(value)
            .map_err(|error| Failure::new(FailureCode::Internal, error))?;
        program
            .output
            .message(&progress, |progress| match progress {
                InstallProgress::Line { text } => format!("{text}\n"),
                InstallProgress::Done { .. } => String::new(),
            });
        if let InstallProgress::Done {
            ok: false,
            exit_code,
        } = progress
        {
            let code = exit_code
                .map(|code| format!(" (exit code {code})"))
                .unwrap_or_default();
            let message = format!("{app} could not be installed{code}");
            return Err(Failure::new(FailureCode::AppFailed, message));
        }
    }
    Ok(())
}

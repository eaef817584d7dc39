//! `gangway app`.

use std::io::IsTerminal;

use clap::Subcommand;
use commands::types::{
    AppLaunch, AppList, AppOpen, AppProgress, AppRef, AppShare, AppStage, AppState, Failure,
    FailureCode, InstallProgress, Nothing, OpenedApp, SessionRef, Settings, SharedApp,
};
use commands::{DEFAULT_START_LIMIT, Message, Surface};
use futures_util::StreamExt;

use crate::Program;
use crate::account::word;
use crate::ask;
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
        /// Seconds to wait for its start; its own limit when absent
        #[arg(long, value_name = "SECONDS")]
        wait: Option<u32>,
        /// Print the address and open no browser
        #[arg(long)]
        print_url: bool,
    },
    /// Share a web app with others, at the cluster's app proxy, until its session ends
    Share {
        /// Name or id of the session, or a start of one
        session: String,
        /// Name of the app
        app: String,
        /// Let only these in (repeatable); else whoever reaches the app proxy
        #[arg(long, value_name = "ADDRESS[/BITS]")]
        allow: Vec<String>,
        /// Name before the app proxy's domain, where it gives apps names
        #[arg(long, value_name = "NAME")]
        subdomain: Option<String>,
    },
    /// Show or set how many seconds an app may take to start
    Limit {
        /// Name of the app; all that were set when absent
        app: Option<String>,
        /// Seconds, or `default`
        #[arg(value_parser = limit)]
        seconds: Option<Limit>,
    },
    /// End one, also one that is being started
    Stop {
        /// Name or id of the session, or a start of one
        session: String,
        /// Name of the app
        app: String,
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
            wait,
            print_url,
        } => {
            let open = AppOpen {
                session,
                app,
                port,
                arguments: arg.into_iter().collect(),
                envs: env.into_iter().collect(),
                guarded: false,
            };
            let request = AppLaunch {
                open,
                limit_s: wait,
            };
            let opened = launch(program, request).await.map_err(with_report)?;
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
        AppVerb::Share {
            session,
            app,
            allow,
            subdomain,
        } => {
            let who = match &allow[..] {
                [] => "whoever reaches the cluster's app proxy".to_owned(),
                some => some.join(", "),
            };
            ask::confirm(
                program,
                &format!("Let {who} use {app} without a login until the session ends?"),
                serde_json::Value::Null,
            )?;
            let request = AppShare {
                session,
                app,
                allowed: allow,
                subdomain,
            };
            let shared: SharedApp = program.table.ask("app.share", &request).await?;
            program.output.answer(&shared, |shared| shared.url.clone());
            Ok(())
        }
        AppVerb::Install { session, app } => install(program, session, app).await,
        AppVerb::Limit { app, seconds } => limits(program, app, seconds).await,
        AppVerb::Stop { session, app } => {
            let request = AppRef { session, app };
            let done: Nothing = program.table.ask("app.stop", &request).await?;
            program.output.answer(&done, |_| String::new());
            Ok(())
        }
    }
}

/// Waits until the app is open, and says what it waits for.
async fn launch(program: &Program, request: AppLaunch) -> Result<OpenedApp, Failure> {
    let payload = serde_json::to_value(&request)
        .map_err(|error| Failure::new(FailureCode::Internal, error))?;
    let mut messages = program
        .table
        .stream(Surface::Cli, "app.launch", payload)
        .await?;
    let mut shown = None;
    while let Some(message) = messages.next().await {
        let Message::Json(value) = message? else {
            continue;
        };
        let progress: AppProgress = serde_json::from_value(value)
            .map_err(|error| Failure::new(FailureCode::Internal, error))?;
        match progress {
            AppProgress::Opened(opened) => return Ok(opened),
            AppProgress::Stage {
                stage, elapsed_ms, ..
            } => {
                // An app that is there at once needs no words.
                if elapsed_ms >= 1_000 && shown.replace(stage) != Some(stage) {
                    let waits = match stage {
                        AppStage::Manager => "asking the manager",
                        AppStage::Starting => "starting",
                        AppStage::Port => "running; waiting for its port",
                        AppStage::Connecting => "connecting",
                    };
                    let note = format!("{}: {waits}", request.open.app);
                    program.output.note(&note);
                }
            }
        }
    }
    let message = "the launch ended without an answer";
    Err(Failure::new(FailureCode::Internal, message))
}

/// Says where to find what was tried.
fn with_report(failure: Failure) -> Failure {
    let details = failure.details.as_ref();
    let id = details.and_then(|details| details.get("failed_launch")?.as_str());
    let report = id.map(|id| format!("`gangway tunnel report {id}` prints what was tried"));
    match (report, failure.hint.clone()) {
        (Some(report), Some(hint)) => failure.hint(format!("{hint}\n      {report}")),
        (Some(report), None) => failure.hint(report),
        (None, _) => failure,
    }
}

/// Seconds, or what is usual.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit(Option<u32>);

fn limit(text: &str) -> Result<Limit, String> {
    match text {
        "default" => Ok(Limit(None)),
        seconds => match seconds.parse() {
            Ok(seconds) => Ok(Limit(Some(seconds))),
            Err(_) => Err(format!("\"{seconds}\" is no number of seconds")),
        },
    }
}

async fn limits(
    program: &Program,
    app: Option<String>,
    wanted: Option<Limit>,
) -> Result<(), Failure> {
    let mut settings: Settings = program.table.ask("settings.get", &Nothing {}).await?;
    if let (Some(app), Some(Limit(seconds))) = (&app, wanted) {
        match seconds {
            Some(seconds) => settings.start_limits.insert(app.clone(), seconds),
            None => settings.start_limits.remove(app),
        };
        settings = program.table.ask("settings.set", &settings).await?;
    }
    let mut shown = settings.start_limits;
    if let Some(app) = app {
        shown.retain(|name, _| *name == app);
    }
    let answer = serde_json::json!({ "limits": shown, "default": DEFAULT_START_LIMIT });
    program.output.answer(&answer, |_| {
        let rows = shown
            .iter()
            .map(|(app, seconds)| [app.clone(), format!("{seconds} s")]);
        let others = ["(others)".to_owned(), format!("{DEFAULT_START_LIMIT} s")];
        grid(["APP", "MAY TAKE"], rows.chain([others]))
    });
    Ok(())
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

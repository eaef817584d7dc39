//! `gangway session`.

mod args;
mod launch;
mod shown;

use std::process::ExitCode;

use commands::types::{
    ExecResult, Failure, FailureCode, LogText, Nothing, Saved, Session, SessionCommit, SessionExec,
    SessionInterrupt, SessionList, SessionListRequest, SessionLogs, SessionLogsRequest, SessionRef,
    SessionRename, SessionSave, SessionTerminate, SessionWait, Stats, Unsaved,
};
use commands::{Message, Surface};
use futures_util::StreamExt;

use crate::Program;
use crate::ask;
use crate::output::{grid, size, text};

pub(crate) use args::{SessionVerb, assignment};

use shown::{human, outcome, row, stats_text};

pub(crate) async fn run(program: &Program, verb: SessionVerb) -> Result<ExitCode, Failure> {
    match verb {
        SessionVerb::Launch(args) => return launch::launch(program, *args).await,
        SessionVerb::Ls { all, status } => {
            let request = SessionListRequest {
                all,
                statuses: status,
                ..SessionListRequest::default()
            };
            let list: SessionList = program.table.ask("session.list", &request).await?;
            if list.stale {
                let reason = list
                    .failure
                    .as_ref()
                    .map(|f| f.message.clone())
                    .unwrap_or_default();
                program
                    .output
                    .note(&format!("As of {}: {reason}", list.as_of));
            }
            program.output.answer(&list, |list| {
                grid(
                    [
                        "NAME", "ID", "STATUS", "TYPE", "IMAGE", "CPU", "MEMORY", "CREATED",
                    ],
                    list.sessions.iter().map(row),
                )
            });
        }
        SessionVerb::Show { session } => {
            let session: Session = program
                .table
                .ask("session.show", &SessionRef { session })
                .await?;
            program.output.answer(&session, human);
        }
        SessionVerb::Logs {
            session,
            follow: false,
            kernel,
        } => {
            let logs: SessionLogs = program
                .table
                .ask("session.logs", &SessionLogsRequest { session, kernel })
                .await?;
            program.output.answer(&logs, |logs| logs.text.clone());
        }
        SessionVerb::Logs {
            session,
            follow: true,
            ..
        } => follow(program, session).await?,
        SessionVerb::Restart { session } => {
            let request = SessionRef { session };
            let session: Session = program.table.ask("session.restart", &request).await?;
            program.output.answer(&session, outcome);
        }
        SessionVerb::Interrupt { session } => {
            let request = SessionInterrupt { session };
            let done: Nothing = program.table.ask("session.interrupt", &request).await?;
            program.output.answer(&done, |_| "Interrupted.".to_owned());
        }
        SessionVerb::Rename { session, name } => {
            let request = SessionRename { session, name };
            let session: Session = program.table.ask("session.rename", &request).await?;
            program
                .output
                .answer(&session, |session| format!("Renamed to {}.", session.name));
        }
        SessionVerb::Rm {
            sessions,
            force,
            no_wait,
        } => {
            remove(program, sessions, force, !no_wait).await?;
        }
        SessionVerb::Save { session, into } => {
            let request = SessionSave {
                session,
                folder: into.folder,
                path: into.path,
            };
            let saved: Saved = program.table.ask("session.save", &request).await?;
            program.output.answer(&saved, |saved| {
                format!("{} files saved ({}).", saved.files, size(saved.bytes))
            });
        }
        SessionVerb::Exec { session, command } => {
            let request = SessionExec { session, command };
            let ran: ExecResult = program.table.ask("session.exec", &request).await?;
            if !program.output.json {
                text(&ran.stdout);
                eprint!("{}", ran.stderr);
            }
            program.output.answer(&ran, |_| String::new());
            return Ok(exit_code(ran.exit_code));
        }
        SessionVerb::Commit { session, name } => {
            let request = SessionCommit { session, name };
            crate::image::follow(program, "session.commit", &request).await?;
        }
        SessionVerb::Stats { session, follow } => loop {
            let request = SessionRef {
                session: session.clone(),
            };
            let stats: Stats = program.table.ask("session.stats", &request).await?;
            if !follow {
                program.output.answer(&stats, stats_text);
                break;
            }
            program.output.message(&stats, stats_text);
            tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        },
        SessionVerb::Wait {
            session,
            status,
            timeout,
        } => {
            let request = SessionWait {
                session,
                status,
                timeout_s: timeout,
            };
            let session: Session = program.table.ask("session.wait", &request).await?;
            program.output.answer(&session, human);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

async fn follow(program: &Program, session: String) -> Result<(), Failure> {
    let payload = serde_json::json!({ "session": session });
    let mut messages = program
        .table
        .stream(Surface::Cli, "session.log_follow", payload)
        .await?;
    while let Some(message) = messages.next().await {
        if let Message::Json(value) = message? {
            let piece: LogText = serde_json::from_value(value)
                .map_err(|error| Failure::new(FailureCode::Internal, error))?;
            program.output.message(&piece, |piece| piece.text.clone());
        }
    }
    Ok(())
}

/// Says what is lost before it is.
async fn remove(
    program: &Program,
    sessions: Vec<String>,
    forced: bool,
    wait: bool,
) -> Result<(), Failure> {
    let mut ended = Vec::with_capacity(sessions.len());
    for session in sessions {
        if !program.yes {
            let lost = unsaved(program, &session).await?;
            let loses = match &lost {
                Some(lost) => format!(
                    " {} files ({}) outside data folders are lost.",
                    lost.files,
                    size(lost.bytes)
                ),
                None => String::new(),
            };
            let question = format!("End the session \"{session}\"?{loses}");
            ask::confirm(program, &question, serde_json::json!({ "unsaved": lost }))?;
        }
        let request = SessionTerminate {
            session,
            forced,
            wait,
        };
        let session: Session = program.table.ask("session.terminate", &request).await?;
        ended.push(session);
    }
    match &ended[..] {
        [one] => program.output.answer(one, outcome),
        all => program
            .output
            .answer(&serde_json::json!({ "sessions": all }), |_| {
                all.iter().map(|session| outcome(session) + "\n").collect()
            }),
    }
    Ok(())
}

/// Files that would be lost, where the session and its manager can tell.
async fn unsaved(program: &Program, session: &str) -> Result<Option<Unsaved>, Failure> {
    let reference = SessionRef {
        session: session.to_owned(),
    };
    match program
        .table
        .ask::<Unsaved>("session.unsaved", &reference)
        .await
    {
        Ok(lost) => Ok((lost.files > 0).then_some(lost)),
        Err(failure) if failure.code == FailureCode::SessionNotFound => Err(failure),
        Err(_) => Ok(None),
    }
}

//! Sessions.

mod find;
mod launch;
mod life;
mod list;
mod log;
mod log_follow;
mod watch;

use std::time::Duration;

use client::protocol::name;
use client::protocol::session as wire;
use client::{Client, SessionRow};
use tokio::time::Instant;

use crate::context::Context;
use crate::types::{
    ExecResult, Failure, FailureCode, Session, SessionExec, SessionRef, SessionRename,
    SessionTerminate, SessionWait, Tag,
};

pub(crate) use find::{find, find_running};
pub(crate) use launch::launch;
pub(crate) use life::{interrupt, restart, save, unsaved};
pub(crate) use list::list;
pub(crate) use log::save_log;
pub(crate) use watch::{follow_log, logs, stats};

/// How long a launch is waited for when nobody says otherwise: images are fetched meanwhile.
const LAUNCH_WAIT: Duration = Duration::from_secs(600);
const TERMINATE_WAIT: Duration = Duration::from_secs(60);
/// What `ssh` ends with when a signal ended the command.
const ENDED_BY_SIGNAL: i32 = 255;

async fn with_notices(client: &Client, mut row: SessionRow) -> Result<Session, Failure> {
    // A list does not tell the kernels.
    if row.cluster_size.is_some_and(|size| size > 1) && row.kernels.is_empty() {
        row = client.session(row.session_id).await?;
    }
    let mut session = Session::from(row);
    let status: wire::SessionStatus = session.status.into();
    if !status.is_terminal() {
        let notices = client.notices(&session.id.to_string()).await?;
        session.notices = notices.into_iter().map(Into::into).collect();
    }
    Ok(session)
}

pub(crate) async fn show(context: &Context, request: SessionRef) -> Result<Session, Failure> {
    let client = context.client().await?;
    let row = find(&client, &request.session).await?;
    with_notices(&client, row).await
}

/// Asks until `done`, at first often: most sessions of this computer start in a blink.
async fn wait_until(
    client: &Client,
    mut row: SessionRow,
    patience: Duration,
    done: impl Fn(wire::SessionStatus) -> bool,
) -> Result<SessionRow, Failure> {
    let end = Instant::now() + patience;
    let mut pause = Duration::from_millis(10);
    while !done(row.status) {
        if Instant::now() >= end {
            let message = format!(
                "the session {} is still {} after {} s",
                row.name,
                row.status,
                patience.as_secs()
            );
            return Err(Failure::new(FailureCode::SessionTimeout, message)
                .hint("it goes on starting: see `gangway session show`"));
        }
        tokio::time::sleep(pause.min(end.saturating_duration_since(Instant::now()))).await;
        pause = (pause * 3 / 2).min(Duration::from_secs(2));
        row = client.session(row.session_id).await?;
    }
    Ok(row)
}

pub(crate) async fn wait(context: &Context, request: SessionWait) -> Result<Session, Failure> {
    let client = context.client().await?;
    let row = find(&client, &request.session).await?;
    let target: wire::SessionStatus = request.status.into();
    let patience = request.timeout_s.map_or(LAUNCH_WAIT, Duration::from_secs);
    let row = wait_until(&client, row, patience, |status| {
        status == target || status.is_terminal()
    })
    .await?;
    if row.status != target {
        let message = format!("the session {} is {}", row.name, row.status);
        return Err(Failure::new(FailureCode::SessionEnded, message));
    }
    with_notices(&client, row).await
}

pub(crate) async fn rename(context: &Context, request: SessionRename) -> Result<Session, Failure> {
    name::check_session(&request.name)?;
    let client = context.client().await?;
    let row = find(&client, &request.session).await?;
    client
        .rename_session(&row.session_id.to_string(), &request.name)
        .await?;
    context.changed(Tag::Session, Some(row.session_id.to_string()));
    crate::ssh::refresh_config(context, &client).await;
    Ok(client.session(row.session_id).await?.into())
}

pub(crate) async fn terminate(
    context: &Context,
    request: SessionTerminate,
) -> Result<Session, Failure> {
    let client = context.client().await?;
    let row = find(&client, &request.session).await?;
    if row.status.is_terminal() {
        let message = format!("the session {} has already ended", row.name);
        return Err(Failure::new(FailureCode::SessionEnded, message));
    }
    let id = row.session_id;
    client
        .destroy_session(&id.to_string(), request.forced)
        .await?;
    context.links().forget(id);
    context.changed(Tag::Session, Some(id.to_string()));
    let mut row = client.session(id).await?;
    if request.wait {
        row = wait_until(
            &client,
            row,
            TERMINATE_WAIT,
            wire::SessionStatus::is_terminal,
        )
        .await?;
        context.changed(Tag::Session, Some(id.to_string()));
    }
    crate::ssh::forget_session(context, id);
    crate::ssh::refresh_config(context, &client).await;
    let session = Session::from(row);
    context
        .remember_session(&context.profile_name()?, &session)
        .await;
    Ok(session)
}

pub(crate) async fn exec(context: &Context, request: SessionExec) -> Result<ExecResult, Failure> {
    let line = match &request.command[..] {
        [] => {
            return Err(Failure::new(
                FailureCode::InvalidInput,
                "there is no command to run",
            ));
        }
        [line] => line.clone(),
        words => shell_words::join(words),
    };
    let client = context.client().await?;
    let row = find_running(&client, &request.session).await?;
    if client.is_ours().await? {
        let ran = client.run(&row.session_id.to_string(), &line).await?;
        return Ok(ExecResult {
            exit_code: ran.exit_code,
            stdout: ran.stdout,
            stderr: ran.stderr,
        });
    }
    let links = context.links();
    let link = links.connect(context, &client, row.session_id).await?;
    let ran = link.exec(&line).await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(ExecResult {
        exit_code: ran
            .status
            .and_then(|status| i32::try_from(status).ok())
            .unwrap_or(ENDED_BY_SIGNAL),
        stdout: text(ran.stdout),
        stderr: text(ran.stderr),
    })
}

//! Starting a session again, interrupting it, and saving what it leaves.

use client::protocol::api::gangway::Save;
use client::protocol::session as wire;
use client::{Client, SessionRow};

use super::{LAUNCH_WAIT, find, find_running, wait_until, with_notices};
use crate::context::Context;
use crate::types::{
    Failure, FailureCode, Nothing, Saved, Session, SessionInterrupt, SessionRef, SessionSave, Tag,
    Unsaved, UnsavedFile,
};

pub(crate) async fn restart(context: &Context, request: SessionRef) -> Result<Session, Failure> {
    let client = context.client().await?;
    let row = find_running(&client, &request.session).await?;
    let id = row.session_id;
    client.restart_session(&id.to_string()).await?;
    context.links().forget(id);
    context.changed(Tag::Session, Some(id.to_string()));
    let row = client.session(id).await?;
    let row = wait_until(&client, row, LAUNCH_WAIT, |status| {
        status == wire::SessionStatus::Running || status.is_terminal()
    })
    .await?;
    context.changed(Tag::Session, Some(id.to_string()));
    if row.status.is_terminal() {
        let message = format!("the session {} did not start again", row.name);
        return Err(Failure::new(FailureCode::SessionEnded, message).details(row.status_data));
    }
    crate::ssh::refresh_config(context, &client).await;
    with_notices(&client, row).await
}

pub(crate) async fn interrupt(
    context: &Context,
    request: SessionInterrupt,
) -> Result<Nothing, Failure> {
    let client = context.client().await?;
    let row = find_running(&client, &request.session).await?;
    client
        .interrupt_session(&row.session_id.to_string())
        .await?;
    Ok(Nothing {})
}

/// A session with files: one that runs, or one whose home the manager may have kept.
async fn find_with_files(client: &Client, named: &str) -> Result<SessionRow, Failure> {
    let row = find(client, named).await?;
    if row.status.is_terminal() {
        return Ok(row);
    }
    find_running(client, &row.session_id.to_string()).await
}

pub(crate) async fn unsaved(context: &Context, request: SessionRef) -> Result<Unsaved, Failure> {
    let client = context.client().await?;
    let row = find_with_files(&client, &request.session).await?;
    let found = client.unsaved(&row.session_id.to_string()).await?;
    let file = |file: client::protocol::api::gangway::UnsavedFile| UnsavedFile {
        path: file.path,
        size: file.size,
    };
    Ok(Unsaved {
        files: found.files,
        bytes: found.bytes,
        truncated: found.truncated,
        largest: found.largest.into_iter().map(file).collect(),
    })
}

pub(crate) async fn save(context: &Context, request: SessionSave) -> Result<Saved, Failure> {
    let client = context.client().await?;
    let row = find_with_files(&client, &request.session).await?;
    let save = Save {
        folder: request.folder,
        path: Some(request.path.unwrap_or(row.name)),
    };
    let saved = client.save_home(&row.session_id.to_string(), &save).await?;
    context.changed(Tag::Folder, None);
    Ok(Saved {
        files: saved.files,
        bytes: saved.bytes,
    })
}

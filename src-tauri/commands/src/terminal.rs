//! Terminals in a session. Where the session keeps its shells itself, a terminal is a look at one
//! of them, and outlives every window and this program; elsewhere it is a terminal of the SSH
//! connection, and outlives the page that shows it.

mod kept;
mod plain;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use client::protocol::api::gangway::capability;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use crate::context::Context;
use crate::session::find_running;
use crate::types::{
    Failure, FailureCode, Nothing, SessionRef, TerminalList, TerminalOpen, TerminalOpened,
    TerminalRef, TerminalResize, TerminalWrite,
};

/// The terminals that are shown, by their ids.
#[derive(Default)]
pub(crate) struct Terminals {
    kept: Mutex<HashMap<String, Arc<kept::Look>>>,
    plain: plain::Terminals,
}

/// What a terminal shows, until its shell ends.
pub(crate) type Output = BoxStream<'static, Result<Bytes, Failure>>;

impl Terminals {
    fn kept(&self) -> MutexGuard<'_, HashMap<String, Arc<kept::Look>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, id: &str) -> Option<Arc<kept::Look>> {
        self.kept().get(id).cloned()
    }
}

/// Opens a terminal or takes one up; tells its id, then its bytes until the shell ends.
pub(crate) async fn open(
    context: &Context,
    request: TerminalOpen,
) -> Result<(TerminalOpened, Output), Failure> {
    if context.client().await?.has(capability::SHELLS).await? {
        kept::open(context, request).await
    } else {
        let (opened, bytes) = plain::open(context, request).await?;
        Ok((opened, bytes.map(Ok).boxed()))
    }
}

/// The terminals that a session has, shown or not.
pub(crate) async fn list(context: &Context, request: SessionRef) -> Result<TerminalList, Failure> {
    let client = context.client().await?;
    let row = find_running(&client, &request.session).await?;
    let session = row.session_id.to_string();
    if !client.has(capability::SHELLS).await? {
        return Ok(plain::list(context, &session));
    }
    match client.shells(&session).await {
        Ok(shells) => Ok(TerminalList {
            terminals: shells.into_iter().map(Into::into).collect(),
            kept: true,
        }),
        // It keeps them, but can't tell which.
        Err(client::Error::Unsupported { .. }) => Ok(TerminalList {
            terminals: Vec::new(),
            kept: true,
        }),
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn write(context: &Context, request: TerminalWrite) -> Result<Nothing, Failure> {
    let bytes = BASE64_STANDARD
        .decode(&request.data)
        .map_err(|error| Failure::new(FailureCode::InvalidInput, error))?;
    match context.terminals().look(&request.terminal_id) {
        Some(look) => look.write(bytes.into()).await?,
        None => plain::write(context, &request.terminal_id, bytes).await?,
    }
    Ok(Nothing {})
}

pub(crate) async fn resize(context: &Context, request: TerminalResize) -> Result<Nothing, Failure> {
    match context.terminals().look(&request.terminal_id) {
        Some(look) => look.resize(request.rows, request.cols).await?,
        None => plain::resize(context, &request).await?,
    }
    Ok(Nothing {})
}

/// Ends a shell, whether it is shown or not.
pub(crate) async fn close(context: &Context, request: TerminalRef) -> Result<Nothing, Failure> {
    let client = context.client().await?;
    if !client.has(capability::SHELLS).await? {
        return plain::close(context, &request.terminal_id).await;
    }
    let row = find_running(&client, &request.session).await?;
    let session = row.session_id.to_string();
    client.hang_up_shell(&session, &request.terminal_id).await?;
    Ok(Nothing {})
}

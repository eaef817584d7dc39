//! Shells that the session keeps. What a page does not take waits in the session: the connection
//! is the queue.

use std::sync::Arc;

use bytes::Bytes;
use client::protocol::runner::shell::{ShellInfo, Size};
use client::{ShellReader, ShellWriter};
use futures_util::StreamExt;
use jiff::Timestamp;
use uuid::Uuid;

use super::Output;
use crate::context::Context;
use crate::session::find_running;
use crate::types::{Failure, FailureCode, TerminalInfo, TerminalOpen, TerminalOpened};

/// Somebody looks at a shell.
pub(super) struct Look(tokio::sync::Mutex<ShellWriter>);

impl Look {
    pub(super) async fn write(&self, bytes: Bytes) -> Result<(), Failure> {
        Ok(self.0.lock().await.write(bytes).await?)
    }

    pub(super) async fn resize(&self, rows: u16, columns: u16) -> Result<(), Failure> {
        Ok(self.0.lock().await.resize(Size { columns, rows }).await?)
    }
}

impl From<ShellInfo> for TerminalInfo {
    fn from(shell: ShellInfo) -> Self {
        let started = i64::try_from(shell.started).unwrap_or(i64::MAX);
        Self {
            terminal_id: shell.id,
            started_at: Timestamp::from_second(started).ok(),
            running: Some(shell.running).filter(|name| !name.is_empty()),
            shown: shell.pages > 0,
        }
    }
}

pub(super) async fn open(
    context: &Context,
    request: TerminalOpen,
) -> Result<(TerminalOpened, Output), Failure> {
    let client = context.client().await?;
    let session = find_running(&client, &request.session).await?.session_id;
    let id = request
        .terminal_id
        .unwrap_or_else(|| Uuid::new_v4().to_string());
    let (reader, writer) = client.shell(&session.to_string(), &id).await?;
    let look = Arc::new(Look(tokio::sync::Mutex::new(writer)));
    look.resize(request.rows, request.cols).await?;
    context.terminals().kept().insert(id.clone(), look.clone());
    let shown = Shown {
        context: context.clone(),
        id: id.clone(),
        look,
    };
    let bytes = futures_util::stream::unfold(Some((reader, shown)), next);
    Ok((TerminalOpened { terminal_id: id }, bytes.boxed()))
}

type Looking = Option<(ShellReader, Shown)>;

async fn next(looking: Looking) -> Option<(Result<Bytes, Failure>, Looking)> {
    let (mut reader, shown) = looking?;
    match reader.next().await {
        Ok(Some(bytes)) => Some((Ok(bytes), Some((reader, shown)))),
        Ok(None) => None,
        Err(error) => {
            let message = format!("the connection to the shell is lost: {error}");
            Some((Err(Failure::new(FailureCode::TunnelFailed, message)), None))
        }
    }
}

/// A page that shows a shell. When it goes, so does the connection; the shell stays.
struct Shown {
    context: Context,
    id: String,
    look: Arc<Look>,
}

impl Drop for Shown {
    fn drop(&mut self) {
        let mut kept = self.context.terminals().kept();
        // Another page may have taken the same shell up meanwhile.
        if kept
            .get(&self.id)
            .is_some_and(|look| Arc::ptr_eq(look, &self.look))
        {
            kept.remove(&self.id);
        }
    }
}

//! A session's log as a file of this computer.

use std::path::PathBuf;

use crate::context::Context;
use crate::failure::io;
use crate::file::local_path;
use crate::types::{Failure, SaveLog, SavedLog, SessionLogsRequest};

/// Saves the whole log, as it is: what the manager has, and not what a page shows of it.
pub(crate) async fn save_log(context: &Context, request: SaveLog) -> Result<SavedLog, Failure> {
    let session = request.session.clone();
    let log = super::logs(
        context,
        SessionLogsRequest {
            session,
            kernel: None,
        },
    );
    let (path, log) = match request.path {
        Some(path) => (local_path(&path)?, log.await?),
        // First the log: nobody is asked where to save what is not to be had.
        None => {
            let log = log.await?;
            let client = context.client().await?;
            let name = super::find(&client, &request.session).await?.name;
            match context.host().save_path(&format!("{name}.log")).await? {
                Some(path) => (path, log),
                None => {
                    return Ok(SavedLog {
                        path: None,
                        bytes: 0,
                    });
                }
            }
        }
    };
    write(path, log.text.into_bytes()).await
}

/// Under another name first: a disk that gets full leaves what was there before.
async fn write(path: PathBuf, text: Vec<u8>) -> Result<SavedLog, Failure> {
    let bytes = text.len() as u64;
    let part = path.with_file_name(format!(
        ".{}.gangway-part",
        path.file_name().unwrap_or_default().to_string_lossy()
    ));
    let written = async {
        tokio::fs::write(&part, text).await?;
        tokio::fs::rename(&part, &path).await
    };
    if let Err(error) = written.await {
        let _ = tokio::fs::remove_file(&part).await;
        return Err(io(&error, &path.display()));
    }
    Ok(SavedLog {
        path: Some(path.display().to_string()),
        bytes,
    })
}

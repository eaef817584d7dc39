//! Waits for the end of a container and tidies up after it.

use std::{fs, os::fd::OwnedFd, path::Path, sync::Arc, time::Duration};

use protocol::runner::launch::ExitNote;
use tokio::sync::watch;

use super::{
    api::Api,
    record::{Dir, Record},
};
use crate::{Exit, oom, process::until_ended};

/// Looks until the container engine has noticed the end as well.
const LOOKS: u32 = 100;
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Watches a kernel in the background; the receiver learns how it ended, after everything is tidy.
pub(super) fn watch(
    api: Api,
    dir: Dir,
    record: Record,
    outermost: Arc<OwnedFd>,
) -> watch::Receiver<Option<Exit>> {
    let (tell, told) = watch::channel(None);
    tokio::spawn(async move {
        until_ended(&outermost).await;
        finish(&api, &dir, &record).await;
        // Nobody may be interested any more.
        let _ = tell.send(Some(dir.exit()));
    });
    told
}

/// Notes how an ended container ended, unless it did so itself, and removes the container. The
/// session's files stay. Without the container engine the container waits for the next sweep.
pub(super) async fn finish(api: &Api, dir: &Dir, record: &Record) {
    let note = dir.at("exit.json");
    let noted = fs::metadata(&note).is_ok_and(|found| found.len() > 0);
    if !noted
        && record.process.is_some()
        && let Some(reason) = reason(api, record).await
    {
        let text = serde_json::to_vec(&ExitNote::Lost { reason });
        let written = text
            .map_err(std::io::Error::other)
            .and_then(|text| fs::write(&note, text));
        if let Err(error) = written {
            tracing::warn!(%error, "can't note how a container ended");
        }
    }
    if let Err(error) = api.remove_container(&record.container).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            container = record.container,
            "not removed yet"
        );
    }
    // What is gone already is as good. The home may be kept for days; these are of no use any more.
    let _ = fs::remove_file(&dir.socket);
    let _ = fs::remove_dir_all(&dir.porch);
}

/// Why a container is gone that nobody ended; none after a restart of the computer, which says
/// enough.
async fn reason(api: &Api, record: &Record) -> Option<String> {
    if record.boot_id != crate::process::boot_id() {
        return None;
    }
    let group = record.group.memory_directory();
    // Of its other processes the session went on without.
    let last = group.and_then(|group: &Path| oom::victims(group).pop());
    if last.is_some_and(|name| name.starts_with("runner ")) {
        return Some("the session ran out of memory".to_owned());
    }
    for _ in 0..LOOKS {
        let state = match api.state(&record.container).await {
            Ok(Some(state)) => state,
            Ok(None) => return Some("the container was removed".to_owned()),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an ended container"
                );
                return Some("the container ended".to_owned());
            }
        };
        if state.running == Some(true) {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        }
        let code = state.exit_code.unwrap_or_default();
        return Some(if state.oom_killed == Some(true) {
            "the session ran out of memory".to_owned()
        } else if code == 137 {
            "the container was killed".to_owned()
        } else {
            format!("the container ended with code {code}")
        });
    }
    None
}

//! The manager itself: whether it is frozen for maintenance, and what its administrators announce.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::{Method, StatusCode};
use db::rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::session;
use crate::error::Problem;
use crate::state::App;
use crate::store;
use crate::store::session::Session;

const STATUS: &str = "manager-status";
const ANNOUNCEMENT: &str = "announcement";

/// What the manager lets its users do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ManagerStatus {
    Running,
    /// Nothing new begins: neither sessions nor changes of data folders.
    Frozen,
}

impl ManagerStatus {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Frozen => "frozen",
        }
    }
}

/// Whether the manager is frozen, for each request to look at.
#[derive(Debug, Default)]
pub(crate) struct Freezer(AtomicBool);

impl Freezer {
    /// As an engine before this one left it.
    pub(crate) fn read(db: &Connection) -> Result<Self, Problem> {
        let kept = store::setting::get(db, STATUS)?;
        let frozen = kept.as_deref() == Some(ManagerStatus::Frozen.as_str());
        Ok(Self(AtomicBool::new(frozen)))
    }

    pub(crate) fn status(&self) -> ManagerStatus {
        if self.0.load(Ordering::Acquire) {
            ManagerStatus::Frozen
        } else {
            ManagerStatus::Running
        }
    }

    /// Refuses what a frozen manager does not do.
    pub(crate) fn check(&self, method: &Method, path: &str) -> Result<(), Problem> {
        if self.status() == ManagerStatus::Running || !needs_running(method, path) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "server-frozen",
            "The server is frozen due to maintenance. Please try again later.",
            "api_access_unavailable",
        ))
    }
}

/// Whether a call needs a manager that runs (protocol page "Administrative REST", list of routes).
fn needs_running(method: &Method, path: &str) -> bool {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
    match parts[..] {
        [
            "folders",
            _,
            "request-download" | "request-download-archive",
        ] => false,
        ["folders", ..] => !reads,
        ["session"] => *method == Method::POST,
        ["session", "_", what] => !reads && what != "match",
        ["session", _, "commit" | "imagify" | "rename"] => !reads,
        _ => false,
    }
}

/// How many sessions hold something.
pub(crate) async fn active_sessions(app: &App) -> Result<u32, Problem> {
    app.store
        .read(|db| -> Result<_, Problem> { Ok(store::session::count_live(db)?) })
        .await
}

/// Freezes the manager or lets it go on; `force_kill` ends all sessions at once.
pub(crate) async fn set_status(
    app: &App,
    status: ManagerStatus,
    force_kill: bool,
) -> Result<(), Problem> {
    app.store
        .write(move |tx| -> Result<(), Problem> {
            Ok(store::setting::set(tx, STATUS, status.as_str())?)
        })
        .await?;
    let frozen = status == ManagerStatus::Frozen;
    app.freezer.0.store(frozen, Ordering::Release);
    if !(frozen && force_kill) {
        return Ok(());
    }
    let live: Vec<Session> = app
        .store
        .read(|db| -> Result<_, Problem> {
            let statuses = store::session::live_statuses();
            Ok(store::session::in_status(db, &statuses)?)
        })
        .await?;
    for session in live {
        session::destroy(app, &session, true).await?;
    }
    Ok(())
}

/// What is announced to everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Announcement {
    pub(crate) enabled: bool,
    pub(crate) message: String,
}

/// What was announced last.
pub(crate) async fn announcement(app: &App) -> Result<Announcement, Problem> {
    app.store.read(read_announcement).await
}

fn read_announcement(db: &Connection) -> Result<Announcement, Problem> {
    let kept = store::setting::get(db, ANNOUNCEMENT)?;
    Ok(kept
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default())
}

/// Announces something or hides it; without a message the last one stays.
pub(crate) async fn announce(
    app: &App,
    enabled: bool,
    message: Option<String>,
) -> Result<(), Problem> {
    app.store
        .write(move |tx| {
            let last = read_announcement(tx)?;
            let message = message.unwrap_or(last.message);
            if enabled && message.is_empty() {
                return Err(Problem::invalid_params(
                    "message: an announcement needs one to be shown",
                ));
            }
            let text = serde_json::to_string(&Announcement { enabled, message })
                .map_err(|error| Problem::internal(error.to_string()))?;
            Ok(store::setting::set(tx, ANNOUNCEMENT, &text)?)
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_manager_that_runs() {
        for (method, path) in [
            (Method::POST, "/session"),
            (Method::POST, "/session/_/create"),
            (Method::POST, "/session/x/commit"),
            (Method::POST, "/folders"),
            (Method::DELETE, "/folders/data"),
            (Method::POST, "/folders/data/mkdir"),
        ] {
            assert!(needs_running(&method, path), "{method} {path}");
        }
        for (method, path) in [
            (Method::GET, "/session/_/match"),
            (Method::GET, "/session/x"),
            (Method::DELETE, "/session/x"),
            (Method::POST, "/session/x"),
            (Method::GET, "/folders"),
            (Method::POST, "/folders/data/request-download"),
            (Method::PUT, "/manager/status"),
            (Method::POST, "/admin/gql"),
        ] {
            assert!(!needs_running(&method, path), "{method} {path}");
        }
    }
}

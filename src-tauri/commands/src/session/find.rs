//! Which session a user means.

use client::protocol::session as wire;
use client::{Client, SessionRow};
use uuid::Uuid;

use crate::types::{Failure, FailureCode};

/// The session that a user means: an id, a name, or the start of one that fits only one session.
/// A name means the live session that has it, else the last one that had it.
pub(crate) async fn find(client: &Client, named: &str) -> Result<SessionRow, Failure> {
    if let Ok(id) = Uuid::parse_str(named) {
        return Ok(client.session(id).await?);
    }
    let not_found = || {
        Failure::new(
            FailureCode::SessionNotFound,
            format!("there is no session \"{named}\""),
        )
        .hint("see `gangway session ls`")
    };
    if named.is_empty() {
        return Err(not_found());
    }
    let rows = client.sessions(&live()).await?;
    if let Some(row) = rows.iter().find(|row| row.name == named) {
        return Ok(row.clone());
    }
    let start = named.to_ascii_lowercase();
    let mut fitting = rows.into_iter().filter(|row| {
        row.name.starts_with(named) || row.session_id.to_string().starts_with(&start)
    });
    match (fitting.next(), fitting.next()) {
        (Some(row), None) => return Ok(row),
        (Some(one), Some(other)) => {
            let message = format!(
                "\"{named}\" fits several sessions: {}, {}",
                one.name, other.name
            );
            return Err(Failure::new(FailureCode::SessionAmbiguous, message));
        }
        (None, _) => {}
    }
    match client.match_sessions(named).await?.first() {
        Some(last) => Ok(client.session(last.id).await?),
        None => Err(not_found()),
    }
}

/// The session meant, and that it can be worked in.
pub(crate) async fn find_running(client: &Client, named: &str) -> Result<SessionRow, Failure> {
    let row = find(client, named).await?;
    match wire::allowed(wire::Action::OpenApp, row.status, row.session_type) {
        Ok(()) => Ok(row),
        Err(hindrance) => {
            let code = match hindrance {
                wire::Hindrance::Ended | wire::Hindrance::Terminating => FailureCode::SessionEnded,
                wire::Hindrance::NotRunningYet | wire::Hindrance::NotInteractive => {
                    FailureCode::SessionNotReady
                }
            };
            Err(Failure::new(
                code,
                format!("{hindrance} ({}: {})", row.name, row.status),
            ))
        }
    }
}

pub(super) fn live() -> Vec<wire::SessionStatus> {
    wire::SessionStatus::ALL
        .iter()
        .copied()
        .filter(|status| !status.is_terminal())
        .collect()
}

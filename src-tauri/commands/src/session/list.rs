//! The list of sessions, and the last one seen while the manager is away.

use client::protocol::session as wire;
use jiff::Timestamp;

use super::find::live;
use crate::context::Context;
use crate::types::{Failure, FailureCode, Session, SessionList, SessionListRequest};

pub(crate) async fn list(
    context: &Context,
    request: SessionListRequest,
) -> Result<SessionList, Failure> {
    let profile = context.profile_name()?;
    match fresh_list(context, &profile, &request).await {
        Ok(sessions) => Ok(SessionList {
            sessions,
            as_of: Timestamp::now(),
            stale: false,
            failure: None,
        }),
        Err(failure) => match context.last_seen(&profile).await {
            Some((sessions, as_of)) if is_absence(failure.code) => Ok(SessionList {
                sessions: sessions
                    .into_iter()
                    .filter(|row| wanted(&request, row))
                    .collect(),
                as_of,
                stale: true,
                failure: Some(failure),
            }),
            _ => Err(failure),
        },
    }
}

async fn fresh_list(
    context: &Context,
    profile: &str,
    request: &SessionListRequest,
) -> Result<Vec<Session>, Failure> {
    let client = context.client_of(profile).await?;
    let statuses: Vec<wire::SessionStatus> = match (&request.statuses[..], request.all) {
        ([], true) => wire::SessionStatus::ALL.to_vec(),
        ([], false) => live(),
        (named, _) => named.iter().map(|status| (*status).into()).collect(),
    };
    let rows = client.sessions(&statuses).await?;
    let sessions: Vec<Session> = rows.into_iter().map(Session::from).collect();
    if request.statuses.is_empty() {
        context.remember_sessions(profile, &sessions).await;
    }
    Ok(sessions)
}

fn is_absence(code: FailureCode) -> bool {
    matches!(
        code,
        FailureCode::ManagerUnreachable
            | FailureCode::EngineNotRunning
            | FailureCode::ManagerFailed
    )
}

fn wanted(request: &SessionListRequest, session: &Session) -> bool {
    let status: wire::SessionStatus = session.status.into();
    match &request.statuses[..] {
        [] => request.all || !status.is_terminal(),
        named => named.contains(&session.status),
    }
}

//! The list of sessions, and the last one seen while the manager is away.

use client::SessionQuery;
use client::protocol::session as wire;
use jiff::Timestamp;

use super::find::live;
use crate::context::Context;
use crate::types::{Failure, FailureCode, Session, SessionList, SessionListRequest};

/// A page is never longer; whoever wants more asks for the next one.
const LONGEST_PAGE: u32 = 500;
/// So many are remembered for the time when the manager is away.
const REMEMBERED: usize = 300;
/// Shorter pages are looks, not lists: they do not replace what is remembered.
const WORTH_REMEMBERING: u32 = 50;

pub(crate) async fn list(
    context: &Context,
    request: SessionListRequest,
) -> Result<SessionList, Failure> {
    let profile = context.profile_name()?;
    match fresh(context, &profile, &request).await {
        Ok((sessions, total)) => Ok(SessionList {
            sessions,
            total,
            as_of: Timestamp::now(),
            stale: false,
            failure: None,
        }),
        Err(failure) => match context.last_seen(&profile).await {
            Some((seen, as_of)) if is_absence(failure.code) => {
                let (sessions, total) = from_memory(&request, seen);
                Ok(SessionList {
                    sessions,
                    total,
                    as_of,
                    stale: true,
                    failure: Some(failure),
                })
            }
            _ => Err(failure),
        },
    }
}

async fn fresh(
    context: &Context,
    profile: &str,
    request: &SessionListRequest,
) -> Result<(Vec<Session>, u64), Failure> {
    let client = context.client_of(profile).await?;
    let statuses = statuses(request);
    let Some(limit) = request.limit else {
        let rows = client.sessions(&statuses).await?;
        let sessions: Vec<Session> = rows.into_iter().map(Session::from).collect();
        if request.statuses.is_empty() {
            remember(context, profile, request, &sessions).await;
        }
        let total = sessions.len() as u64;
        return Ok((sessions, total));
    };
    let query = SessionQuery {
        statuses,
        search: request.search.clone().unwrap_or_default(),
        order: order(request)?,
        limit: limit.min(LONGEST_PAGE),
        offset: request.offset,
    };
    let page = client.session_page(&query).await?;
    let sessions: Vec<Session> = page.rows.into_iter().map(Session::from).collect();
    let plain = query.search.is_empty() && request.statuses.is_empty();
    if plain && request.offset == 0 && limit >= WORTH_REMEMBERING {
        remember(context, profile, request, &sessions).await;
    }
    Ok((sessions, page.total as u64))
}

/// Which statuses are asked for.
fn statuses(request: &SessionListRequest) -> Vec<wire::SessionStatus> {
    match &request.statuses[..] {
        [] if request.ended => wire::SessionStatus::ALL
            .iter()
            .copied()
            .filter(|status| status.is_terminal())
            .collect(),
        [] if request.all => wire::SessionStatus::ALL.to_vec(),
        [] => live(),
        named => named.iter().map(|status| (*status).into()).collect(),
    }
}

/// What every manager can order by.
fn order(request: &SessionListRequest) -> Result<String, Failure> {
    const FIELDS: [&str; 6] = [
        "name",
        "status",
        "image",
        "type",
        "created_at",
        "terminated_at",
    ];
    let order = request.order.clone().unwrap_or_default();
    let field = order.strip_prefix('-').unwrap_or(&order);
    if order.is_empty() || FIELDS.contains(&field) {
        return Ok(order);
    }
    let message = format!("sessions can't be ordered by \"{field}\"");
    Err(Failure::new(FailureCode::InvalidInput, message)
        .hint(format!("one of: {}", FIELDS.join(", "))))
}

/// Keeps what was seen: the part that was asked for is replaced, the other one stays.
async fn remember(
    context: &Context,
    profile: &str,
    request: &SessionListRequest,
    seen: &[Session],
) {
    let asked = statuses(request);
    let mut kept: Vec<Session> = seen.to_vec();
    if let Some((before, _)) = context.last_seen(profile).await {
        kept.extend(before.into_iter().filter(|session| {
            !asked.contains(&session.status.into()) && !seen.iter().any(|it| it.id == session.id)
        }));
    }
    kept.sort_by_key(|session| std::cmp::Reverse(session.created_at));
    kept.truncate(REMEMBERED);
    context.remember_sessions(profile, &kept).await;
}

fn from_memory(request: &SessionListRequest, seen: Vec<Session>) -> (Vec<Session>, u64) {
    let asked = statuses(request);
    let search = request.search.clone().unwrap_or_default().to_lowercase();
    let found: Vec<Session> = seen
        .into_iter()
        .filter(|session| asked.contains(&session.status.into()))
        .filter(|session| {
            let name = session.name.to_lowercase();
            search.split_whitespace().all(|word| name.contains(word))
        })
        .collect();
    let total = found.len() as u64;
    let offset = request.offset as usize;
    let limit = request.limit.map_or(usize::MAX, |limit| limit as usize);
    let page = found.into_iter().skip(offset).take(limit).collect();
    (page, total)
}

fn is_absence(code: FailureCode) -> bool {
    matches!(
        code,
        FailureCode::ManagerUnreachable
            | FailureCode::EngineNotRunning
            | FailureCode::ManagerFailed
    )
}

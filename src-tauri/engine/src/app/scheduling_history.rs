//! What was done about sessions, step by step: written with each step, read by administrators.

use db::rusqlite::Connection;
use protocol::session::SessionStatus;
use uuid::Uuid;

use crate::error::Problem;
use crate::state::App;
use crate::store::At;
use crate::store::scheduling_history::{Filter, Order, Step, add, search};

/// What was at work when a session went from one status to another, and how that came out.
const fn step(from: SessionStatus, to: SessionStatus) -> (&'static str, &'static str) {
    use SessionStatus as S;
    match (from, to) {
        (S::Deprioritizing, _) => ("deprioritize-sessions", "SUCCESS"),
        (S::Rescheduling, S::Pending) => ("reschedule-sessions", "SUCCESS"),
        (S::Reserved, S::Pending) => ("release-reserved-sessions", "EXPIRED"),
        (S::Reserved, S::Scheduled) => ("release-reserved-sessions", "SUCCESS"),
        (S::Scheduled | S::Preparing | S::Pulling, S::Pending) => {
            ("check-precondition", "NEED_RETRY")
        }
        (_, S::Pending) => ("start-sessions", "NEED_RETRY"),
        (_, S::Deprioritizing) => ("schedule-sessions", "GIVE_UP"),
        (_, S::Scheduled | S::Reserved) => ("schedule-sessions", "SUCCESS"),
        (_, S::Preparing | S::Pulling | S::Prepared) => ("check-precondition", "SUCCESS"),
        (_, S::Creating | S::Running) => ("start-sessions", "SUCCESS"),
        (_, S::Preempted | S::Rescheduling) => ("preempt-sessions", "SUCCESS"),
        (_, S::Restarting) => ("restart-sessions", "SUCCESS"),
        (_, S::Error | S::RunningDegraded) => ("sweep-sessions", "SUCCESS"),
        (_, S::Terminating | S::Terminated | S::Cancelled) => ("terminate-sessions", "SUCCESS"),
    }
}

/// Writes down that a session went on, with what was said about it.
pub(crate) fn moved(
    tx: &Connection,
    session: Uuid,
    from: SessionStatus,
    to: SessionStatus,
    reason: &str,
) -> Result<(), Problem> {
    let (phase, result) = step(from, to);
    write(tx, session, (from, Some(to)), (phase, result), None, reason)
}

/// Writes down that a session was looked at and has to wait: what lacked, and whether that was a try.
pub(crate) fn waits(
    tx: &Connection,
    session: Uuid,
    status: SessionStatus,
    (error_code, message): (&str, &str),
    is_skip: bool,
) -> Result<(), Problem> {
    let result = if is_skip { "SKIPPED" } else { "NEED_RETRY" };
    let how = ("schedule-sessions", result);
    write(tx, session, (status, None), how, Some(error_code), message)
}

fn write(
    tx: &Connection,
    session: Uuid,
    (from, to): (SessionStatus, Option<SessionStatus>),
    (phase, result): (&str, &str),
    error_code: Option<&str>,
    message: &str,
) -> Result<(), Problem> {
    let now = At::now();
    let step = Step {
        id: Uuid::now_v7(),
        session,
        phase: phase.to_owned(),
        from,
        to,
        result: result.to_owned(),
        error_code: error_code.map(str::to_owned),
        message: message.to_owned(),
        attempts: 1,
        created_at: now,
        updated_at: now,
    };
    Ok(add(tx, &step)?)
}

/// So many steps after `offset`, and how many there are in all.
pub(crate) async fn list(
    app: &App,
    filter: Filter,
    order: Order,
    limit: u32,
    offset: u32,
) -> Result<(Vec<Step>, u32), Problem> {
    app.store
        .read(move |db| -> Result<_, Problem> { Ok(search(db, &filter, order, limit, offset)?) })
        .await
}

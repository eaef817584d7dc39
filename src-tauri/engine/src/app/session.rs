//! What requests about sessions mean: finding, describing, renaming and ending them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use protocol::api::session::{Match, Matches};
use protocol::name;
use protocol::runner::FaultKind;
use protocol::service_port::ServicePort;
use protocol::session::{Event, SessionStatus};
use runtime::{Kernel, RuntimeError};
use serde_json::{Value, json};
use uuid::Uuid;

use super::delegation;
use super::session_check;
use super::transition::advance;
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;
use crate::store::kernel::Kernel as KernelRow;
use crate::store::session::{Filter, Session};
use crate::store::{self};

/// The most of a log that is answered or kept, in bytes: as much as a manager keeps.
pub(crate) const LOG_LIMIT: usize = 10 << 20;

/// A session and its kernels, as `caller` may see them: a UUID reaches any of theirs, a name the
/// live one. Administrators reach those whom they may act for by UUID, and by name on behalf of its
/// owner.
pub(crate) async fn find(
    app: &App,
    caller: &Caller,
    reference: &str,
    owner_access_key: Option<&str>,
) -> Result<(Session, Vec<KernelRow>), Problem> {
    let caller = caller.clone();
    let reference = reference.to_owned();
    let owner_access_key = owner_access_key.map(str::to_owned);
    app.store
        .read(move |db| {
            let owner = delegation::owner(db, &caller, owner_access_key.as_deref())?
                .map_or(caller.user.id, |(user, _)| user.id);
            let session = match Uuid::try_parse(&reference) {
                Ok(id) => store::session::get(db, id)?,
                Err(_) => store::session::live_by_name(db, owner, &reference)?,
            };
            let session = session.ok_or_else(Problem::no_session)?;
            if session.user != owner {
                let user = store::user::get(db, session.user)?;
                if !user.is_some_and(|user| delegation::may_act_for(&caller, &user)) {
                    return Err(Problem::no_session());
                }
            }
            let kernels = store::kernel::of_session(db, session.id)?;
            Ok((session, kernels))
        })
        .await
}

/// The main kernel of a session that can be worked in.
pub(crate) fn main_kernel(
    app: &App,
    session: &Session,
    kernels: &[KernelRow],
) -> Result<Arc<dyn Kernel>, Problem> {
    kernels
        .first()
        .filter(|_| session.status == SessionStatus::Running)
        .and_then(|kernel| app.kernels.get(kernel.id))
        .ok_or_else(|| not_ready(session))
}

/// 400: the session is not in a state to do that.
pub(crate) fn not_ready(session: &Session) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "kernel-not-ready",
        "Kernel not ready.",
        "kernel_read_not-ready",
    )
    .msg(format!(
        "The session {} is {}.",
        session.name, session.status
    ))
}

/// The service ports that clients see.
pub(crate) fn main_ports(kernels: &[KernelRow]) -> Vec<ServicePort> {
    kernels
        .first()
        .map(|kernel| kernel.service_ports.clone())
        .unwrap_or_default()
}

/// What a runtime's failure is in the words of the API.
pub(crate) fn runtime_problem(error: RuntimeError) -> Problem {
    let text = chain(&error);
    match error.fault() {
        Some(FaultKind::NotFound) => Problem::invalid_params("The file is not found.").msg(text),
        Some(FaultKind::Invalid | FaultKind::Exists | FaultKind::Denied | FaultKind::Full) => {
            Problem::invalid_params(text)
        }
        _ => Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "kernel-execution-failed",
            "Executing user code in the kernel has failed.",
            "kernel_execute_internal-error",
        )
        .msg(text.clone())
        .agent(text),
    }
}

/// An error with its causes, in one line for people.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// Why a session failed, when something is known.
pub(crate) fn failure_text(session: &Session) -> Option<&str> {
    session
        .status_data
        .pointer("/error/repr")
        .and_then(Value::as_str)
}

/// Asks for the end of a session on its owner's behalf. The answer's `stats`.
pub(crate) async fn destroy(app: &App, session: &Session, forced: bool) -> Result<Value, Problem> {
    let reason = if forced {
        "force-terminated"
    } else {
        "user-requested"
    };
    Ok(match end(app, session, reason, forced).await? {
        None => json!({}),
        Some(SessionStatus::Cancelled) => json!({ "status": "cancelled" }),
        Some(_) => json!({ "status": "terminated" }),
    })
}

/// Asks for the end of a session, for whatever reason. Its status after that; `None` when it has
/// ended already.
pub(crate) async fn end(
    app: &App,
    session: &Session,
    reason: &'static str,
    forced: bool,
) -> Result<Option<SessionStatus>, Problem> {
    if session.status.is_terminal() {
        return Ok(None);
    }
    let event: &'static [Event] = if forced {
        &[Event::ForceTerminated]
    } else {
        &[Event::Terminate]
    };
    let _stopping = app.commits.let_end(session, forced)?;
    let moved = advance(app, session.id, event, reason, move |session, _| {
        session
            .terminate_reason
            .get_or_insert_with(|| reason.to_owned());
        session.terminate_forced |= forced;
    })
    .await?;
    app.nudge.stop.notify_one();
    app.nudge.schedule.notify_one();
    Ok(moved.map(|(after, _)| after.status))
}

/// Live sessions that wait for `id` or for one that does.
pub(crate) async fn dependents(app: &App, id: Uuid) -> Result<Vec<Session>, Problem> {
    let live: Vec<Session> = app
        .store
        .read(|db| -> Result<_, Problem> {
            let all = store::session::list(db, &Filter::default(), None, 0)?;
            Ok(all
                .into_iter()
                .filter(|session| !session.status.is_terminal())
                .collect())
        })
        .await?;
    let mut found: Vec<Session> = Vec::new();
    let mut looked_at = vec![id];
    while let Some(id) = looked_at.pop() {
        for session in live
            .iter()
            .filter(|session| session.dependencies.contains(&id))
        {
            if !found.iter().any(|known| known.id == session.id) {
                looked_at.push(session.id);
                found.push(session.clone());
            }
        }
    }
    Ok(found)
}

/// Gives a live session another name.
pub(crate) async fn rename(app: &App, session: &Session, new_name: &str) -> Result<(), Problem> {
    name::check_session(new_name)
        .map_err(|error| Problem::invalid_params(format!("session_name: {error}")))?;
    let (id, user, new_name) = (session.id, session.user, new_name.to_owned());
    app.store
        .write(move |tx| {
            if let Some(other) = store::session::live_by_name(tx, user, &new_name)?
                && other.id != id
            {
                return Err(Problem::new(
                    StatusCode::BAD_REQUEST,
                    "session-already-exists",
                    "The session already exists but you requested not to reuse existing one.",
                    "session_create_already-exists",
                )
                .msg(format!("A session named \"{new_name}\" is already there."))
                .data(json!({ "existingSessionId": other.id })));
            }
            let mut session = store::session::get(tx, id)?.ok_or_else(Problem::no_session)?;
            if session.status.is_terminal() {
                return Err(not_ready(&session));
            }
            session.name = new_name;
            store::session::update(tx, &session)?;
            Ok(())
        })
        .await
}

/// Sessions of this id, or of exactly this name, in any status; newest first, at most ten.
pub(crate) async fn matches(
    app: &App,
    caller: &Caller,
    reference: &str,
) -> Result<Matches, Problem> {
    let (user, reference) = (caller.user_id(), reference.to_owned());
    let sessions = app
        .store
        .read(move |db| -> Result<_, Problem> {
            let by_id = match Uuid::try_parse(&reference) {
                Ok(id) => store::session::get(db, id)?.filter(|session| session.user == user),
                Err(_) => None,
            };
            if let Some(session) = by_id {
                return Ok(vec![session]);
            }
            let filter = Filter {
                user: Some(user),
                name: Some(reference),
                ..Filter::default()
            };
            Ok(store::session::list(db, &filter, Some(10), 0)?)
        })
        .await?;
    let matches = sessions
        .into_iter()
        .map(|session| Match {
            id: session.id,
            name: session.name,
            status: session.status,
        })
        .collect();
    Ok(Matches { matches })
}

/// The log of one kernel: live from the runtime, afterwards what was kept of it.
pub(crate) async fn logs(
    app: &App,
    kernels: &[KernelRow],
    kernel: Option<Uuid>,
) -> Result<String, Problem> {
    let row = match kernel {
        None => kernels.first(),
        Some(id) => kernels.iter().find(|row| row.id == id),
    };
    let row = row.ok_or_else(|| Problem::not_found("kernel", "kernel_read_not-found"))?;
    if let Some(kernel) = app.kernels.get(row.id) {
        match kernel.logs(LOG_LIMIT).await {
            Ok(text) => return Ok(text),
            // It may have ended this very moment.
            Err(error) => tracing::debug!(%error, kernel = %row.id, "no live log"),
        }
    }
    let id = row.id;
    let kept = app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::kernel::log(db, id)?) })
        .await?;
    match kept {
        Some(text) => Ok(text),
        None if row.removed_at.is_some() || row.started_at.is_none() => Ok(String::new()),
        None => app
            .runtime
            .logs(id, LOG_LIMIT)
            .await
            .map_err(runtime_problem),
    }
}

/// What a session waits for, and what that waited for, as a tree.
pub(crate) async fn dependency_graph(app: &App, session: Session) -> Result<Value, Problem> {
    fn node(
        db: &db::rusqlite::Connection,
        session: &Session,
        depth: usize,
    ) -> Result<Value, Problem> {
        let mut depends_on = Vec::new();
        // Dependencies are older than their dependents, so there are no circles; a chain of
        // thousands is refused here rather than by the stack.
        if depth < 100 {
            for id in &session.dependencies {
                if let Some(dependency) = store::session::get(db, *id)? {
                    depends_on.push(node(db, &dependency, depth + 1)?);
                }
            }
        }
        let changed = session.status_history.get(session.status.as_str());
        Ok(json!({
            "session_id": session.id,
            "session_name": session.name,
            "status": session.status,
            "status_changed": changed,
            "depends_on": depends_on,
        }))
    }
    app.store.read(move |db| node(db, &session, 0)).await
}

/// The session's statuses with the time when each was last entered.
pub(crate) fn status_history(session: &Session) -> &BTreeMap<String, String> {
    &session.status_history
}

/// Moves a waiting session ahead of others, or behind them; 0 to 100, as its owner's policy allows.
pub(crate) async fn set_priority(
    app: &App,
    session: &Session,
    priority: u8,
) -> Result<(), Problem> {
    let id = session.id;
    app.store
        .write(move |tx| -> Result<(), Problem> {
            let mut session = store::session::get(tx, id)?.ok_or_else(Problem::no_session)?;
            if let Some(owner) = store::user::get(tx, session.user)?
                && let Some(policy) = session_check::policy_of(tx, &owner, None)?
            {
                session_check::priority(&policy, priority)?;
            }
            session.priority = priority;
            Ok(store::session::update(tx, &session)?)
        })
        .await?;
    app.nudge.schedule.notify_one();
    Ok(())
}

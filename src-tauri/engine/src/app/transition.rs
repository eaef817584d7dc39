//! Moves a session along its state machine: rows first, then everyone who listens.

use std::sync::Arc;

use db::rusqlite::Transaction;
use protocol::session::{Event, KernelStatus, SessionStatus, next};
use protocol::slots::ResourceSlots;
use uuid::Uuid;

use super::scheduling_history;
use crate::error::Problem;
use crate::events::{Callback, KernelPart, SessionEvent};
use crate::state::App;
use crate::store::kernel::Kernel;
use crate::store::session::Session;
use crate::store::{self, At};

/// Applies `events` in order in one transaction, lets `edit` change more of the rows, commits, and
/// then tells the listeners.
///
/// `None` when the session is gone or its status does not allow one of the events: somebody else was
/// faster, and nothing was changed. An event that has taken effect before changes nothing.
pub(crate) async fn advance<F>(
    app: &App,
    id: Uuid,
    events: &'static [Event],
    reason: &str,
    edit: F,
) -> Result<Option<(Session, Vec<Kernel>)>, Problem>
where
    F: FnOnce(&mut Session, &mut [Kernel]) + Send + 'static,
{
    let reason = reason.to_owned();
    let moved = app
        .store
        .write(move |tx| {
            let Some(mut session) = store::session::get(tx, id)? else {
                return Ok::<_, Problem>(None);
            };
            let mut kernels = store::kernel::of_session(tx, id)?;
            let mut told = Vec::new();
            for event in events {
                let Ok(status) = next(session.status, *event) else {
                    return Ok(None);
                };
                if status != session.status {
                    scheduling_history::moved(tx, id, session.status, status, &reason)?;
                    if status == SessionStatus::Pending {
                        for kernel in &kernels {
                            store::kernel_run::keep(tx, kernel, At::now())?;
                        }
                    }
                    enter(&mut session, &mut kernels, status, &reason, &mut told);
                }
            }
            edit(&mut session, &mut kernels);
            put(tx, &session, &kernels)?;
            // What `edit` learned about the end belongs to the events of the end.
            for event in &mut told {
                event.exit_code = session.exit_code;
                event.callback = callback(&session).filter(|_| event.kernel.is_none());
            }
            Ok(Some((session, kernels, told)))
        })
        .await?;
    Ok(moved.map(|(session, kernels, told)| {
        told.into_iter().for_each(|event| app.events.send(event));
        (session, kernels)
    }))
}

fn put(tx: &Transaction<'_>, session: &Session, kernels: &[Kernel]) -> Result<(), Problem> {
    store::session::update(tx, session)?;
    for kernel in kernels {
        store::kernel::put(tx, kernel)?;
    }
    Ok(())
}

/// Puts a session and its kernels into `status`, noting when and why.
fn enter(
    session: &mut Session,
    kernels: &mut [Kernel],
    status: SessionStatus,
    reason: &str,
    told: &mut Vec<SessionEvent>,
) {
    let now = At::now();
    session.status = status;
    session.status_info = (!reason.is_empty()).then(|| reason.to_owned());
    session.status_history.insert(status.to_string(), now.iso());
    match status {
        SessionStatus::Reserved | SessionStatus::Scheduled => {
            session.occupied_slots = kernels.iter().fold(ResourceSlots::default(), |sum, _| {
                sum.plus(&session.requested_slots)
            });
        }
        SessionStatus::Pending => session.occupied_slots = ResourceSlots::default(),
        _ if status.is_terminal() => session.terminated_at = Some(now),
        _ => {}
    }
    told.push(session_event(session, status.event_name(), reason));
    let Some(kernel_status) = kernel_status(status) else {
        return;
    };
    for kernel in kernels {
        kernel.status = kernel_status;
        kernel.status_info.clone_from(&session.status_info);
        match kernel_status {
            KernelStatus::Reserved | KernelStatus::Scheduled => {
                kernel.occupied_slots = session.requested_slots.clone();
            }
            KernelStatus::Pending => {
                kernel.agent = None;
                kernel.gpus.clear();
                kernel.occupied_slots = ResourceSlots::default();
                // One that ran before begins from scratch.
                kernel.started_at = None;
                kernel.container_id = None;
                kernel.last_stat = None;
            }
            KernelStatus::Running => kernel.started_at = kernel.started_at.or(Some(now)),
            // A session that never got as far as a kernel leaves nothing to clean up.
            KernelStatus::Cancelled => {
                kernel.terminated_at = Some(now);
                kernel.halted_at = Some(now);
                kernel.removed_at = Some(now);
            }
            KernelStatus::Terminated | KernelStatus::Error => kernel.terminated_at = Some(now),
            _ => {}
        }
        if let Some(name) = kernel_event_name(kernel_status) {
            let mut event = session_event(session, name.to_owned(), reason);
            event.kernel = Some(KernelPart {
                id: kernel.id,
                role: kernel.role.clone(),
                idx: kernel.idx,
            });
            told.push(event);
        }
    }
}

/// An event about a session as it is now.
pub(crate) fn session_event(session: &Session, name: String, reason: &str) -> SessionEvent {
    SessionEvent {
        name,
        session: session.id,
        session_name: session.name.clone(),
        access_key: session.access_key.clone(),
        user: session.user,
        project: session.project,
        reason: reason.to_owned(),
        exit_code: session.exit_code,
        kernel: None,
        callback: callback(session),
    }
}

/// What whoever is to be called about a session is told.
fn callback(session: &Session) -> Option<Arc<Callback>> {
    let url = session.callback_url.clone()?;
    Some(Arc::new(Callback {
        url,
        status_history: session.status_history.clone(),
        status_data: session.status_data.clone(),
        result: session.result,
    }))
}

const fn kernel_status(status: SessionStatus) -> Option<KernelStatus> {
    Some(match status {
        SessionStatus::Pending => KernelStatus::Pending,
        SessionStatus::Reserved => KernelStatus::Reserved,
        SessionStatus::Scheduled => KernelStatus::Scheduled,
        SessionStatus::Preparing => KernelStatus::Preparing,
        SessionStatus::Pulling => KernelStatus::Pulling,
        SessionStatus::Prepared => KernelStatus::Prepared,
        SessionStatus::Creating => KernelStatus::Creating,
        SessionStatus::Running => KernelStatus::Running,
        SessionStatus::Restarting => KernelStatus::Restarting,
        SessionStatus::Rescheduling | SessionStatus::Terminating => KernelStatus::Terminating,
        SessionStatus::Terminated => KernelStatus::Terminated,
        SessionStatus::Error => KernelStatus::Error,
        SessionStatus::Cancelled => KernelStatus::Cancelled,
        SessionStatus::Deprioritizing
        | SessionStatus::RunningDegraded
        | SessionStatus::Preempted => return None,
    })
}

const fn kernel_event_name(status: KernelStatus) -> Option<&'static str> {
    match status {
        KernelStatus::Preparing => Some("kernel_preparing"),
        KernelStatus::Pulling => Some("kernel_pulling"),
        KernelStatus::Creating => Some("kernel_creating"),
        KernelStatus::Running => Some("kernel_started"),
        KernelStatus::Cancelled => Some("kernel_cancelled"),
        KernelStatus::Terminating => Some("kernel_terminating"),
        KernelStatus::Terminated => Some("kernel_terminated"),
        _ => None,
    }
}

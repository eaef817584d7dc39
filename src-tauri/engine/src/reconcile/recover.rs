//! After a start: finds the kernels that an earlier engine started, and tells the ends of the others.

use std::sync::Arc;
use std::time::Duration;

use protocol::session::{Event, SessionStatus};
use runtime::RuntimeError;
use uuid::Uuid;

use super::{IDLE, InHand, RETRY, Work, failure, look, stop, watch};
use crate::app::session::chain;
use crate::app::transition::advance;
use crate::error::Problem;
use crate::lock;
use crate::store;
use crate::store::kernel::Kernel as KernelRow;
use crate::store::session::Session;

pub(super) async fn run(work: &Work) -> Result<(), Problem> {
    let app = &work.app;
    let (known, sessions) = app
        .store
        .read(|db| -> Result<_, Problem> {
            let statuses: Vec<_> = SessionStatus::ALL
                .iter()
                .copied()
                .filter(|status| !status.is_terminal() && *status != SessionStatus::Pending)
                .collect();
            let mut sessions = Vec::new();
            for session in store::session::in_status(db, &statuses)? {
                let kernels = store::kernel::of_session(db, session.id)?;
                sessions.push((session, kernels));
            }
            Ok((store::kernel::remaining(db)?, sessions))
        })
        .await?;
    match app.runtime.sweep(&known).await {
        Ok(swept) => {
            if !swept.ended.is_empty() {
                tracing::warn!(?swept.ended, "ended kernels that nobody knows");
            }
            if !swept.left.is_empty() {
                work.tasks.spawn(sweep_later(work.clone(), swept.left));
            }
        }
        Err(error) => tracing::warn!(error = chain(&error), "sweep"),
    }
    for (session, kernels) in sessions {
        if recover(work, &session, &kernels).await? == Found::Unknown
            && let Some(in_hand) = work.take(session.id)
        {
            work.tasks.spawn(later(work.clone(), session.id, in_hand));
        }
    }
    Ok(())
}

/// Ends and removes kernels that nobody knows and that could not be removed at once: the container
/// engine may have been away.
async fn sweep_later(work: Work, mut left: Vec<Uuid>) {
    let app = &work.app;
    let mut pause = RETRY;
    while !left.is_empty() {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = app.stop.cancelled() => return,
        }
        pause = (pause * 2).min(IDLE);
        let mut still = Vec::new();
        for id in left {
            if let Err(error) = end_stranger(&work, id).await {
                tracing::warn!(kernel = %id, error = chain(&error), "nobody knows it");
                still.push(id);
            }
        }
        left = still;
    }
}

async fn end_stranger(work: &Work, id: Uuid) -> Result<(), RuntimeError> {
    let runtime = &work.app.runtime;
    if let Some(kernel) = runtime.adopt(id).await? {
        kernel.terminate(Duration::ZERO).await?;
    }
    runtime.remove(id).await
}

/// What is known of a session after a look.
#[derive(PartialEq, Eq)]
enum Found {
    /// Whether it runs.
    Known,
    /// Nothing: the runtime could not tell.
    Unknown,
}

/// Looks again and again for a session of which the runtime could not tell anything. Only what is
/// certainly gone is ended.
async fn later(work: Work, id: Uuid, in_hand: InHand) {
    let app = &work.app;
    let mut pause = RETRY;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = app.stop.cancelled() => break,
        }
        pause = (pause * 2).min(IDLE);
        let Some((session, rows)) = look(app, id).await else {
            break;
        };
        if session.status.is_terminal() || session.status == SessionStatus::Pending {
            break;
        }
        match recover(&work, &session, &rows).await {
            Ok(Found::Known) => break,
            Ok(Found::Unknown) => {}
            Err(problem) => tracing::warn!(session = %id, %problem, "recovery"),
        }
    }
    drop(in_hand);
    app.nudge.schedule.notify_one();
    app.nudge.start.notify_one();
}

async fn recover(work: &Work, session: &Session, rows: &[KernelRow]) -> Result<Found, Problem> {
    let app = &work.app;
    // Being ended, or on the way back to the queue: the stopper goes on. Being started again, or with
    // a place that is kept for it: that goes on as well.
    if matches!(
        session.status,
        SessionStatus::Terminating
            | SessionStatus::Restarting
            | SessionStatus::Preempted
            | SessionStatus::Rescheduling
            | SessionStatus::Reserved
            | SessionStatus::Deprioritizing
    ) {
        return Ok(Found::Known);
    }
    let boot_id = lock::boot_id();
    let other_boot = rows
        .iter()
        .any(|row| row.boot_id.as_ref().is_some_and(|boot| *boot != boot_id));
    let mut missing = None;
    let mut found = Vec::new();
    for row in rows {
        match app.runtime.adopt(row.id).await {
            Ok(Some(kernel)) => found.push(kernel),
            Ok(None) => missing = Some(row.id),
            Err(error) => {
                tracing::warn!(kernel = %row.id, error = chain(&error), "can't be adopted now");
                return Ok(Found::Unknown);
            }
        }
    }
    for kernel in &found {
        app.kernels.insert(Arc::clone(kernel));
    }
    match (session.status, missing) {
        (SessionStatus::Running | SessionStatus::Creating, None) => {
            if session.status == SessionStatus::Creating {
                advance(app, session.id, &[Event::Started], "", failure::forget).await?;
            }
            for kernel in found {
                watch::attach(work, session.id, kernel);
            }
        }
        (SessionStatus::Running, Some(kernel)) => {
            let exit = watch::lost(app, kernel, other_boot).await;
            stop::keep_log(app, kernel).await?;
            watch::ended(app, session.id, exit).await?;
        }
        // Cut off while starting: nobody has worked in it, so it simply starts again.
        (_, _) => {
            if let Err(error) = failure::clear(app, rows).await {
                tracing::warn!(session = %session.id, error = chain(&error), "half-made");
                return Ok(Found::Unknown);
            }
            advance(app, session.id, &[Event::Rescheduled], "", |_, _| {}).await?;
        }
    }
    Ok(Found::Known)
}

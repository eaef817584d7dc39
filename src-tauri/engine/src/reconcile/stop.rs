//! Ends what was asked to end, and cleans up what has ended.

use std::time::Duration;

use jiff::SignedDuration;
use protocol::api::image::HOST_IMAGE;
use protocol::session::{Event, SessionStatus};
use serde_json::json;

use super::watch::AGAINST_WILL;
use super::{IDLE, InHand, Work, preempt};
use crate::app::session::{LOG_LIMIT, chain};
use crate::app::session_batch::seconds;
use crate::app::transition::advance;
use crate::app::{image_forget, notice};
use crate::error::Problem;
use crate::state::App;
use crate::store::kernel::Kernel as KernelRow;
use crate::store::session::Session;
use crate::store::{self, At};

/// How long processes may take to end by themselves.
const GRACE: Duration = Duration::from_secs(3);

/// The home of a session that ended against its owner's will is kept for so long, unless
/// [`KEEP_HOME`] says otherwise.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Our own setting: how long such homes are kept (`12h`, `30d`, seconds).
const KEEP_HOME: &str = "config/gangway/keep-home";

pub(super) async fn step(work: &Work) -> Result<Duration, Problem> {
    let app = &work.app;
    preempt::step(work).await?;
    let (sessions, keep) = app
        .store
        .read(|db| -> Result<_, Problem> {
            let mut sessions = Vec::new();
            let ending = store::session::in_status(db, &[SessionStatus::Terminating])?;
            for session in ending.into_iter().chain(store::session::with_remains(db)?) {
                let kernels = store::kernel::of_session(db, session.id)?;
                sessions.push((session, kernels));
            }
            Ok((sessions, store::config::get(db, KEEP_HOME)?))
        })
        .await?;
    let keep = keep
        .and_then(|text| seconds(&text))
        .and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok())
        .unwrap_or(KEPT);
    for (session, kernels) in sessions {
        let kept = is_kept(&session, app, keep);
        let may_run =
            |row: &KernelRow| row.halted_at.is_none() || app.kernels.get(row.id).is_some();
        if kept && session.status.is_terminal() && !kernels.iter().any(may_run) {
            continue;
        }
        if let Some(in_hand) = work.take(session.id) {
            work.tasks.spawn(end(work.clone(), session, kept, in_hand));
        }
    }
    Ok(IDLE)
}

/// Whether what is left of a session stays for now: that of one that ended against its owner's will.
fn is_kept(session: &Session, app: &App, keep: SignedDuration) -> bool {
    let reason = if session.status.is_terminal() {
        &session.status_info
    } else {
        &session.terminate_reason
    };
    let age = |at: At| (app.clock)().duration_since(at.0);
    reason
        .as_deref()
        .is_some_and(|reason| AGAINST_WILL.contains(&reason))
        && session.terminated_at.is_none_or(|at| age(at) < keep)
}

async fn end(work: Work, session: Session, kept: bool, in_hand: InHand) {
    let ended = try_end(&work.app, &session, kept).await;
    if let Err(problem) = &ended {
        tracing::error!(session = %session.id, %problem, "end");
        // Letting go rings the bell: without a pause a full disk would be asked without end.
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
            () = work.app.stop.cancelled() => {}
        }
    }
    drop(in_hand);
}

async fn try_end(app: &App, session: &Session, kept: bool) -> Result<(), Problem> {
    let id = session.id;
    let rows = app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::kernel::of_session(db, id)?) })
        .await?;
    let grace = if session.terminate_forced {
        Duration::ZERO
    } else {
        GRACE
    };
    let halts = rows
        .iter()
        .filter(|row| row.removed_at.is_none())
        .map(|row| halt(app, session, row, grace));
    // Each to its end: one that can't be ended keeps only its own place.
    let halted = futures_util::future::join_all(halts).await;
    app.nudge.schedule.notify_one();
    halted.into_iter().collect::<Result<(), _>>()?;
    if session.status == SessionStatus::Terminating {
        let reason = session.terminate_reason.clone();
        let reason = reason.as_deref().unwrap_or("user-requested");
        advance(app, id, &[Event::Terminated], reason, |_, _| {}).await?;
        // Those that wait for it to succeed, or for their owner's limits.
        app.nudge.schedule.notify_one();
    }
    if kept {
        return Ok(());
    }
    for row in rows.into_iter().filter(|row| row.removed_at.is_none()) {
        app.runtime
            .remove(row.id)
            .await
            .map_err(|error| Problem::internal(chain(&error)))?;
        update(app, row.id, |row| row.removed_at = Some(At::now())).await?;
    }
    if session.image != HOST_IMAGE {
        image_forget::collect(app).await;
    }
    Ok(())
}

/// Ends one kernel if it runs, and keeps what it said last.
async fn halt(
    app: &App,
    session: &Session,
    row: &KernelRow,
    grace: Duration,
) -> Result<(), Problem> {
    let handle = match app.kernels.get(row.id) {
        Some(kernel) => Some(kernel),
        None => app
            .runtime
            .adopt(row.id)
            .await
            .map_err(|error| Problem::internal(chain(&error)))?,
    };
    if let Some(kernel) = handle {
        if let Err(problem) = notice::collect(app, session.id, kernel.as_ref()).await {
            tracing::debug!(session = %session.id, %problem, "notices");
        }
        let measured = app.measured.take(row.id);
        let last = kernel.stats().await.ok().map(|stats| json!(stats));
        if let Some(stats) = last.or(measured) {
            update(app, row.id, move |row| row.last_stat = Some(stats)).await?;
        }
        kernel
            .terminate(grace)
            .await
            .map_err(|error| Problem::internal(chain(&error)))?;
        app.kernels.remove(row.id);
    }
    keep_log(app, row.id).await?;
    update(app, row.id, |row| {
        row.halted_at.get_or_insert_with(At::now);
    })
    .await
}

/// Moves a kernel's log into the store, where it outlives the kernel.
pub(super) async fn keep_log(app: &App, id: uuid::Uuid) -> Result<(), Problem> {
    let text = match app.runtime.logs(id, LOG_LIMIT).await {
        Ok(text) => text,
        Err(error) => {
            tracing::debug!(kernel = %id, %error, "no log");
            return Ok(());
        }
    };
    app.store
        .write(move |tx| -> Result<_, Problem> { Ok(store::kernel::keep_log(tx, id, &text)?) })
        .await
}

/// Changes the row of a kernel.
pub(super) async fn update(
    app: &App,
    id: uuid::Uuid,
    edit: impl FnOnce(&mut KernelRow) + Send + 'static,
) -> Result<(), Problem> {
    app.store
        .write(move |tx| -> Result<_, Problem> {
            let Some(mut row) = store::kernel::get(tx, id)? else {
                return Ok(());
            };
            edit(&mut row);
            Ok(store::kernel::put(tx, &row)?)
        })
        .await
}

//! Waits for kernels to end by themselves, and writes down how.

use std::sync::Arc;

use protocol::session::{Event, SessionResult};
use runtime::{Exit, Kernel};
use serde_json::json;
use uuid::Uuid;

use super::{Work, insist};
use crate::app::transition::{advance, session_event};
use crate::app::{notice, session};
use crate::error::Problem;
use crate::state::App;
use crate::store::{self, At};

/// The exit code of a batch job that took too long.
const TIMEOUT_CODE: i32 = -2;

/// Why the session of a restarted computer ended.
pub(super) const HOST_RESTARTED: &str = "host-restarted";
/// Why a session ended that nobody ended.
pub(super) const SELF_TERMINATED: &str = "self-terminated";

/// What begins a session's end against its owner's will: its home is kept for a while.
pub(crate) const AGAINST_WILL: [&str; 7] = [
    HOST_RESTARTED,
    super::preempt::PREEMPTED,
    SELF_TERMINATED,
    RESTART_FAILED,
    "idle-timeout",
    "idle-session-lifetime",
    "idle-utilization",
];
/// Why a session ended that could not be started again.
pub(super) const RESTART_FAILED: &str = "restart-timeout";

/// Watches a running kernel until it ends or the engine stops.
pub(super) fn attach(work: &Work, session: Uuid, kernel: Arc<dyn Kernel>) {
    let work_here = work.clone();
    work.tasks.spawn(async move {
        let app = &work_here.app;
        if let Err(problem) = notice::collect(app, session, kernel.as_ref()).await {
            tracing::debug!(%session, %problem, "notices");
        }
        let exit = tokio::select! {
            exit = kernel.wait() => exit,
            () = app.stop.cancelled() => return,
        };
        tracing::info!(%session, kernel = %kernel.id(), ?exit, "kernel ended");
        // It was ended to be started again: its follower has a watcher of its own.
        if !app.kernels.is_current(&kernel) {
            return;
        }
        insist(app, |app| {
            let exit = exit.clone();
            async move { ended(&app, session, exit).await }
        })
        .await;
    });
}

/// A kernel of a session is gone: unless the session is being ended anyway, this ends it.
pub(super) async fn ended(app: &App, id: Uuid, exit: Exit) -> Result<(), Problem> {
    let (reason, result, exit_code, detail) = match exit {
        Exit::Terminated => ("user-requested", None, None, None),
        Exit::BatchFinished { exit_code: 0 } => {
            ("task-finished", Some(SessionResult::Success), Some(0), None)
        }
        Exit::BatchFinished { exit_code } => (
            "task-failed",
            Some(SessionResult::Failure),
            Some(exit_code),
            None,
        ),
        Exit::BatchTimeout => (
            "task-timeout",
            Some(SessionResult::Failure),
            Some(TIMEOUT_CODE),
            None,
        ),
        Exit::Lost { reason } => (SELF_TERMINATED, None, None, Some(reason)),
        Exit::HostRestarted => (
            HOST_RESTARTED,
            None,
            None,
            Some("The computer was restarted while the session ran.".to_owned()),
        ),
    };
    let before = app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::session::get(db, id)?) })
        .await?;
    let Some(mut before) = before.filter(|session| session.terminate_reason.is_none()) else {
        // Asked to end: the stopper finishes it, with the reason that was given.
        app.nudge.stop.notify_one();
        return Ok(());
    };
    if let Some(result) = result {
        let name = if result == SessionResult::Success {
            "success"
        } else {
            "failure"
        };
        before.result = result;
        before.exit_code = exit_code;
        let event = session_event(&before, format!("session_{name}"), reason);
        app.events.send(event);
    }
    // Others of its kernels may still run: the stopper ends them first.
    let is_alone = before.cluster_size == 1;
    let events: &[Event] = if is_alone {
        &[Event::Terminate, Event::Terminated]
    } else {
        &[Event::Terminate]
    };
    let measured: Vec<_> = app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::kernel::of_session(db, id)?) })
        .await?
        .into_iter()
        .filter_map(|kernel| Some((kernel.id, app.measured.take(kernel.id)?)))
        .collect();
    advance(app, id, events, reason, move |session, kernels| {
        session.terminate_reason = Some(reason.to_owned());
        session.exit_code = exit_code;
        if let Some(code) = exit_code {
            session.status_data["kernel"] = json!({ "exit_code": code });
        }
        if let Some(result) = result {
            session.result = result;
        }
        if let Some(detail) = detail {
            session.status_data["error"] =
                json!({ "src": "agent", "name": "KernelLost", "repr": detail });
        }
        for kernel in kernels.iter_mut() {
            // The only one has just been seen to be gone.
            if is_alone {
                kernel.halted_at = Some(At::now());
            }
            let last = measured.iter().find(|(of, _)| *of == kernel.id);
            if let Some((_, metrics)) = last {
                kernel.last_stat = Some(metrics.clone());
            }
        }
        // Only the main one runs a job.
        if let Some(kernel) = kernels.first_mut() {
            kernel.exit_code = exit_code;
            if let Some(code) = exit_code {
                kernel.status_data["kernel"] = json!({ "exit_code": code });
            }
        }
    })
    .await?;
    app.nudge.stop.notify_one();
    app.nudge.schedule.notify_one();
    Ok(())
}

/// The failure to find a kernel again, as an end.
pub(super) async fn lost(app: &App, kernel: Uuid, other_boot: bool) -> Exit {
    if other_boot {
        return Exit::HostRestarted;
    }
    match app.runtime.exit(kernel).await {
        Ok(Some(exit)) => exit,
        Ok(None) => Exit::Lost {
            reason: "the session ended while the engine was not running".into(),
        },
        Err(error) => Exit::Lost {
            reason: session::chain(&error),
        },
    }
}

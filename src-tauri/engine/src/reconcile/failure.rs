//! What becomes of a session whose start failed: it goes back to the queue, with a pause that grows
//! from try to try, until it has been tried often enough.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use protocol::session::{Event, SessionStatus};
use runtime::RuntimeError;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{RETRY, Work, insist, look};
use crate::app::session::chain;
use crate::app::transition::advance;
use crate::error::Problem;
use crate::state::App;
use crate::store::kernel::Kernel as KernelRow;
use crate::store::session::Session;

/// Tries of a start, as in a manager that was not told otherwise.
const TRIES: u64 = 5;
/// Why a session ended that could not be started.
const FAILED: &str = "failed-to-start";

/// Why a session did not start.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another try would come to the same.
    Certain(String),
    /// Another try may do better.
    Passing(String),
}

impl From<RuntimeError> for Failure {
    fn from(error: RuntimeError) -> Self {
        let text = chain(&error);
        match error {
            RuntimeError::Invalid(_)
            | RuntimeError::MissingProgram { .. }
            | RuntimeError::NotAllowed { .. }
            | RuntimeError::Version { .. } => Self::Certain(text),
            RuntimeError::Mount { source, .. }
                if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::Other) =>
            {
                Self::Certain(text)
            }
            _ => Self::Passing(text),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let text = problem.text().to_owned();
        if problem.is_askers() {
            Self::Certain(text)
        } else {
            Self::Passing(text)
        }
    }
}

/// When sessions whose start failed may be tried again. The next engine tries them at once.
#[derive(Default)]
pub(super) struct Pauses(Mutex<HashMap<Uuid, Instant>>);

impl Pauses {
    fn put(&self, session: Uuid, pause: Duration) {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.insert(session, Instant::now() + pause);
    }

    /// How long a session has to wait; `None` when its time has come.
    pub(super) fn left(&self, session: Uuid) -> Option<Duration> {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = pauses.get(&session)?.checked_duration_since(Instant::now());
        if left.is_none() {
            pauses.remove(&session);
        }
        left
    }
}

/// Lets a session whose start failed be tried again, or ends it.
pub(super) async fn failed(work: &Work, session: &Session, failure: Failure) {
    let app = &work.app;
    let id = session.id;
    let tries = 1 + session
        .status_data
        .pointer("/error/tries")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    let (text, is_over) = match failure {
        Failure::Certain(text) => (text, true),
        Failure::Passing(text) => (text, tries >= TRIES),
    };
    tracing::warn!(session = %id, error = text, tries, "did not start");
    let events: &[Event] = if is_over {
        &[Event::Terminate]
    } else {
        // It gives its place back only when nothing of it is left there.
        if !is_done(app, id, clear).await {
            return;
        }
        let doublings = u32::try_from(tries - 1).unwrap_or_default();
        work.pauses.put(id, app.start_pause * 2_u32.pow(doublings));
        &[Event::Rescheduled]
    };
    let error = json!({
        "src": "agent", "name": "KernelCreationFailed", "repr": text, "tries": tries,
    });
    insist(app, |app| {
        let error = error.clone();
        async move {
            let edit = move |session: &mut Session, kernels: &mut [KernelRow]| {
                if is_over {
                    session
                        .terminate_reason
                        .get_or_insert_with(|| FAILED.to_owned());
                }
                session.status_data["error"] = error.clone();
                for kernel in kernels {
                    kernel.status_data["error"] = error.clone();
                }
            };
            advance(&app, id, events, FAILED, edit).await
        }
    })
    .await;
    app.nudge.schedule.notify_one();
}

/// Does `work` with the kernels of a session, however often that has to be tried. `false` when the
/// session is being ended anyway, or the engine stops.
pub(super) async fn is_done<F>(app: &App, id: Uuid, work: F) -> bool
where
    F: AsyncFn(&App, &[KernelRow]) -> Result<(), RuntimeError>,
{
    loop {
        let Some((session, rows)) = look(app, id).await else {
            return false;
        };
        if session.status.is_terminal() || session.status == SessionStatus::Terminating {
            return false;
        }
        match work(app, &rows).await {
            Ok(()) => return true,
            Err(error) => {
                tracing::warn!(session = %id, error = chain(&error), "not at an end yet");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = app.stop.cancelled() => return false,
        }
    }
}

/// Ends and removes what a start has made of kernels.
pub(super) async fn clear(app: &App, rows: &[KernelRow]) -> Result<(), RuntimeError> {
    end(app, rows, Duration::ZERO).await?;
    for row in rows {
        app.runtime.remove(row.id).await?;
    }
    Ok(())
}

/// Ends what runs of kernels, which may take `grace` to do so by themselves.
pub(super) async fn end(
    app: &App,
    rows: &[KernelRow],
    grace: Duration,
) -> Result<(), RuntimeError> {
    for row in rows {
        let running = match app.kernels.get(row.id) {
            Some(kernel) => Some(kernel),
            None => app.runtime.adopt(row.id).await?,
        };
        // Its watcher has nothing to say about the session any more.
        app.kernels.remove(row.id);
        if let Some(kernel) = running {
            kernel.terminate(grace).await?;
        }
    }
    Ok(())
}

/// Forgets earlier failures: it runs.
pub(super) fn forget(session: &mut Session, kernels: &mut [KernelRow]) {
    let rows = kernels.iter_mut().map(|kernel| &mut kernel.status_data);
    for data in std::iter::once(&mut session.status_data).chain(rows) {
        if let Some(data) = data.as_object_mut() {
            data.remove("error");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_work_is_not_tried_again() {
        let certain = |error| matches!(Failure::from(error), Failure::Certain(_));
        assert!(certain(RuntimeError::Invalid("no such thing".into())));
        assert!(!certain(RuntimeError::Start {
            reason: "no memory".into()
        }));
        let mount = |kind: ErrorKind| RuntimeError::Mount {
            path: "/folder".into(),
            source: kind.into(),
        };
        assert!(certain(mount(ErrorKind::NotFound)));
        assert!(!certain(mount(ErrorKind::StaleNetworkFileHandle)));
        let asked = Problem::invalid_params("an image of another architecture");
        assert!(matches!(Failure::from(asked), Failure::Certain(_)));
        let ours = Problem::internal("the disk is full");
        assert!(matches!(Failure::from(ours), Failure::Passing(_)));
    }

    #[test]
    fn pauses_end() {
        let (pauses, session) = (Pauses::default(), Uuid::from_u128(1));
        assert_eq!(pauses.left(session), None);
        pauses.put(session, Duration::from_secs(3600));
        assert!(pauses.left(session).is_some());
        pauses.put(session, Duration::ZERO);
        std::thread::yield_now();
        assert!(pauses.left(session).is_none_or(|left| left.is_zero()));
    }
}

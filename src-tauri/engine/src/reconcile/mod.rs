//! Brings what is in line with what should be.
//!
//! Each reconciler takes no arguments, is idempotent, is woken by a nudge or a timer, takes one step
//! at a time, and commits before it acts: killed at any line, the next start carries on.

mod expire;
mod failure;
mod gpu;
mod image;
mod preempt;
mod reason;
mod recover;
mod restart;
mod schedule;
mod start;
mod stop;
mod watch;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub(crate) use watch::AGAINST_WILL;

use crate::error::Problem;
use crate::state::App;
use crate::store::{self, kernel::Kernel as KernelRow, session::Session};

/// How long a reconciler sleeps when nobody rings: only what no event announces waits for this.
const IDLE: Duration = Duration::from_secs(30);

/// How long after a failure the next try is made.
const RETRY: Duration = Duration::from_secs(2);

/// Recovers what an earlier engine left, then starts the reconcilers.
pub(crate) async fn start(app: &App, tasks: &TaskTracker) -> Result<(), Problem> {
    let work = Work {
        app: app.clone(),
        tasks: tasks.clone(),
        busy: Arc::default(),
        pauses: Arc::default(),
    };
    recover::run(&work).await?;
    tasks.spawn(drive(
        work.clone(),
        |app| &app.nudge.schedule,
        schedule::step,
    ));
    tasks.spawn(drive(work.clone(), |app| &app.nudge.start, start::step));
    tasks.spawn(drive(work.clone(), |app| &app.nudge.stop, stop::step));
    tasks.spawn(drive(work, |app| &app.nudge.idle, expire::step));
    Ok(())
}

/// What reconcilers work with.
#[derive(Clone)]
struct Work {
    app: App,
    tasks: TaskTracker,
    /// Sessions that one of them has in hand.
    busy: Arc<Mutex<HashSet<Uuid>>>,
    /// Sessions that are not to be started again at once.
    pauses: Arc<failure::Pauses>,
}

impl Work {
    /// Takes a session in hand; `None` when another has it.
    fn take(&self, session: Uuid) -> Option<InHand> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.insert(session).then(|| InHand {
            work: self.clone(),
            session,
        })
    }
}

/// A session in hand; let go of when dropped, and the stopper looks again.
struct InHand {
    work: Work,
    session: Uuid,
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.work
            .busy
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.session);
        self.work.app.nudge.stop.notify_one();
    }
}

/// Steps whenever `bell` rings, and at the latest when the step itself said.
async fn drive<F>(work: Work, bell: fn(&App) -> &Notify, step: F)
where
    F: AsyncFn(&Work) -> Result<Duration, Problem>,
{
    let trouble = work.app.trouble.source();
    loop {
        let pause = match step(&work).await {
            Ok(pause) => {
                trouble.is_over();
                pause
            }
            Err(problem) => {
                tracing::warn!(%problem, "reconciler");
                trouble.has(problem);
                RETRY
            }
        };
        tokio::select! {
            () = bell(&work.app).notified() => {}
            () = tokio::time::sleep(pause) => {}
            () = work.app.stop.cancelled() => return,
        }
    }
}

/// A session and its kernels as they are written down now. `None` when there is no such session, or
/// the engine stops.
async fn look(app: &App, id: Uuid) -> Option<(Session, Vec<KernelRow>)> {
    let found = insist(app, |app| async move {
        let look = move |db: &_| -> Result<_, Problem> {
            let session = store::session::get(db, id)?;
            Ok((session, store::kernel::of_session(db, id)?))
        };
        app.store.read(look).await
    });
    let (session, kernels) = found.await?;
    Some((session?, kernels))
}

/// Tries until it succeeds: for what has happened already and only has to be written down. `None`
/// when the engine stops; the next one finds out by itself.
async fn insist<T, F>(app: &App, mut attempt: impl FnMut(App) -> F) -> Option<T>
where
    F: Future<Output = Result<T, Problem>>,
{
    let trouble = app.trouble.source();
    loop {
        match attempt(app.clone()).await {
            Ok(value) => return Some(value),
            Err(problem) => {
                tracing::warn!(%problem, "can't be written down yet");
                trouble.has(problem);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = app.stop.cancelled() => return None,
        }
    }
}

//! What every request and every reconciler can reach.

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use db::Database;
use runtime::image::ImageStore;
use runtime::{Kernel, KernelId, Runtime};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::activity::Activity;
use crate::app::background::Tasks;
use crate::app::execute::Runs;
use crate::app::idle::Idle;
use crate::app::image_commit::Commits;
use crate::app::manager::Freezer;
use crate::auth::{KnownCallers, RateLimiter};
use crate::error::Problem;
use crate::events::Events;
use crate::storage::Storage;

/// The engine's parts. Cheap to clone; the state of every axum handler.
#[derive(Clone)]
pub(crate) struct App(Arc<Parts>);

/// See [`App`].
pub(crate) struct Parts {
    /// Tables.
    pub(crate) store: Database,
    /// The files of data folders.
    pub(crate) storage: Storage,
    /// The images that are unpacked here.
    pub(crate) images: Arc<ImageStore>,
    /// Work that takes long.
    pub(crate) background: Tasks,
    /// Sessions that are being made into images.
    pub(crate) commits: Commits,
    /// Where kernels run.
    pub(crate) runtime: Arc<dyn Runtime>,
    /// Kernels that run and can be talked to.
    pub(crate) kernels: Kernels,
    /// Code that runs in sessions.
    pub(crate) runs: Runs,
    /// What happens to sessions, for those who listen.
    pub(crate) events: Events,
    /// When the users of sessions last exchanged data with them.
    pub(crate) activity: Activity,
    /// What the idle checks found.
    pub(crate) idle: Idle,
    /// What running kernels measured last.
    pub(crate) measured: Measured,
    /// Wakes the reconcilers.
    pub(crate) nudge: Nudge,
    /// Who waits behind whom.
    pub(crate) queues: Queues,
    /// Why the reconcilers can't go on for now, such as a full disk.
    pub(crate) trouble: Trouble,
    /// Callers that were read a moment ago.
    pub(crate) callers: KnownCallers,
    /// Whether the manager is frozen for maintenance.
    pub(crate) freezer: Freezer,
    /// Requests counted by access key.
    pub(crate) rate: RateLimiter,
    /// Where everything lies; folders are in `<data>/folders`.
    pub(crate) data_dir: PathBuf,
    /// `http://127.0.0.1:PORT`.
    pub(crate) endpoint: String,
    /// Reads the time.
    pub(crate) clock: fn() -> jiff::Timestamp,
    /// How long a session waits after its first failed start; twice as long after each other one.
    pub(crate) start_pause: Duration,
    /// Cancelled when the engine stops; sessions stay.
    pub(crate) stop: CancellationToken,
}

impl App {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Handles of running kernels. Filled by starting and adopting, emptied when one ends.
#[derive(Default)]
pub(crate) struct Kernels(Mutex<HashMap<KernelId, Arc<dyn Kernel>>>);

impl Kernels {
    pub(crate) fn get(&self, id: KernelId) -> Option<Arc<dyn Kernel>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .cloned()
    }

    pub(crate) fn insert(&self, kernel: Arc<dyn Kernel>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(kernel.id(), kernel);
    }

    /// Whether this very handle is the one in use: a restarted kernel has another.
    pub(crate) fn is_current(&self, kernel: &Arc<dyn Kernel>) -> bool {
        self.get(kernel.id())
            .is_some_and(|current| Arc::ptr_eq(&current, kernel))
    }

    pub(crate) fn remove(&self, id: KernelId) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id);
    }
}

/// What running kernels measured last: of a kernel that ends by itself nothing else is known.
#[derive(Default)]
pub(crate) struct Measured(Mutex<HashMap<KernelId, serde_json::Value>>);

impl Measured {
    pub(crate) fn put(&self, id: KernelId, metrics: serde_json::Value) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, metrics);
    }

    /// What is known of a kernel that runs.
    pub(crate) fn get(&self, id: KernelId) -> Option<serde_json::Value> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .cloned()
    }

    /// Takes out what is known of a kernel.
    pub(crate) fn take(&self, id: KernelId) -> Option<serde_json::Value> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id)
    }
}

/// One bell for each reconciler. A ring while it works is kept until it looks again.
#[derive(Default)]
pub(crate) struct Nudge {
    pub(crate) schedule: Notify,
    pub(crate) start: Notify,
    pub(crate) stop: Notify,
    pub(crate) idle: Notify,
}

/// The sessions that wait, by resource group, in the order in which they were last looked at.
#[derive(Default)]
pub(crate) struct Queues(Mutex<HashMap<String, Vec<Uuid>>>);

impl Queues {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<Uuid>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the queue of a resource group.
    pub(crate) fn set(&self, group: String, waiting: Vec<Uuid>) {
        self.lock().insert(group, waiting);
    }

    /// Forgets the queues of resource groups where nobody waits.
    pub(crate) fn keep_only(&self, groups: &std::collections::BTreeSet<String>) {
        self.lock().retain(|group, _| groups.contains(group));
    }

    /// The queue of a resource group.
    pub(crate) fn of(&self, group: &str) -> Vec<Uuid> {
        self.lock().get(group).cloned().unwrap_or_default()
    }

    /// The place of a session in its resource group's queue, from 0.
    pub(crate) fn position(&self, session: Uuid) -> Option<usize> {
        self.lock()
            .values()
            .find_map(|queue| queue.iter().position(|one| *one == session))
    }
}

/// What keeps the reconcilers from their work. They try again by themselves; who waits for them is
/// told meanwhile.
#[derive(Default)]
pub(crate) struct Trouble {
    /// Of each [`Source`] that has some.
    known: watch::Sender<BTreeMap<u64, Problem>>,
    next: AtomicU64,
}

impl Trouble {
    /// One who may have trouble, whatever the others have.
    pub(crate) fn source(&self) -> Source<'_> {
        Source {
            trouble: self,
            id: self.next.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Resolves when anybody has trouble.
    pub(crate) async fn arises(&self) -> Problem {
        let mut watched = self.known.subscribe();
        let found = watched
            .wait_for(|known| !known.is_empty())
            .await
            .ok()
            .and_then(|known| known.values().next().cloned());
        match found {
            Some(problem) => problem,
            // The engine itself holds the other end.
            None => std::future::pending().await,
        }
    }
}

/// One who may have trouble; has none any more when dropped.
pub(crate) struct Source<'a> {
    trouble: &'a Trouble,
    id: u64,
}

impl Source<'_> {
    /// There is trouble.
    pub(crate) fn has(&self, problem: Problem) {
        self.trouble.known.send_if_modified(|known| {
            let first = known.is_empty();
            known.insert(self.id, problem);
            first
        });
    }

    /// There is none any more.
    pub(crate) fn is_over(&self) {
        self.trouble
            .known
            .send_if_modified(|known| known.remove(&self.id).is_some());
    }
}

impl Drop for Source<'_> {
    fn drop(&mut self) {
        self.is_over();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn has_trouble(trouble: &Trouble) -> bool {
        tokio::select! {
            biased;
            _ = trouble.arises() => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn the_trouble_of_one_stays_when_another_recovers() {
        let trouble = Trouble::default();
        let (one, other) = (trouble.source(), trouble.source());
        assert!(!has_trouble(&trouble).await);
        one.has(Problem::internal("the disk is full"));
        other.is_over();
        assert!(has_trouble(&trouble).await);
        other.has(Problem::internal("the disk is full"));
        one.is_over();
        assert!(has_trouble(&trouble).await);
        drop(other);
        assert!(!has_trouble(&trouble).await);
    }
}

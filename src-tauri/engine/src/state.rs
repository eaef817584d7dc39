//! What every request and every reconciler can reach.

use std::collections::HashMap;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

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
    /// Requests counted by access key.
    pub(crate) rate: RateLimiter,
    /// Where everything lies; folders are in `<data>/folders`.
    pub(crate) data_dir: PathBuf,
    /// `http://127.0.0.1:PORT`.
    pub(crate) endpoint: String,
    /// Reads the time.
    pub(crate) clock: fn() -> jiff::Timestamp,
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
pub(crate) struct Trouble(watch::Sender<Option<Problem>>);

impl Default for Trouble {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Trouble {
    pub(crate) fn set(&self, problem: Option<Problem>) {
        self.0.send_if_modified(|now| {
            let changed = now.is_some() != problem.is_some();
            *now = problem;
            changed
        });
    }

    /// Resolves when there is trouble.
    pub(crate) async fn arises(&self) -> Problem {
        let mut watched = self.0.subscribe();
        let found = watched
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|problem| problem.clone());
        match found {
            Some(problem) => problem,
            // The engine itself holds the other end.
            None => std::future::pending().await,
        }
    }
}

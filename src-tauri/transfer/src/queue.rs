//! The queue: what is wanted, what runs, what is shown.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use db::DbError;
use jiff::Timestamp;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::drive::drive;
use crate::item::{FailureCode, OnFinish, Overwrite, Place, Start, State, Transfer};
use crate::limit::Limit;
use crate::local::LocalStore;
use crate::progress::Progress;
use crate::rows::{self, Row};
use crate::shared::{Shared, finished};
use crate::store::{Places, Store, StoreError};
use crate::stores::Stores;
use crate::work::{Work, lock};

/// Why the queue refused.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// There is no such transfer.
    #[error("there is no transfer {0}")]
    Unknown(String),
    /// It can't be done in the present state.
    #[error("transfer {id} is {state:?}")]
    WrongState {
        /// Which transfer.
        id: String,
        /// Its state.
        state: State,
    },
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A place could not be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue can't be stored.
    #[error("the transfer queue can't be stored")]
    Db(#[from] DbError),
    /// The queue is closing.
    #[error("the transfer queue is closing")]
    Closing,
}

/// Something about a transfer changed. Sent twice a second, too, while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub id: String,
}

/// How a queue behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who holds the queue: the process, in words that mean it alone. Stored with each row.
    pub holder: String,
    /// The start of this computer (boot id): after another one, unfinished local files are begun
    /// anew.
    pub boot: String,
    /// Transfers at the same time.
    pub parallel: usize,
    /// Where relative local paths begin.
    pub home: std::path::PathBuf,
    /// How long nothing may come before the other side is asked whether it is still there, and
    /// how long it then has to answer.
    pub silence: Duration,
}

impl Options {
    /// [`Options::silence`] for links of unknown quality.
    pub const SILENCE: Duration = Duration::from_secs(30);
}

/// The transfer queue. Cheap to clone. One process holds it at a time.
#[derive(Clone)]
pub struct Queue {
    pub(crate) shared: Arc<Shared>,
}

impl Queue {
    /// Opens the queue at `path` and takes up what was running when it was left.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn open(
        path: &Path,
        options: Options,
        places: Arc<dyn Places>,
    ) -> Result<Self, DbError> {
        let db = rows::open(path)?;
        let stored = db.read(rows::load).await?;
        let limit = db.read(rows::load_limit).await?;
        // With nothing left to do it would strike at work that comes much later.
        let is_over = stored.iter().all(|row| row.state.is_over());
        let on_finish = db.read(rows::load_on_finish).await?;
        let on_finish = on_finish.filter(|_| !is_over);
        let local: Arc<dyn Store> = Arc::new(LocalStore::new(&options.home));
        let shared = Arc::new(Shared {
            db,
            options,
            stores: Stores::new(local, places),
            works: Mutex::default(),
            limit: Arc::new(Limit::new(limit)),
            unstored: Arc::default(),
            on_finish: Mutex::new(on_finish.unwrap_or((OnFinish::Nothing, Timestamp::now()))),
            wake: Notify::new(),
            changes: broadcast::channel(1024).0,
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        for mut row in stored {
            if matches!(row.state, State::Running | State::Waiting) {
                row.state = State::Queued;
            }
            lock(&shared.works).insert(row.id.clone(), Work::new(row));
        }
        shared.tasks.spawn(drive(shared.clone()));
        Ok(Self { shared })
    }

    /// Puts work into the queue and returns at once.
    ///
    /// # Errors
    /// [`QueueError::Invalid`], [`QueueError::Db`], [`QueueError::Closing`].
    pub async fn start(&self, start: Start) -> Result<Vec<Transfer>, QueueError> {
        if self.shared.closing.is_cancelled() {
            return Err(QueueError::Closing);
        }
        if start.items.is_empty() {
            return Err(QueueError::Invalid("there is nothing to copy".to_owned()));
        }
        if start.limit_bps == Some(0) {
            return Err(QueueError::Invalid(
                "the speed limit must be more than 0".to_owned(),
            ));
        }
        let first = self
            .last_position()
            .map_or(0, |last| last.saturating_add(1));
        let mut works = Vec::new();
        for (position, item) in (first..).zip(start.items) {
            if item.src.path().contains('\0') || item.dst.path().contains('\0') {
                return Err(QueueError::Invalid("a path holds a zero byte".to_owned()));
            }
            works.push(Work::new(Row {
                id: uuid::Uuid::now_v7().to_string(),
                profile: start.profile.clone(),
                src: item.src,
                dst: item.dst,
                placed: false,
                src_else: None,
                dst_else: None,
                position,
                overwrite: start.overwrite,
                links: start.links,
                checksum: start.checksum,
                limit_bps: start.limit_bps,
                remove_source: start.remove_source,
                copied: false,
                source_left: 0,
                state: State::Queued,
                attempts: 0,
                figures: Progress::default().figures(Instant::now()),
                sha256: None,
                failure: None,
                conflict: None,
                created_at: Timestamp::now(),
                finished_at: None,
            }));
        }
        let rows: Vec<Row> = works.iter().map(|work| work.snapshot()).collect();
        let holder = self.shared.options.holder.clone();
        self.shared
            .db
            .write(move |connection| {
                rows.iter()
                    .try_for_each(|row| rows::save(connection, row, &holder))
            })
            .await?;
        let looks = works.iter().map(|work| work.look()).collect();
        for work in works {
            let id = lock(&work.row).id.clone();
            lock(&self.shared.works).insert(id.clone(), work);
            self.shared.announce(&id);
        }
        self.shared.wake.notify_one();
        Ok(looks)
    }

    /// All transfers in the order in which they are begun.
    #[must_use]
    pub fn list(&self) -> Vec<Transfer> {
        let works = lock(&self.shared.works);
        let mut looks: Vec<_> = works
            .values()
            .map(|work| (work.position(), work.look()))
            .collect();
        looks.sort_by_key(|(position, _)| *position);
        looks.into_iter().map(|(_, look)| look).collect()
    }

    /// One transfer.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Transfer> {
        lock(&self.shared.works).get(id).map(|work| work.look())
    }

    /// How many transfers run, wait for their turn or for the other end.
    #[must_use]
    pub fn live(&self) -> usize {
        let live = |state| matches!(state, State::Queued | State::Running | State::Waiting);
        lock(&self.shared.works)
            .values()
            .filter(|work| live(work.state()))
            .count()
    }

    /// Stops a transfer for now.
    ///
    /// # Errors
    /// [`QueueError::WrongState`] unless it is queued, running or waiting.
    pub async fn pause(&self, id: &str) -> Result<Transfer, QueueError> {
        let work = self.shared.work(id)?;
        match work.state() {
            State::Queued => self.shared.enter(&work, State::Paused, |_| ()).await?,
            State::Running | State::Waiting => self.shared.stop(&work, State::Paused).await,
            state => {
                return Err(QueueError::WrongState {
                    id: id.to_owned(),
                    state,
                });
            }
        }
        Ok(work.look())
    }

    /// Lets a paused transfer go on.
    ///
    /// # Errors
    /// [`QueueError::WrongState`] unless it is paused.
    pub async fn resume(&self, id: &str) -> Result<Transfer, QueueError> {
        self.queue_again(id, |state| state == State::Paused, None)
            .await
    }

    /// Tries a failed or cancelled transfer again.
    ///
    /// # Errors
    /// [`QueueError::WrongState`] in other states.
    pub async fn retry(&self, id: &str) -> Result<Transfer, QueueError> {
        let fits = |state| matches!(state, State::Failed | State::Cancelled | State::Waiting);
        self.queue_again(id, fits, None).await
    }

    /// Has the transfers of `profile` that wait for a login try again now: there is one.
    pub async fn logged_in(&self, profile: &str) {
        let waits = |transfer: &Transfer| {
            let for_login = transfer.failure.as_ref().map(|it| it.code);
            transfer.profile == profile
                && transfer.state == State::Waiting
                && for_login == Some(FailureCode::LoginExpired)
        };
        for transfer in self.list().iter().filter(|it| waits(it)) {
            // One that has gone on or was given up meanwhile needs nothing.
            if let Err(error) = self.retry(&transfer.id).await {
                tracing::debug!(id = transfer.id, %error, "not tried again");
            }
        }
    }

    /// Answers the question of a transfer in [`State::Conflict`]; the answer holds for the rest
    /// of its files.
    ///
    /// # Errors
    /// [`QueueError::WrongState`] in other states, [`QueueError::Invalid`] for
    /// [`Overwrite::Ask`].
    pub async fn resolve(&self, id: &str, overwrite: Overwrite) -> Result<Transfer, QueueError> {
        if overwrite == Overwrite::Ask {
            return Err(QueueError::Invalid(
                "choose what to do with the file".to_owned(),
            ));
        }
        self.queue_again(id, |state| state == State::Conflict, Some(overwrite))
            .await
    }

    /// Gives a transfer up and removes what is unfinished at the destination.
    ///
    /// # Errors
    /// [`QueueError::WrongState`] when it is over.
    pub async fn cancel(&self, id: &str) -> Result<Transfer, QueueError> {
        let work = self.shared.work(id)?;
        match work.state() {
            State::Running | State::Waiting => self.shared.stop(&work, State::Cancelled).await,
            State::Done | State::Cancelled => {
                return Err(QueueError::WrongState {
                    id: id.to_owned(),
                    state: work.state(),
                });
            }
            _ => {
                self.shared.enter(&work, State::Cancelled, finished).await?;
                self.shared.drop_moved(&work).await;
                self.shared.clean_up(&work).await;
            }
        }
        Ok(work.look())
    }

    /// Forgets every transfer that is over; returns how many.
    ///
    /// # Errors
    /// [`QueueError::Db`].
    pub async fn clear(&self) -> Result<usize, QueueError> {
        let over: Vec<String> = {
            let works = lock(&self.shared.works);
            let over = works.iter().filter(|(_, work)| work.state().is_over());
            over.map(|(id, _)| id.clone()).collect()
        };
        for id in &over {
            let work = self.shared.work(id)?;
            // A failed one may have left something to go on with.
            self.shared.clean_up(&work).await;
        }
        let ids = over.clone();
        self.shared
            .db
            .write(move |connection| ids.iter().try_for_each(|id| rows::delete(connection, id)))
            .await?;
        for id in &over {
            lock(&self.shared.works).remove(id);
            self.shared.announce(id);
        }
        Ok(over.len())
    }

    /// Waits until nothing more happens to a transfer by itself.
    ///
    /// # Errors
    /// [`QueueError::Unknown`].
    pub async fn wait(&self, id: &str) -> Result<Transfer, QueueError> {
        let mut changes = self.subscribe();
        loop {
            let transfer = self
                .get(id)
                .ok_or_else(|| QueueError::Unknown(id.to_owned()))?;
            let rests = matches!(transfer.state, State::Paused | State::Conflict);
            if transfer.state.is_over() || rests {
                return Ok(transfer);
            }
            if let Err(broadcast::error::RecvError::Closed) = changes.recv().await {
                return Err(QueueError::Closing);
            }
        }
    }

    /// News about transfers. A receiver that falls behind loses the oldest.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.shared.changes.subscribe()
    }

    /// The store of a place, from those that are open if possible: for looking around and small
    /// changes beside transfers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn store(&self, profile: &str, place: &Place) -> Result<Arc<dyn Store>, StoreError> {
        self.shared.stores.get(profile, place).await
    }

    /// Stops everything where it is and stores it; the next [`Queue::open`] goes on from there.
    pub async fn close(&self) {
        self.shared.closing.cancel();
        let works: Vec<Arc<Work>> = lock(&self.shared.works).values().cloned().collect();
        for work in works {
            self.shared.stop(&work, State::Queued).await;
        }
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        self.shared.stores.close();
    }

    async fn queue_again(
        &self,
        id: &str,
        fits: impl Fn(State) -> bool,
        overwrite: Option<Overwrite>,
    ) -> Result<Transfer, QueueError> {
        let work = self.shared.work(id)?;
        let state = work.state();
        if !fits(state) {
            return Err(QueueError::WrongState {
                id: id.to_owned(),
                state,
            });
        }
        if state == State::Waiting {
            self.shared.stop(&work, State::Queued).await;
        }
        self.shared
            .enter(&work, State::Queued, |row| {
                row.failure = None;
                row.conflict = None;
                row.finished_at = None;
                row.overwrite = overwrite.unwrap_or(row.overwrite);
                // What was given up is begun anew: nobody knows what has become of the copy.
                row.copied &= state != State::Cancelled;
            })
            .await?;
        self.shared.wake.notify_one();
        Ok(work.look())
    }
}

//! What the queue and those who do its work share, and the steps of a transfer on disk.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use db::{Database, DbError};
use jiff::Timestamp;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::item::{FailureCode, OnFinish, State};
use crate::limit::Limit;
use crate::moved::Moved;
use crate::parts::{Parts, Unstored};
use crate::queue::{Change, Options, QueueError};
use crate::rows::{self, Row};
use crate::stores::Stores;
use crate::work::{Work, lock};

pub(crate) struct Shared {
    pub(crate) db: Database,
    pub(crate) options: Options,
    pub(crate) stores: Stores,
    pub(crate) works: Mutex<BTreeMap<String, Arc<Work>>>,
    pub(crate) limit: Arc<Limit>,
    pub(crate) unstored: Arc<Unstored>,
    /// What happens at the end, and since when that is wanted.
    pub(crate) on_finish: Mutex<(OnFinish, Timestamp)>,
    pub(crate) wake: Notify,
    pub(crate) changes: broadcast::Sender<Change>,
    pub(crate) closing: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

pub(crate) fn finished(row: &mut Row) {
    row.finished_at = Some(Timestamp::now());
}

impl Shared {
    pub(crate) fn work(&self, id: &str) -> Result<Arc<Work>, QueueError> {
        lock(&self.works)
            .get(id)
            .cloned()
            .ok_or_else(|| QueueError::Unknown(id.to_owned()))
    }

    pub(crate) fn announce(&self, id: &str) {
        // Nobody listening is fine.
        let _ = self.changes.send(Change { id: id.to_owned() });
    }

    /// Goes into a state, on disk first.
    pub(crate) async fn enter(
        &self,
        work: &Work,
        state: State,
        change: impl FnOnce(&mut Row),
    ) -> Result<(), DbError> {
        let mut row = work.snapshot();
        row.state = state;
        change(&mut row);
        let (stored, holder) = (row.clone(), self.options.holder.clone());
        self.db
            .write(move |connection| rows::save(connection, &stored, &holder))
            .await?;
        let id = row.id.clone();
        let mut known = lock(&work.row);
        // Changed by others only; see `Queue::reorder`.
        row.position = known.position;
        *known = row;
        drop(known);
        self.announce(&id);
        Ok(())
    }

    /// Ends the run of `work`, if there is one, and waits until it is in `state`.
    pub(crate) async fn stop(&self, work: &Work, state: State) {
        let mut changes = self.changes.subscribe();
        let stop = {
            let stop = lock(&work.stop);
            *lock(&work.wish) = state;
            stop.clone()
        };
        let Some(stop) = stop else { return };
        stop.cancel();
        while lock(&work.stop).is_some() {
            let _ = changes.recv().await;
        }
    }

    /// The unfinished files of a transfer, from memory or disk.
    pub(crate) async fn parts(&self, work: &Work) -> Result<Arc<Parts>, DbError> {
        if let Some(parts) = &*lock(&work.parts) {
            return Ok(parts.clone());
        }
        let id = lock(&work.row).id.clone();
        let stored = self
            .db
            .read(move |connection| rows::load_parts(connection, &id))
            .await?;
        let parts = Arc::new(Parts::new(stored, self.unstored.clone()));
        *lock(&work.parts) = Some(parts.clone());
        Ok(parts)
    }

    /// What was copied of a source that is to be removed, from memory or disk.
    pub(crate) async fn moved(&self, work: &Work) -> Result<Arc<Moved>, DbError> {
        if let Some(moved) = &*lock(&work.moved) {
            return Ok(moved.clone());
        }
        let id = lock(&work.row).id.clone();
        let stored = self
            .db
            .read(move |connection| rows::load_moved(connection, &id))
            .await?;
        let moved = Arc::new(Moved::new(stored));
        *lock(&work.moved) = Some(moved.clone());
        Ok(moved)
    }

    /// Stores what else was copied of a source that is to be removed.
    pub(crate) async fn save_moved(&self, work: &Work) -> Result<(), DbError> {
        let Some(moved) = lock(&work.moved).clone() else {
            return Ok(());
        };
        let (id, news) = (lock(&work.row).id.clone(), moved.unstored());
        if news.is_empty() {
            return Ok(());
        }
        let stored = news.clone();
        let saved = self
            .db
            .write(move |connection| rows::save_moved(connection, &id, &stored))
            .await;
        if saved.is_err() {
            moved.not_stored(news);
        }
        saved
    }

    /// Forgets what was copied of a source: it is removed, or nobody wants that any more.
    pub(crate) async fn drop_moved(&self, work: &Work) {
        lock(&work.moved).take();
        let (id, moves) = {
            let row = lock(&work.row);
            (row.id.clone(), row.remove_source)
        };
        if !moves {
            return;
        }
        let dropped = self
            .db
            .write(move |connection| rows::drop_moved(connection, &id))
            .await;
        if let Err::<(), DbError>(error) = dropped {
            tracing::warn!(%error, "what a transfer has moved is not forgotten");
        }
    }

    /// Removes unfinished files at the destination, as far as it can be reached.
    pub(crate) async fn clean_up(&self, work: &Work) {
        let Ok(parts) = self.parts(work).await else {
            return;
        };
        let unfinished = parts.list();
        if unfinished.is_empty() {
            return;
        }
        let (id, profile, place) = {
            let row = lock(&work.row);
            (row.id.clone(), row.profile.clone(), row.dst.place())
        };
        match self.stores.get(&profile, &place).await {
            Ok(store) => {
                for part in unfinished {
                    // Where there are no temporary names, what is there is whole.
                    if part.part == part.path {
                        parts.forget(&part.path);
                        continue;
                    }
                    match store.remove_file(&part.part).await {
                        Err(error) if error.code != FailureCode::NotFound => {
                            tracing::warn!(id, %error, "an unfinished file stays");
                        }
                        _ => parts.forget(&part.path),
                    }
                }
            }
            Err(error) => tracing::warn!(id, %error, "unfinished files stay"),
        }
        self.save_parts(&id, &parts).await;
    }

    /// Stores what has changed of a transfer's unfinished files.
    pub(crate) async fn store_changes(&self, id: &str, parts: &Parts) {
        let changes = parts.changes();
        if !changes.parts.is_empty() || !changes.gone.is_empty() {
            let (id, list, gone) = (id.to_owned(), changes.parts.clone(), changes.gone.clone());
            let saved = self
                .db
                .write(move |connection| rows::change_parts(connection, &id, &list, &gone))
                .await;
            if let Err::<_, DbError>(error) = saved {
                tracing::warn!(%error, "progress not stored");
            }
        }
        parts.now_stored(&changes);
    }

    /// Stores all of a transfer's unfinished files, the small ones too: whoever gives it up has to
    /// find them.
    pub(crate) async fn save_parts(&self, id: &str, parts: &Parts) {
        let (id, list) = (id.to_owned(), parts.list());
        let saved = self
            .db
            .write(move |connection| rows::save_parts(connection, &id, &list))
            .await;
        if let Err::<_, DbError>(error) = saved {
            tracing::warn!(%error, "progress not stored");
        }
        parts.all_stored();
    }
}

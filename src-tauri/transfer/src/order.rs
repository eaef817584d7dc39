//! What holds for the queue as a whole: order, limit, and what happens at its end.

use jiff::Timestamp;

use crate::item::{OnFinish, State, Transfer};
use crate::queue::{Queue, QueueError};
use crate::rows;
use crate::work::lock;

impl Queue {
    /// Puts a transfer before another one, or to the end. Returns all in their new order.
    ///
    /// # Errors
    /// [`QueueError::Unknown`], [`QueueError::Db`].
    pub async fn reorder(
        &self,
        id: &str,
        before: Option<&str>,
    ) -> Result<Vec<Transfer>, QueueError> {
        self.shared.work(id)?;
        if let Some(before) = before {
            self.shared.work(before)?;
        }
        let mut order: Vec<String> = self.list().into_iter().map(|look| look.id).collect();
        if before != Some(id) {
            order.retain(|other| other != id);
            let at = before.and_then(|before| order.iter().position(|other| other == before));
            order.insert(at.unwrap_or(order.len()), id.to_owned());
        }
        let numbered: Vec<(String, u32)> = order.into_iter().zip(0..).collect();
        let stored = numbered.clone();
        self.shared
            .db
            .write(move |connection| rows::save_order(connection, &stored))
            .await?;
        for (id, position) in &numbered {
            if let Ok(work) = self.shared.work(id) {
                lock(&work.row).position = *position;
            }
        }
        self.shared.announce(id);
        self.shared.wake.notify_one();
        Ok(self.list())
    }

    /// The limit of all transfers together, in bytes per second.
    #[must_use]
    pub fn limit(&self) -> Option<u64> {
        self.shared.limit.get()
    }

    /// Limits all transfers together, in bytes per second, from now on and after a restart.
    ///
    /// # Errors
    /// [`QueueError::Invalid`] for 0, [`QueueError::Db`].
    pub async fn set_limit(&self, limit_bps: Option<u64>) -> Result<(), QueueError> {
        if limit_bps == Some(0) {
            let message = "the speed limit must be more than 0";
            return Err(QueueError::Invalid(message.to_owned()));
        }
        self.shared
            .db
            .write(move |connection| rows::save_limit(connection, limit_bps))
            .await?;
        self.shared.limit.set(limit_bps);
        Ok(())
    }

    /// What happens when nothing is left to do.
    #[must_use]
    pub fn on_finish(&self) -> OnFinish {
        lock(&self.shared.on_finish).0
    }

    /// Chooses what happens when nothing is left to do. It holds once, for the transfers that are
    /// there, and goes with them to whoever takes the queue up.
    ///
    /// # Errors
    /// [`QueueError::Db`].
    pub async fn set_on_finish(&self, on_finish: OnFinish) -> Result<(), QueueError> {
        let wanted = (on_finish, Timestamp::now());
        self.shared
            .db
            .write(move |connection| rows::save_on_finish(connection, wanted))
            .await?;
        *lock(&self.shared.on_finish) = wanted;
        Ok(())
    }

    /// Completes when the last transfer is over and the user wanted the program to end then. One
    /// that failed or asks something keeps the program: somebody has to see it. `false`: the queue
    /// is closing.
    pub async fn wants_quit(&self) -> bool {
        let mut changes = self.subscribe();
        loop {
            tokio::select! {
                () = self.shared.closing.cancelled() => return false,
                _ = changes.recv() => {}
            }
            let (wanted, since) = *lock(&self.shared.on_finish);
            if wanted != OnFinish::Quit || self.live() > 0 {
                continue;
            }
            let list = self.list();
            let ended = |look: &&Transfer| look.finished_at >= Some(since);
            if !list.iter().any(|look| ended(&look)) {
                continue;
            }
            let needs_somebody = |look: &Transfer| {
                let failed = look.state == State::Failed && ended(&look);
                failed || look.state == State::Conflict
            };
            if let Err(error) = self.set_on_finish(OnFinish::Nothing).await {
                tracing::warn!(%error, "what was wanted at the end is still stored");
                lock(&self.shared.on_finish).0 = OnFinish::Nothing;
            }
            if !list.iter().any(needs_somebody) {
                return true;
            }
        }
    }

    pub(crate) fn last_position(&self) -> Option<u32> {
        let works = lock(&self.shared.works);
        works.values().map(|work| work.position()).max()
    }
}

//! One transfer while the program runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::item::{State, Transfer};
use crate::limit::Limit;
use crate::moved::Moved;
use crate::parts::Parts;
use crate::progress::{Figures, Progress};
use crate::rows::Row;

/// One transfer in memory.
pub(crate) struct Work {
    pub(crate) row: Mutex<Row>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) parts: Mutex<Option<Arc<Parts>>>,
    /// What was copied, if it is to be removed from the source.
    pub(crate) moved: Mutex<Option<Arc<Moved>>>,
    pub(crate) limit: Arc<Limit>,
    /// Stops the run; there is one while the transfer runs or waits.
    pub(crate) stop: Mutex<Option<CancellationToken>>,
    /// What state a stopped run ends in.
    pub(crate) wish: Mutex<State>,
}

impl Work {
    pub(crate) fn new(row: Row) -> Arc<Self> {
        Arc::new(Self {
            progress: Arc::new(Progress::restored(&row.figures)),
            parts: Mutex::default(),
            moved: Mutex::default(),
            limit: Arc::new(Limit::new(row.limit_bps)),
            stop: Mutex::default(),
            wish: Mutex::new(State::Queued),
            row: Mutex::new(row),
        })
    }

    pub(crate) fn look(&self) -> Transfer {
        let row = lock(&self.row);
        let live = matches!(row.state, State::Running | State::Waiting);
        let figures = if live {
            self.progress.figures(Instant::now())
        } else {
            row.figures
        };
        Transfer {
            id: row.id.clone(),
            profile: row.profile.clone(),
            src: row.src.clone(),
            dst: row.dst.clone(),
            state: row.state,
            bytes: figures.bytes,
            total: figures.total,
            files: figures.files,
            files_total: figures.files_total,
            skipped: figures.skipped,
            remove_source: row.remove_source,
            source_left: row.source_left,
            speed: figures.speed.filter(|_| row.state == State::Running),
            eta_s: figures.eta_s.filter(|_| row.state == State::Running),
            seconds: figures.seconds,
            sha256: row.sha256.clone(),
            failure: row.failure.clone(),
            conflict: row.conflict.clone(),
            created_at: row.created_at,
            finished_at: row.finished_at,
        }
    }

    pub(crate) fn position(&self) -> u32 {
        lock(&self.row).position
    }

    pub(crate) fn state(&self) -> State {
        lock(&self.row).state
    }

    /// A copy of the row with the present figures.
    pub(crate) fn snapshot(&self) -> Row {
        let mut row = lock(&self.row);
        if matches!(row.state, State::Running | State::Waiting) {
            let figures = self.progress.figures(Instant::now());
            row.figures = Figures {
                speed: None,
                eta_s: None,
                ..figures
            };
        }
        row.clone()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half-done under these locks, so a panic elsewhere does not spoil them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

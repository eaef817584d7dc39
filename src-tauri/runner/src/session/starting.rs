//! A service on its way up, for all that wait for it.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use nix::unistd::Pid;
use protocol::runner::{StartProgress, StartStage};
use tokio::{sync::watch, time::Instant};

use super::tail::Tail;

/// A start that goes on, or one that has failed.
pub(super) struct Start {
    began: Instant,
    pub(super) tail: Tail,
    /// Its process, once there is one.
    group: Mutex<Option<Pid>>,
    /// Until when somebody waits.
    until: watch::Sender<Instant>,
    outcome: watch::Sender<Option<Result<(), String>>>,
}

impl Start {
    pub(super) fn new(limit: Duration) -> Self {
        let now = Instant::now();
        Self {
            began: now,
            tail: Tail::default(),
            group: Mutex::default(),
            until: watch::Sender::new(now + limit),
            outcome: watch::Sender::new(None),
        }
    }

    /// Somebody waits for so long from now on.
    pub(super) fn extend(&self, limit: Duration) {
        let wanted = Instant::now() + limit;
        self.until.send_if_modified(|until| {
            let later = wanted > *until;
            *until = wanted.max(*until);
            later
        });
    }

    /// Completes when nobody waits any more.
    pub(super) async fn given_up(&self) {
        let mut until = self.until.subscribe();
        loop {
            let at = *until.borrow_and_update();
            tokio::select! {
                () = tokio::time::sleep_until(at) => return,
                _ = until.changed() => {}
            }
        }
    }

    pub(super) fn runs_as(&self, group: Pid) {
        *self.group.lock().unwrap_or_else(PoisonError::into_inner) = Some(group);
    }

    /// Its process, while it is on its way.
    pub(super) fn group(&self) -> Option<Pid> {
        let group = *self.group.lock().unwrap_or_else(PoisonError::into_inner);
        group.filter(|_| !self.is_over())
    }

    pub(super) fn is_over(&self) -> bool {
        self.outcome.borrow().is_some()
    }

    pub(super) fn end(&self, outcome: Result<(), String>) {
        self.outcome.send_replace(Some(outcome));
    }

    /// Waits for the end.
    pub(super) async fn outcome(&self) -> Result<(), String> {
        let mut outcome = self.outcome.subscribe();
        let ended = outcome.wait_for(Option::is_some).await;
        ended
            .ok()
            .and_then(|ended| ended.clone())
            .unwrap_or_else(|| Err("the start was broken off".to_owned()))
    }

    pub(super) fn progress(&self) -> StartProgress {
        let has_process = self
            .group
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some();
        let stage = match (self.is_over(), has_process) {
            (true, _) => StartStage::Failed,
            (false, false) => StartStage::Preparing,
            (false, true) => StartStage::Waiting,
        };
        StartProgress {
            stage,
            elapsed_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            lines: self.tail.lines(),
        }
    }
}

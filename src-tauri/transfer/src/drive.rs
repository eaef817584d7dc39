//! Carries the transfers of a queue out: starts them, measures them, takes them up again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use db::DbError;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::attempt::once;
use crate::copy::Stop;
use crate::item::{Failure, FailureCode, State};
use crate::parts::Parts;
use crate::rows;
use crate::shared::{Shared, finished};
use crate::silence::silence;
use crate::work::{Work, lock};

/// How often figures are measured, and how often they are written to disk.
const TICK: Duration = Duration::from_millis(250);
const TICKS_TO_SAVE: u32 = 4;
/// How long a transfer waits before it looks again for a place that is out of reach: at first,
/// and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// A source that keeps changing is given up after so many tries.
const CHANGED_TRIES: u32 = 3;
/// Stores without work are closed after a while: an open connection counts as use of the session.
const STORE_IDLE: Duration = Duration::from_secs(60);

/// Starts transfers as there is room for them, in their order.
pub(crate) async fn drive(shared: Arc<Shared>) {
    loop {
        let next: Vec<Arc<Work>> = {
            let works = lock(&shared.works);
            let running = works
                .values()
                .filter(|work| lock(&work.stop).is_some())
                .count();
            let room = shared.options.parallel.saturating_sub(running);
            let queued = works
                .values()
                .filter(|work| work.state() == State::Queued && lock(&work.stop).is_none());
            let mut queued: Vec<_> = queued.cloned().collect();
            queued.sort_by_key(|work| work.position());
            queued.truncate(room);
            queued
        };
        for work in next {
            let stop = shared.closing.child_token();
            *lock(&work.wish) = State::Queued;
            *lock(&work.stop) = Some(stop.clone());
            shared.tasks.spawn(carry_out(shared.clone(), work, stop));
        }
        tokio::select! {
            () = shared.closing.cancelled() => return,
            () = shared.wake.notified() => {}
            () = tokio::time::sleep(STORE_IDLE / 2) => shared.stores.drop_idle(STORE_IDLE).await,
        }
    }
}

/// Runs one transfer until it needs nothing more or somebody stops it.
async fn carry_out(shared: Arc<Shared>, work: Arc<Work>, stop: CancellationToken) {
    let result = attempts(&shared, &work, &stop).await;
    let id = lock(&work.row).id.clone();
    let wish = *lock(&work.wish);
    work.progress.end(Instant::now());
    let ended = match result {
        Ok(sha256) => {
            shared
                .enter(&work, State::Done, |row| {
                    // Known from before the restart when only the source was left to remove.
                    row.sha256 = sha256.map(hex::encode).or(row.sha256.take());
                    row.failure = None;
                    finished(row);
                })
                .await
        }
        Err(End::Stopped) if wish == State::Cancelled => {
            shared.clean_up(&work).await;
            shared.enter(&work, State::Cancelled, finished).await
        }
        Err(End::Stopped) => shared.enter(&work, wish, |row| row.failure = None).await,
        Err(End::Stop(Stop::Conflict(conflict))) => {
            shared
                .enter(&work, State::Conflict, |row| row.conflict = Some(conflict))
                .await
        }
        Err(End::Stop(Stop::Failed { failure, .. })) => {
            tracing::info!(id, ?failure, "transfer failed");
            shared
                .enter(&work, State::Failed, |row| {
                    row.failure = Some(if row.copied { kept(failure) } else { failure });
                    finished(row);
                })
                .await
        }
        Err(End::Db(error)) => Err(error),
    };
    if let Err(error) = ended {
        // The disk that holds the queue fails: what is shown must not claim that it goes on.
        tracing::error!(id, %error, "transfer state not stored");
        let mut row = lock(&work.row);
        row.state = State::Failed;
        row.finished_at = Some(Timestamp::now());
        row.failure = Some(Failure {
            code: FailureCode::Io,
            message: "the transfer queue can't be stored".to_owned(),
            path: None,
            retryable: true,
        });
    }
    match work.state() {
        State::Done | State::Cancelled => shared.drop_moved(&work).await,
        _ => {
            if let Err(error) = shared.save_moved(&work).await {
                tracing::warn!(id, %error, "progress not stored");
            }
        }
    }
    let parts = lock(&work.parts).clone();
    if let Some(parts) = parts {
        shared.save_parts(&id, &parts).await;
    }
    *lock(&work.stop) = None;
    shared.announce(&id);
    shared.wake.notify_one();
}

/// What failed is only that the source was to be removed.
fn kept(failure: Failure) -> Failure {
    let message = format!(
        "everything was copied, but the source could not be removed: {}",
        failure.message
    );
    Failure { message, ..failure }
}

/// Why a run ends.
pub(crate) enum End {
    /// Somebody wants it so.
    Stopped,
    Stop(Stop),
    Db(DbError),
}

async fn attempts(
    shared: &Shared,
    work: &Work,
    stop: &CancellationToken,
) -> Result<Option<[u8; 32]>, End> {
    let mut pause = PAUSES.0;
    let mut changed = 0;
    loop {
        let parts = shared.parts(work).await.map_err(End::Db)?;
        shared
            .enter(work, State::Running, |row| {
                row.attempts += 1;
                row.failure = None;
            })
            .await
            .map_err(End::Db)?;
        work.progress.begin(Instant::now());
        let result = tokio::select! {
            () = stop.cancelled() => return Err(End::Stopped),
            never = watch(shared, work, &parts) => match never {},
            stop = silence(shared, work) => Err(End::Stop(stop)),
            result = once(shared, work, &parts) => result,
        };
        let failure = match result {
            Ok(digest) => return Ok(digest),
            Err(End::Stop(Stop::Failed {
                failure,
                retry: true,
            })) => failure,
            Err(End::Stop(Stop::Failed { failure, .. }))
                if failure.code == FailureCode::SourceChanged && changed < CHANGED_TRIES =>
            {
                changed += 1;
                failure
            }
            Err(end) => return Err(end),
        };
        // Bytes came through since the last time: the line is not dead, only shaky.
        if work
            .progress
            .figures(Instant::now())
            .speed
            .is_some_and(|speed| speed > 0)
        {
            pause = PAUSES.0;
        }
        let id = lock(&work.row).id.clone();
        shared.save_parts(&id, &parts).await;
        shared
            .enter(work, State::Waiting, |row| row.failure = Some(failure))
            .await
            .map_err(End::Db)?;
        tokio::select! {
            () = stop.cancelled() => return Err(End::Stopped),
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Measures, shows and stores the progress; never ends.
async fn watch(shared: &Shared, work: &Work, parts: &Parts) -> std::convert::Infallible {
    let id = lock(&work.row).id.clone();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut count: u32 = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = parts.worth_storing() => {
                shared.store_changes(&id, parts).await;
                continue;
            }
        }
        work.progress.tick(Instant::now());
        count = count.wrapping_add(1);
        if count.is_multiple_of(2) {
            shared.announce(&id);
        }
        if count.is_multiple_of(TICKS_TO_SAVE) {
            let (row, holder) = (work.snapshot(), shared.options.holder.clone());
            let saved = shared
                .db
                .write(move |connection| rows::save(connection, &row, &holder))
                .await;
            if let Err::<_, DbError>(error) = saved {
                tracing::warn!(id, %error, "progress not stored");
            }
            shared.store_changes(&id, parts).await;
            if let Err(error) = shared.save_moved(work).await {
                tracing::warn!(id, %error, "progress not stored");
            }
        }
    }
}

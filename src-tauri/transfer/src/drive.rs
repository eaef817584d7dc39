//! Carries the transfers of a queue out: starts them, measures them, takes them up again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use db::DbError;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::copy::{Context, Parts, RESUME_FROM, Stop};
use crate::item::{Failure, FailureCode, Place, State};
use crate::rows;
use crate::run::{self, Placement};
use crate::shared::{Shared, finished};
use crate::store::StoreError;
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

/// Starts transfers as there is room for them, oldest first.
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
            queued.take(room).cloned().collect()
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
                    row.sha256 = sha256.map(hex::encode);
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
                    row.failure = Some(failure);
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
    let parts = lock(&work.parts).clone();
    if let Some(parts) = parts {
        shared.save_parts(&id, &parts, 0).await;
    }
    *lock(&work.stop) = None;
    shared.announce(&id);
    shared.wake.notify_one();
}

enum End {
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
        shared.save_parts(&id, &parts, RESUME_FROM).await;
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
        ticks.tick().await;
        work.progress.tick(Instant::now());
        count = count.wrapping_add(1);
        if count.is_multiple_of(2) {
            shared.announce(&id);
        }
        if count.is_multiple_of(TICKS_TO_SAVE) {
            let (row, holder) = (work.snapshot(), shared.options.holder.clone());
            let list = parts.list(RESUME_FROM);
            let saved = shared
                .db
                .write(move |connection| {
                    rows::save(connection, &row, &holder)?;
                    rows::save_parts(connection, &row.id, &list)
                })
                .await;
            if let Err::<_, DbError>(error) = saved {
                tracing::warn!(id, %error, "progress not stored");
            }
        }
    }
}

async fn once(shared: &Shared, work: &Work, parts: &Arc<Parts>) -> Result<Option<[u8; 32]>, End> {
    let row = lock(&work.row).clone();
    let (from, to) = (row.src.place(), row.dst.place());
    let open = |place: Place, path: &str| {
        let (profile, path) = (row.profile.clone(), path.to_owned());
        async move {
            shared.stores.get(&profile, &place).await.map_err(|error| {
                let retry = error.retry;
                End::Stop(Stop::Failed {
                    failure: error.about(&path),
                    retry,
                })
            })
        }
    };
    let context = Context {
        transfer: row.id.clone(),
        src: open(from.clone(), row.src.path()).await?,
        dst: open(to.clone(), row.dst.path()).await?,
        dst_is_local: to == Place::Local,
        overwrite: row.overwrite,
        checksum: row.checksum,
        again: row.attempts > 1,
        since: row.created_at,
        boot: shared.options.boot.clone(),
        progress: work.progress.clone(),
        limits: [work.limit.clone(), shared.limit.clone()],
        parts: parts.clone(),
    };
    let at = if row.placed {
        Placement {
            src: row.src.path().to_owned(),
            dst: row.dst.path().to_owned(),
        }
    } else {
        let at = run::place(&context, row.src.path(), row.dst.path())
            .await
            .map_err(End::Stop)?;
        if from == to {
            not_into_itself(&at).map_err(End::Stop)?;
        }
        shared
            .enter(work, State::Running, |row| {
                row.src = row.src.with_path(&at.src);
                row.dst = row.dst.with_path(&at.dst);
                row.placed = true;
            })
            .await
            .map_err(End::Db)?;
        at
    };
    work.progress.recount();
    run::run(&context, &at).await.map_err(End::Stop)
}

/// A folder copied into itself would never end, and a file onto itself would be emptied.
fn not_into_itself(at: &Placement) -> Result<(), Stop> {
    let src = at.src.trim_end_matches('/');
    let inside = at
        .dst
        .strip_prefix(src)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if !inside {
        return Ok(());
    }
    let error = StoreError::new(
        FailureCode::Unsupported,
        "source and destination are the same",
    );
    Err(Stop::Failed {
        failure: error.about(&at.dst),
        retry: false,
    })
}

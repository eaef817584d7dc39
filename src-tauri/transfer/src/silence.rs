//! Notices a link that is dead without having been cut: a network that went away, a computer that
//! slept. Nothing says so; only nothing comes any more.

use std::time::{Duration, Instant, SystemTime};

use crate::copy::Stop;
use crate::item::{FailureCode, Place};
use crate::shared::Shared;
use crate::store::StoreError;
use crate::work::{Work, lock};

/// More of the clock on the wall than of the one that stops in sleep: the computer slept.
const SLEPT: Duration = Duration::from_secs(20);
/// How long the other side has to answer after sleep; connections seldom survive it.
const AFTER_SLEEP: Duration = Duration::from_secs(10);

/// Completes when nothing has come for long and the other side does not answer either.
pub(crate) async fn silence(shared: &Shared, work: &Work) -> Stop {
    let patience = shared.options.silence;
    let look = (patience / 8).clamp(Duration::from_millis(50), Duration::from_secs(1));
    let mut clocks = (Instant::now(), SystemTime::now());
    let mut seen = (work.progress.seen(), Instant::now());
    loop {
        tokio::time::sleep(look).await;
        let now = (Instant::now(), SystemTime::now());
        let slept = has_slept(clocks, now);
        clocks = now;
        let progress = work.progress.seen();
        if progress != seen.0 {
            seen = (progress, now.0);
        }
        if !slept && seen.1.elapsed() < patience {
            continue;
        }
        let time = if slept {
            patience.min(AFTER_SLEEP)
        } else {
            patience
        };
        if let Err(stop) = ask_both(shared, work, time).await
            // A link so slow that the answer comes behind megabytes of data is not dead.
            && work.progress.seen() == progress
        {
            return stop;
        }
        seen.1 = Instant::now();
    }
}

fn has_slept(before: (Instant, SystemTime), now: (Instant, SystemTime)) -> bool {
    let awake = now.0.saturating_duration_since(before.0);
    // A clock that was set back has not slept.
    let all = now.1.duration_since(before.1).unwrap_or_default();
    all.saturating_sub(awake) > SLEPT
}

async fn ask_both(shared: &Shared, work: &Work, time: Duration) -> Result<(), Stop> {
    let row = lock(&work.row).clone();
    for location in [&row.src, &row.dst] {
        let place = location.place();
        if place == Place::Local {
            continue;
        }
        // One that is still being opened counts as silent, too.
        let answer = match shared.stores.opened(&row.profile, &place) {
            Some(store) => tokio::time::timeout(time, store.ping()).await,
            None => {
                tokio::time::sleep(time).await;
                let opened = shared.stores.opened(&row.profile, &place);
                let late = StoreError::new(FailureCode::Unreachable, "not open yet");
                Ok(opened.map(drop).ok_or(late))
            }
        };
        if !matches!(answer, Ok(Ok(()))) {
            shared.stores.forget(&row.profile, &place);
            let error = StoreError::unreachable("the other side has stopped answering");
            return Err(Stop::Failed {
                failure: error.about(location.path()),
                retry: true,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_is_told_from_a_slow_tick() {
        let start = (Instant::now(), SystemTime::now());
        let at = |awake: u64, all: u64| {
            (
                start.0 + Duration::from_secs(awake),
                start.1 + Duration::from_secs(all),
            )
        };
        assert!(!has_slept(start, at(1, 1)));
        assert!(!has_slept(start, at(60, 60)), "a machine under load");
        assert!(has_slept(start, at(1, 3600)));
        assert!(
            !has_slept(at(0, 3600), at(1, 0)),
            "a clock that was set back"
        );
    }
}

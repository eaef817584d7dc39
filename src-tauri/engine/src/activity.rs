//! When the users of sessions last exchanged data with them.
//!
//! Counted on a clock that nobody sets: when the time of day jumps, nobody has been silent for the
//! longer or the shorter.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

/// What is known of each session that runs. Cheap to ask: it is told of every piece of data.
pub(crate) struct Activity {
    sessions: Mutex<HashMap<Uuid, Arc<Seen>>>,
    clock: fn() -> Timestamp,
    steady: fn() -> Duration,
}

/// One session's.
#[derive(Debug)]
struct Seen {
    /// Connections to its ports that are open now.
    open: AtomicU32,
    /// Milliseconds of the steady clock at the last piece of data; below 0 before the engine began.
    last: AtomicI64,
}

/// What [`Activity::of`] tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access {
    /// Connections that are open.
    pub(crate) open: u32,
    /// When the last piece of data went through, in milliseconds since 1970 by the clock of now;
    /// never in the future.
    pub(crate) last_millis: i64,
}

impl Activity {
    pub(crate) fn new(clock: fn() -> Timestamp, steady: fn() -> Duration) -> Self {
        Self {
            sessions: Mutex::default(),
            clock,
            steady,
        }
    }

    /// What is known of a session, of which something went through at `millis` for sure.
    fn seen(&self, session: Uuid, millis: i64) -> Arc<Seen> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = sessions.entry(session).or_insert_with(|| {
            Arc::new(Seen {
                open: AtomicU32::new(0),
                last: AtomicI64::new(millis),
            })
        });
        seen.last.fetch_max(millis, Ordering::Relaxed);
        Arc::clone(seen)
    }

    /// Something was asked of the session just now.
    pub(crate) fn touch(&self, session: Uuid) {
        self.seen(session, millis(self.steady));
    }

    /// What a former engine knew, in milliseconds since 1970. What this one knows is newer.
    pub(crate) fn recall(&self, session: Uuid, last_millis: i64) {
        let now = (self.clock)().as_millisecond();
        let ago = now.saturating_sub(last_millis).max(0);
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.entry(session).or_insert_with(|| {
            Arc::new(Seen {
                open: AtomicU32::new(0),
                last: AtomicI64::new(millis(self.steady).saturating_sub(ago)),
            })
        });
    }

    /// A connection to one of its ports; it counts until it is dropped.
    pub(crate) fn open(&self, session: Uuid) -> OpenConnection {
        let seen = self.seen(session, millis(self.steady));
        seen.open.fetch_add(1, Ordering::Relaxed);
        OpenConnection {
            seen,
            steady: self.steady,
        }
    }

    /// What is known of a session; `None` before anything was.
    pub(crate) fn of(&self, session: Uuid) -> Option<Access> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = sessions.get(&session)?;
        let last = seen.last.load(Ordering::Relaxed);
        let ago = millis(self.steady).saturating_sub(last).max(0);
        Some(Access {
            open: seen.open.load(Ordering::Relaxed),
            last_millis: (self.clock)().as_millisecond().saturating_sub(ago),
        })
    }

    /// Milliseconds of the clock that nobody sets.
    pub(crate) fn steady_millis(&self) -> i64 {
        millis(self.steady)
    }

    /// Forgets all sessions but these.
    pub(crate) fn keep(&self, live: impl Fn(Uuid) -> bool) {
        self.sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|session, _| live(*session));
    }
}

fn millis(steady: fn() -> Duration) -> i64 {
    i64::try_from(steady().as_millis()).unwrap_or(i64::MAX)
}

/// A connection that is open.
pub(crate) struct OpenConnection {
    seen: Arc<Seen>,
    steady: fn() -> Duration,
}

impl OpenConnection {
    /// A piece of data went through.
    pub(crate) fn packet(&self) {
        let now = millis(self.steady);
        self.seen.last.fetch_max(now, Ordering::Relaxed);
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.packet();
        self.seen.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// Seconds since 1970, and seconds that passed.
        static NOW: Cell<(i64, u64)> = const { Cell::new((1000, 0)) };
    }

    fn activity() -> Activity {
        Activity::new(
            || Timestamp::from_second(NOW.get().0).unwrap(),
            || Duration::from_secs(NOW.get().1),
        )
    }

    fn silent(activity: &Activity, session: Uuid) -> i64 {
        NOW.get().0 - activity.of(session).unwrap().last_millis / 1000
    }

    #[test]
    fn connections_count_while_they_are_open() {
        let activity = activity();
        let session = Uuid::from_u128(1);
        assert_eq!(activity.of(session), None);
        let one = activity.open(session);
        let two = activity.open(session);
        drop(one);
        let access = Access {
            open: 1,
            last_millis: 1_000_000,
        };
        assert_eq!(activity.of(session), Some(access));
        drop(two);
        // An older memory does not replace a newer one.
        activity.recall(session, 5);
        assert_eq!(activity.of(session), Some(Access { open: 0, ..access }));
        activity.keep(|_| false);
        assert_eq!(activity.of(session), None);
    }

    #[test]
    fn a_clock_that_is_set_makes_nobody_silent() {
        let activity = activity();
        let (session, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        activity.touch(session);
        NOW.set((1_000_000, 1));
        assert_eq!(silent(&activity, session), 1);
        activity.touch(session);
        // Back again: what was noted in that future is not in the future now.
        NOW.set((1010, 10));
        assert_eq!(silent(&activity, session), 9);
        activity.recall(other, 2_000_000_000);
        assert_eq!(silent(&activity, other), 0);
        NOW.set((1030, 30));
        assert_eq!(silent(&activity, other), 20);
        activity.keep(|_| false);
        activity.recall(session, 1_000_000);
        assert_eq!(silent(&activity, session), 30);
    }
}

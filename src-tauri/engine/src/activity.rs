//! When the users of sessions last exchanged data with them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use uuid::Uuid;

/// What is known of each session that runs. Cheap to ask: it is told of every piece of data.
pub(crate) struct Activity {
    sessions: Mutex<HashMap<Uuid, Arc<Seen>>>,
    clock: fn() -> Timestamp,
}

/// One session's.
#[derive(Debug, Default)]
struct Seen {
    /// Connections to its ports that are open now.
    open: AtomicU32,
    /// Milliseconds since 1970 of the last piece of data; 0 when there was none.
    last: AtomicI64,
}

/// What [`Activity::of`] tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access {
    /// Connections that are open.
    pub(crate) open: u32,
    /// When the last piece of data went through, in milliseconds since 1970.
    pub(crate) last_millis: i64,
}

impl Activity {
    pub(crate) fn new(clock: fn() -> Timestamp) -> Self {
        Self {
            sessions: Mutex::default(),
            clock,
        }
    }

    fn seen(&self, session: Uuid) -> Arc<Seen> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(sessions.entry(session).or_default())
    }

    /// Something was asked of the session just now.
    pub(crate) fn touch(&self, session: Uuid) {
        self.seen(session).touch((self.clock)().as_millisecond());
    }

    /// What a former engine knew.
    pub(crate) fn recall(&self, session: Uuid, last_millis: i64) {
        self.seen(session).touch(last_millis);
    }

    /// A connection to one of its ports; it counts until it is dropped.
    pub(crate) fn open(&self, session: Uuid) -> OpenConnection {
        let seen = self.seen(session);
        seen.open.fetch_add(1, Ordering::Relaxed);
        let connection = OpenConnection {
            seen,
            clock: self.clock,
        };
        connection.packet();
        connection
    }

    /// What is known of a session; `None` before anything was.
    pub(crate) fn of(&self, session: Uuid) -> Option<Access> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.get(&session).map(|seen| Access {
            open: seen.open.load(Ordering::Relaxed),
            last_millis: seen.last.load(Ordering::Relaxed),
        })
    }

    /// Forgets all sessions but these.
    pub(crate) fn keep(&self, live: impl Fn(Uuid) -> bool) {
        self.sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|session, _| live(*session));
    }
}

impl Seen {
    fn touch(&self, millis: i64) {
        self.last.fetch_max(millis, Ordering::Relaxed);
    }
}

/// A connection that is open.
pub(crate) struct OpenConnection {
    seen: Arc<Seen>,
    clock: fn() -> Timestamp,
}

impl OpenConnection {
    /// A piece of data went through.
    pub(crate) fn packet(&self) {
        self.seen.touch((self.clock)().as_millisecond());
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
    use super::*;

    #[test]
    fn connections_count_while_they_are_open() {
        let activity = Activity::new(|| Timestamp::from_second(100).unwrap());
        let session = Uuid::from_u128(1);
        assert_eq!(activity.of(session), None);
        let one = activity.open(session);
        let two = activity.open(session);
        drop(one);
        let access = Access {
            open: 1,
            last_millis: 100_000,
        };
        assert_eq!(activity.of(session), Some(access));
        drop(two);
        // An older memory does not replace a newer one.
        activity.recall(session, 5);
        assert_eq!(activity.of(session), Some(Access { open: 0, ..access }));
        activity.keep(|_| false);
        assert_eq!(activity.of(session), None);
    }
}

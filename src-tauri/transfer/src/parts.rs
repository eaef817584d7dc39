//! The unfinished files of one transfer, and how much of what has arrived is stored.
//!
//! Only what is stored is known after a kill: whoever copies waits when too much that has arrived
//! is not stored yet, so that little is sent twice.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::rows::Part;
use crate::store::Ticket;

/// Below this length a file that was cut off is sent again from its start.
pub(crate) const RESUME_FROM: u64 = 128 << 10;
/// Bytes of one transfer that have arrived and are not stored: so many are worth storing.
const WORTH_STORING: u64 = 2 << 20;
/// So many of all transfers together make the copying wait.
const UNSTORED_MOST: u64 = 3840 << 10;

/// What has arrived of all transfers and is not stored.
#[derive(Default)]
pub(crate) struct Unstored {
    bytes: AtomicU64,
    fewer: Notify,
}

impl Unstored {
    fn less(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.fewer.notify_waiters();
    }
}

/// The unfinished files of one transfer, by their final path.
#[derive(Default)]
pub(crate) struct Parts {
    table: Mutex<Table>,
    worth_storing: Notify,
    all: Arc<Unstored>,
}

#[derive(Default)]
struct Table {
    parts: HashMap<String, Tracked>,
    gone: Vec<String>,
    unstored: u64,
}

struct Tracked {
    part: Part,
    /// Differs from what is stored.
    changed: bool,
    /// It is on disk, be it with an earlier figure.
    stored: bool,
}

/// What has changed since it was last stored.
pub(crate) struct Changes {
    pub(crate) parts: Vec<Part>,
    pub(crate) gone: Vec<String>,
    bytes: u64,
}

impl Parts {
    /// `all`: shared by all transfers.
    pub(crate) fn new(parts: Vec<Part>, all: Arc<Unstored>) -> Self {
        let tracked = |part: Part| {
            let tracked = Tracked {
                part,
                changed: false,
                stored: true,
            };
            (tracked.part.path.clone(), tracked)
        };
        Self {
            table: Mutex::new(Table {
                parts: parts.into_iter().map(tracked).collect(),
                ..Table::default()
            }),
            worth_storing: Notify::new(),
            all,
        }
    }

    /// All of them.
    pub(crate) fn list(&self) -> Vec<Part> {
        let table = self.lock();
        table.parts.values().map(|it| it.part.clone()).collect()
    }

    pub(crate) fn get(&self, path: &str) -> Option<Part> {
        self.lock().parts.get(path).map(|it| it.part.clone())
    }

    /// A file is begun or taken up.
    pub(crate) fn put(&self, part: Part) {
        let worth = part.size >= RESUME_FROM;
        let mut table = self.lock();
        let stored = table.parts.get(&part.path).is_some_and(|it| it.stored);
        let tracked = Tracked {
            part,
            changed: true,
            stored,
        };
        table.parts.insert(tracked.part.path.clone(), tracked);
        drop(table);
        if worth {
            self.worth_storing.notify_one();
        }
    }

    /// What its sink needs to go on with a file.
    pub(crate) fn has_ticket(&self, path: &str, ticket: Ticket) {
        let mut table = self.lock();
        if let Some(tracked) = table.parts.get_mut(path)
            && tracked.part.ticket.as_ref() != Some(&ticket)
        {
            tracked.part.ticket = Some(ticket);
            tracked.changed = true;
            // What was stored before is of no use without it.
            tracked.stored = false;
            drop(table);
            self.worth_storing.notify_one();
        }
    }

    /// So much of a file has arrived. `by_itself`: the place knows how much there is, once it is
    /// stored that the file was begun at all.
    pub(crate) fn arrived(&self, path: &str, arrived: u64, by_itself: bool) {
        let mut table = self.lock();
        let Some(tracked) = table.parts.get_mut(path) else {
            return;
        };
        let more = arrived.saturating_sub(tracked.part.arrived);
        tracked.part.arrived = arrived;
        tracked.changed = true;
        if tracked.part.size < RESUME_FROM || (by_itself && tracked.stored) {
            return;
        }
        table.unstored += more;
        self.all.bytes.fetch_add(more, Ordering::Relaxed);
        let worth = table.unstored >= WORTH_STORING;
        drop(table);
        if worth {
            self.worth_storing.notify_one();
        }
    }

    /// Waits while too much has arrived that is not stored.
    pub(crate) async fn room(&self) {
        loop {
            let mut fewer = pin!(self.all.fewer.notified());
            fewer.as_mut().enable();
            if self.all.bytes.load(Ordering::Relaxed) < UNSTORED_MOST {
                return;
            }
            // Each of many transfers may hold less than is worth storing by itself.
            self.worth_storing.notify_one();
            fewer.await;
        }
    }

    pub(crate) fn forget(&self, path: &str) {
        let mut table = self.lock();
        if table.parts.remove(path).is_some_and(|it| it.stored) {
            table.gone.push(path.to_owned());
        }
    }

    /// Completes when there is something worth storing.
    pub(crate) async fn worth_storing(&self) {
        self.worth_storing.notified().await;
    }

    /// What has to be stored; to be given to [`Self::now_stored`] afterwards.
    pub(crate) fn changes(&self) -> Changes {
        let mut table = self.lock();
        let gone = std::mem::take(&mut table.gone);
        // Counted as not stored until it is.
        let bytes = table.unstored;
        let changed = table.parts.values_mut();
        let parts = changed
            .filter(|it| it.changed && it.part.size >= RESUME_FROM)
            .map(|it| {
                it.changed = false;
                it.part.clone()
            })
            .collect();
        Changes { parts, gone, bytes }
    }

    /// The changes are stored. They count as stored also when that failed, or nothing would ever
    /// move again while the disk that holds the queue is full.
    pub(crate) fn now_stored(&self, changes: &Changes) {
        let mut table = self.lock();
        let bytes = changes.bytes.min(table.unstored);
        table.unstored -= bytes;
        for part in &changes.parts {
            if let Some(tracked) = table.parts.get_mut(&part.path) {
                tracked.stored = true;
            }
        }
        drop(table);
        self.all.less(bytes);
    }

    /// All of them are stored as they are, or the transfer is given up.
    pub(crate) fn all_stored(&self) {
        let bytes = std::mem::take(&mut self.lock().unstored);
        self.all.less(bytes);
    }

    /// The copy goes on under another address: what is known moves with it.
    pub(crate) fn readdress(&self, other: impl Fn(&str) -> Option<String>) {
        let mut table = self.lock();
        let parts = std::mem::take(&mut table.parts);
        for (path, mut tracked) in parts {
            let moved = other(&path).zip(other(&tracked.part.part));
            table.gone.push(path);
            if let Some((path, part)) = moved {
                tracked.part.path.clone_from(&path);
                tracked.part.part = part;
                tracked.changed = true;
                table.parts.insert(path, tracked);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.all_stored();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn part(path: &str) -> Part {
        Part {
            path: path.to_owned(),
            part: format!("{path}.part"),
            arrived: 0,
            size: 1 << 30,
            modified: None,
            boot: String::new(),
            ticket: None,
        }
    }

    #[test]
    fn copying_waits_until_what_arrived_is_stored() {
        let parts = Parts::default();
        parts.put(part("a"));
        parts.arrived("a", UNSTORED_MOST, false);
        assert!(parts.room().now_or_never().is_none());
        let changes = parts.changes();
        assert_eq!(changes.parts[0].arrived, UNSTORED_MOST);
        assert!(parts.room().now_or_never().is_none(), "not stored yet");
        parts.now_stored(&changes);
        assert!(parts.room().now_or_never().is_some());
        assert!(parts.changes().parts.is_empty());
        // A place that knows how much it has needs no figures.
        parts.arrived("a", 1 << 30, true);
        assert!(parts.room().now_or_never().is_some());
        parts.forget("a");
        assert_eq!(parts.changes().gone, ["a"]);
    }

    #[test]
    fn all_transfers_together_wait_and_the_one_that_waits_has_itself_stored() {
        let all = Arc::<Unstored>::default();
        let begun = |_| {
            let parts = Parts::new(Vec::new(), all.clone());
            parts.put(part("a"));
            parts.worth_storing().now_or_never();
            parts.arrived("a", WORTH_STORING - 1, false);
            parts
        };
        let mut transfers: Vec<Parts> = (0..2).map(begun).collect();
        assert!(transfers[0].worth_storing().now_or_never().is_none());
        assert!(transfers[0].room().now_or_never().is_none());
        assert!(transfers[0].worth_storing().now_or_never().is_some());
        transfers[0].now_stored(&transfers[0].changes());
        assert!(transfers[1].room().now_or_never().is_some());
        // One that is given up holds nobody up.
        transfers[0].arrived("a", 2 * WORTH_STORING, false);
        assert!(transfers[1].room().now_or_never().is_none());
        transfers.remove(0);
        assert!(transfers[0].room().now_or_never().is_some());
    }

    #[test]
    fn what_is_known_moves_to_another_address() {
        let parts = Parts::new(vec![part("/home/work/data/a")], Arc::default());
        parts.readdress(|path| path.strip_prefix("/home/work/data").map(str::to_owned));
        assert_eq!(parts.get("/a").unwrap().part, "/a.part");
        assert_eq!(parts.changes().gone, ["/home/work/data/a"]);
    }
}

//! What a channel has received and nobody has taken yet.
//!
//! russh opens a channel's window again when bytes arrive, not when they are taken, so a window
//! holds nobody back. Not reading the connection would: but then nothing else of it is read
//! either, above all the client's own window adjustments, for which a process may be waiting that
//! does not read its input before its output has gone. The two would wait for each other for ever.
//! So the connection of a client that sends more than its process takes is read the more slowly
//! the more lies here, and never not at all. For the other channels not to stand behind megabytes
//! that are read so slowly, windows are opened by little only while much lies here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, server::Msg};
use tokio::sync::Notify;

use super::{MAX_PACKET, WINDOW};

/// Bytes that may wait at full speed: what a long fat line has in flight, which is a whole window.
const FREE: i64 = WINDOW as i64;
/// A channel whose process keeps up has no more than that waiting.
const USUAL: i64 = 2 << 20;
/// The window while more than that waits: one packet, so that whatever the client sends on another
/// channel comes right behind it.
const NARROW: u32 = MAX_PACKET;
/// What a message weighs beside its bytes, so that many small ones count.
const MESSAGE: i64 = 512;
/// No single message waits for longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Backlog {
    unread: AtomicI64,
    taken: Notify,
}

impl Backlog {
    /// How long the next message has to wait: a millisecond for each MiB too many, squared. With
    /// 32 MiB too many that is 32 KiB each second; an hour of it adds up to 70 MiB.
    fn pause(&self) -> Option<Duration> {
        let over = self.unread.load(Ordering::Relaxed) - FREE;
        let mib = u64::try_from(over).ok()? / (1 << 20) + 1;
        Some(Duration::from_millis(mib.saturating_mul(mib)).min(LONGEST_PAUSE))
    }

    /// Whether its process does not keep up with the client.
    fn is_behind(&self) -> bool {
        self.unread.load(Ordering::Relaxed) > USUAL
    }

    async fn room(&self) {
        let Some(pause) = self.pause() else { return };
        let taken = async {
            while self.pause().is_some() {
                self.taken.notified().await;
            }
        };
        // Over the time or not: what is too much slows down and does not stop.
        let _ = tokio::time::timeout(pause, taken).await;
    }
}

/// The backlogs of a connection's channels.
#[derive(Clone, Default)]
pub(super) struct Backlogs(Arc<Mutex<HashMap<ChannelId, Arc<Backlog>>>>);

impl Backlogs {
    /// The halves of a channel, whose input is counted from now on.
    pub(super) fn split(&self, channel: Channel<Msg>) -> (Inbox, ChannelWriteHalf<Msg>) {
        let backlog = Arc::new(Backlog::default());
        self.lock().insert(channel.id(), backlog.clone());
        let (reader, writer) = channel.split();
        let inbox = Inbox {
            reader,
            backlog,
            held: 0,
        };
        (inbox, writer)
    }

    /// Notes what has arrived, and waits where that is too much.
    pub(super) async fn arrived(&self, id: ChannelId, bytes: usize) {
        let Some(backlog) = self.lock().get(&id).cloned() else {
            return;
        };
        backlog.unread.fetch_add(weight(bytes), Ordering::Relaxed);
        backlog.room().await;
    }

    /// How far windows are to be opened from now on. russh knows one size for all channels of a
    /// connection, and asks for the next one whenever it has opened one of them.
    pub(super) fn window(&self) -> u32 {
        if self.lock().values().any(|backlog| backlog.is_behind()) {
            NARROW
        } else {
            WINDOW
        }
    }

    /// Forgets a channel that is over.
    pub(super) fn forget(&self, id: ChannelId) {
        self.lock().remove(&id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ChannelId, Arc<Backlog>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn weight(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX / 2) + MESSAGE
}

/// The messages of a channel. One counts as taken when the next is asked for.
pub(super) struct Inbox {
    reader: ChannelReadHalf,
    backlog: Arc<Backlog>,
    held: i64,
}

impl Inbox {
    /// The next message; none when the channel is gone.
    pub(super) async fn next(&mut self) -> Option<ChannelMsg> {
        let done = std::mem::take(&mut self.held);
        if done > 0 {
            self.backlog.unread.fetch_sub(done, Ordering::Relaxed);
            self.backlog.taken.notify_one();
        }
        let message = self.reader.wait().await;
        self.held = match &message {
            Some(ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. }) => {
                weight(data.len())
            }
            _ => 0,
        };
        message
    }
}

impl Drop for Inbox {
    /// Nobody will take what is left, and nobody has to wait for it.
    fn drop(&mut self) {
        self.backlog.unread.store(i64::MIN / 2, Ordering::Relaxed);
        self.backlog.taken.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_too_much_waits_longer_and_longer_and_never_for_ever() {
        let backlog = Backlog::default();
        let after = |mib: i64| {
            backlog.unread.store(mib << 20, Ordering::Relaxed);
            backlog.pause()
        };
        assert_eq!(after(8), Some(Duration::from_millis(1)));
        assert_eq!(after(7), None);
        assert_eq!(after(40), Some(Duration::from_millis(33 * 33)));
        assert_eq!(after(1 << 20), Some(LONGEST_PAUSE));
        let started = tokio::time::Instant::now();
        backlog.room().await;
        assert_eq!(started.elapsed(), LONGEST_PAUSE);
        after(1);
        backlog.room().await;
        assert_eq!(started.elapsed(), LONGEST_PAUSE);
    }

    #[test]
    fn a_channel_is_behind_until_its_bytes_are_taken_or_nobody_will_take_them() {
        let backlog = Backlog::default();
        let behind = |unread| {
            backlog.unread.store(unread, Ordering::Relaxed);
            backlog.is_behind()
        };
        assert!(!behind(USUAL));
        assert!(behind(USUAL + 1));
        assert!(!behind(i64::MIN / 2));
    }
}

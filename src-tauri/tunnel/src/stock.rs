//! Streams that wait for their use, so that a page with a hundred files does not pay a hundred
//! handshakes. Only those that can wait without connecting to the service are kept.

use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use tokio::io::{AsyncRead, ReadBuf};

use crate::dial::BoxHeld;
use crate::tunnels::lock;

/// Older ones may have died without a word: while they wait nobody asks after them.
const LIFE: Duration = Duration::from_secs(20);
/// Younger ones need not be asked.
const SURELY_THERE: Duration = Duration::from_secs(1);
/// A far end that takes longer to say that it is there is not.
const ANSWER: Duration = Duration::from_secs(2);
/// As many as a browser opens at once, and some.
const MOST: usize = 8;

struct Waiting {
    stream: BoxHeld,
    since: Instant,
    /// A laptop that sleeps does not see the other clock move.
    date: SystemTime,
}

impl Waiting {
    fn is_fresh(&self) -> bool {
        let slept = self.date.elapsed().unwrap_or(LIFE);
        self.since.elapsed() < LIFE && slept < LIFE
    }
}

/// The streams of one tunnel.
#[derive(Default)]
pub(crate) struct Stock(Mutex<Vec<Waiting>>);

impl Stock {
    /// One that is still good: the last one used, whose far end is the likeliest to be there.
    pub(crate) async fn take(&self) -> Option<BoxHeld> {
        while let Some(Waiting {
            mut stream, since, ..
        }) = self.last()
        {
            if !is_silent(&mut stream) {
                continue;
            }
            if since.elapsed() < SURELY_THERE {
                return Some(stream);
            }
            let asked = tokio::time::timeout(ANSWER, stream.is_there());
            if asked.await == Ok(true) {
                return Some(stream);
            }
            // The others have waited for longer, on the same link.
            self.clear();
        }
        None
    }

    fn last(&self) -> Option<Waiting> {
        let mut waiting = lock(&self.0);
        waiting.retain(Waiting::is_fresh);
        waiting.pop()
    }

    /// Keeps one for later.
    pub(crate) fn put(&self, stream: BoxHeld) {
        let mut waiting = lock(&self.0);
        waiting.retain(Waiting::is_fresh);
        if waiting.len() < MOST {
            waiting.push(Waiting {
                stream,
                since: Instant::now(),
                date: SystemTime::now(),
            });
        }
    }

    /// Lets go of what is too old; whether anything is left, and how long it takes until the next
    /// look is due.
    pub(crate) fn tidy(&self) -> Option<Duration> {
        let mut waiting = lock(&self.0);
        waiting.retain(Waiting::is_fresh);
        (!waiting.is_empty()).then_some(LIFE / 4)
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }

    /// Lets go of all: what they lead to has changed.
    pub(crate) fn clear(&self) {
        lock(&self.0).clear();
    }
}

/// One that waits says nothing; one that says something says that it is over.
fn is_silent(stream: &mut BoxHeld) -> bool {
    let mut byte = [0];
    let mut buffer = ReadBuf::new(&mut byte);
    let mut context = Context::from_waker(Waker::noop());
    matches!(
        Pin::new(stream).poll_read(&mut context, &mut buffer),
        Poll::Pending
    )
}

//! Calls and streams under way, by the id that the page gave them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Bytes that a stream may have sent without the page having taken them. Enough for a terminal at
/// full speed; small enough that Ctrl-C is seen at once when the page is slow.
const WINDOW: usize = 1024 * 1024;

/// What can be done to a call from outside.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    cancelled: CancellationToken,
    room: Arc<Semaphore>,
}

impl Control {
    fn new() -> Self {
        Self {
            cancelled: CancellationToken::new(),
            room: Arc::new(Semaphore::new(WINDOW)),
        }
    }

    /// Ready when somebody has cancelled the call.
    pub(crate) async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }

    /// Waits until the page has room for so many bytes.
    pub(crate) async fn room_for(&self, bytes: usize) {
        let permits = u32::try_from(bytes.min(WINDOW)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        if let Ok(permit) = self.room.acquire_many(permits).await {
            permit.forget();
        }
    }

    fn taken(&self, bytes: usize) {
        // A page that acknowledges more than it got must not be able to overflow the count.
        let free = self.room.available_permits();
        self.room
            .add_permits(bytes.min(WINDOW.saturating_sub(free)));
    }
}

/// Every call and stream under way.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<HashMap<String, Control>>);

impl Calls {
    /// Registers a call; it is forgotten when the guard goes.
    pub(crate) fn begin<'a>(&'a self, id: &'a str) -> UnderWay<'a> {
        let control = Control::new();
        self.lock().insert(id.to_owned(), control.clone());
        UnderWay {
            calls: self,
            id,
            control,
        }
    }

    /// Cancels a call; one that has ended already is no error.
    pub(crate) fn cancel(&self, id: &str) {
        if let Some(control) = self.lock().get(id) {
            control.cancelled.cancel();
        }
    }

    /// Cancels everything: the page that has asked is gone.
    pub(crate) fn cancel_all(&self) {
        for control in self.lock().values() {
            control.cancelled.cancel();
        }
    }

    /// The page has taken so many bytes of a stream.
    pub(crate) fn taken(&self, id: &str, bytes: usize) {
        if let Some(control) = self.lock().get(id) {
            control.taken(bytes);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Control>> {
        // Nothing that holds this lock can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call for as long as it runs.
#[derive(Debug)]
pub(crate) struct UnderWay<'a> {
    calls: &'a Calls,
    id: &'a str,
    control: Control,
}

impl UnderWay<'_> {
    /// What can be done to it from outside.
    pub(crate) fn control(&self) -> &Control {
        &self.control
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.calls.lock().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cancelled_call_hears_of_it_and_is_forgotten_when_it_ends() {
        let calls = Calls::default();
        let call = calls.begin("a");
        calls.cancel("a");
        calls.cancel("never there");
        call.control().cancelled().await;
        drop(call);
        assert!(calls.lock().is_empty());
    }

    #[tokio::test]
    async fn a_stream_waits_for_a_page_that_is_slow() {
        let calls = Calls::default();
        let call = calls.begin("a");
        call.control().room_for(WINDOW).await;
        let full = tokio::time::timeout(
            std::time::Duration::from_millis(1),
            call.control().room_for(1),
        );
        assert!(full.await.is_err());
        calls.taken("a", 10);
        call.control().room_for(10).await;
        calls.taken("a", usize::MAX);
        assert_eq!(call.control().room.available_permits(), WINDOW);
    }
}

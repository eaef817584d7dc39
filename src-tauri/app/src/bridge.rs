//! The four commands that the page can give: call, stream, cancel, ack.

use std::pin::pin;
use std::time::Duration;

use commands::types::{Failure, FailureCode};
use commands::{Message, Surface, Table};
use futures_util::StreamExt;
use serde_json::Value;
use tauri::State;
use tauri::ipc::{Channel, InvokeResponseBody};
use tokio::time::Instant;

use crate::calls::{Calls, Control};

/// Output is sent at most this often, so that a terminal at full speed makes few large messages:
/// those of 1 to 4 KiB are the slowest that a channel can carry.
const PAUSE: Duration = Duration::from_millis(8);
/// A message is sent at once when it has grown to this.
const LARGE: usize = 64 * 1024;

fn cancelled() -> Failure {
    Failure {
        code: FailureCode::Cancelled,
        message: "the call was cancelled".to_owned(),
        hint: None,
        details: None,
        retryable: true,
    }
}

/// Runs one command of the table.
#[tauri::command]
pub(crate) async fn call(
    name: String,
    payload: Value,
    call_id: String,
    table: State<'_, Table>,
    calls: State<'_, Calls>,
) -> Result<Value, Failure> {
    let under_way = calls.begin(&call_id);
    tokio::select! {
        answer = table.call(Surface::Window, &name, payload) => answer,
        () = under_way.control().cancelled() => Err(cancelled()),
    }
}

/// Runs one stream of the table until it ends or is cancelled. The answer is the number of
/// messages on the channel, which may arrive after it.
#[tauri::command]
pub(crate) async fn stream(
    name: String,
    payload: Value,
    channel: Channel<InvokeResponseBody>,
    call_id: String,
    table: State<'_, Table>,
    calls: State<'_, Calls>,
) -> Result<u64, Failure> {
    let under_way = calls.begin(&call_id);
    let control = under_way.control();
    let pump = async {
        let messages = table.stream(Surface::Window, &name, payload).await?;
        let mut outbox = Outbox::new(&channel, control, PAUSE);
        let mut messages = pin!(messages);
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => outbox.push(message?).await,
                    None => break,
                },
                () = outbox.due() => outbox.flush().await,
            }
        }
        outbox.flush().await;
        Ok(outbox.sent)
    };
    tokio::select! {
        answer = pump => answer,
        () = control.cancelled() => Err(cancelled()),
    }
}

/// Cancels a call or a stream.
#[tauri::command]
pub(crate) fn cancel(call_id: String, calls: State<'_, Calls>) {
    calls.cancel(&call_id);
}

/// The page has taken so many bytes of a stream.
#[tauri::command]
pub(crate) fn ack(call_id: String, bytes: usize, calls: State<'_, Calls>) {
    calls.taken(&call_id, bytes);
}

/// Where a channel's messages come from.
trait Wire {
    fn json(&self, value: &Value);
    fn bytes(&self, bytes: Vec<u8>);
}

impl Wire for Channel<InvokeResponseBody> {
    fn json(&self, value: &Value) {
        // A page that is gone cancels the stream; there is nobody to tell of the failure here.
        let _ = self.send(InvokeResponseBody::Json(value.to_string()));
    }

    fn bytes(&self, bytes: Vec<u8>) {
        let _ = self.send(InvokeResponseBody::Raw(bytes));
    }
}

/// Gathers bytes into messages of a good size; JSON goes out as it comes, in order.
struct Outbox<'a, W> {
    wire: &'a W,
    control: &'a Control,
    pause: Duration,
    waiting: Vec<u8>,
    last: Option<Instant>,
    sent: u64,
}

impl<'a, W: Wire> Outbox<'a, W> {
    fn new(wire: &'a W, control: &'a Control, pause: Duration) -> Self {
        Self {
            wire,
            control,
            pause,
            waiting: Vec::new(),
            last: None,
            sent: 0,
        }
    }

    async fn push(&mut self, message: Message) {
        match message {
            Message::Json(value) => {
                self.flush().await;
                self.wire.json(&value);
                self.sent += 1;
            }
            Message::Binary(bytes) => {
                self.waiting.extend_from_slice(&bytes);
                // The echo of a single key is not kept waiting.
                let rested = self.last.is_none_or(|last| last.elapsed() >= self.pause);
                if rested || self.waiting.len() >= LARGE {
                    self.flush().await;
                }
            }
        }
    }

    /// Ready when bytes have waited long enough.
    async fn due(&self) {
        match self.last {
            Some(last) if !self.waiting.is_empty() => {
                tokio::time::sleep_until(last + self.pause).await;
            }
            _ => std::future::pending().await,
        }
    }

    async fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        self.control.room_for(self.waiting.len()).await;
        self.wire.bytes(std::mem::take(&mut self.waiting));
        self.sent += 1;
        self.last = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde_json::json;

    use super::*;

    /// Longer than any test: what waits goes out for another reason than time.
    const NEVER: Duration = Duration::from_secs(3600);

    #[derive(Default)]
    struct Seen(RefCell<Vec<String>>);

    impl Wire for Seen {
        fn json(&self, value: &Value) {
            self.0.borrow_mut().push(value.to_string());
        }

        fn bytes(&self, bytes: Vec<u8>) {
            self.0.borrow_mut().push(format!("{} bytes", bytes.len()));
        }
    }

    fn bytes(count: usize) -> Message {
        Message::Binary(vec![b'x'; count].into())
    }

    #[tokio::test]
    async fn a_flood_becomes_few_messages_and_the_first_key_goes_out_at_once() {
        let calls = Calls::default();
        let under_way = calls.begin("a");
        let seen = Seen::default();
        let mut outbox = Outbox::new(&seen, under_way.control(), NEVER);
        outbox
            .push(Message::Json(json!({"terminal_id": "t"})))
            .await;
        outbox.push(bytes(1)).await;
        for _ in 0..100 {
            outbox.push(bytes(100)).await;
        }
        outbox.push(Message::Json(json!("end"))).await;
        assert_eq!(
            *seen.0.borrow(),
            [
                "{\"terminal_id\":\"t\"}",
                "1 bytes",
                "10000 bytes",
                "\"end\""
            ]
        );
        assert_eq!(outbox.sent, 4);
    }

    #[tokio::test]
    async fn a_large_message_does_not_wait() {
        let calls = Calls::default();
        let under_way = calls.begin("a");
        let seen = Seen::default();
        let mut outbox = Outbox::new(&seen, under_way.control(), NEVER);
        outbox.push(bytes(1)).await;
        outbox.push(bytes(LARGE)).await;
        assert_eq!(
            *seen.0.borrow(),
            ["1 bytes".to_owned(), format!("{LARGE} bytes")]
        );
    }

    #[tokio::test]
    async fn what_waits_is_due_after_a_pause() {
        let calls = Calls::default();
        let under_way = calls.begin("a");
        let seen = Seen::default();
        let mut outbox = Outbox::new(&seen, under_way.control(), Duration::from_millis(1));
        outbox.push(bytes(1)).await;
        outbox.waiting.push(b'x');
        outbox.due().await;
        outbox.flush().await;
        assert_eq!(*seen.0.borrow(), ["1 bytes", "1 bytes"]);
    }
}

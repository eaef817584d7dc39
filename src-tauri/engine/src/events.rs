//! What happens to sessions, told to everyone who listens. Only a hint: the truth is the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::session::SessionResult;
use serde_json::{Map, Value, json};
use tokio::sync::broadcast;
use uuid::Uuid;

/// Events that a slow listener may fall behind before it loses the oldest.
const BACKLOG: usize = 256;

/// One change of a session or of one of its kernels.
#[derive(Debug, Clone)]
pub(crate) struct SessionEvent {
    /// `session_started`, `kernel_terminated`, …
    pub(crate) name: String,
    pub(crate) session: Uuid,
    pub(crate) session_name: String,
    pub(crate) access_key: String,
    pub(crate) user: Uuid,
    pub(crate) project: Uuid,
    pub(crate) reason: String,
    pub(crate) exit_code: Option<i32>,
    /// Of a kernel's event.
    pub(crate) kernel: Option<KernelPart>,
    /// Of a session whose owner wants to be called.
    pub(crate) callback: Option<Arc<Callback>>,
}

/// Whom to call about a session, and what they are told besides the event.
#[derive(Debug)]
pub(crate) struct Callback {
    pub(crate) url: String,
    pub(crate) status_history: BTreeMap<String, String>,
    pub(crate) status_data: Value,
    pub(crate) result: SessionResult,
}

/// What a kernel's event says more than its session's.
#[derive(Debug, Clone)]
pub(crate) struct KernelPart {
    pub(crate) id: Uuid,
    pub(crate) role: String,
    pub(crate) idx: u32,
}

impl SessionEvent {
    /// The event's data on the wire.
    pub(crate) fn data(&self) -> Value {
        let mut data = Map::new();
        data.insert("reason".into(), json!(self.reason));
        data.insert("sessionName".into(), json!(self.session_name));
        data.insert("ownerAccessKey".into(), json!(self.access_key));
        data.insert("sessionId".into(), json!(self.session));
        data.insert("exitCode".into(), json!(self.exit_code));
        if let Some(kernel) = &self.kernel {
            data.insert("kernelId".into(), json!(kernel.id));
            data.insert("clusterRole".into(), json!(kernel.role));
            data.insert("clusterIdx".into(), json!(kernel.idx));
        }
        Value::Object(data)
    }
}

/// The hub.
pub(crate) struct Events(broadcast::Sender<SessionEvent>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::channel(BACKLOG).0)
    }
}

impl Events {
    /// Tells everyone; nobody listening is no error.
    pub(crate) fn send(&self, event: SessionEvent) {
        let _ = self.0.send(event);
    }

    /// Events from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<SessionEvent> {
        self.0.subscribe()
    }
}

//! How and when the session ends.

use std::{
    fs::File,
    io::Write,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use protocol::runner::launch::ExitNote;
use tokio::sync::Notify;

/// The end of the session, told once.
pub(super) struct Lifetime {
    /// Where the reason is noted; taken by whoever ends the session first.
    note: Mutex<Option<File>>,
    over: Notify,
}

impl Lifetime {
    pub(super) fn new(note: File) -> Self {
        Self {
            note: Mutex::new(Some(note)),
            over: Notify::new(),
        }
    }

    /// Waits for the end.
    pub(super) async fn ended(&self) {
        self.over.notified().await;
    }

    /// Ends the session: every process gets SIGTERM and `grace` to end by itself. What is left then
    /// ends with the runner, which is the first process.
    pub(super) async fn end(&self, how: &ExitNote, grace: Duration) {
        let Some(mut file) = self
            .note
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        else {
            return;
        };
        let noted = serde_json::to_vec(how)
            .map_err(std::io::Error::other)
            .and_then(|text| file.write_all(&text));
        if let Err(error) = noted {
            tracing::warn!(%error, "can't note how the session ended");
        }
        let everyone = Pid::from_raw(-1);
        // Shells ignore SIGTERM but not SIGHUP.
        let _ = kill(everyone, Signal::SIGTERM);
        let _ = kill(everyone, Signal::SIGHUP);
        let deadline = tokio::time::Instant::now() + grace;
        // Signal 0 reaches nobody and fails when nobody is left.
        while kill(everyone, None).is_ok() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.over.notify_one();
    }
}

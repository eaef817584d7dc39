//! What the session's owner should know.

use std::sync::{Mutex, PoisonError};

use protocol::runner::{Notice, NoticeCode};

/// Notices of this session, oldest first.
#[derive(Default)]
pub(super) struct Notices(Mutex<Vec<Notice>>);

impl Notices {
    pub(super) fn add(&self, code: NoticeCode, message: String) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Notice {
                code,
                message,
                at: jiff::Timestamp::now().to_string(),
            });
    }

    pub(super) fn all(&self) -> Vec<Notice> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

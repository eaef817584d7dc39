//! Which of the files that are open in editors somebody would miss when the program ended.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::{Edit, stamp};
use crate::context::Context;
use crate::types::FileEditState;

/// A file that was neither opened nor saved for so long is taken for closed: most editors only pass
/// it to a window of theirs and end at once, so nothing tells when the user is done with it.
const IN_USE: Duration = Duration::from_secs(24 * 60 * 60);
/// After so long what could not be put back for now is tried again.
pub(super) const AGAIN: Duration = Duration::from_secs(10);

/// How many files are open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct OpenFiles {
    /// Those that an editor may save again, or that are not put back.
    pub(crate) watched: usize,
    /// Of these: what was saved is on its way, and arrives without the user.
    pub(crate) arriving: usize,
}

impl Edit {
    /// Where it is; a copy that was saved a moment ago is on its way, also before it is looked at.
    pub(super) fn state(&self) -> FileEditState {
        let here = stamp(&self.copy());
        let now = self.now();
        match now.state {
            FileEditState::Same if here.is_some() && here != now.seen => FileEditState::Saving,
            state => state,
        }
    }

    /// Whether it is to be put back once more because the last time failed for the moment only.
    pub(super) fn is_due(&self) -> bool {
        let again = self.now().again;
        again.is_some_and(|at| at <= Instant::now())
    }

    fn is_arriving(&self) -> bool {
        if self.state() == FileEditState::Saving {
            return true;
        }
        let now = self.now();
        let needs_user = now.failure.as_ref().map(|it| it.code.waits_for_login());
        now.again.is_some() && needs_user != Some(true)
    }

    fn is_in_use(&self) -> bool {
        let files = [self.copy(), self.folder.join(super::NOTE)];
        files.iter().any(|file| {
            let at = std::fs::metadata(file).and_then(|data| data.modified());
            // One from the future is as new as can be.
            at.is_ok_and(|at| at.elapsed().is_ok_and(|ago| ago < IN_USE) || at.elapsed().is_err())
        })
    }

    fn is_missed(&self) -> bool {
        self.is_in_use() || self.state() != FileEditState::Same
    }
}

impl Context {
    /// The files that this process listens to; it does not begin to by being asked.
    fn heard_edits(&self) -> Vec<std::sync::Arc<Edit>> {
        let open = self.edits().open.lock();
        let open = open.unwrap_or_else(PoisonError::into_inner);
        open.clone().unwrap_or_default()
    }

    /// Somebody has logged in with `profile`: what waits for that is put back at the next look.
    pub(crate) fn save_waiting_edits(&self, profile: &str) {
        for edit in self.heard_edits() {
            let mut now = edit.now();
            if edit.note.profile == profile && now.state == FileEditState::Waiting {
                now.again = Some(Instant::now());
            }
        }
    }

    /// How many files would be missed if this process ended now.
    pub(crate) fn open_files(&self) -> OpenFiles {
        let edits = self.heard_edits();
        OpenFiles {
            watched: edits.iter().filter(|edit| edit.is_missed()).count(),
            arriving: edits.iter().filter(|edit| edit.is_arriving()).count(),
        }
    }

    /// The names of these files.
    pub(crate) fn names_of_open_files(&self) -> Vec<String> {
        let missed = self.heard_edits().into_iter().filter(|it| it.is_missed());
        missed.map(|edit| edit.note.name.clone()).collect()
    }

    /// Whether a process that has nothing else to do stays for the sake of editors. What needs the
    /// user is nothing to stay for.
    pub(crate) fn stays_for_editors(&self) -> bool {
        let edits = self.heard_edits();
        edits.iter().any(|it| it.is_in_use() || it.is_arriving())
    }
}

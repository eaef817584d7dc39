//! The files of a session, whether it runs or has left its home behind.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use runtime::{FileEntry, Home, Kernel, OpenMode, RuntimeError, Saved, Unsaved};

use super::session::{main_kernel, not_ready};
use crate::error::Problem;
use crate::reconcile::AGAINST_WILL;
use crate::state::App;
use crate::store::kernel::Kernel as KernelRow;
use crate::store::session::Session;

/// Where a session's files are.
pub(crate) enum SessionHome {
    /// In a kernel that runs.
    Live(Arc<dyn Kernel>),
    /// In what an ended one left.
    Kept(Arc<dyn Home>),
}

/// Finds the home of a session; the main kernel's.
pub(crate) async fn find(
    app: &App,
    session: &Session,
    kernels: &[KernelRow],
) -> Result<SessionHome, Problem> {
    if !session.status.is_terminal() {
        return main_kernel(app, session, kernels).map(SessionHome::Live);
    }
    // What is being cleaned up is as good as gone.
    let is_kept = session
        .status_info
        .as_deref()
        .is_some_and(|reason| AGAINST_WILL.contains(&reason));
    let left = kernels
        .first()
        .filter(|row| is_kept && row.removed_at.is_none());
    let home = match left {
        Some(row) => app
            .runtime
            .home(row.id)
            .await
            .map_err(super::session::runtime_problem)?,
        None => None,
    };
    home.map(SessionHome::Kept)
        .ok_or_else(|| not_ready(session).msg("Nothing is left of this session's files."))
}

impl SessionHome {
    /// Lists a directory.
    pub(crate) async fn list_files(&self, path: &str) -> Result<Vec<FileEntry>, RuntimeError> {
        match self {
            Self::Live(kernel) => kernel.list_files(path).await,
            Self::Kept(home) => home.list_files(path).await,
        }
    }

    /// Opens a file to read it.
    pub(crate) async fn open_file(&self, path: &str) -> Result<tokio::fs::File, RuntimeError> {
        match self {
            Self::Live(kernel) => kernel.open_file(path, OpenMode::Read).await,
            Self::Kept(home) => home.open_file(path).await,
        }
    }

    /// Files that go with the session; at most `limit` are counted.
    pub(crate) async fn unsaved(&self, limit: usize) -> Result<Unsaved, RuntimeError> {
        match self {
            Self::Live(kernel) => kernel.unsaved(limit).await,
            Self::Kept(home) => home.unsaved(limit).await,
        }
    }

    /// Copies them into a directory of the host.
    pub(crate) async fn save_unsaved(&self, directory: OwnedFd) -> Result<Saved, RuntimeError> {
        match self {
            Self::Live(kernel) => kernel.save_unsaved(directory).await,
            Self::Kept(home) => home.save_unsaved(directory).await,
        }
    }
}

//! Copying what a session would lose into a data folder.

use std::path::PathBuf;

use protocol::api::gangway::{Save, Saved};

use super::folder::{self, on_disk};
use super::session::runtime_problem;
use super::session_home::SessionHome;
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;
use crate::storage::{InnerPath, StorageError};
use crate::store::folder::FolderStatus;

/// Copies the unsaved files of `home` into a folder that the caller may write to.
pub(crate) async fn save(
    app: &App,
    caller: &Caller,
    home: &SessionHome,
    request: &Save,
) -> Result<Saved, Problem> {
    let seen = folder::find(app, caller, &request.folder).await?;
    let folder = seen.folder;
    if folder.status != FolderStatus::Ready || !folder.permission.may_write() {
        return Err(Problem::insufficient_privilege(format!(
            "The folder {} can't be written to.",
            folder.name
        )));
    }
    let inner = InnerPath::parse(request.path.as_deref().unwrap_or_default())
        .map_err(|error| Problem::invalid_params(error.to_string()))?;
    let id = folder.id;
    let directory: PathBuf = on_disk(app, move |storage| {
        if !inner.is_root() {
            storage.volume.folder(id)?.make_dir(&inner, true, true)?;
        }
        let root = storage.volume.files_path(id).canonicalize()?;
        // A link inside the folder may lead anywhere.
        let directory = root.join(inner.as_str()).canonicalize()?;
        if !directory.starts_with(&root) {
            return Err(StorageError::from(std::io::Error::other(
                "it leads out of the folder",
            )));
        }
        Ok(directory)
    })
    .await?;
    let saved = home
        .save_unsaved(&directory)
        .await
        .map_err(runtime_problem)?;
    Ok(Saved {
        files: saved.files,
        bytes: saved.bytes,
    })
}

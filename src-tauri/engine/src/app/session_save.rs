//! Copying what a session would lose into a data folder.

use protocol::api::gangway::{Save, Saved};

use super::folder::transfer::check_quota;
use super::folder::{self, on_disk};
use super::session::runtime_problem;
use super::session_home::SessionHome;
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;
use crate::storage::InnerPath;
use crate::store;
use crate::store::folder::{FolderOwner, FolderStatus};

/// Files that are counted before they are saved.
const MOST_COUNTED: usize = 1_000_000;

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
    check_room(app, home, folder.owner).await?;
    let id = folder.id;
    // Open from here on: a session that has the folder may put a link in its place at any time.
    let directory = on_disk(app, move |storage| {
        let folder = storage.volume.folder(id)?;
        if !inner.is_root() {
            folder.make_dir(&inner, true, true)?;
        }
        folder.open_dir(&inner)
    })
    .await?;
    let saved = home
        .save_unsaved(directory)
        .await
        .map_err(runtime_problem)?;
    Ok(Saved {
        files: saved.files,
        bytes: saved.bytes,
    })
}

/// Fails when the unsaved files don't fit the quota of the folder's owner. They are counted only
/// where there is one.
async fn check_room(app: &App, home: &SessionHome, owner: FolderOwner) -> Result<(), Problem> {
    let (_, limit) = app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::folder::limits(db, owner)?) })
        .await?;
    if limit < 0 {
        return Ok(());
    }
    let unsaved = home.unsaved(MOST_COUNTED).await.map_err(runtime_problem)?;
    check_quota(app, owner, unsaved.bytes).await
}

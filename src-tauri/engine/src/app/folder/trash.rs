//! The end of a folder: into the trash, out of it, and gone for ever (protocol page "Virtual folders"
//! §3.4).

use axum::http::StatusCode;
use uuid::Uuid;

use super::clone::not_while_cloning;
use super::{check_free, check_host, find, no_folder, on_disk, wrong_status};
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;
use crate::store;
use crate::store::folder::FolderStatus;
use crate::store::user::Role;

/// Puts a folder into the trash; not while a session has it mounted.
pub(crate) async fn put(app: &App, caller: &Caller, reference: &str) -> Result<(), Problem> {
    let seen = find(app, caller, reference)
        .await?
        .owned(FolderStatus::Ready)?;
    let (folder, who) = (seen.folder, caller.clone());
    app.store
        .write(move |tx| {
            check_host(tx, &who, &folder.host, "delete-vfolder")?;
            let sessions = store::folder::mounted_by(tx, folder.id)?;
            if !sessions.is_empty() {
                return Err(mounted(&sessions));
            }
            Ok(store::folder::set_status(
                tx,
                folder.id,
                FolderStatus::DeletePending,
            )?)
        })
        .await
}

fn mounted(sessions: &[String]) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "vfolder-deletion-not-allowed",
        "Virtual folder deletion is not allowed.",
        "vfolder_soft-delete_bad-request",
    )
    .msg(format!("The folder is mounted in: {}", sessions.join(", ")))
}

/// Takes a folder out of the trash, if its name is still free.
pub(crate) async fn restore(app: &App, caller: &Caller, id: Uuid) -> Result<(), Problem> {
    let seen = find(app, caller, &id.to_string())
        .await?
        .owned(FolderStatus::DeletePending)?;
    let folder = seen.folder;
    app.store
        .write(move |tx| {
            check_free(tx, folder.owner, &folder.name)?;
            Ok(store::folder::set_status(
                tx,
                folder.id,
                FolderStatus::Ready,
            )?)
        })
        .await
}

/// Removes the files of a folder in the trash for ever; goes on after this returns.
pub(crate) async fn delete_forever(app: &App, caller: &Caller, id: Uuid) -> Result<(), Problem> {
    find(app, caller, &id.to_string())
        .await?
        .owned(FolderStatus::DeletePending)?;
    begin_removal(app, id).await
}

/// Removes a folder for ever without the trash.
pub(crate) async fn delete_at_once(app: &App, caller: &Caller, id: Uuid) -> Result<(), Problem> {
    let seen = find(app, caller, &id.to_string()).await?;
    let status = seen.folder.status;
    not_while_cloning(&seen.owned(status)?.folder)?;
    begin_removal(app, id).await
}

async fn begin_removal(app: &App, id: Uuid) -> Result<(), Problem> {
    app.store
        .write(move |tx| -> Result<(), Problem> {
            let sessions = store::folder::mounted_by(tx, id)?;
            if !sessions.is_empty() {
                return Err(mounted(&sessions));
            }
            Ok(store::folder::set_status(
                tx,
                id,
                FolderStatus::DeleteOngoing,
            )?)
        })
        .await?;
    tokio::spawn(remove_files(app.clone(), id));
    Ok(())
}

async fn remove_files(app: App, id: Uuid) {
    let removed = on_disk(&app, move |storage| storage.volume.remove(id)).await;
    let status = match removed {
        Ok(()) => FolderStatus::DeleteComplete,
        Err(problem) => {
            tracing::warn!(folder = %id, %problem, "the folder's files could not be removed");
            FolderStatus::DeleteError
        }
    };
    let noted = app
        .store
        .write(move |tx| -> Result<(), Problem> { Ok(store::folder::set_status(tx, id, status)?) });
    if let Err(problem) = noted.await {
        tracing::warn!(folder = %id, %problem, "a removal could not be noted; it is tried again");
    }
}

/// Forgets a folder whose files are in the trash or gone. For administrators.
pub(crate) async fn purge(app: &App, caller: &Caller, id: Uuid) -> Result<(), Problem> {
    if !matches!(caller.user.role, Role::Superadmin | Role::Admin) {
        return Err(Problem::forbidden("Insufficient privilege."));
    }
    let folder = app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::folder::get(db, id)?) })
        .await?
        .ok_or_else(|| no_folder(&id.to_string()))?;
    if !matches!(
        folder.status,
        FolderStatus::DeletePending | FolderStatus::DeleteComplete
    ) {
        return Err(wrong_status(&folder));
    }
    on_disk(app, move |storage| storage.volume.remove(id)).await?;
    app.store
        .write(move |tx| Ok(store::folder::remove(tx, id)?))
        .await
}

/// Goes on with removals that an earlier engine was killed in.
pub(crate) async fn finish_removals(app: &App) -> Result<(), Problem> {
    on_disk(app, |storage| storage.volume.finish_removals()).await?;
    let folders = app
        .store
        .read(|db| -> Result<_, Problem> { Ok(store::folder::all(db)?) })
        .await?;
    for folder in folders {
        if folder.status == FolderStatus::DeleteOngoing {
            remove_files(app.clone(), folder.id).await;
        }
    }
    Ok(())
}

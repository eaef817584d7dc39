//! Copying a folder into a new one of the caller's (protocol page "Virtual folders" §3.3).

use axum::http::StatusCode;
use db::rusqlite::Connection;
use protocol::api::folder::CloneRequest as Request;
use protocol::name;
use uuid::Uuid;

use super::transfer::check_quota;
use super::{Seen, find, insert, on_disk, see, usage, usage_mode};
use crate::app::background::{self, Report};
use crate::app::bootstrap::FOLDER_HOST;
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;
use crate::store::folder::{Folder, FolderOwner, FolderStatus};
use crate::store::{self, At};

/// Starts to copy a folder. Gives the new folder, which can be used when the task is done.
pub(crate) async fn start(
    app: &App,
    caller: &Caller,
    reference: &str,
    request: Request,
) -> Result<(Seen, Uuid), Problem> {
    name::check_folder(&request.target_name)
        .map_err(|error| Problem::unparsable(error.to_string()))?;
    usage_mode(&request.usage_mode)?;
    let source = find(app, caller, reference).await?.readable()?.folder;
    if !source.cloneable {
        return Err(Problem::forbidden(
            "The source vfolder is not permitted to be cloned.",
        ));
    }
    if let Some(host) = request.target_host.filter(|host| *host != source.host) {
        return Err(Problem::invalid_params(format!(
            "A folder of {} can't be cloned to {host}: only within one folder host.",
            source.host
        )));
    }
    let owner = FolderOwner::User(caller.user_id());
    if let Some(scope) = request
        .target_quota_scope_id
        .filter(|it| *it != owner.quota_scope())
    {
        return Err(Problem::invalid_params(format!(
            "{scope} is not your quota scope: a cloned folder is its maker's."
        )));
    }
    let held = usage(app, source.id).await?.bytes;
    check_quota(app, owner, held).await?;
    room(app, held).await?;
    let target = Folder {
        id: Uuid::now_v7(),
        name: request.target_name,
        host: FOLDER_HOST.to_owned(),
        owner,
        creator: caller.user.email.clone(),
        usage_mode: request.usage_mode,
        permission: request.permission,
        cloneable: request.cloneable,
        status: FolderStatus::Cloning,
        created_at: At((app.clock)()),
        last_used: None,
    };
    let id = target.id;
    on_disk(app, move |storage| storage.volume.create(id)).await?;
    let (row, who) = (target.clone(), caller.clone());
    let written = app.store.write(move |tx| insert(tx, &row, &who)).await;
    if let Err(problem) = written {
        on_disk(app, move |storage| storage.volume.remove(id)).await?;
        return Err(problem);
    }
    let task = background::start(app, caller.user_id(), move |app, report| async move {
        let name = source.name.clone();
        let copied = copy(&app, &source, id, held, report).await;
        match copied {
            Ok(left_out) => {
                app.store
                    .write(move |tx| -> Result<(), Problem> {
                        Ok(store::folder::set_status(tx, id, FolderStatus::Ready)?)
                    })
                    .await?;
                Ok(done(&name, left_out))
            }
            Err(problem) => {
                give_back(&app, id).await?;
                Err(problem)
            }
        }
    });
    Ok((see(target, caller), task))
}

fn done(name: &str, left_out: u64) -> String {
    match left_out {
        0 => format!("{name} is copied"),
        count => {
            format!("{name} is copied, without {count} sockets, pipes and devices that were in it")
        }
    }
}

async fn room(app: &App, needed: u64) -> Result<(), Problem> {
    let free = on_disk(app, |storage| storage.volume.space()).await?.free;
    if needed > free {
        return Err(crate::storage::StorageError::TooLarge { needed, free }.into());
    }
    Ok(())
}

/// Copies the files, telling how far it is. Ends in the middle when the engine stops.
async fn copy(
    app: &App,
    source: &Folder,
    target: Uuid,
    total: u64,
    report: Report,
) -> Result<u64, Problem> {
    let (from, stop) = (source.id, app.stop.clone());
    let message = format!("Copying {}", source.name);
    on_disk(app, move |storage| {
        let mut copied = 0_u64;
        // More than 2^52 bytes are nowhere.
        #[allow(clippy::cast_precision_loss, reason = "see above")]
        let mut tell = |more: u64| {
            copied += more;
            report.step(copied as f64, total.max(copied) as f64, message.as_str());
            !stop.is_cancelled()
        };
        tell(0);
        let target = storage.volume.folder(target)?;
        storage.volume.folder(from)?.copy_to(&target, &mut tell)
    })
    .await
}

/// Removes a copy that did not come about.
async fn give_back(app: &App, id: Uuid) -> Result<(), Problem> {
    on_disk(app, move |storage| storage.volume.remove(id)).await?;
    app.store
        .write(move |tx| -> Result<(), Problem> { Ok(store::folder::remove(tx, id)?) })
        .await
}

/// Gives up the copies that an earlier engine did not finish: nobody goes on with them. What they
/// hold is removed like that of any deleted folder.
pub(crate) fn give_up(db: &Connection) -> Result<(), Problem> {
    for folder in store::folder::all(db)? {
        if folder.status == FolderStatus::Cloning {
            tracing::info!(folder = %folder.id, "a copy that was not finished is removed");
            store::folder::set_status(db, folder.id, FolderStatus::DeleteOngoing)?;
        }
    }
    Ok(())
}

/// 400: a folder that is being copied into can't be removed under the copy.
pub(super) fn not_while_cloning(folder: &Folder) -> Result<(), Problem> {
    if folder.status != FolderStatus::Cloning {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::BAD_REQUEST,
        "vfolder-deletion-not-allowed",
        "Virtual folder deletion is not allowed.",
        "vfolder_soft-delete_bad-request",
    )
    .msg(format!(
        "The folder \"{}\" is being copied. Wait until that is done.",
        folder.name
    )))
}

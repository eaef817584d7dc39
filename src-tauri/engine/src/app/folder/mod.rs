//! What a request about a data folder means: who may see which, and a folder's life from its making
//! to its options. The trash and what comes after it is in [`trash`], copying a folder in [`clone`],
//! its owner's room in [`mod@quota`], what is done to files in [`files`], moving them in and out in [`transfer`].

pub(crate) mod clone;
pub(crate) mod files;
pub(crate) mod problem;
pub(crate) mod quota;
pub(crate) mod sharing;
pub(crate) mod transfer;
pub(crate) mod trash;

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use protocol::api::folder::{Create, Permission};
use protocol::name;
use uuid::Uuid;

use super::bootstrap::FOLDER_HOST;
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;
use crate::storage::{Space, Storage, StorageError, Usage};
use crate::store::folder::{Folder, FolderOwner, FolderStatus};
use crate::store::user::Role;
use crate::store::{self, At};

/// A folder as its caller sees it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) folder: Folder,
    /// Whether the caller may rename it, put it into the trash, and so on.
    pub(crate) is_owner: bool,
}

/// Runs `work` on the storage, off the async threads.
pub(in crate::app) async fn on_disk<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&Storage) -> Result<T, StorageError> + Send + 'static,
) -> Result<T, Problem> {
    let app = app.clone();
    tokio::task::spawn_blocking(move || work(&app.storage))
        .await
        .map_err(|_| Problem::internal("The storage stopped in the middle of its work."))?
        .map_err(Problem::from)
}

/// The folder hosts that the caller may use, and what for: what their domain, any of their projects
/// or their keypair's policy allows.
fn allowed_hosts(
    db: &db::rusqlite::Connection,
    caller: &Caller,
) -> Result<BTreeMap<String, BTreeSet<String>>, Problem> {
    let mut written = Vec::new();
    written.extend(store::domain::get(db, &caller.user.domain)?.map(|it| it.allowed_vfolder_hosts));
    written.extend(
        store::project::of_user(db, caller.user_id())?
            .into_iter()
            .map(|project| project.allowed_vfolder_hosts),
    );
    written.extend(
        store::policy::get(db, &caller.keypair.resource_policy)?
            .map(|policy| policy.allowed_vfolder_hosts),
    );
    let mut allowed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for hosts in &written {
        for (host, permissions) in hosts.as_object().into_iter().flatten() {
            let permissions = permissions.as_array().into_iter().flatten();
            let texts = permissions.filter_map(|one| one.as_str().map(str::to_owned));
            allowed.entry(host.clone()).or_default().extend(texts);
        }
    }
    Ok(allowed)
}

/// Fails unless the caller's policies allow `permission` on the folder host.
pub(in crate::app) fn check_host(
    db: &db::rusqlite::Connection,
    caller: &Caller,
    host: &str,
    permission: &str,
) -> Result<(), Problem> {
    let allowed = allowed_hosts(db, caller)?;
    if allowed
        .get(host)
        .is_some_and(|list| list.contains(permission))
    {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::BAD_REQUEST,
        "storage-permission-not-allowed",
        "The specified storage permission is not allowed.",
        "storage_access_forbidden",
    )
    .msg(format!("`{permission}` is not allowed in `{host}`")))
}

fn see(folder: Folder, caller: &Caller) -> Seen {
    let admin = matches!(caller.user.role, Role::Superadmin | Role::Admin);
    let is_owner = match folder.owner {
        FolderOwner::User(id) => id == caller.user_id(),
        FolderOwner::Project(_) => admin,
    };
    Seen { folder, is_owner }
}

/// The folders that the caller may reach; all of everybody's when a superadmin asks for them.
pub(crate) async fn list(
    app: &App,
    caller: &Caller,
    everybody: bool,
    project: Option<Uuid>,
) -> Result<Vec<Seen>, Problem> {
    let (user, all) = (caller.user_id(), everybody && caller.is_superadmin());
    let folders = app
        .store
        .read(move |db| -> Result<_, Problem> {
            Ok(if all {
                store::folder::all(db)?
            } else {
                store::folder::accessible(db, user)?
            })
        })
        .await?;
    let wanted = |folder: &Folder| {
        folder.status != FolderStatus::DeleteComplete
            && project.is_none_or(|id| folder.owner.project().is_none_or(|owner| owner == id))
    };
    Ok(folders
        .into_iter()
        .filter(wanted)
        .map(|folder| see(folder, caller))
        .collect())
}

/// The folder that `reference` means: an id, with or without hyphens, or a name. A name means a
/// folder outside the trash if there is one.
pub(crate) async fn find(app: &App, caller: &Caller, reference: &str) -> Result<Seen, Problem> {
    let id = Uuid::try_parse(reference).ok();
    let everybody = id.is_some() && caller.is_superadmin();
    let mut found: Vec<Seen> = list(app, caller, everybody, None)
        .await?
        .into_iter()
        .filter(|seen| match id {
            Some(id) => seen.folder.id == id,
            None => seen.folder.name == reference,
        })
        .collect();
    if found
        .iter()
        .any(|seen| seen.folder.status == FolderStatus::Ready)
    {
        found.retain(|seen| seen.folder.status == FolderStatus::Ready);
    }
    match found.len() {
        0 => Err(no_folder(reference)),
        1 => found.pop().ok_or_else(|| no_folder(reference)),
        _ => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "too-many-vfolders",
            "Multiple vfolders found for the operation for a single vfolder.",
            "vfolder_read_conflict",
        )
        .data(
            found
                .iter()
                .map(|seen| seen.folder.id.simple().to_string())
                .collect(),
        )),
    }
}

/// 404 for a folder that is not there, or not the caller's to see.
fn no_folder(reference: &str) -> Problem {
    Problem::not_found("virtual folder", "vfolder_read_not-found")
        .msg(format!("There is no folder \"{reference}\"."))
        .data(reference.into())
}

fn wrong_status(folder: &Folder) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "vfolder-filter-status-failed",
        "Virtual folder status filtering has failed.",
        "vfolder_read_bad-request",
    )
    .msg(format!(
        "The folder \"{}\" is {}.",
        folder.name, folder.status
    ))
}

fn not_permitted(folder: &Folder) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "vfolder-permission-error",
        "The virtual folder does not permit the specified permission.",
        "vfolder_access_forbidden",
    )
    .msg(format!("You may only read \"{}\".", folder.name))
}

impl Seen {
    /// Its files may be looked at.
    fn readable(self) -> Result<Self, Problem> {
        if self.folder.status.is_readable() {
            Ok(self)
        } else {
            Err(wrong_status(&self.folder))
        }
    }

    /// Its files may be changed.
    fn writable(self) -> Result<Self, Problem> {
        if self.folder.status != FolderStatus::Ready {
            return Err(wrong_status(&self.folder));
        }
        if self.folder.permission.may_write() || self.is_owner {
            Ok(self)
        } else {
            Err(not_permitted(&self.folder))
        }
    }

    /// It is the caller's, and in the status that is needed.
    fn owned(self, needed: FolderStatus) -> Result<Self, Problem> {
        if !self.is_owner {
            return Err(Problem::forbidden("You are not the owner of this folder."));
        }
        if self.folder.status == needed {
            Ok(self)
        } else {
            Err(wrong_status(&self.folder))
        }
    }
}

/// Makes a folder.
pub(crate) async fn create(app: &App, caller: &Caller, request: Create) -> Result<Seen, Problem> {
    name::check_folder(&request.name).map_err(|error| Problem::unparsable(error.to_string()))?;
    let host = request.host.unwrap_or_else(|| FOLDER_HOST.to_owned());
    if host != FOLDER_HOST {
        return Err(Problem::invalid_params(format!(
            "There is no folder host \"{host}\"."
        )));
    }
    let admin = matches!(caller.user.role, Role::Superadmin | Role::Admin);
    let owner = match request.group.filter(|group| !group.is_empty()) {
        None => FolderOwner::User(caller.user_id()),
        Some(_) if !admin => return Err(Problem::forbidden("no permission")),
        Some(_) if request.name.starts_with('.') => {
            return Err(Problem::invalid_params(
                "A folder whose name begins with a dot can't belong to a project.",
            ));
        }
        Some(group) => FolderOwner::Project(find_project(app, caller, &group).await?),
    };
    let folder = Folder {
        id: Uuid::now_v7(),
        name: request.name,
        host,
        owner,
        creator: caller.user.email.clone(),
        usage_mode: request.usage_mode,
        permission: request.permission,
        cloneable: request.cloneable,
        status: FolderStatus::Ready,
        created_at: At((app.clock)()),
        last_used: None,
    };
    usage_mode(&folder.usage_mode)?;
    let id = folder.id;
    // The storage first: a crash in between leaves an empty directory that nothing names, rather
    // than a folder that can't be opened.
    on_disk(app, move |storage| storage.volume.create(id)).await?;
    let (row, who) = (folder.clone(), caller.clone());
    let written = app.store.write(move |tx| insert(tx, &row, &who)).await;
    if let Err(problem) = written {
        on_disk(app, move |storage| storage.volume.remove(id)).await?;
        return Err(problem);
    }
    Ok(see(folder, caller))
}

fn usage_mode(text: &str) -> Result<(), Problem> {
    if ["general", "model", "data"].contains(&text) {
        return Ok(());
    }
    Err(Problem::unparsable(format!(
        "\"{text}\" is not a usage mode"
    )))
}

fn insert(tx: &db::rusqlite::Connection, folder: &Folder, caller: &Caller) -> Result<(), Problem> {
    check_host(tx, caller, &folder.host, "create-vfolder")?;
    let (most, _) = store::folder::limits(tx, folder.owner)?;
    if most > 0 && store::folder::count(tx, folder.owner)? >= most {
        return Err(Problem::invalid_params("You cannot create more vfolders."));
    }
    check_free(tx, folder.owner, &folder.name)?;
    Ok(store::folder::insert(tx, folder)?)
}

fn check_free(
    tx: &db::rusqlite::Connection,
    owner: FolderOwner,
    name: &str,
) -> Result<(), Problem> {
    if store::folder::name_taken(tx, owner, name)? {
        let text = format!("VFolder with the given name already exists. ({name})");
        return Err(Problem::invalid_params(text));
    }
    Ok(())
}

async fn find_project(app: &App, caller: &Caller, group: &str) -> Result<Uuid, Problem> {
    let (domain, wanted) = (caller.user.domain.clone(), group.to_owned());
    let projects = app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::project::list(db, &domain)?) })
        .await?;
    projects
        .into_iter()
        .find(|project| project.name == wanted || project.id.to_string() == wanted)
        .map(|project| project.id)
        .ok_or_else(|| {
            Problem::new(
                StatusCode::NOT_FOUND,
                "project-not-found",
                "No such project.",
                "group_read_not-found",
            )
            .data(group.into())
        })
}

/// A folder and what it holds.
pub(crate) async fn info(
    app: &App,
    caller: &Caller,
    reference: &str,
) -> Result<(Seen, Usage), Problem> {
    let seen = find(app, caller, reference).await?.readable()?;
    let usage = usage(app, seen.folder.id).await?;
    Ok((seen, usage))
}

/// What a folder holds.
pub(crate) async fn usage(app: &App, id: Uuid) -> Result<Usage, Problem> {
    on_disk(app, move |storage| Ok(storage.volume.folder(id)?.usage())).await
}

/// What a folder holds, and the most bytes that its owner may have; `None` is any number.
pub(crate) async fn quota(
    app: &App,
    caller: &Caller,
    reference: &str,
) -> Result<(Usage, Option<u64>), Problem> {
    let (seen, usage) = info(app, caller, reference).await?;
    let owner = seen.folder.owner;
    let (_, limit) = app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::folder::limits(db, owner)?) })
        .await?;
    Ok((usage, u64::try_from(limit).ok()))
}

/// The hosts that the caller may use, each with the room on its disk.
pub(crate) async fn hosts(app: &App, caller: &Caller) -> Result<Vec<(String, Space)>, Problem> {
    let caller = caller.clone();
    let allowed = app.store.read(move |db| allowed_hosts(db, &caller)).await?;
    if !allowed.contains_key(FOLDER_HOST) {
        return Ok(Vec::new());
    }
    let space = on_disk(app, |storage| storage.volume.space()).await?;
    Ok(vec![(FOLDER_HOST.to_owned(), space)])
}

/// Gives a folder another name.
pub(crate) async fn rename(
    app: &App,
    caller: &Caller,
    reference: &str,
    new_name: String,
) -> Result<(), Problem> {
    name::check_folder(&new_name).map_err(|error| Problem::unparsable(error.to_string()))?;
    let Folder {
        id, owner, name, ..
    } = find(app, caller, reference)
        .await?
        .owned(FolderStatus::Ready)?
        .folder;
    if name == new_name {
        return Ok(());
    }
    app.store
        .write(move |tx| {
            check_free(tx, owner, &new_name)?;
            Ok(store::folder::rename(tx, id, &new_name)?)
        })
        .await
}

/// Changes what a folder allows.
pub(crate) async fn update_options(
    app: &App,
    caller: &Caller,
    reference: &str,
    cloneable: Option<bool>,
    permission: Option<Permission>,
) -> Result<(), Problem> {
    let seen = find(app, caller, reference)
        .await?
        .owned(FolderStatus::Ready)?;
    let id = seen.folder.id;
    app.store
        .write(move |tx| Ok(store::folder::set_options(tx, id, cloneable, permission)?))
        .await
}

//! Which data folders a session shows, and where (protocol page "Sessions" §2.2).

use std::collections::BTreeMap;

use db::rusqlite::Connection;
use protocol::api::folder::Permission;
use protocol::api::session::CreateConfig;
use protocol::name;
use uuid::Uuid;

use crate::error::Problem;
use crate::store;
use crate::store::folder::{Folder, FolderStatus};
use crate::store::session::SessionMount;

const HOME: &str = "/home/work";

/// What is asked for one folder, gathered from the several places where clients say it.
#[derive(Default)]
struct Wish {
    subpath: String,
    target: Option<String>,
    permission: Option<String>,
}

/// Resolves the folders of a request for `user`, and adds those that are mounted without asking:
/// the own folders whose names start with a dot.
pub(crate) fn resolve(
    db: &Connection,
    user: Uuid,
    config: &CreateConfig,
) -> Result<Vec<SessionMount>, Problem> {
    let folders: Vec<Folder> = store::folder::accessible(db, user)?
        .into_iter()
        .filter(|folder| folder.status == FolderStatus::Ready)
        .collect();
    let mut wishes: BTreeMap<Uuid, Wish> = BTreeMap::new();
    for mount in &config.mounts {
        let (reference, subpath) = mount.split_once('/').unwrap_or((mount, ""));
        let folder = find(&folders, reference)?;
        wishes.entry(folder.id).or_default().subpath = subpath.to_owned();
    }
    for id in &config.mount_ids {
        wishes
            .entry(find(&folders, &id.to_string())?.id)
            .or_default();
    }
    // A map of a folder that is not in the list of mounts mounts it too, as clients since v8 do.
    for (reference, target) in &config.mount_map {
        let folder = find(&folders, reference)?;
        wishes.entry(folder.id).or_default().target = Some(target.clone());
    }
    for (id, target) in &config.mount_id_map {
        let folder = find(&folders, &id.to_string())?;
        wishes.entry(folder.id).or_default().target = Some(target.clone());
    }
    for (reference, options) in &config.mount_options {
        let wish = wishes.entry(find(&folders, reference)?.id).or_default();
        if let Some(target) = &options.mount_destination {
            wish.target = Some(target.clone());
        }
        if let Some(subpath) = &options.subpath {
            wish.subpath.clone_from(subpath);
        }
        wish.permission.clone_from(&options.permission);
    }
    for folder in folders.iter().filter(|folder| folder.name.starts_with('.')) {
        wishes.entry(folder.id).or_default();
    }
    let mut mounts: Vec<SessionMount> = Vec::with_capacity(wishes.len());
    for folder in &folders {
        let Some(wish) = wishes.remove(&folder.id) else {
            continue;
        };
        let target = target(folder, &wish, &folders)?;
        if mounts.iter().any(|other| other.target == target) {
            return Err(Problem::invalid_params(
                "Duplicate alias folder name exists.",
            ));
        }
        mounts.push(SessionMount {
            folder: folder.id,
            name: folder.name.clone(),
            subpath: subpath(&wish.subpath)?,
            target,
            read_only: read_only(folder, &wish)?,
        });
    }
    Ok(mounts)
}

fn find<'a>(folders: &'a [Folder], reference: &str) -> Result<&'a Folder, Problem> {
    let id = Uuid::try_parse(reference).ok();
    folders
        .iter()
        .find(|folder| Some(folder.id) == id || folder.name == reference)
        .ok_or_else(|| {
            Problem::not_found("virtual folder", "vfolder_read_not-found").msg(format!(
                "There is no folder \"{reference}\" that you can mount."
            ))
        })
}

fn target(folder: &Folder, wish: &Wish, folders: &[Folder]) -> Result<String, Problem> {
    let Some(alias) = &wish.target else {
        return Ok(format!("{HOME}/{}", folder.name));
    };
    if alias.is_empty() {
        return Err(Problem::invalid_params("Alias name cannot be empty."));
    }
    let relative = alias
        .strip_prefix("/home/work/")
        .unwrap_or(alias)
        .trim_end_matches('/');
    if alias.split('/').any(|part| part == ".." || part == ".") || alias.contains('\0') {
        return Err(Problem::invalid_params(format!(
            "{alias} is not a path inside the session."
        )));
    }
    if name::is_reserved(alias.trim_end_matches('/')) || name::is_reserved(relative) {
        return Err(Problem::invalid_params(format!(
            "{alias} is reserved for internal path."
        )));
    }
    if relative.starts_with('/') {
        // The root of a session is somebody else's: new places there can't be made.
        return Err(Problem::invalid_params(format!(
            "{alias} is reserved for internal path. Choose a path below {HOME}."
        )));
    }
    if folders
        .iter()
        .any(|other| other.id != folder.id && other.name == relative)
    {
        return Err(Problem::invalid_params(format!(
            "Alias name cannot be set to an existing folder name: {relative}"
        )));
    }
    Ok(format!("{HOME}/{relative}"))
}

fn subpath(text: &str) -> Result<String, Problem> {
    let text = text.trim_matches('/');
    if text.split('/').any(|part| part == "..") || text.contains('\0') {
        return Err(Problem::invalid_params(format!(
            "{text} is not a path inside the folder."
        )));
    }
    Ok(text.to_owned())
}

fn read_only(folder: &Folder, wish: &Wish) -> Result<bool, Problem> {
    let Some(text) = &wish.permission else {
        return Ok(!folder.permission.may_write());
    };
    let wanted: Permission = text
        .parse()
        .map_err(|_| Problem::invalid_params(format!("{text} is not a mount permission.")))?;
    if wanted.may_write() && !folder.permission.may_write() {
        return Err(Problem::invalid_params(format!(
            "The folder {} can be mounted read-only at most.",
            folder.name
        )));
    }
    Ok(!wanted.may_write())
}

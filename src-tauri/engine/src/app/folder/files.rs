//! What can be done to the files in a folder.

use super::{find, on_disk};
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;
use crate::storage::{Entry, InnerPath, StorageError};

/// The most directories that one request makes.
const MAX_DIRECTORIES: usize = 50;

fn inside(path: &str) -> Result<InnerPath, Problem> {
    Ok(InnerPath::parse_inside(path).map_err(StorageError::from)?)
}

/// Lists a directory.
pub(crate) async fn list(
    app: &App,
    caller: &Caller,
    reference: &str,
    path: &str,
) -> Result<Vec<Entry>, Problem> {
    let id = find(app, caller, reference).await?.readable()?.folder.id;
    let path = InnerPath::parse(path).map_err(StorageError::from)?;
    on_disk(app, move |storage| storage.volume.folder(id)?.list(&path)).await
}

/// What became of one of several paths.
pub(crate) struct Made {
    pub(crate) path: String,
    /// Why it was not made, if it was not.
    pub(crate) problem: Option<String>,
}

/// Makes directories, each on its own: some may fail while others are made.
pub(crate) async fn make_dirs(
    app: &App,
    caller: &Caller,
    reference: &str,
    paths: Vec<String>,
    parents: bool,
    exist_ok: bool,
) -> Result<Vec<Made>, Problem> {
    if paths.len() > MAX_DIRECTORIES {
        return Err(Problem::invalid_params("Too many directories specified."));
    }
    let id = find(app, caller, reference).await?.writable()?.folder.id;
    let inner = paths
        .iter()
        .map(|path| InnerPath::parse_inside(path))
        .collect::<Result<Vec<_>, _>>()
        .map_err(StorageError::from)?;
    on_disk(app, move |storage| {
        let folder = storage.volume.folder(id)?;
        let made = paths.into_iter().zip(inner).map(|(path, inner)| {
            let result = folder.make_dir(&inner, parents, exist_ok);
            Made {
                path,
                problem: result.err().map(|error| error.to_string()),
            }
        });
        Ok(made.collect())
    })
    .await
}

/// Gives a file or directory another name in the same directory.
pub(crate) async fn rename(
    app: &App,
    caller: &Caller,
    reference: &str,
    target: &str,
    new_name: &str,
) -> Result<(), Problem> {
    let from = inside(target)?;
    let name = inside(new_name)?;
    if name.parent().is_none_or(|parent| !parent.is_root()) {
        let text = "The new name must not be a path; use move-file to move.";
        return Err(Problem::invalid_params(text));
    }
    let to = from
        .parent()
        .map_or_else(|| name.clone(), |parent| parent.join(&name));
    let id = find(app, caller, reference).await?.writable()?.folder.id;
    on_disk(app, move |storage| {
        storage.volume.folder(id)?.rename(&from, &to)
    })
    .await
}

/// Moves a file or directory within the folder. An existing directory as the destination means
/// into it, as with `mv`.
pub(crate) async fn relocate(
    app: &App,
    caller: &Caller,
    reference: &str,
    from: &str,
    to: &str,
) -> Result<(), Problem> {
    let from = inside(from)?;
    let to = InnerPath::parse(to).map_err(StorageError::from)?;
    let id = find(app, caller, reference).await?.writable()?.folder.id;
    on_disk(app, move |storage| {
        let folder = storage.volume.folder(id)?;
        let name = InnerPath::parse_inside(from.name().unwrap_or_default())?;
        let to = match folder.is_dir(&to) {
            Ok(true) => to.join(&name),
            _ => to,
        };
        folder.rename(&from, &to)
    })
    .await
}

/// Deletes files, and directories with what is in them when `recursive`.
pub(crate) async fn delete(
    app: &App,
    caller: &Caller,
    reference: &str,
    paths: &[String],
    recursive: bool,
) -> Result<(), Problem> {
    let paths = paths
        .iter()
        .map(|path| inside(path))
        .collect::<Result<Vec<_>, _>>()?;
    let id = find(app, caller, reference).await?.writable()?.folder.id;
    on_disk(app, move |storage| {
        let folder = storage.volume.folder(id)?;
        paths
            .iter()
            .try_for_each(|path| folder.delete(path, recursive))
    })
    .await
}

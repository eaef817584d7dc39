//! Looking at and arranging files, wherever they are. Moving bytes is `transfer`'s business.

mod content;
pub(crate) mod drag;
pub(crate) mod edit;
pub(crate) mod search;
pub(crate) mod view;

use std::path::{Component, Path, PathBuf};

use ::ssh::client::sftp::{Attributes, Sftp};
use client::Client;
use client::protocol::api::folder::{Entry, EntryKind};
use jiff::Timestamp;

use crate::context::Context;
use crate::failure::io;
use crate::session::find_running;
use crate::session_row::time;
use crate::types::{
    Failure, FailureCode, FileEntry, FileKind, FileListing, FileRef, FileRemove, FileRename,
    Location, Nothing, Place, PlaceList, Tag,
};

/// The home inside a session; relative paths start there.
const SESSION_HOME: &str = "/home/work";

pub(crate) async fn list(context: &Context, request: FileRef) -> Result<FileListing, Failure> {
    let mut listing = match request.location {
        Location::Local { path } => local_list(&path).await?,
        Location::Session { session, path } => session_list(context, session, &path).await?,
        Location::Folder { folder, path } => {
            let client = context.client().await?;
            let path = inner_path(&path)?;
            let entries = client.folder_files(&folder, &path).await?;
            FileListing {
                location: Location::Folder { folder, path },
                entries: entries.into_iter().map(FileEntry::from).collect(),
            }
        }
    };
    listing.entries.sort_by(|a, b| {
        let last = |entry: &FileEntry| entry.kind != FileKind::Directory;
        last(a).cmp(&last(b)).then_with(|| a.name.cmp(&b.name))
    });
    Ok(listing)
}

/// One pass on a thread of its own: a hundred thousand entries take a moment, one task for each
/// would take many.
async fn local_list(path: &str) -> Result<FileListing, Failure> {
    let path = local_path(path)?;
    let shown = path.display().to_string();
    let read = tokio::task::spawn_blocking(move || local_entries(&path)).await;
    let entries = read
        .map_err(|error| Failure::new(FailureCode::Internal, error))?
        .map_err(|error| io(&error, &shown))?;
    Ok(FileListing {
        location: Location::Local { path: shown },
        entries,
    })
}

fn local_entries(path: &Path) -> std::io::Result<Vec<FileEntry>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        // A file that goes away meanwhile is not worth an error.
        let Ok(data) = entry.metadata() else {
            continue;
        };
        let target = data
            .is_symlink()
            .then(|| link_target(&entry.path()))
            .flatten();
        let name = entry.file_name().to_string_lossy().into_owned();
        entries.push(local_entry(name, &data, target));
    }
    Ok(entries)
}

/// Where a link leads, with a `/` at the end when that is a directory.
fn link_target(link: &Path) -> Option<String> {
    let mut target = std::fs::read_link(link).ok()?.display().to_string();
    if link.is_dir() && !target.ends_with('/') {
        target.push('/');
    }
    Some(target)
}

fn local_entry(name: String, data: &std::fs::Metadata, target: Option<String>) -> FileEntry {
    FileEntry {
        name,
        kind: match () {
            () if data.is_symlink() => FileKind::Symlink,
            () if data.is_dir() => FileKind::Directory,
            () if data.is_file() => FileKind::File,
            () => FileKind::Other,
        },
        size: data.len(),
        modified: data
            .modified()
            .ok()
            .and_then(|time| Timestamp::try_from(time).ok()),
        mode: mode(data),
        target,
    }
}

#[cfg(unix)]
fn mode(data: &std::fs::Metadata) -> Option<u32> {
    Some(std::os::unix::fs::PermissionsExt::mode(&data.permissions()) & 0o7777)
}

#[cfg(not(unix))]
fn mode(_data: &std::fs::Metadata) -> Option<u32> {
    None
}

async fn session_list(
    context: &Context,
    session: String,
    path: &str,
) -> Result<FileListing, Failure> {
    let sftp = sftp(context, &session).await?;
    let path = sftp.real_path(&session_path(path)).await?;
    let mut entries = Vec::new();
    for name in sftp.read_dir(&path).await? {
        let mut entry = session_entry(name.name, &name.attributes);
        if entry.kind == FileKind::Symlink {
            entry.target = session_link(&sftp, &join(&path, &entry.name)).await;
        }
        entries.push(entry);
    }
    Ok(FileListing {
        location: Location::Session { session, path },
        entries,
    })
}

/// As [`link_target`].
async fn session_link(sftp: &Sftp, link: &str) -> Option<String> {
    let mut target = sftp.read_link(link).await.ok()?;
    let leads = sftp.stat(link, true).await;
    if leads.is_ok_and(|leads| leads.is_dir()) && !target.ends_with('/') {
        target.push('/');
    }
    Some(target)
}

fn session_entry(name: String, attributes: &Attributes) -> FileEntry {
    FileEntry {
        name,
        kind: match () {
            () if attributes.is_dir() => FileKind::Directory,
            () if attributes.is_symlink() => FileKind::Symlink,
            () if attributes.is_file() => FileKind::File,
            () => FileKind::Other,
        },
        size: attributes.size.unwrap_or_default(),
        modified: attributes
            .modified
            .and_then(|seconds| Timestamp::from_second(i64::from(seconds)).ok()),
        mode: attributes.permissions.map(|mode| mode & 0o7777),
        target: None,
    }
}

impl From<Entry> for FileEntry {
    fn from(entry: Entry) -> Self {
        Self {
            name: entry.name,
            kind: match entry.kind {
                EntryKind::File => FileKind::File,
                EntryKind::Directory => FileKind::Directory,
                EntryKind::Symlink => FileKind::Symlink,
            },
            size: entry.size,
            modified: time(Some(&entry.modified)),
            mode: Some(entry.mode & 0o7777),
            target: None,
        }
    }
}

pub(crate) async fn sftp(context: &Context, session: &str) -> Result<Sftp, Failure> {
    let client = context.client().await?;
    let row = find_running(&client, session).await?;
    Ok(context
        .links()
        .connect(context, &client, row.session_id)
        .await?
        .sftp()
        .await?)
}

pub(crate) async fn mkdir(context: &Context, request: FileRef) -> Result<Nothing, Failure> {
    match request.location {
        Location::Local { path } => {
            let path = local_path(&path)?;
            let made = tokio::fs::create_dir(&path).await;
            made.map_err(|error| io(&error, &path.display()))?;
        }
        Location::Session { session, path } => {
            sftp(context, &session)
                .await?
                .make_dir(&session_path(&path))
                .await?;
        }
        Location::Folder { folder, path } => {
            let client = context.client().await?;
            client
                .folder_mkdir(&folder, &inner_path(&path)?, true)
                .await?;
            context.changed(Tag::Folder, None);
        }
    }
    Ok(Nothing {})
}

pub(crate) async fn rename(context: &Context, request: FileRename) -> Result<Nothing, Failure> {
    match request.location {
        Location::Local { path } => {
            let (from, to) = (local_path(&path)?, local_path(&request.to)?);
            if to.exists() {
                let message = format!("{} is there already", to.display());
                return Err(Failure::new(FailureCode::FileExists, message));
            }
            let moved = tokio::fs::rename(&from, &to).await;
            moved.map_err(|error| io(&error, &from.display()))?;
        }
        Location::Session { session, path } => {
            let sftp = sftp(context, &session).await?;
            let (from, to) = (session_path(&path), session_path(&request.to));
            if sftp.stat(&to, false).await.is_ok() {
                let message = format!("{to} is there already");
                return Err(Failure::new(FailureCode::FileExists, message));
            }
            sftp.rename(&from, &to).await?;
        }
        Location::Folder { folder, path } => {
            let client = context.client().await?;
            let (from, to) = (inner_path(&path)?, inner_path(&request.to)?);
            client.folder_move(&folder, &from, &to).await?;
        }
    }
    Ok(Nothing {})
}

pub(crate) async fn remove(context: &Context, request: FileRemove) -> Result<Nothing, Failure> {
    for location in request.locations {
        may_be_removed(&location)?;
        match location {
            Location::Local { path } => local_remove(&path).await?,
            Location::Session { session, path } => {
                let path = session_path(&path);
                session_remove(&sftp(context, &session).await?, path).await?;
            }
            Location::Folder { folder, path } => {
                let path = inner_path(&path)?;
                let client: Client = context.client().await?;
                client.folder_delete(&folder, vec![path]).await?;
                context.changed(Tag::Folder, None);
            }
        }
    }
    Ok(Nothing {})
}

/// Homes and roots stay, whatever is asked for.
pub(crate) fn may_be_removed(location: &Location) -> Result<(), Failure> {
    let itself = match location {
        Location::Local { path } => {
            let path = local_path(path)?;
            let is_home = std::env::home_dir().as_deref() == Some(&path);
            (path.parent().is_none() || is_home).then(|| path.display().to_string())
        }
        Location::Session { path, .. } => {
            let path = session_path(path);
            let bare = path.trim_end_matches('/');
            matches!(bare, "" | SESSION_HOME).then_some(path)
        }
        Location::Folder { path, .. } if inner_path(path)?.is_empty() => {
            let message = "the root of a data folder can't be removed";
            return Err(Failure::new(FailureCode::BadPath, message)
                .hint("remove the folder itself: `gangway folder rm`"));
        }
        Location::Folder { .. } => None,
    };
    match itself {
        None => Ok(()),
        Some(path) => {
            let message = format!("{path} itself can't be removed");
            Err(Failure::new(FailureCode::BadPath, message))
        }
    }
}

async fn local_remove(path: &str) -> Result<(), Failure> {
    let path = local_path(path)?;
    let failed = |error: std::io::Error| io(&error, &path.display());
    let data = tokio::fs::symlink_metadata(&path).await.map_err(failed)?;
    if data.is_dir() {
        tokio::fs::remove_dir_all(&path).await.map_err(failed)
    } else {
        tokio::fs::remove_file(&path).await.map_err(failed)
    }
}

/// Removes a directory from the inside out; links are removed, not followed.
async fn session_remove(sftp: &Sftp, path: String) -> Result<(), Failure> {
    if !sftp.stat(&path, false).await?.is_dir() {
        return Ok(sftp.remove(&path).await?);
    }
    let mut directories = vec![path];
    let mut next = 0;
    while let Some(directory) = directories.get(next).cloned() {
        next += 1;
        for name in sftp.read_dir(&directory).await? {
            let inner = join(&directory, &name.name);
            if name.attributes.is_dir() {
                directories.push(inner);
            } else {
                sftp.remove(&inner).await?;
            }
        }
    }
    for directory in directories.iter().rev() {
        sftp.remove_dir(directory).await?;
    }
    Ok(())
}

pub(crate) async fn places(_: &Context, _: Nothing) -> Result<PlaceList, Failure> {
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    let mut places = Vec::new();
    let mut add = |name: &str, path: PathBuf| {
        if path.is_dir() {
            let location = Location::Local {
                path: path.display().to_string(),
            };
            places.push(Place {
                name: name.to_owned(),
                location,
            });
        }
    };
    if let Some(home) = home {
        add("home", home.clone());
        for name in ["Desktop", "Documents", "Downloads"] {
            add(&name.to_lowercase(), home.join(name));
        }
    }
    add("root", PathBuf::from(std::path::MAIN_SEPARATOR_STR));
    Ok(PlaceList { places })
}

/// A path of this computer: absolute, because nobody knows where a relative one starts.
pub(crate) fn local_path(path: &str) -> Result<PathBuf, Failure> {
    let path = Path::new(path);
    if !path.is_absolute() {
        let message = format!("\"{}\" is not an absolute path", path.display());
        return Err(Failure::new(FailureCode::BadPath, message));
    }
    Ok(path.components().collect())
}

/// A path in a session: what is not absolute starts at its home.
pub(crate) fn session_path(path: &str) -> String {
    match path
        .strip_prefix("~/")
        .or((path == "~").then_some(""))
        .unwrap_or(path)
    {
        "" | "." => SESSION_HOME.to_owned(),
        absolute if absolute.starts_with('/') => absolute.to_owned(),
        relative => format!("{SESSION_HOME}/{relative}"),
    }
}

/// A path in a data folder: relative to its root, which it never leaves.
pub(crate) fn inner_path(path: &str) -> Result<String, Failure> {
    let mut parts = Vec::new();
    for component in Path::new(path.trim_start_matches('/')).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                let message = format!("\"{path}\" leaves the data folder");
                return Err(Failure::new(FailureCode::BadPath, message));
            }
        }
    }
    Ok(parts.join("/"))
}

fn join(directory: &str, name: &str) -> String {
    format!("{}/{name}", directory.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folders_path_never_leaves_it() {
        assert_eq!(inner_path("/a/./b/").expect("inside"), "a/b");
        assert_eq!(inner_path("").expect("the root"), "");
        for out in ["..", "a/../..", "/../etc/passwd"] {
            assert_eq!(inner_path(out).expect_err(out).code, FailureCode::BadPath);
        }
    }

    #[test]
    fn a_sessions_path_starts_at_its_home() {
        assert_eq!(session_path("data/x"), "/home/work/data/x");
        assert_eq!(session_path("~/x"), "/home/work/x");
        assert_eq!(session_path("/tmp"), "/tmp");
        assert_eq!(session_path(""), "/home/work");
    }
}

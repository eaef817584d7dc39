//! Files of the home, for the engine. Links are followed only as far as they stay in the home.

use std::{
    collections::BTreeSet,
    fs::{self, DirEntry, File, Metadata},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use protocol::runner::{
    Fault, FaultKind, FileEntry, FileKind, OpenMode, Unsaved, UnsavedFile, launch::HOME,
};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

use super::{Session, home};

type Outcome<T> = Result<T, Fault>;

/// Does file work where it holds nobody up.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Outcome<T> + Send + 'static,
) -> Outcome<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            Err(Fault {
                kind: FaultKind::Other,
                message: error.to_string(),
            })
        })
}

/// Opens a regular file.
pub(super) fn open(path: &str, mode: OpenMode) -> Outcome<File> {
    let relative = relative(path)?;
    let home = home_directory(path)?;
    let (flags, permissions) = match mode {
        OpenMode::Read => (OFlags::RDONLY, Mode::empty()),
        OpenMode::Create => (
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC,
            Mode::from_raw_mode(0o644),
        ),
    };
    // Without NONBLOCK a pipe would hold this thread for ever.
    let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = openat2(
        &home,
        &relative,
        flags,
        permissions,
        ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
    )
    .map_err(|error| fault(path, &error.into()))?;
    let file = File::from(file);
    if !file
        .metadata()
        .map_err(|error| fault(path, &error))?
        .is_file()
    {
        return Err(invalid(format!("{path} is not a file")));
    }
    Ok(file)
}

/// Entries of a directory, by name.
pub(super) fn list(path: &str) -> Outcome<Vec<FileEntry>> {
    let directory = existing(path)?;
    let failed = |error: io::Error| fault(path, &error);
    let mut entries: Vec<FileEntry> = fs::read_dir(directory)
        .map_err(failed)?
        .filter_map(|entry| describe(&entry.ok()?))
        .collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// Makes a directory and its parents.
pub(super) fn make_directory(path: &str) -> Outcome<()> {
    let target = wanted(path)?;
    fs::create_dir_all(target).map_err(|error| fault(path, &error))
}

/// Renames; what is there already stays.
pub(super) fn rename(from: &str, to: &str) -> Outcome<()> {
    let (source, target) = (entry(from)?, wanted(to)?);
    if fs::symlink_metadata(&target).is_ok() {
        return Err(Fault {
            kind: FaultKind::Exists,
            message: format!("{to} exists already"),
        });
    }
    fs::rename(source, target).map_err(|error| fault(from, &error))
}

/// Removes a file or a directory with all in it.
pub(super) fn remove(path: &str) -> Outcome<()> {
    let target = entry(path)?;
    if target == Path::new(HOME) {
        return Err(invalid("the home itself can't be removed".to_owned()));
    }
    let failed = |error: io::Error| fault(path, &error);
    removal::remove(&target).map_err(failed)
}

/// Files that end with the session: those of the home that are in no mounted folder and were not
/// put there by the runner.
pub(super) fn unsaved(session: &Session, limit: usize) -> Unsaved {
    let mounted: BTreeSet<&Path> = session.plan.mounted.iter().map(PathBuf::as_path).collect();
    let mut found = Unsaved::default();
    let mut waiting = vec![PathBuf::from(HOME)];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if mounted.contains(path.as_path()) || session.seeded.is_untouched(&path, &metadata) {
                continue;
            }
            if metadata.is_dir() {
                waiting.push(path);
            } else if metadata.is_file() {
                if found.listed.len() >= limit {
                    found.truncated = true;
                    break;
                }
                found.files += 1;
                found.bytes += metadata.len();
                found.listed.push(UnsavedFile {
                    path: path
                        .strip_prefix(HOME)
                        .unwrap_or(&path)
                        .to_string_lossy()
                        .into_owned(),
                    size: metadata.len(),
                });
            }
        }
    }
    found
        .listed
        .sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path)));
    found
}

fn describe(entry: &DirEntry) -> Option<FileEntry> {
    let metadata: Metadata = entry.metadata().ok()?;
    let kind = if metadata.is_dir() {
        FileKind::Directory
    } else if metadata.is_file() {
        FileKind::File
    } else if metadata.is_symlink() {
        FileKind::Symlink
    } else {
        FileKind::Other
    };
    Some(FileEntry {
        name: entry.file_name().to_string_lossy().into_owned(),
        kind,
        size: metadata.len(),
        modified: metadata.mtime(),
        mode: metadata.permissions().mode() & 0o7777,
        target: fs::read_link(entry.path())
            .ok()
            .map(|target| target.to_string_lossy().into_owned()),
    })
}

fn relative(path: &str) -> Outcome<PathBuf> {
    home::inside(path).ok_or_else(|| invalid(format!("{path} is outside the home")))
}

fn home_directory(path: &str) -> Outcome<rustix::fd::OwnedFd> {
    rustix::fs::openat(
        CWD,
        HOME,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| fault(path, &error.into()))
}

/// A path that exists, with links followed; it must still be in the home.
fn existing(path: &str) -> Outcome<PathBuf> {
    let real = fs::canonicalize(Path::new(HOME).join(relative(path)?))
        .map_err(|error| fault(path, &error))?;
    if real.starts_with(HOME) {
        Ok(real)
    } else {
        Err(invalid(format!("{path} leads outside the home")))
    }
}

/// A directory entry itself, not where it leads.
fn entry(path: &str) -> Outcome<PathBuf> {
    let relative = relative(path)?;
    let Some(name) = relative.file_name() else {
        return Ok(PathBuf::from(HOME));
    };
    let parent = relative.parent().unwrap_or(Path::new(""));
    Ok(existing(&parent.to_string_lossy())?.join(name))
}

/// A path that need not exist yet; what exists of it must be in the home.
fn wanted(path: &str) -> Outcome<PathBuf> {
    let target = Path::new(HOME).join(relative(path)?);
    let present = target.ancestors().find(|ancestor| ancestor.exists());
    match present.map(fs::canonicalize) {
        Some(Ok(real)) if real.starts_with(HOME) => Ok(target),
        _ => Err(invalid(format!("{path} leads outside the home"))),
    }
}

fn invalid(message: String) -> Fault {
    Fault {
        kind: FaultKind::Invalid,
        message,
    }
}

fn fault(path: &str, error: &io::Error) -> Fault {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => FaultKind::NotFound,
        io::ErrorKind::AlreadyExists => FaultKind::Exists,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => FaultKind::Denied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FaultKind::Full,
        io::ErrorKind::CrossesDevices
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory => FaultKind::Invalid,
        _ => FaultKind::Other,
    };
    Fault {
        kind,
        message: format!("{path}: {error}"),
    }
}

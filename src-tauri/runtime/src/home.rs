//! The home that an ended kernel left. Whoever worked in it may have filled it with links: none is
//! followed, and nothing outside it is ever opened.

use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use rustix::fs::{
    AtFlags, CWD, Dir as Listing, FileType, Mode, OFlags, ResolveFlags, Stat, openat, openat2,
    readlinkat, statat,
};

use crate::{
    FaultKind, FileEntry, FileKind, Home, Owner, RuntimeError, Saved, Unsaved, UnsavedFile, began,
    control::fault, save,
};

/// What the runner puts into every home. Older than the session's first moment, it is nobody's work.
const SEEDED: &[&str] = &[
    ".bash_profile",
    ".bashrc",
    ".profile",
    ".ssh/authorized_keys",
    "id_container",
];
/// Files that are looked for when a home is saved.
const MOST_SAVED: usize = 1_000_000;

/// See the module.
#[derive(Clone)]
pub(crate) struct KeptHome {
    root: PathBuf,
    owner: Option<Owner>,
    /// Seconds since 1970 when the session first took work.
    began: i64,
}

impl KeptHome {
    /// The home of an ended kernel, when it is still there.
    /// `kernel` is the directory of all that is left of it.
    pub(crate) fn of(kernel: &Path, owner: Option<Owner>) -> Option<Arc<dyn Home>> {
        let root = kernel.join("home");
        root.is_dir().then(|| {
            Arc::new(Self {
                root,
                owner,
                began: began::at(kernel),
            }) as Arc<dyn Home>
        })
    }

    fn open(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let home = openat(
            CWD,
            &self.root,
            OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY,
            Mode::empty(),
        )?;
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        Ok(openat2(
            &home,
            path,
            flags,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
        )?)
    }

    fn file(&self, path: &Path) -> io::Result<File> {
        let file = File::from(self.open(path, OFlags::RDONLY)?);
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::Error::from(io::ErrorKind::InvalidInput))
        }
    }

    fn entries(&self, path: &Path) -> io::Result<Vec<FileEntry>> {
        let directory = self.open(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut entries = Vec::new();
        for entry in Listing::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            // It may go away between the two looks.
            let Ok(stat) = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let kind = kind(&stat);
            let target = (kind == FileKind::Symlink)
                .then(|| readlinkat(&directory, name, Vec::new()).ok())
                .flatten();
            entries.push(FileEntry {
                name: name.to_string_lossy().into_owned(),
                kind,
                size: u64::try_from(stat.st_size).unwrap_or(0),
                modified: stat.st_mtime,
                mode: stat.st_mode & 0o7777,
                target: target.map(|target| target.to_string_lossy().into_owned()),
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn left(&self, limit: usize) -> io::Result<Unsaved> {
        let mut found = Unsaved::default();
        let mut waiting = vec![PathBuf::new()];
        while let Some(directory) = waiting.pop() {
            let entries = match self.entries(&directory) {
                Ok(entries) => entries,
                // A directory that its owner has closed hides what is in it, no more.
                Err(_) if directory.components().next().is_some() => continue,
                Err(error) => return Err(error),
            };
            for entry in entries {
                let path = directory.join(&entry.name);
                match entry.kind {
                    FileKind::Directory => waiting.push(path),
                    FileKind::File if !self.is_seeded(&path, &entry) => {
                        if found.listed.len() >= limit {
                            found.truncated = true;
                            waiting.clear();
                            break;
                        }
                        found.files += 1;
                        found.bytes += entry.size;
                        found.listed.push(UnsavedFile {
                            path: path.to_string_lossy().into_owned(),
                            size: entry.size,
                        });
                    }
                    _ => {}
                }
            }
        }
        found
            .listed
            .sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path)));
        Ok(found)
    }

    fn is_seeded(&self, path: &Path, entry: &FileEntry) -> bool {
        entry.modified <= self.began && SEEDED.iter().any(|seeded| Path::new(seeded) == path)
    }

    fn save(&self, directory: &OwnedFd) -> io::Result<Saved> {
        let mut saved = Saved::default();
        for file in self.left(MOST_SAVED)?.listed {
            let source = match self.file(Path::new(&file.path)) {
                Ok(source) => source,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            saved.bytes += save::copy(&source, directory, &file.path, self.owner)?;
            saved.files += 1;
        }
        Ok(saved)
    }

    /// Does file work where it holds nobody up.
    async fn blocking<T: Send + 'static>(
        &self,
        doing: &str,
        work: impl FnOnce(Self) -> io::Result<T> + Send + 'static,
    ) -> Result<T, RuntimeError> {
        let home = self.clone();
        let done = tokio::task::spawn_blocking(move || work(home)).await;
        match done {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(failure(doing, error)),
            Err(error) => Err(fault(FaultKind::Other, &error.to_string())),
        }
    }
}

/// A path from outside, relative to the home; none when it would leave it.
fn inside(path: &str) -> Result<PathBuf, RuntimeError> {
    let home = protocol::runner::launch::HOME;
    let path = Path::new(path);
    let relative = path.strip_prefix(home).unwrap_or(path);
    let mut clean = PathBuf::new();
    for component in relative.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            _ => return Err(fault(FaultKind::Invalid, "that is outside the home")),
        }
    }
    Ok(clean)
}

fn kind(stat: &Stat) -> FileKind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        _ => FileKind::Other,
    }
}

fn failure(doing: &str, error: io::Error) -> RuntimeError {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => FaultKind::NotFound,
        io::ErrorKind::PermissionDenied => FaultKind::Denied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FaultKind::Full,
        io::ErrorKind::InvalidInput
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::CrossesDevices => FaultKind::Invalid,
        // A link where none is followed.
        _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            FaultKind::Invalid
        }
        _ => return RuntimeError::io(doing)(error),
    };
    fault(kind, &format!("{doing}: {error}"))
}

#[async_trait]
impl Home for KeptHome {
    async fn list_files(&self, path: &str) -> Result<Vec<FileEntry>, RuntimeError> {
        let path = inside(path)?;
        self.blocking("list the kept files", move |home| home.entries(&path))
            .await
    }

    async fn open_file(&self, path: &str) -> Result<tokio::fs::File, RuntimeError> {
        let path = inside(path)?;
        self.blocking("open the kept file", move |home| home.file(&path))
            .await
            .map(tokio::fs::File::from_std)
    }

    async fn unsaved(&self, limit: usize) -> Result<Unsaved, RuntimeError> {
        self.blocking("count the kept files", move |home| home.left(limit))
            .await
    }

    async fn save_unsaved(&self, directory: OwnedFd) -> Result<Saved, RuntimeError> {
        self.blocking("save the kept files", move |home| home.save(&directory))
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn home(root: &Path) -> KeptHome {
        KeptHome {
            root: root.to_owned(),
            owner: None,
            began: 0,
        }
    }

    #[test]
    fn nothing_outside_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("home");
        fs::create_dir_all(root.join("work")).unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        fs::write(root.join("work/note"), "mine").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("link")).unwrap();
        std::os::unix::fs::symlink(dir.path(), root.join("out")).unwrap();
        let home = home(&root);
        assert!(home.file(Path::new("link")).is_err());
        assert!(home.file(Path::new("out/secret")).is_err());
        assert!(home.entries(Path::new("out")).is_err());
        assert!(inside("../secret").is_err());
        let left = home.left(10).unwrap();
        assert_eq!((left.files, left.bytes), (1, 4));
        assert_eq!(left.listed[0].path, "work/note");
        let saved = dir.path().join("saved");
        fs::create_dir(&saved).unwrap();
        let opened = OwnedFd::from(File::open(&saved).unwrap());
        assert_eq!(home.save(&opened).unwrap().files, 1);
        assert_eq!(fs::read_to_string(saved.join("work/note")).unwrap(), "mine");
    }

    #[test]
    fn a_limit_ends_the_count() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let left = home(dir.path()).left(2).unwrap();
        assert!(left.truncated && left.files == 2);
    }
}

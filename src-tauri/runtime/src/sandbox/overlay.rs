//! The root of a session that has an image: the image's layers, below them nothing, above them a
//! layer of our own with the places that are mounted over, and on top what the session changes.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use protocol::runner::{Notice, NoticeCode, ids::PLACES_OF_ONE, launch::Layer};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, lgetxattr, openat, openat2};

use super::{Dir, Sandbox, identity};
use crate::{
    Changes, RuntimeError,
    image::{Dropped, OPAQUE},
};

/// What is mounted over, so that nothing of it shows in what the session changed.
const PLACES: &[&str] = &[
    "dev",
    "etc",
    "home/work",
    "proc",
    "run",
    "sys/devices/system/cpu",
    "sys/devices/system/node",
    "tmp",
];
/// Bytes of a file that is read out of an image.
const MOST_TEXT: u64 = 1 << 20;

/// Parts of an image that the session's own files are made with.
#[derive(Debug, Default)]
pub(super) struct Base {
    pub(super) passwd: String,
    pub(super) group: String,
    pub(super) has_bash: bool,
}

impl Base {
    /// Looks into layers, lowest first.
    pub(super) fn of(layers: &[PathBuf]) -> Self {
        Self {
            passwd: text(layers, "etc/passwd"),
            group: text(layers, "etc/group"),
            has_bash: ["bin/bash", "usr/bin/bash"]
                .iter()
                .any(|path| has(layers, path)),
        }
    }
}

/// Whether this computer can put an overlay over layers; why not. Tried out once.
pub(super) fn possible(sandbox: &Sandbox) -> &Result<(), String> {
    sandbox.overlay.get_or_init(|| {
        if !sandbox.config.overlay {
            return Err("it is switched off".to_owned());
        }
        let place = sandbox.config.data_dir.join("overlay-trial");
        let outcome = attempt(&sandbox.config.runner, &place);
        let _ = removal::remove(&place);
        outcome
    })
}

fn attempt(runner: &Path, place: &Path) -> Result<(), String> {
    let _ = removal::remove(place);
    let (lower, area) = (place.join("lower"), place.join("area"));
    fs::create_dir_all(&lower).map_err(|error| error.to_string())?;
    make_area(&area).map_err(|error| error.to_string())?;
    let output = Command::new(runner)
        .arg("try-overlay")
        .args([&lower, &area])
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(text
        .trim()
        .trim_start_matches("gangway-runner: ")
        .to_owned())
}

fn make_area(area: &Path) -> io::Result<()> {
    for name in ["upper", "work", "merged"] {
        fs::create_dir_all(area.join(name))?;
    }
    Ok(())
}

/// The root as layers of the sandbox's file system, and why it is read-only when it is.
pub(super) fn root(
    sandbox: &Sandbox,
    dir: &Dir,
    layers: &[PathBuf],
    etc_files: &[PathBuf],
) -> Result<(Layer, Option<String>), RuntimeError> {
    let doing = || RuntimeError::io("prepare the image");
    let target = PathBuf::from("/");
    match possible(sandbox) {
        Ok(()) => {
            let area = dir.at("area");
            // Of a session that ran before it is there, and belongs to whom it did.
            if !area.is_dir() {
                make_area(&area).map_err(doing())?;
                for path in [&area, &area.join("upper"), &area.join("work")] {
                    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(doing())?;
                    identity::give(path, sandbox.owner).map_err(doing())?;
                }
            }
            let places = match sandbox.trees.ids() {
                // The launcher gives them to root of the inside.
                Some(_) => {
                    let places = area.join(PLACES_OF_ONE);
                    super::absent_is_fine(sandbox.trees.remove(&places)).map_err(doing())?;
                    places
                }
                None => sandbox.config.data_dir.join("places"),
            };
            make_places(sandbox, &places, etc_files).map_err(doing())?;
            let lower = layers.iter().cloned().chain([places]).collect();
            let overlay = Layer::Overlay {
                lower,
                area,
                target,
            };
            Ok((overlay, None))
        }
        Err(reason) => {
            let root = dir.at("root");
            fs::create_dir(&root).map_err(doing())?;
            fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).map_err(doing())?;
            identity::give(&root, sandbox.owner).map_err(doing())?;
            for layer in layers {
                lay(layer, &root).map_err(doing())?;
            }
            super::layout::prepare_root(&root, etc_files).map_err(doing())?;
            let bind = Layer::Bind {
                source: root,
                target,
                read_only: true,
                private: true,
            };
            Ok((bind, Some(reason.clone())))
        }
    }
}

/// What its user should know of such a root.
pub(super) fn notices(dropped: Dropped, read_only: Option<String>) -> Vec<Notice> {
    let mut parts = Vec::new();
    let mut add = |count: u64, what: &str| {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    };
    add(dropped.owners, "files of other owners are yours");
    add(dropped.devices, "devices are left out");
    add(dropped.attributes, "files lost special attributes");
    let simplified = (!parts.is_empty()).then(|| {
        let text = format!("not everything of the image is kept: {}", parts.join(", "));
        (NoticeCode::ImageSimplified, text)
    });
    let read_only = read_only.map(|reason| {
        let text = format!("the files of the image can't be changed here: {reason}");
        (NoticeCode::ImageReadOnly, text)
    });
    let at = jiff::Timestamp::now().to_string();
    [read_only, simplified]
        .into_iter()
        .flatten()
        .map(|(code, message)| Notice {
            code,
            message,
            at: at.clone(),
        })
        .collect()
}

/// Where what the session changed lies.
pub(super) fn changes(dir: &Dir) -> Changes {
    let upper = dir.at("area").join("upper");
    if upper.is_dir() {
        Changes::Directory(upper)
    } else {
        Changes::None
    }
}

fn make_places(sandbox: &Sandbox, places: &Path, etc_files: &[PathBuf]) -> io::Result<()> {
    let mut path = places.to_owned();
    fs::create_dir_all(&path)?;
    identity::give(&path, sandbox.owner)?;
    for place in PLACES {
        path.clone_from(&places.to_owned());
        for part in Path::new(place) {
            path.push(part);
            if !path.is_dir() {
                fs::create_dir(&path)?;
                identity::give(&path, sandbox.owner)?;
            }
        }
    }
    for name in etc_files {
        let path = places.join("etc").join(name);
        if !path.is_file() {
            fs::write(&path, "")?;
            identity::give(&path, sandbox.owner)?;
        }
    }
    Ok(())
}

/// Puts a layer over what is in `to`, without copying files: they are shown read-only.
fn lay(layer: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(layer)? {
        let entry = entry?;
        let (from, target) = (entry.path(), to.join(entry.file_name()));
        let found = fs::symlink_metadata(&from)?;
        let there = fs::symlink_metadata(&target).ok();
        let kind = found.file_type();
        if kind.is_dir() {
            let is_directory = there.as_ref().is_some_and(fs::Metadata::is_dir);
            if there.is_some() && (!is_directory || is_opaque(&from)) {
                clear(&target)?;
            }
            if !target.is_dir() {
                fs::create_dir(&target)?;
            }
            lay(&from, &target)?;
            std::os::unix::fs::lchown(&target, Some(found.uid()), Some(found.gid()))?;
            fs::set_permissions(&target, found.permissions())?;
            continue;
        }
        if there.is_some() {
            clear(&target)?;
        }
        if kind.is_char_device() {
            continue;
        }
        if fs::hard_link(&from, &target).is_ok() {
            continue;
        }
        if kind.is_symlink() {
            symlink(fs::read_link(&from)?, &target)?;
        } else if kind.is_file() {
            fs::copy(&from, &target)?;
        } else {
            continue;
        }
        std::os::unix::fs::lchown(&target, Some(found.uid()), Some(found.gid()))?;
    }
    Ok(())
}

fn clear(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        removal::remove(path)
    } else {
        fs::remove_file(path)
    }
}

fn is_opaque(directory: &Path) -> bool {
    let mut mark = [0; 4];
    lgetxattr(directory, OPAQUE, &mut mark[..]) == Ok(1) && mark[0] == b'y'
}

/// Whether layers have a file of this name that is not deleted again.
fn has(layers: &[PathBuf], path: &str) -> bool {
    layers
        .iter()
        .rev()
        .find_map(|layer| fs::symlink_metadata(layer.join(path)).ok())
        .is_some_and(|found| !found.file_type().is_char_device())
}

/// A file of an image; empty when it has none. No link is followed.
fn text(layers: &[PathBuf], path: &str) -> String {
    let open = |layer: &PathBuf| {
        let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let layer = openat(CWD, layer, directory, Mode::empty()).ok()?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        openat2(&layer, OsStr::new(path), flags, Mode::empty(), resolve).ok()
    };
    let Some(file) = layers.iter().rev().find_map(open).map(File::from) else {
        return String::new();
    };
    let mut text = Vec::new();
    match file.metadata() {
        Ok(found) if found.is_file() => {
            let _ = file.take(MOST_TEXT).read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_laid_over_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (name, text) in [
            ("one/etc/passwd", "root:x:0:0::/:/bin/sh\n"),
            ("one/data/old", "old"),
            ("one/gone", "x"),
            ("two/data/new", "new"),
        ] {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), text).unwrap();
        }
        symlink("/etc/passwd", at("two/gone")).unwrap();
        fs::create_dir(at("root")).unwrap();
        for layer in ["one", "two"] {
            lay(&at(layer), &at("root")).unwrap();
        }
        assert_eq!(fs::read_to_string(at("root/data/old")).unwrap(), "old");
        assert_eq!(fs::read_to_string(at("root/data/new")).unwrap(), "new");
        assert!(at("root/gone").is_symlink());
        let layers = [at("one"), at("two")];
        let base = Base::of(&layers);
        assert!(base.passwd.starts_with("root:") && !base.has_bash);
        assert!(has(&layers, "gone") && !has(&layers, "nothing"));
    }
}

//! The file system of a session, layer by layer.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use protocol::runner::launch::{HOME, Layer, RUNNER_PATH};

use super::etc;
use crate::{ImageRoot, KernelSpec, Mount, RuntimeError};

/// Top directories that a mount must not cover.
const RESERVED: &[&str] = &[
    "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "root", "run", "sbin",
    "sys", "tmp", "usr", "var",
];
/// Those of them below which people's homes may lie on the host.
const HOMES: &[&str] = &["root", "tmp", "var"];
/// Programs of the host, as far as they exist.
const PROGRAMS: &[&str] = &[
    "usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "opt",
];

/// Directories of a kernel on the host.
pub(super) struct Places<'a> {
    pub(super) home: &'a Path,
    pub(super) tmp: &'a Path,
    pub(super) etc: &'a Path,
    /// Names of the files in `etc`.
    pub(super) etc_files: &'a [PathBuf],
    pub(super) runner: &'a Path,
    /// The root of a session with an image's layers.
    pub(super) root: Option<Layer>,
}

/// All layers of a kernel.
pub(super) fn layers(spec: &KernelSpec, places: &Places<'_>) -> Result<Vec<Layer>, RuntimeError> {
    let mut layers = match &spec.image {
        ImageRoot::Host => host_root(),
        ImageRoot::Directory(root) => {
            prepare_root(root, places.etc_files).map_err(RuntimeError::io("prepare the image"))?;
            vec![bind(root, "/", true)]
        }
        ImageRoot::Layers { .. } => places.root.iter().cloned().collect(),
    };
    let at = |path: &str| PathBuf::from(path);
    layers.push(Layer::Proc {
        target: at("/proc"),
    });
    layers.push(Layer::Dev { target: at("/dev") });
    layers.push(Layer::Tmpfs {
        target: at("/dev/shm"),
        size: Some(spec.limits.shmem.max(1 << 20)),
        mode: 0o1777,
    });
    for shown in ["/sys/devices/system/cpu", "/sys/devices/system/node"] {
        if Path::new(shown).is_dir() {
            layers.push(Layer::Bind {
                source: at(shown),
                target: at(shown),
                read_only: true,
                private: false,
            });
        }
    }
    layers.push(bind(places.tmp, "/tmp", false));
    layers.push(Layer::Tmpfs {
        target: at("/run"),
        size: Some(64 << 20),
        mode: 0o755,
    });
    layers.push(bind(places.runner, RUNNER_PATH, true));
    for name in places.etc_files {
        layers.push(bind(
            &places.etc.join(name),
            Path::new("/etc").join(name),
            true,
        ));
    }
    layers.push(bind(places.home, HOME, false));
    for mount in sorted(&spec.mounts)? {
        layers.push(bind(&mount.source, &mount.target, mount.read_only));
    }
    layers.push(Layer::ReadOnly { target: at("/run") });
    if spec.image == ImageRoot::Host {
        layers.push(Layer::ReadOnly { target: at("/") });
    }
    Ok(layers)
}

fn bind(source: &Path, target: impl Into<PathBuf>, read_only: bool) -> Layer {
    Layer::Bind {
        source: source.to_owned(),
        target: target.into(),
        read_only,
        private: true,
    }
}

/// The host's programs and nothing of its data.
fn host_root() -> Vec<Layer> {
    let mut layers = Vec::new();
    for name in PROGRAMS {
        let path = Path::new("/").join(name);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => {
                if let Ok(to) = fs::read_link(&path) {
                    layers.push(Layer::Link { to, target: path });
                }
            }
            Ok(found) if found.is_dir() => layers.push(Layer::Bind {
                source: path.clone(),
                target: path,
                read_only: true,
                private: false,
            }),
            _ => {}
        }
    }
    layers.extend(etc::host_layers(Path::new("/etc")));
    for name in ["/var/cache", "/var/lib", "/var/log", "/var/spool"] {
        layers.push(Layer::Directory {
            target: PathBuf::from(name),
        });
    }
    for (to, name) in [
        ("../tmp", "/var/tmp"),
        ("../run", "/var/run"),
        ("../run/lock", "/var/lock"),
    ] {
        layers.push(Layer::Link {
            to: PathBuf::from(to),
            target: PathBuf::from(name),
        });
    }
    layers
}

/// An unpacked image is shown read-only, so the places that are mounted over must be in it.
pub(super) fn prepare_root(root: &Path, etc_files: &[PathBuf]) -> io::Result<()> {
    for directory in [
        "proc",
        "dev",
        "tmp",
        "run",
        "etc",
        "home/work",
        "sys/devices/system/cpu",
        "sys/devices/system/node",
    ] {
        let path = root.join(directory);
        if !path.is_dir() {
            fs::create_dir_all(path)?;
        }
    }
    for name in etc_files {
        let path = root.join("etc").join(name);
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
            // It may lead out of the image; the session's own file lies over it anyway.
            fs::remove_file(&path)?;
        }
        if !path.exists() {
            fs::write(path, "")?;
        }
    }
    Ok(())
}

/// Mounts, outer ones first; each must have a place of its own that covers nothing of the system.
fn sorted(mounts: &[Mount]) -> Result<Vec<&Mount>, RuntimeError> {
    let mut sorted: Vec<&Mount> = mounts.iter().collect();
    sorted.sort_by_key(|mount| mount.target.components().count());
    for (number, mount) in sorted.iter().enumerate() {
        check(mount)?;
        if sorted[..number]
            .iter()
            .any(|other| other.target == mount.target)
        {
            return Err(RuntimeError::Invalid(format!(
                "two folders are to be mounted at {}",
                mount.target.display()
            )));
        }
    }
    Ok(sorted)
}

fn check(mount: &Mount) -> Result<(), RuntimeError> {
    let refuse = |why: &str| {
        Err(RuntimeError::Invalid(format!(
            "{} {why}",
            mount.target.display()
        )))
    };
    let mut components = mount.target.components();
    if components.next() != Some(Component::RootDir) {
        return refuse("is not an absolute path");
    }
    if !components
        .clone()
        .all(|component| matches!(component, Component::Normal(_)))
    {
        return refuse("must not contain . or ..");
    }
    let top = components
        .next()
        .map(|component| component.as_os_str().to_string_lossy().into_owned());
    match top {
        None => return refuse("can't be mounted over"),
        // Homes of the host may lie there. What is shown read-only where it lies anyway covers
        // nothing that a session has.
        Some(top)
            if HOMES.contains(&top.as_str()) && mount.read_only && mount.source == mount.target => {
        }
        Some(top) if RESERVED.contains(&top.as_str()) => return refuse("belongs to the system"),
        Some(_) => {}
    }
    if Path::new(HOME).starts_with(&mount.target) {
        return refuse("can't be mounted over");
    }
    let found = fs::symlink_metadata(&mount.source).map_err(|source| RuntimeError::Mount {
        path: mount.source.clone(),
        source,
    })?;
    if found.is_dir() || found.is_file() {
        Ok(())
    } else {
        Err(RuntimeError::Mount {
            path: mount.source.clone(),
            source: io::Error::other("it is neither a directory nor a file"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(target: &str) -> Mount {
        Mount {
            source: PathBuf::from("/usr"),
            target: PathBuf::from(target),
            read_only: false,
        }
    }

    #[test]
    fn mounts_cover_nothing_of_the_system() {
        for good in ["/home/work/data", "/home/work/.local", "/data/deep"] {
            assert!(check(&mount(good)).is_ok(), "{good}");
        }
        for bad in [
            "/",
            "/etc/x",
            "/usr",
            "/home/work",
            "/home",
            "relative",
            "/home/work/../x",
            "/run/gangway",
            "/proc/x",
        ] {
            assert!(check(&mount(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn homes_of_the_host_are_shown_where_they_lie_only() {
        let here = std::env::temp_dir().canonicalize().unwrap();
        let own = Mount {
            source: here.clone(),
            target: here.clone(),
            read_only: true,
        };
        assert!(check(&own).is_ok());
        let written = Mount {
            read_only: false,
            ..own.clone()
        };
        assert!(check(&written).is_err());
        let elsewhere = Mount {
            source: PathBuf::from("/usr"),
            ..own
        };
        assert!(check(&elsewhere).is_err());
    }

    #[test]
    fn outer_mounts_come_first_and_places_are_unique() {
        let mounts = [mount("/home/work/a/b"), mount("/home/work/a")];
        let sorted = sorted(&mounts).unwrap();
        assert_eq!(sorted[0].target, Path::new("/home/work/a"));
        assert!(super::sorted(&[mount("/home/work/a"), mount("/home/work/a")]).is_err());
    }
}

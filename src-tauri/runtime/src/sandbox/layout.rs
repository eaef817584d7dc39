//! The file system of a session, layer by layer.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use protocol::runner::launch::{HOME, Layer, RUNNER_PATH};

use crate::{ImageRoot, KernelSpec, RuntimeError, etc, mounts};

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
    /// Device nodes of its GPUs.
    pub(super) gpus: Vec<Layer>,
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
        ImageRoot::Container(name) => {
            return Err(RuntimeError::Invalid(format!(
                "the image {name} needs a container engine"
            )));
        }
    };
    let at = |path: &str| PathBuf::from(path);
    layers.push(Layer::Proc {
        target: at("/proc"),
    });
    layers.push(Layer::Dev { target: at("/dev") });
    layers.extend(places.gpus.iter().cloned());
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
    for mount in mounts::sorted(&spec.mounts)? {
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

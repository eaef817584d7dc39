//! The root of a session that has an image: its layers, and over them a directory for changes.
//!
//! Mounted inside the session's own user namespace, by the user that owns the files: the kernel
//! (5.11 and newer) lets everybody do that there, and nothing of it is seen outside.

use std::{
    fs::{self, File},
    io,
    os::{fd::AsRawFd, unix::fs::lchown},
    path::{Path, PathBuf},
};

use nix::mount::{MsFlags, mount};
use protocol::runner::ids::PLACES_OF_ONE;
use rustix::fs::{CWD, Mode, OFlags, openat};
use serde::{Deserialize, Serialize};

use super::{Doing, LaunchError};

/// Where in its area an overlay is mounted.
pub(super) const MERGED: &str = "merged";

/// An overlay to mount.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    /// Lowest first.
    pub(super) lower: Vec<PathBuf>,
    pub(super) area: PathBuf,
    /// Whose the root itself is, where the files have several owners.
    pub(super) root: Option<(u32, u32)>,
}

/// Mounts it; to be called in a mount namespace of its own.
pub(super) fn make(order: &Order) -> Result<(), LaunchError> {
    // Named by descriptors: short enough for any number of layers, and free of the characters
    // that mean something in the options.
    let area = directory(&order.area)?;
    if let Some((user, group)) = order.root {
        let give = |path: &Path| lchown(path, Some(user), Some(group));
        give(&order.area.join("upper"))
            .and_then(|()| give_tree(&order.area.join(PLACES_OF_ONE), &give))
            .doing("give the root to root")?;
    }
    let mut lower = Vec::new();
    for path in order.lower.iter().rev() {
        lower.push(directory(path)?);
    }
    let names: Vec<String> = lower.iter().map(named).collect();
    let options = format!(
        "lowerdir={},upperdir={area}/upper,workdir={area}/work,userxattr",
        names.join(":"),
        area = named(&area),
    );
    mount(
        Some("overlay"),
        &order.area.join(MERGED),
        Some("overlay"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Some(options.as_str()),
    )
    .doing("put the image's layers together")
}

fn give_tree(tree: &Path, give: &impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    for entry in fs::read_dir(tree)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            give_tree(&entry.path(), give)?;
        } else {
            give(&entry.path())?;
        }
    }
    give(tree)
}

fn directory(path: &Path) -> Result<File, LaunchError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty())
        .map(File::from)
        .doing(format!("open {}", path.display()))
}

fn named(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

//! Opens what a sandbox shows, so that it is bound by descriptor and nobody can put something else
//! in its place after it was looked at.

use std::{fs::File, io, path::Path};

use protocol::runner::launch::Layer;
use rustix::fs::{CWD, OFlags, ResolveFlags, openat2};

use super::{Doing, LaunchError};

/// The sources of a layout that bubblewrap binds, in its order; nothing for the other layers.
pub(super) fn open_private(layout: &[Layer]) -> Result<Vec<Option<File>>, LaunchError> {
    layout
        .iter()
        .map(|layer| match layer {
            Layer::Bind {
                source,
                private: true,
                ..
            } => open(source).map(Some),
            _ => Ok(None),
        })
        .collect()
}

/// All private sources of a layer, in its order.
pub(super) fn open_all(layer: &Layer) -> Result<Vec<File>, LaunchError> {
    match layer {
        Layer::Bind {
            source,
            private: true,
            ..
        } => Ok(vec![open(source)?]),
        Layer::Overlay { lower, area, .. } => {
            lower.iter().chain([area]).map(|path| open(path)).collect()
        }
        _ => Ok(Vec::new()),
    }
}

/// Opens one source, which is a directory or a file.
pub(super) fn open(path: &Path) -> Result<File, LaunchError> {
    // No link anywhere on the way: a session that has the folder already could put one there
    // between the engine's look and ours.
    let file = openat2(
        CWD,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
        ResolveFlags::NO_SYMLINKS,
    )
    .map_err(io::Error::from)
    .doing(format!("open {}", path.display()))?;
    let file = File::from(file);
    let kind = file.metadata().doing("look at a folder")?.file_type();
    if kind.is_dir() || kind.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("neither a directory nor a file"))
            .doing(format!("mount {}", path.display()))
    }
}

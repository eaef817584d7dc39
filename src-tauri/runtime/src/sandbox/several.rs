//! Sessions whose image's files have several owners: whether this computer has the ids for them,
//! and who gets them.

use std::{
    fs, io,
    path::PathBuf,
    sync::{Arc, PoisonError},
};

use protocol::runner::ids::IdPlan;

use super::{Sandbox, overlay};
use crate::{ImageRoot, KernelSpec, Trees, identity};

/// Trees of several owners where that works here; else all is one owner's.
pub(super) fn trees(sandbox: &Sandbox) -> Trees {
    match attempt(sandbox) {
        Ok(trees) => trees,
        Err(reason) => {
            tracing::info!(reason, "all files of an image are its session's own");
            Trees::new(sandbox.config.runner.clone(), sandbox.owner, None)
        }
    }
}

fn attempt(sandbox: &Sandbox) -> Result<Trees, String> {
    // Without it a root is put together by hand, which an ordinary user can't do with others' files.
    if sandbox.owner.is_none() {
        overlay::possible(sandbox).clone()?;
    }
    let config = &sandbox.config;
    let ids = identity::ids(&config.data_dir, sandbox.owner)?;
    let trees = Trees::new(config.runner.clone(), sandbox.owner, Some(Arc::new(ids)));
    // The programs may be there and not be allowed to do what they are for.
    let place = config.data_dir.join("ids-trial");
    let tried = fs::create_dir_all(&place)
        .and_then(|()| identity::give(&place, sandbox.owner))
        .and_then(|()| trees.own(&place, Vec::new()));
    let removed = trees.remove(&place);
    tried.and(removed).map_err(|error| error.to_string())?;
    Ok(trees)
}

/// The ids of a session; absent for one whose files are all its own.
pub(super) fn ids(sandbox: &Sandbox, spec: &KernelSpec) -> Option<IdPlan> {
    // The kernels of a cluster live in one user namespace, whatever their images are.
    let wanted = matches!(spec.image, ImageRoot::Layers { .. }) || spec.cluster.is_some();
    sandbox.trees.ids().filter(|_| wanted).map(|ids| ids.plan())
}

/// The places that are mounted over in an image, root's of the inside. Those of other files in
/// `/etc` are others: what sessions are shown stays as it is.
pub(super) fn places(sandbox: &Sandbox, etc_files: &[PathBuf]) -> io::Result<PathBuf> {
    let _alone = sandbox
        .places
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let names: Vec<_> = etc_files
        .iter()
        .map(|name| name.to_string_lossy())
        .collect();
    let data_dir = &sandbox.config.data_dir;
    let places = data_dir.join(format!("places-{}", names.join("+")));
    if places.is_dir() {
        return Ok(places);
    }
    let next = data_dir.join("places.new");
    super::absent_is_fine(sandbox.trees.remove(&next))?;
    overlay::make_places(sandbox, &next, etc_files)?;
    sandbox.trees.own(&next, Vec::new())?;
    fs::rename(next, &places)?;
    Ok(places)
}

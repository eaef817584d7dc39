//! Sessions whose image's files have several owners: whether this computer has the ids for them,
//! and who gets them.

use std::{fs, sync::Arc};

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

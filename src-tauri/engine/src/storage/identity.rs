//! Touching files as their owner.
//!
//! The engine may run as root while sessions don't. Were root to touch their files, a folder could
//! be prepared so that root does what the session may not (open a device, read a foreign hard link),
//! and new files would belong to root. So the thread takes the owner's file-system identity, which
//! Linux keeps per thread, for the length of one operation.

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use runtime::Owner;

/// While it lives, this thread touches files as the owner. Not `Send`: it belongs to its thread.
#[derive(Debug)]
pub(super) struct Acting {
    previous: Option<(Uid, Gid)>,
    thread_bound: std::marker::PhantomData<*const ()>,
}

impl Acting {
    /// Takes the identity of `owner`; with none, stays who the engine is.
    pub(super) fn as_owner(owner: Option<Owner>) -> Self {
        let previous = owner.map(|owner| {
            // The group first: once the user is no longer root, it can't be changed.
            let gid = setfsgid(Gid::from_raw(owner.gid));
            (setfsuid(Uid::from_raw(owner.uid)), gid)
        });
        Self {
            previous,
            thread_bound: std::marker::PhantomData,
        }
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        if let Some((uid, gid)) = self.previous {
            setfsuid(uid);
            setfsgid(gid);
        }
    }
}

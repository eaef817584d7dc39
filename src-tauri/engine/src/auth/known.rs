//! Callers that were read a moment ago: a client that asks often costs one look at the database
//! between two changes, not one for each request.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::Caller;

/// Keys that are kept. More than these within one change are read again each time.
const KEPT: usize = 1024;

/// See the module.
#[derive(Default)]
pub(crate) struct KnownCallers(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Of the database, when these were read ([`db::Database::generation`]).
    generation: u64,
    by_key: HashMap<String, Caller>,
}

impl KnownCallers {
    /// The owner of an access key, if they were read since the last change of the database.
    pub(super) fn get(&self, access_key: &str, generation: u64) -> Option<Caller> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (known.generation == generation)
            .then(|| known.by_key.get(access_key).cloned())
            .flatten()
    }

    /// Keeps a caller; `generation` was taken before they were read.
    pub(super) fn put(&self, caller: Caller, generation: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if generation > known.generation {
            known.generation = generation;
            known.by_key.clear();
        }
        if generation == known.generation && known.by_key.len() < KEPT {
            known
                .by_key
                .insert(caller.keypair.access_key.clone(), caller);
        }
    }
}

//! Keeps stores open between transfers: making an SSH connection costs more than a small file.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::item::{Location, Place};
use crate::store::{Places, Store, StoreError};

type Key = (String, Place);

pub(crate) struct Stores {
    local: Arc<dyn Store>,
    places: Arc<dyn Places>,
    open: Mutex<HashMap<Key, Arc<Slot>>>,
}

/// One place. The lock is held while it is opened, so that many who want it share one connection.
struct Slot(tokio::sync::Mutex<Option<Opened>>);

struct Opened {
    store: Arc<dyn Store>,
    used: Instant,
}

impl Stores {
    pub(crate) fn new(local: Arc<dyn Store>, places: Arc<dyn Places>) -> Self {
        Self {
            local,
            places,
            open: Mutex::default(),
        }
    }

    pub(crate) async fn get(
        &self,
        profile: &str,
        place: &Place,
    ) -> Result<Arc<dyn Store>, StoreError> {
        if *place == Place::Local {
            return Ok(self.local.clone());
        }
        let key = (profile.to_owned(), place.clone());
        let slot = self
            .lock()
            .entry(key)
            .or_insert_with(|| Arc::new(Slot(tokio::sync::Mutex::new(None))))
            .clone();
        let mut opened = slot.0.lock().await;
        if let Some(opened) = opened.as_mut().filter(|opened| opened.store.is_alive()) {
            opened.used = Instant::now();
            return Ok(opened.store.clone());
        }
        let store = self.places.open(profile, place).await?;
        *opened = Some(Opened {
            store: store.clone(),
            used: Instant::now(),
        });
        Ok(store)
    }

    /// The store of a place, if it is open.
    pub(crate) fn opened(&self, profile: &str, place: &Place) -> Option<Arc<dyn Store>> {
        let slot = self.slot(profile, place)?;
        let opened = slot.0.try_lock().ok()?;
        opened.as_ref().map(|opened| opened.store.clone())
    }

    /// The store of a place is of no use any more: the next who wants it opens another.
    pub(crate) fn forget(&self, profile: &str, place: &Place) {
        if let Some(slot) = self.slot(profile, place)
            && let Ok(mut opened) = slot.0.try_lock()
        {
            *opened = None;
        }
    }

    /// Where a file can be reached when `location` is gone.
    pub(crate) async fn elsewhere(&self, profile: &str, location: &Location) -> Option<Location> {
        self.places.elsewhere(profile, location).await
    }

    fn slot(&self, profile: &str, place: &Place) -> Option<Arc<Slot>> {
        let key = (profile.to_owned(), place.clone());
        self.lock().get(&key).cloned()
    }

    /// Closes what nobody holds and nobody asked for in `time`, and what is dead.
    pub(crate) async fn drop_idle(&self, time: Duration) {
        let slots: Vec<(Key, Arc<Slot>)> = self
            .lock()
            .iter()
            .map(|(key, slot)| (key.clone(), slot.clone()))
            .collect();
        for (key, slot) in slots {
            let Ok(mut opened) = slot.0.try_lock() else {
                continue;
            };
            let idle = opened.as_ref().is_none_or(|opened| {
                let unused = Arc::strong_count(&opened.store) == 1;
                !opened.store.is_alive() || (unused && opened.used.elapsed() > time)
            });
            if idle {
                *opened = None;
                // Two others hold it: this list and the table. A third is about to open it.
                if Arc::strong_count(&slot) == 2 {
                    self.lock().remove(&key);
                }
            }
        }
    }

    pub(crate) fn close(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Slot>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

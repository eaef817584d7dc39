//! An image comes from a registry. Layers come side by side, each is unpacked when it is whole.
//! A killed engine leaves whole layers and parts of others, which the next pull goes on with.

use std::{
    fs::File,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    Content, Digest, ImageError, ImageStore, Registry, manifest::Descriptor, store::blocking,
};

/// Layers that come at the same time.
const AT_ONCE: usize = 3;

/// How far a pull is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Came {
    /// Bytes that are here.
    pub bytes: u64,
    /// Bytes that there are.
    pub total: u64,
}

/// Hears how far a pull is, often.
pub type Progress = Arc<dyn Fn(Came) + Send + Sync>;

impl ImageStore {
    /// Makes sure that an image is here. `name` has no host: `project/name:tag`, or
    /// `project/name@sha256:…`.
    ///
    /// # Errors
    /// When it can't be had; what came is kept, so that the next try goes on.
    pub async fn pull(
        self: &Arc<Self>,
        registry: &Registry,
        name: &str,
        progress: Progress,
    ) -> Result<Content, ImageError> {
        let _adding = self.adding().await;
        let found = registry.find(name).await?;
        let total: u64 = found.manifest.layers.iter().map(|it| it.size).sum();
        self.budget().room(total)?;
        let came = Arc::new(AtomicU64::new(0));
        let tell: Arc<dyn Fn(u64) + Send + Sync> = Arc::new(move |more| {
            let bytes = came.fetch_add(more, Ordering::Relaxed) + more;
            progress(Came { bytes, total });
        });
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        let budget = Arc::new(Mutex::new(self.budget()));
        let mut downloads = JoinSet::new();
        for (layer, diff) in found.manifest.layers.iter().zip(&found.config.layers) {
            let (store, registry, name) = (Arc::clone(self), registry.clone(), name.to_owned());
            let (layer, diff) = (layer.clone(), diff.clone());
            let (tell, permits, budget) = (tell.clone(), permits.clone(), budget.clone());
            downloads.spawn(async move {
                let locked = store.lock(&diff).await;
                if store.mark(&diff).is_none() {
                    let permit = permits.acquire_owned().await;
                    store.download(&registry, &name, &layer, &tell).await?;
                    drop(permit);
                    let unpacked = blocking(move || {
                        let result = store.unpack_blob(&layer, &diff, &budget);
                        drop(locked);
                        result
                    });
                    return unpacked.await;
                }
                tell(layer.size);
                Ok(())
            });
        }
        while let Some(done) = downloads.join_next().await {
            done.unwrap_or_else(|error| {
                Err(ImageError::Io {
                    doing: "fetch a layer".to_owned(),
                    source: std::io::Error::other(error),
                })
            })?;
        }
        let store = Arc::clone(self);
        blocking(move || {
            let config = store.keep_text(&found.config_text)?;
            store.content(found.digest, config, found.config)
        })
        .await
    }

    async fn download(
        &self,
        registry: &Registry,
        name: &str,
        layer: &Descriptor,
        tell: &Arc<dyn Fn(u64) + Send + Sync>,
    ) -> Result<(), ImageError> {
        let blob = self.blob(&layer.digest);
        if blob.is_file() {
            tell(layer.size);
            return Ok(());
        }
        let part = self.part(&layer.digest);
        registry
            .fetch(name, layer, &part, &blob, tell.as_ref())
            .await
    }

    fn unpack_blob(
        &self,
        layer: &Descriptor,
        diff: &Digest,
        budget: &Mutex<super::budget::Budget>,
    ) -> Result<(), ImageError> {
        let path = self.blob(&layer.digest);
        let file = File::open(&path).map_err(ImageError::io("open a layer"))?;
        let added = {
            // One at a time, since they count against the same quota.
            let mut budget = budget.lock().unwrap_or_else(PoisonError::into_inner);
            self.add_layer(Some(diff), std::io::BufReader::new(file), &mut budget)
        };
        // Unpacked it is not needed any more; one that can't be unpacked is of no use.
        let full = matches!(added, Err(ImageError::DiskFull | ImageError::Io { .. }));
        if !full && let Err(error) = std::fs::remove_file(&path) {
            tracing::debug!(%error, "a fetched layer stays");
        }
        added.map(|_| ())
    }
}

//! What a session changed becomes a layer on top of the layers that it began with.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use serde_json::{Value, json};

use super::{Content, Digest, ImageError, ImageStore, manifest::Config, store::blocking};

const DOING: &str = "read what the session changed";

impl ImageStore {
    /// Makes an image of `base` and what lies in `changed`, the upper directory of a session's
    /// root. The session goes on meanwhile: a file that is written just now is taken as it is read.
    ///
    /// # Errors
    /// When it does not fit, or the base is not there any more.
    pub async fn commit(
        self: &Arc<Self>,
        base: Content,
        changed: PathBuf,
        labels: BTreeMap<String, String>,
    ) -> Result<Content, ImageError> {
        let adding = self.adding().await;
        let store = Arc::clone(self);
        blocking(move || {
            let _adding = adding;
            let mut budget = store.budget();
            let packing = store
                .trees()
                .pack(&changed)
                .map_err(ImageError::io(DOING))?;
            let (layer, _) = store.add_layer(None, packing, &mut budget)?;
            let text = std::fs::read(store.blob(&base.config))
                .map_err(ImageError::io("read the image's configuration"))?;
            let text = configuration(&text, &layer, &labels)?;
            let config = Config::parse(&text)?;
            let digest = store.keep_text(&text)?;
            store.content(digest.clone(), digest, config)
        })
        .await
    }
}

/// The base's configuration with one layer and these labels more.
fn configuration(
    base: &[u8],
    layer: &Digest,
    labels: &BTreeMap<String, String>,
) -> Result<Vec<u8>, ImageError> {
    let malformed = |error: serde_json::Error| ImageError::Malformed(error.to_string());
    let mut config: Value = serde_json::from_slice(base).map_err(malformed)?;
    let now = jiff::Timestamp::now().to_string();
    config["created"] = json!(now);
    if !config["config"].is_object() {
        config["config"] = json!({});
    }
    if !config["config"]["Labels"].is_object() {
        config["config"]["Labels"] = json!({});
    }
    for (key, value) in labels {
        config["config"]["Labels"][key] = json!(value);
    }
    let layers = config["rootfs"]["diff_ids"].as_array_mut();
    layers
        .ok_or_else(|| ImageError::Malformed("its configuration has no layers".to_owned()))?
        .push(json!(layer));
    if let Some(history) = config["history"].as_array_mut() {
        history.push(json!({ "created": now, "created_by": "gangway session commit" }));
    }
    serde_json::to_vec(&config).map_err(malformed)
}

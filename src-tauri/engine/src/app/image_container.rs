//! Images of the container engine, and the sessions that run as its containers.

use std::collections::BTreeMap;

use protocol::api::image::LABEL_RUNTIME;
use runtime::ContainerImage;
use uuid::Uuid;

use super::session::chain;
use crate::error::Problem;
use crate::state::App;
use crate::store::image::Image;
use crate::store::session::Session;
use crate::store::{self, At};

/// How the label and the resource group's option call the container runtime.
const CONTAINER: &str = "container";

/// Takes up the images that the container engine has, and drops those that it no longer has. One
/// that is not there, or does not answer, changes nothing.
pub(crate) async fn refresh(app: &App) -> Result<(), Problem> {
    let found = match app.runtime.container_images().await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(error = chain(&error), "images of the container engine");
            return Ok(());
        }
    };
    app.store
        .write(move |tx| {
            let known = store::image::list(tx)?;
            let mine = |image: &&Image| is_container(&image.labels);
            for gone in known.iter().filter(mine).filter(|image| {
                !found.iter().any(|other| {
                    other.name == image.name && other.architecture == image.architecture
                })
            }) {
                store::image::remove(tx, gone.id)?;
            }
            for image in found {
                // What the sandbox has under the same name stays the sandbox's.
                let other = store::image::find(tx, &image.name, Some(&image.architecture))?;
                if other.is_none_or(|other| is_container(&other.labels)) {
                    store::image::upsert(tx, &row(image))?;
                }
            }
            Ok(())
        })
        .await
}

/// Whether a session is to be a container: its image is one of the container engine's, or its
/// resource group has the option `"runtime": "container"`.
pub(crate) async fn is_wanted(app: &App, session: &Session) -> bool {
    let (image, architecture) = (session.image.clone(), session.architecture.clone());
    let group = session.resource_group.clone();
    let wanted = app
        .store
        .read(move |db| -> Result<_, Problem> {
            let image = store::image::find(db, &image, Some(&architecture))?;
            let group = store::resource_group::get(db, &group)?;
            Ok(image.is_some_and(|image| is_container(&image.labels))
                || group.is_some_and(|group| group.scheduler_opts["runtime"] == CONTAINER))
        })
        .await;
    wanted.unwrap_or_else(|problem| {
        tracing::warn!(%problem, session = %session.id, "which runtime");
        false
    })
}

fn is_container(labels: &BTreeMap<String, String>) -> bool {
    labels.get(LABEL_RUNTIME).map(String::as_str) == Some(CONTAINER)
}

fn row(image: ContainerImage) -> Image {
    let registry = match image.name.split_once('/') {
        Some((registry, _)) => registry.to_owned(),
        None => "local".to_owned(),
    };
    let mut labels = image.labels;
    labels.insert(LABEL_RUNTIME.to_owned(), CONTAINER.to_owned());
    Image {
        id: Uuid::now_v7(),
        name: image.name,
        architecture: image.architecture,
        registry,
        digest: image.digest,
        size_bytes: image.size,
        labels,
        created_at: At::now(),
        aliases: Vec::new(),
    }
}

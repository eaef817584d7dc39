//! Images of the container engine, and the sessions that run as its containers.

use protocol::api::image::LABEL_RUNTIME;
use runtime::image::Progress;
use runtime::{ContainerImage, ContainerImages};
use uuid::Uuid;

use super::image::{self, LABEL_CUSTOM_ID};
use super::registry::{self, LOCAL};
use super::session::{chain, runtime_problem};
use crate::error::Problem;
use crate::state::App;
use crate::store::image::Image;
use crate::store::session::Session;
use crate::store::{self, At};

/// How the label and the resource group's option call the container runtime.
const CONTAINER: &str = "container";

/// In place of a registry: images that were made of containers and are nowhere else.
const LOCALHOST: &str = "localhost";

/// Takes up the images that the container engine has, and drops those that it no longer has. One
/// that is not there, or does not answer, changes nothing.
pub(crate) async fn refresh(app: &App) -> Result<(), Problem> {
    let Some(images) = app.runtime.container_images() else {
        return Ok(());
    };
    let found = match images.list().await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(error = chain(&error), "images of the container engine");
            return Ok(());
        }
    };
    app.store
        .write(move |tx| {
            let known = store::image::list(tx)?;
            let mine = |image: &&Image| is_container(image);
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
                if other.is_none_or(|other| is_container(&other)) {
                    store::image::upsert(tx, &row(image))?;
                }
            }
            Ok(())
        })
        .await
}

/// Whether a container of an image can start at once: the container engine has it, and it is the one
/// that its registry had last.
pub(crate) async fn is_here(app: &App, image: &Image) -> Result<bool, Problem> {
    let found = engine(app)?
        .find(&image.name, manifest(image))
        .await
        .map_err(runtime_problem)?;
    Ok(found.is_some())
}

/// Lets the container engine fetch an image, with what the registry asks for.
pub(crate) async fn bring(app: &App, image: &Image, progress: Progress) -> Result<(), Problem> {
    let images = engine(app)?;
    let (registry, _) = image.name.split_once('/').unwrap_or_default();
    if [LOCAL, LOCALHOST].contains(&registry) {
        return Err(
            Problem::not_found("environment image", "image_read_not-found").msg(format!(
                "The container engine does not have {}, and no registry does: sessions of it run \
                 in resource groups without containers.",
                image.name
            )),
        );
    }
    // One that nobody has told us of may be open to all.
    let access = match registry::access_of(app, &image.name).await {
        Ok((access, _)) => Some(access),
        Err(problem) => {
            tracing::debug!(%problem, image = image.name, "asked for without a login");
            None
        }
    };
    let came = images.pull(&image.name, manifest(image), access.as_ref(), progress);
    match came.await {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = chain(&error);
            let advice = if text.contains("HTTP response to HTTPS client") {
                format!(
                    ". The container engine has to be told that {registry} speaks plain HTTP: \
                     `insecure = true` in Podman's registries.conf, `insecure-registries` in \
                     Docker's daemon.json"
                )
            } else {
                String::new()
            };
            Err(runtime_problem(error).msg(format!("{text}{advice}")))
        }
    }
}

fn engine(app: &App) -> Result<ContainerImages, Problem> {
    app.runtime.container_images().ok_or_else(|| {
        Problem::internal("Neither Docker nor Podman answered when the engine started.")
    })
}

/// By which its registry names an image; what the container engine has by itself is named by tag.
fn manifest(image: &Image) -> Option<&str> {
    let digest = Some(image.digest.as_str()).filter(|digest| !digest.is_empty());
    digest.filter(|_| !is_container(image))
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
            Ok(image.is_some_and(|image| is_container(&image))
                || group.is_some_and(|group| group.scheduler_opts["runtime"] == CONTAINER))
        })
        .await;
    wanted.unwrap_or_else(|problem| {
        tracing::warn!(%problem, session = %session.id, "which runtime");
        false
    })
}

/// Whether an image is one of the container engine's.
pub(crate) fn is_container(image: &Image) -> bool {
    image.labels.get(LABEL_RUNTIME).map(String::as_str) == Some(CONTAINER)
}

/// Whether an image was made of a container here: it goes when nobody wants it any more.
pub(crate) fn is_made_here(image: &Image) -> bool {
    is_container(image) && image.labels.contains_key(LABEL_CUSTOM_ID)
}

/// The name of an image that is made of a container of `base`.
pub(crate) fn customized_name(base: &str, project: &str, id: &str) -> String {
    let name = image::customized_name(base, project, id);
    // Without a host in front, container engines would take it for one of a public registry's.
    match name.strip_prefix(LOCAL) {
        Some(rest) => format!("{LOCALHOST}{rest}"),
        None => name,
    }
}

/// Takes forgotten images that were made of containers away from the container engine, as far as no
/// container needs them; those stay for another time.
pub(crate) async fn collect(app: &App) {
    let Some(images) = app.runtime.container_images() else {
        return;
    };
    let forgotten = app
        .store
        .read(|db| -> Result<Vec<Image>, Problem> {
            let states = store::image_state::all(db)?;
            let is_forgotten =
                |image: &Image| states.get(&image.id).is_some_and(|it| it.is_forgotten);
            let all = store::image::list(db)?.into_iter();
            Ok(all
                .filter(|it| is_made_here(it) && is_forgotten(it))
                .collect())
        })
        .await;
    let forgotten = forgotten.unwrap_or_else(|problem| {
        tracing::warn!(%problem, "images of containers that nobody needs");
        Vec::new()
    });
    for image in forgotten {
        match images.remove(&image.name).await {
            Ok(true) => {
                let id = image.id;
                let gone = app
                    .store
                    .write(move |tx| -> Result<(), Problem> { Ok(store::image::remove(tx, id)?) });
                if let Err(problem) = gone.await {
                    tracing::warn!(%problem, image = image.name, "not forgotten yet");
                }
            }
            Ok(false) => tracing::debug!(image = image.name, "a container needs it"),
            Err(error) => tracing::warn!(error = chain(&error), "an image stays"),
        }
    }
}

/// An image of the container engine, as we keep it.
pub(crate) fn row(image: ContainerImage) -> Image {
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

//! Getting images onto this computer: from their registry, or from a file of it.

use std::path::PathBuf;
use std::sync::Arc;

use protocol::api::image::{HOST_IMAGE, LABEL_RUNTIME};
use runtime::image::{Came, Content, Described, Progress};
use uuid::Uuid;

use super::background::{self, Report};
use super::image::{self, image_problem};
use super::image_state::image_state;
use super::registry::{self, LOCAL};
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;
use crate::store;
use crate::store::At;
use crate::store::image::Image;

/// Whether sessions of an image need nothing unpacked: it is this computer itself, or a container
/// engine has it.
pub(crate) fn is_elsewhere(image: &Image) -> bool {
    image.name == HOST_IMAGE || image.labels.contains_key(LABEL_RUNTIME)
}

/// What is unpacked of an image, when that is what its registry had last.
pub(crate) async fn present(app: &App, image: &Image) -> Result<Option<Content>, Problem> {
    let state = image_state(app, image.id).await?;
    let local = image.registry == LOCAL || image.digest.is_empty();
    Ok(state
        .content
        .filter(|content| local || content.digest.to_string() == image.digest)
        .filter(|content| app.images.has(content)))
}

/// Makes sure that an image is here.
pub(crate) async fn bring(
    app: &App,
    image: &Image,
    progress: Progress,
) -> Result<Content, Problem> {
    if let Some(content) = present(app, image).await? {
        return Ok(content);
    }
    if image.registry == LOCAL {
        return Err(
            Problem::not_found("environment image", "image_read_not-found").msg(format!(
                "{} was made on this computer and is not here any more.",
                image.name
            )),
        );
    }
    let (remote, name) = registry::of_image(app, &image.name).await?;
    // By its digest, when that is known: the tag may have moved on since.
    let exact = match name.rsplit_once(':') {
        Some((repository, _)) if !image.digest.is_empty() => {
            format!("{repository}@{}", image.digest)
        }
        _ => name,
    };
    let content = app
        .images
        .pull(&remote, &exact, progress)
        .await
        .map_err(image_problem)?;
    keep(app, image.id, content.clone()).await?;
    Ok(content)
}

/// Notes that an image is here.
async fn keep(app: &App, id: Uuid, content: Content) -> Result<(), Problem> {
    app.store
        .write(move |tx| -> Result<(), Problem> {
            let mut state = store::image_state::get(tx, id)?;
            state.content = Some(content);
            Ok(store::image_state::put(tx, id, &state)?)
        })
        .await
}

/// Starts to fetch images; those that are not known yet are asked for at their registry.
pub(crate) fn fetch(app: &App, caller: &Caller, references: Vec<String>) -> Uuid {
    background::start(app, caller.user_id(), move |app, report| async move {
        for reference in &references {
            let image = known(&app, reference).await?;
            if is_elsewhere(&image) {
                continue;
            }
            bring(&app, &image, told(&report, &image.name)).await?;
        }
        Ok(format!("{} is here", references.join(", ")))
    })
}

/// Says how many bytes came, in the words of a task.
fn told(report: &Report, name: &str) -> Progress {
    let (report, name) = (report.clone(), name.to_owned());
    Arc::new(move |Came { bytes, total }| {
        // More than 2^52 bytes come nowhere.
        #[allow(clippy::cast_precision_loss, reason = "see above")]
        report.step(bytes as f64, total as f64, format!("Fetching {name}"));
    })
}

async fn known(app: &App, reference: &str) -> Result<Image, Problem> {
    match image::find(app, reference, None).await {
        Ok(image) => Ok(image),
        Err(unknown) => {
            let (host, _) = reference.split_once('/').unwrap_or_default();
            if host.is_empty() || host == LOCAL {
                return Err(unknown);
            }
            let name = image::canonical(reference)?;
            let (remote, path) = registry::of_image(app, &name).await?;
            let described = remote.describe(&path).await.map_err(image_problem)?;
            note(app, &name, described).await
        }
    }
}

/// Writes down what a registry says of an image.
pub(crate) async fn note(app: &App, name: &str, described: Described) -> Result<Image, Problem> {
    let (registry, _) = name.split_once('/').unwrap_or_default();
    let image = Image {
        id: Uuid::now_v7(),
        name: name.to_owned(),
        architecture: described.architecture,
        registry: registry.to_owned(),
        digest: described.digest.to_string(),
        size_bytes: described.size_bytes,
        labels: described.labels,
        created_at: At::now(),
        aliases: Vec::new(),
    };
    put(app, image, None).await
}

/// Makes an image, or brings the one of its name up to date; it is not forgotten any more.
pub(crate) async fn put(
    app: &App,
    image: Image,
    content: Option<Content>,
) -> Result<Image, Problem> {
    app.store
        .write(move |tx| -> Result<Image, Problem> {
            store::image::upsert(tx, &image)?;
            let kept = store::image::by_name(tx, &image.name, &image.architecture)?
                .ok_or_else(|| Problem::internal("The image can't be found again."))?;
            let mut state = store::image_state::get(tx, kept.id)?;
            state.is_forgotten = false;
            state.content = content.or(state.content);
            store::image_state::put(tx, kept.id, &state)?;
            Ok(kept)
        })
        .await
}

/// Starts to take the image in a file or a folder of this computer, under `name`, or under the one
/// that it says.
pub(crate) fn import(app: &App, caller: &Caller, path: PathBuf, name: Option<String>) -> Uuid {
    background::start(app, caller.user_id(), move |app, report| async move {
        report.step(0.0, 1.0, format!("Unpacking {}", path.display()));
        let imported = app
            .images
            .import(path.clone(), name.clone())
            .await
            .map_err(image_problem)?;
        let stem = || {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let stem = name.split('.').next().unwrap_or_default();
            stem.to_ascii_lowercase()
        };
        let said = name.or(imported.name).unwrap_or_else(stem);
        let name = image::local_name(&said)?;
        let content = imported.content;
        let image = Image {
            id: Uuid::now_v7(),
            name: name.clone(),
            architecture: content.architecture.clone(),
            registry: LOCAL.to_owned(),
            digest: content.digest.to_string(),
            size_bytes: content.size_bytes,
            labels: content.labels.clone(),
            created_at: At::now(),
            aliases: Vec::new(),
        };
        put(&app, image, Some(content)).await?;
        report.step(1.0, 1.0, "");
        Ok(name)
    })
}

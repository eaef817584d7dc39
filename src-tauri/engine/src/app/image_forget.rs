//! Images that nobody wants any more.

use axum::http::StatusCode;
use protocol::api::image::HOST_IMAGE;
use uuid::Uuid;

use super::{image, image_container};
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;
use crate::store;
use crate::store::image::Image;

/// Forgets an image: no new session starts from it, and what no session shows leaves the disk. Users
/// can forget what they made themselves.
pub(crate) async fn forget(app: &App, caller: &Caller, image: Image) -> Result<Image, Problem> {
    check(caller, &image)?;
    let id = image.id;
    app.store
        .write(move |tx| -> Result<(), Problem> {
            let mut state = store::image_state::get(tx, id)?;
            state.is_forgotten = true;
            state.content = None;
            Ok(store::image_state::put(tx, id, &state)?)
        })
        .await?;
    collect(app).await;
    Ok(image)
}

/// Forgets even that an image was there.
pub(crate) async fn purge(app: &App, caller: &Caller, image: Image) -> Result<Image, Problem> {
    check(caller, &image)?;
    if image_container::is_made_here(&image)
        && let Some(images) = app.runtime.container_images()
    {
        let removed = images.remove(&image.name).await;
        if !removed.map_err(super::session::runtime_problem)? {
            return Err(Problem::invalid_params(format!(
                "Sessions run from {}: end them first.",
                image.name
            )));
        }
    }
    let id = image.id;
    app.store
        .write(move |tx| -> Result<(), Problem> { Ok(store::image::remove(tx, id)?) })
        .await?;
    collect(app).await;
    Ok(image)
}

/// Takes what is unpacked of an image off the disk; it comes again when a session needs it.
pub(crate) async fn unload(app: &App, image: &Image) -> Result<(), Problem> {
    if image.registry == super::registry::LOCAL {
        return Err(Problem::invalid_params(format!(
            "{} is nowhere else: forget it instead.",
            image.name
        )));
    }
    let id = image.id;
    app.store
        .write(move |tx| -> Result<(), Problem> {
            let mut state = store::image_state::get(tx, id)?;
            state.content = None;
            Ok(store::image_state::put(tx, id, &state)?)
        })
        .await?;
    collect(app).await;
    Ok(())
}

fn check(caller: &Caller, image: &Image) -> Result<(), Problem> {
    if image.name == HOST_IMAGE {
        return Err(Problem::forbidden(
            "The image of this computer itself can't be removed.",
        ));
    }
    if caller.is_superadmin() || image::is_owned_by(image, caller.user_id()) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "generic-forbidden",
        "User does not have permission to access this image.",
        "image_access_forbidden",
    ))
}

/// The image with this id, for who wants to forget it.
pub(crate) async fn wanted(app: &App, id: Uuid) -> Result<Image, Problem> {
    let found = app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::image::get(db, id)?) })
        .await?;
    found.ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "generic-not-found",
            "The image you are trying to delete does not exist.",
            "image_soft-delete_not-found",
        )
    })
}

/// Removes layers that no image needs and no session shows. What can't be removed now is removed
/// the next time.
pub(crate) async fn collect(app: &App) {
    image_container::collect(app).await;
    let needed = app
        .store
        .write(|tx| -> Result<_, Problem> { Ok(store::image_state::needed(tx)?) })
        .await;
    match needed {
        Ok(needed) => match app.images.collect(needed, Vec::new()).await {
            Ok(0) => {}
            Ok(bytes) => tracing::info!(bytes, "removed layers that nobody needs"),
            Err(error) => tracing::warn!(%error, "layers that nobody needs"),
        },
        Err(problem) => tracing::warn!(%problem, "layers that nobody needs"),
    }
}

//! What is known of images beyond their names.

use std::collections::HashMap;

use uuid::Uuid;

use crate::error::Problem;
use crate::state::App;
use crate::store;
pub(crate) use crate::store::image_state::ImageState;

/// Of one.
pub(crate) async fn image_state(app: &App, id: Uuid) -> Result<ImageState, Problem> {
    app.store
        .read(move |db| -> Result<_, Problem> { Ok(store::image_state::get(db, id)?) })
        .await
}

/// Of all that something is known of.
pub(crate) async fn all(app: &App) -> Result<HashMap<Uuid, ImageState>, Problem> {
    app.store
        .read(|db| -> Result<_, Problem> { Ok(store::image_state::all(db)?) })
        .await
}

//! Images over HTTP: what only this engine does with them, and sessions made into images.

use std::path::PathBuf;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use protocol::api::gangway::{ImageImport, ImagePull, TaskStarted};
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::Body;
use crate::app::{image, image_commit, image_pull, session, session_archive};
use crate::auth::{Caller, Superadmin};
use crate::error::Problem;
use crate::state::App;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/gangway/image/pull", post(pull))
        .route("/gangway/image/import", post(import))
        .route("/session/{s}/commit", get(status).post(pack))
        .route("/session/{s}/imagify", post(imagify))
}

async fn pull(
    State(app): State<App>,
    Superadmin(caller): Superadmin,
    Body(body): Body<ImagePull>,
) -> Result<Json<TaskStarted>, Problem> {
    let task_id = image_pull::fetch(&app, &caller, vec![body.reference]);
    Ok(Json(TaskStarted { task_id }))
}

async fn import(
    State(app): State<App>,
    Superadmin(caller): Superadmin,
    Body(body): Body<ImageImport>,
) -> Result<Json<TaskStarted>, Problem> {
    let path = PathBuf::from(&body.path);
    if !path.is_absolute() {
        return Err(Problem::invalid_params("path: it must be absolute."));
    }
    if let Some(name) = &body.name {
        image::local_name(name)?;
    }
    let task_id = image_pull::import(&app, &caller, path, body.name);
    Ok(Json(TaskStarted { task_id }))
}

#[derive(Deserialize)]
struct Imagify {
    image_name: String,
    #[serde(default = "user")]
    image_visibility: String,
}

fn user() -> String {
    "user".to_owned()
}

async fn imagify(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Body(body): Body<Imagify>,
) -> Result<Json<TaskStarted>, Problem> {
    let (found, kernels) = session::find(&app, &caller, &reference, None).await?;
    let task_id = image_commit::commit(
        &app,
        &found,
        &kernels,
        &body.image_name,
        &body.image_visibility,
    )
    .await?;
    Ok(Json(TaskStarted { task_id }))
}

async fn status(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Json<Value>, Problem> {
    let (found, kernels) = session::find(&app, &caller, &reference, None).await?;
    let kernel = kernels.first().map(|kernel| kernel.id);
    let status = image_commit::status(&app, &found);
    Ok(Json(json!({ "status": status, "kernel": kernel })))
}

/// Where the archive lies is chosen here: a name in the request counts for nothing.
async fn pack(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let (found, kernels) = session::find(&app, &caller, &reference, None).await?;
    let archive = session_archive::pack(&app, &found, &kernels).await?;
    let answer = json!({
        "bgtask_id": archive.task, "kernel": archive.kernel, "path": archive.path,
    });
    Ok((StatusCode::CREATED, Json(answer)))
}

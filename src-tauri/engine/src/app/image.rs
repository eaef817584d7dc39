//! What a request about an image means, and the images that a fresh engine has.

use std::collections::BTreeMap;

use db::rusqlite::Connection;
use protocol::api::image::{HOST_IMAGE, LABEL_CORECOUNT, LABEL_ROLE, LABEL_SERVICE_PORTS};
use uuid::Uuid;

use crate::error::Problem;
use crate::state::App;
use crate::store::image::Image;
use crate::store::{self, At};

/// The apps that a session on this computer can run when they are installed, with their ports.
const HOST_SERVICE_PORTS: &str =
    "jupyterlab:http:8090,jupyter:http:8091,tensorboard:http:6006,vscode:http:8180";

/// Makes the image that is this computer itself, or brings its labels up to date. At every start,
/// since an update of the engine may say more about it.
pub(crate) fn seed(db: &Connection) -> Result<(), Problem> {
    let labels = [
        ("ai.backend.kernelspec", "1"),
        (LABEL_ROLE, "COMPUTE"),
        ("ai.backend.features", "batch query uid-match user-input"),
        ("ai.backend.runtime-type", "app"),
        ("ai.backend.runtime-path", "/usr/bin/python3"),
        (LABEL_SERVICE_PORTS, HOST_SERVICE_PORTS),
        (
            LABEL_CORECOUNT,
            "OPENBLAS_NUM_THREADS,OMP_NUM_THREADS,NPROC",
        ),
        ("ai.backend.resource.min.cpu", "1"),
        ("ai.backend.resource.min.mem", "64m"),
        ("ai.backend.resource.preferred.shmem", "64m"),
    ];
    let (registry, _) = HOST_IMAGE.split_once('/').unwrap_or_default();
    let image = Image {
        id: Uuid::now_v7(),
        name: HOST_IMAGE.to_owned(),
        architecture: std::env::consts::ARCH.to_owned(),
        registry: registry.to_owned(),
        digest: String::new(),
        size_bytes: 0,
        labels: labels
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        created_at: At::now(),
        aliases: Vec::new(),
    };
    store::image::upsert(db, &image)?;
    if let Some(host) = store::image::find(db, HOST_IMAGE, None)? {
        store::image::set_alias(db, "host", host.id)?;
    }
    Ok(())
}

/// Every image.
pub(crate) async fn list(app: &App) -> Result<Vec<Image>, Problem> {
    app.store.read(|db| Ok(store::image::list(db)?)).await
}

/// The image that a name, an alias or an id means.
pub(crate) async fn find(
    app: &App,
    reference: &str,
    architecture: Option<&str>,
) -> Result<Image, Problem> {
    let wanted = reference.to_owned();
    let architecture = architecture.map(str::to_owned);
    let found = app
        .store
        .read(move |db| -> Result<_, Problem> {
            match Uuid::try_parse(&wanted) {
                Ok(id) => Ok(store::image::get(db, id)?),
                Err(_) => Ok(store::image::find(db, &wanted, architecture.as_deref())?),
            }
        })
        .await?;
    found.ok_or_else(|| {
        Problem::new(
            axum::http::StatusCode::NOT_FOUND,
            "image-not-found",
            "No such image.",
            "image_read_not-found",
        )
        .msg(format!("Unknown image reference: {reference}"))
    })
}

/// Gives an image another name.
pub(crate) async fn set_alias(app: &App, alias: String, target: &str) -> Result<(), Problem> {
    let image = find(app, target, None).await?;
    app.store
        .write(move |tx| Ok(store::image::set_alias(tx, &alias, image.id)?))
        .await
}

/// Takes another name away.
pub(crate) async fn remove_alias(app: &App, alias: String) -> Result<(), Problem> {
    let was = app
        .store
        .write({
            let alias = alias.clone();
            move |tx| -> Result<bool, Problem> { Ok(store::image::remove_alias(tx, &alias)?) }
        })
        .await?;
    if was {
        Ok(())
    } else {
        Err(Problem::invalid_params(format!(
            "There is no alias \"{alias}\"."
        )))
    }
}

/// The smallest amounts that an image asks for, by slot, as its labels write them.
pub(crate) fn minimums(image: &Image) -> BTreeMap<String, String> {
    let labelled = image.labels.iter().filter_map(|(key, value)| {
        let slot = key.strip_prefix("ai.backend.resource.min.")?;
        Some((slot.to_owned(), value.clone()))
    });
    let mut minimums: BTreeMap<String, String> = [("cpu", "1"), ("mem", "1g")]
        .map(|(slot, least)| (slot.to_owned(), least.to_owned()))
        .into();
    minimums.extend(labelled);
    minimums
}

//! What a request about an image means, and the images that a fresh engine has.

use std::collections::BTreeMap;

use db::rusqlite::Connection;
use protocol::api::image::{HOST_IMAGE, LABEL_CORECOUNT, LABEL_ROLE, LABEL_SERVICE_PORTS};
use runtime::image::ImageError;
use uuid::Uuid;

use super::registry::LOCAL;
use crate::error::Problem;
use crate::state::App;
use crate::store::domain::Domain;
use crate::store::image::Image;
use crate::store::{self, At};

/// Label: whose image it is, `user:<id>`.
pub(crate) const LABEL_OWNER: &str = "ai.backend.customized-image.owner";
/// Label: what its owner calls it.
pub(crate) const LABEL_CUSTOM_NAME: &str = "ai.backend.customized-image.name";
/// Label: the last part of its tag.
pub(crate) const LABEL_CUSTOM_ID: &str = "ai.backend.customized-image.id";

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

/// Whether a user made an image out of a session of theirs.
pub(crate) fn is_owned_by(image: &Image, user: Uuid) -> bool {
    image.labels.get(LABEL_OWNER) == Some(&format!("user:{user}"))
}

/// Whether a user may start sessions of an image: what somebody made of a session is theirs alone.
pub(crate) fn is_for(image: &Image, user: Uuid) -> bool {
    !image.labels.contains_key(LABEL_OWNER) || is_owned_by(image, user)
}

/// `host/path:tag` with nothing left out.
pub(crate) fn canonical(reference: &str) -> Result<String, Problem> {
    let refused = || Problem::invalid_params(format!("\"{reference}\" is no name of an image."));
    let (host, path) = reference.split_once('/').ok_or_else(refused)?;
    let (repository, tag) = path.rsplit_once(':').unwrap_or((path, "latest"));
    let part = |text: &str| {
        !text.is_empty()
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
    };
    let host_is_one = host
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']'));
    let whole = !host.is_empty()
        && host_is_one
        && repository.split('/').all(part)
        && repository.to_ascii_lowercase() == repository
        && part(tag)
        && reference.len() <= 255;
    whole
        .then(|| format!("{host}/{repository}:{tag}"))
        .ok_or_else(refused)
}

/// The name here of an image that comes from nowhere: what it calls itself, less the registry.
pub(crate) fn local_name(said: &str) -> Result<String, Problem> {
    let path = match said.split_once('/') {
        Some((host, rest))
            if host.contains(['.', ':']) || host == "localhost" || host == "local" =>
        {
            rest
        }
        _ => said,
    };
    canonical(&format!("local/{path}"))
}

/// The name of an image that is made of a session of `base`.
pub(crate) fn customized_name(base: &str, project: &str, id: &str) -> String {
    let (path, tag) = base.rsplit_once(':').unwrap_or((base, "latest"));
    let name = path.rsplit('/').next().unwrap_or(path);
    let parts: Vec<&str> = tag
        .split('-')
        .filter(|part| !part.starts_with("customized_"))
        .collect();
    let project = project.to_ascii_lowercase().replace([' ', '@'], "-");
    format!("local/{project}/{name}:{}-customized_{id}", parts.join("-"))
}

/// What is wrong with an image, in the words of the API.
pub(crate) fn image_problem(error: ImageError) -> Problem {
    let text = super::session::chain(&error);
    match error {
        ImageError::NotFound(_) => {
            Problem::not_found("environment image", "image_read_not-found").msg(text)
        }
        ImageError::DiskFull => Problem::new(
            axum::http::StatusCode::INSUFFICIENT_STORAGE,
            "insufficient-storage",
            "The disk is full.",
            "backendai_generic_unavailable",
        )
        .msg(text),
        ImageError::Unauthorized(_) | ImageError::Unreachable(_) | ImageError::Registry(_) => {
            Problem::new(
                axum::http::StatusCode::SERVICE_UNAVAILABLE,
                "service-unavailable",
                "Serivce unavailable.",
                "backendai_generic_unavailable",
            )
            .msg(text)
        }
        ImageError::Io { .. } => Problem::internal(text),
        ImageError::Reference(_)
        | ImageError::Digest(_)
        | ImageError::Malformed(_)
        | ImageError::Platform(_)
        | ImageError::TooLarge(_) => Problem::invalid_params(text),
    }
}

/// Whether a domain's sessions may use an image: what this computer has by itself is of no registry.
pub(crate) fn is_allowed(image: &Image, domain: &Domain) -> bool {
    let allowed = &domain.allowed_docker_registries;
    image.registry == LOCAL
        || super::image_pull::is_elsewhere(image)
        || allowed.contains(&image.registry)
}

/// Changes labels of an image for good; no value: back to the image's own.
pub(crate) async fn override_labels(
    app: &App,
    image: &Image,
    changes: BTreeMap<String, Option<String>>,
) -> Result<(), Problem> {
    let id = image.id;
    app.store
        .write(move |tx| -> Result<(), Problem> {
            let mut state = store::image_state::get(tx, id)?;
            for (key, value) in changes {
                match value {
                    Some(value) => state.overrides.insert(key, value),
                    None => state.overrides.remove(&key),
                };
            }
            Ok(store::image_state::put(tx, id, &state)?)
        })
        .await
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_and_harmless() {
        assert_eq!(
            canonical("127.0.0.1:5000/lab/base").ok().as_deref(),
            Some("127.0.0.1:5000/lab/base:latest")
        );
        for bad in [
            "",
            "base",
            "host/",
            "host/../x:1",
            "host/a/.:1",
            "host/A:1",
            "host/a:b c",
            "h st/a",
        ] {
            assert!(canonical(bad).is_err(), "{bad}");
        }
        let local = |text| local_name(text).ok();
        assert_eq!(
            local("quay.io/lab/base:1").as_deref(),
            Some("local/lab/base:1")
        );
        assert_eq!(local("lab/base:1").as_deref(), Some("local/lab/base:1"));
        assert_eq!(local("base").as_deref(), Some("local/base:latest"));
    }

    #[test]
    fn a_commit_of_a_commit_has_one_id() {
        let one = customized_name("cr.example/stable/python:3.9-ubuntu20.04", "Lab", "aa");
        assert_eq!(one, "local/lab/python:3.9-ubuntu20.04-customized_aa");
        assert_eq!(
            customized_name(&one, "Lab", "bb"),
            "local/lab/python:3.9-ubuntu20.04-customized_bb"
        );
    }
}

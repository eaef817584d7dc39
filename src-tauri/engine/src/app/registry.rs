//! Registries that images come from: who may change them, and how they are reached.

use axum::http::StatusCode;
use runtime::image::{Registry as Remote, RegistryAccess};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::image::image_problem;
use crate::error::Problem;
use crate::state::App;
use crate::store;
use crate::store::registry::Registry;

/// The name of what needs no registry: images that were made or imported here.
pub(crate) const LOCAL: &str = "local";

/// Kinds of registries, all of which speak the distribution protocol.
const KINDS: [&str; 10] = [
    "docker",
    "harbor",
    "harbor2",
    "github",
    "gitlab",
    "ecr",
    "ecr-public",
    "ocp",
    "quay",
    "local",
];

/// What a request says of a registry; what it leaves out stays as it is.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Change {
    pub(crate) url: Option<String>,
    pub(crate) registry_name: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) project: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) ssl_verify: Option<bool>,
    pub(crate) is_global: Option<bool>,
    pub(crate) extra: Option<Value>,
}

/// All of them.
pub(crate) async fn list(app: &App) -> Result<Vec<Registry>, Problem> {
    app.store
        .read(|db| -> Result<_, Problem> { Ok(store::registry::list(db)?) })
        .await
}

/// The registry with this id.
pub(crate) async fn get(app: &App, id: Uuid) -> Result<Registry, Problem> {
    list(app)
        .await?
        .into_iter()
        .find(|registry| registry.id == id)
        .ok_or_else(not_found)
}

/// Adds one. Whoever adds it means it to be used: every domain may have its images, until an
/// administrator takes it from the domain's list.
pub(crate) async fn add(app: &App, change: Change) -> Result<Registry, Problem> {
    let registry = Registry {
        id: Uuid::now_v7(),
        url: String::new(),
        name: String::new(),
        kind: "docker".into(),
        project: String::new(),
        username: String::new(),
        password: String::new(),
        ssl_verify: true,
        is_global: true,
        extra: json!({}),
    };
    save(app, registry, change).await
}

/// Changes one.
pub(crate) async fn modify(app: &App, id: Uuid, change: Change) -> Result<Registry, Problem> {
    save(app, get(app, id).await?, change).await
}

/// Forgets one; its images stay.
pub(crate) async fn remove(app: &App, id: Uuid) -> Result<Registry, Problem> {
    let registry = get(app, id).await?;
    app.store
        .write(move |tx| -> Result<bool, Problem> { Ok(store::registry::remove(tx, id)?) })
        .await?;
    Ok(registry)
}

async fn save(app: &App, mut registry: Registry, change: Change) -> Result<Registry, Problem> {
    fn set<T>(field: &mut T, value: Option<T>) {
        if let Some(value) = value {
            *field = value;
        }
    }
    set(&mut registry.url, change.url);
    set(&mut registry.name, change.registry_name);
    set(&mut registry.kind, change.kind);
    set(&mut registry.project, change.project);
    set(&mut registry.username, change.username);
    set(&mut registry.password, change.password);
    set(&mut registry.ssl_verify, change.ssl_verify);
    set(&mut registry.is_global, change.is_global);
    set(&mut registry.extra, change.extra);
    check(&mut registry)?;
    let saved = registry.clone();
    app.store
        .write(move |tx| -> Result<(), Problem> {
            let known = store::registry::list(tx)?;
            let is_new = !known.iter().any(|other| other.name == saved.name);
            let clash = known.into_iter().any(|other| {
                other.id != saved.id && other.name == saved.name && other.project == saved.project
            });
            if clash {
                return Err(Problem::invalid_params(format!(
                    "The registry {} with this project is there already.",
                    saved.name
                )));
            }
            if is_new {
                store::domain::allow_registry(tx, &saved.name)?;
            }
            Ok(store::registry::put(tx, &saved)?)
        })
        .await?;
    Ok(registry)
}

fn check(registry: &mut Registry) -> Result<(), Problem> {
    if !KINDS.contains(&registry.kind.as_str()) {
        return Err(Problem::invalid_params(format!(
            "type: {} is none of {}.",
            registry.kind,
            KINDS.join(", ")
        )));
    }
    if !registry.url.contains("://") {
        registry.url = format!("https://{}", registry.url);
    }
    registry.url = registry.url.trim_end_matches('/').to_owned();
    if registry.url.contains('@') {
        return Err(Problem::invalid_params(
            "url: user and password have fields of their own.",
        ));
    }
    let host = access(registry).host().to_owned();
    if registry.name.is_empty() {
        registry.name.clone_from(&host);
    }
    if host.is_empty() || registry.name != host || registry.name == LOCAL {
        return Err(Problem::invalid_params(
            "registry_name: it must be the host (and port) of the address.",
        ));
    }
    // Its client says whether it is an address.
    Remote::new(&access(registry)).map_err(image_problem)?;
    Ok(())
}

/// How to reach a registry.
pub(crate) fn access(registry: &Registry) -> RegistryAccess {
    RegistryAccess {
        url: registry.url.clone(),
        username: registry.username.clone(),
        password: registry.password.clone(),
        verify_tls: registry.ssl_verify,
    }
}

/// The registry that an image comes from, and the image's name there.
pub(crate) async fn of_image(app: &App, image: &str) -> Result<(Remote, String), Problem> {
    let (access, name) = access_of(app, image).await?;
    let remote = Remote::new(&access).map_err(image_problem)?;
    Ok((remote, name))
}

/// How to reach the registry that an image comes from, and the image's name there.
pub(crate) async fn access_of(app: &App, image: &str) -> Result<(RegistryAccess, String), Problem> {
    let (host, name) = image.split_once('/').ok_or_else(not_found)?;
    let known: Vec<Registry> = list(app)
        .await?
        .into_iter()
        .filter(|registry| registry.name == host)
        .collect();
    let fits = |registry: &&Registry| {
        name.strip_prefix(&registry.project)
            .is_some_and(|rest| registry.project.is_empty() || rest.starts_with('/'))
    };
    let registry = known.iter().find(fits).or(known.first()).ok_or_else(|| {
        not_found().msg(format!(
            "The registry {host} is not known here: an administrator can add it."
        ))
    })?;
    Ok((access(registry), name.to_owned()))
}

fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "object-not-found",
        "No such registry for image.",
        "container-registry_read_not-found",
    )
}

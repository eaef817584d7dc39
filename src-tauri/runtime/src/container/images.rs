//! Images that the container engine has.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bollard::{
    errors::Error,
    models::ImageInspect,
    query_parameters::{ListImagesOptions, ListImagesOptionsBuilder, RemoveImageOptionsBuilder},
};
use tokio::sync::RwLock;

use super::{
    api::{Api, failed, is_missing},
    commit,
    pull::pull,
};
use crate::{
    RuntimeError,
    image::{Progress, RegistryAccess},
};

/// An image of the container engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerImage {
    /// `registry/project/name:tag`, as the engine spells it.
    pub name: String,
    /// `x86_64`, `aarch64`.
    pub architecture: String,
    /// Of its configuration (`sha256:…`).
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// What a running container is to become.
#[derive(Clone, Debug)]
pub struct ContainerCommit {
    /// Name of the container.
    pub container: String,
    /// Name of the image, `host/project/name:tag`; an image that has it loses it.
    pub name: String,
    /// Labels besides those of the container's own image.
    pub labels: BTreeMap<String, String>,
}

/// The images of a container engine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ContainerImages {
    api: Api,
    /// Held by who makes an image that has no name yet, and by who removes those without.
    nameless: Arc<RwLock<()>>,
}

impl ContainerImages {
    pub(super) fn new(api: Api) -> Self {
        Self {
            api,
            nameless: Arc::default(),
        }
    }

    /// All that have a name.
    ///
    /// # Errors
    /// [`RuntimeError::Container`], as for everything here.
    pub async fn list(&self) -> Result<Vec<ContainerImage>, RuntimeError> {
        let docker = self.api.connect().await?.docker;
        let summaries = docker
            .list_images(None::<ListImagesOptions>)
            .await
            .map_err(failed("list its images"))?;
        let mut images = Vec::new();
        for summary in summaries {
            let names: Vec<String> = summary
                .repo_tags
                .into_iter()
                .filter(|name| !name.contains("<none>"))
                .collect();
            if names.is_empty() {
                continue;
            }
            // It may have gone away since it was listed.
            if let Some(found) = inspect(&self.api, &summary.id).await? {
                images.extend(names.into_iter().map(|name| described(name, found.clone())));
            }
        }
        Ok(images)
    }

    /// The image of this name, when it is there; with `digest` only when it is the one of this
    /// manifest.
    ///
    /// # Errors
    /// See [`ContainerImages::list`].
    pub async fn find(
        &self,
        name: &str,
        digest: Option<&str>,
    ) -> Result<Option<ContainerImage>, RuntimeError> {
        let found = inspect(&self.api, name).await?;
        let fits = |found: &ImageInspect| {
            digest.is_none_or(|digest| {
                let known = found.repo_digests.iter().flatten();
                let mut known = known.filter_map(|name| name.split_once('@'));
                known.any(|(_, one)| one == digest)
            })
        };
        Ok(found
            .filter(fits)
            .map(|found| described(name.to_owned(), found)))
    }

    /// Lets the container engine fetch `name` from its registry: the manifest `digest`, or what the
    /// tag stands for. Where `access` has a user, the container engine logs in as that one.
    ///
    /// # Errors
    /// With the container engine's words, when it can't.
    pub async fn pull(
        &self,
        name: &str,
        digest: Option<&str>,
        access: Option<&RegistryAccess>,
        progress: Progress,
    ) -> Result<ContainerImage, RuntimeError> {
        let _nameless = self.nameless.read().await;
        pull(&self.api, name, digest, access, progress).await?;
        let found = self.find(name, None).await?;
        found.ok_or_else(|| RuntimeError::Container {
            doing: format!("pull the image {name}"),
            source: "it is not there although it came".into(),
        })
    }

    /// Makes an image of a running container, which goes on meanwhile.
    ///
    /// # Errors
    /// With the container engine's words, when it can't.
    pub async fn commit(&self, order: &ContainerCommit) -> Result<ContainerImage, RuntimeError> {
        let _nameless = self.nameless.read().await;
        let id = commit::commit(&self.api, order).await?;
        commit::name(&self.api, &id, &order.name).await?;
        let found = self.find(&order.name, None).await?;
        found.ok_or_else(|| RuntimeError::Container {
            doing: format!("make the image {}", order.name),
            source: "it was taken away at once".into(),
        })
    }

    /// Takes an image away from the container engine; none is as good. `false` when a container
    /// is made of it: then it stays.
    ///
    /// # Errors
    /// See [`ContainerImages::list`].
    pub async fn remove(&self, name: &str) -> Result<bool, RuntimeError> {
        // Forced, Podman would end the containers that are made of it.
        let options = RemoveImageOptionsBuilder::default().force(false).build();
        let docker = self.api.connect().await?.docker;
        match docker.remove_image(name, Some(options), None).await {
            Ok(_) => Ok(true),
            Err(error) if is_missing(&error) => Ok(true),
            Err(Error::DockerResponseServerError {
                status_code: 409, ..
            }) => Ok(false),
            Err(error) => Err(failed(format!("remove the image {name}"))(error)),
        }
    }

    /// Removes what [`ContainerImages::commit`] made and nobody can name any more: images that were
    /// replaced, and those whose making was broken off. Does nothing while one is being made.
    ///
    /// # Errors
    /// See [`ContainerImages::list`].
    pub async fn tidy(&self) -> Result<(), RuntimeError> {
        let Ok(_alone) = self.nameless.try_write() else {
            return Ok(());
        };
        let docker = self.api.connect().await?.docker;
        let filters = HashMap::from([
            ("dangling", vec!["true".to_owned()]),
            ("label", vec![self.api.commit_label()]),
        ]);
        let options = ListImagesOptionsBuilder::default()
            .filters(&filters)
            .build();
        let nameless = docker
            .list_images(Some(options))
            .await
            .map_err(failed("list its images"))?;
        for image in nameless {
            self.remove(&image.id).await?;
        }
        Ok(())
    }
}

/// None when there is no such image.
pub(super) async fn inspect(api: &Api, name: &str) -> Result<Option<ImageInspect>, RuntimeError> {
    let docker = api.connect().await?.docker;
    match docker.inspect_image(name).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(failed(format!("describe the image {name}"))(error)),
    }
}

fn described(name: String, found: ImageInspect) -> ContainerImage {
    let id = found.id.unwrap_or_default();
    let labels = found.config.and_then(|config| config.labels);
    ContainerImage {
        name,
        architecture: spelled(&found.architecture.unwrap_or_default()),
        digest: match id.split_once(':') {
            Some(_) => id,
            None => format!("sha256:{id}"),
        },
        size: u64::try_from(found.size.unwrap_or_default()).unwrap_or(0),
        // Those that are empty say nothing, or took others back.
        labels: labels
            .unwrap_or_default()
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect(),
    }
}

/// As the manager API spells it.
fn spelled(architecture: &str) -> String {
    match architecture {
        "amd64" => "x86_64".to_owned(),
        "arm64" => "aarch64".to_owned(),
        other => other.to_owned(),
    }
}

/// The environment that an image asks for.
pub(super) async fn environ(
    api: &Api,
    image: &str,
) -> Result<BTreeMap<String, String>, RuntimeError> {
    let found = inspect(api, image)
        .await?
        .ok_or_else(|| RuntimeError::Container {
            doing: format!("start the image {image}"),
            source: "it does not have it".into(),
        })?;
    let variables = found.config.and_then(|config| config.env);
    Ok(variables
        .unwrap_or_default()
        .iter()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

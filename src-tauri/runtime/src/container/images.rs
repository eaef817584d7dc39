//! Images that the container engine has.

use std::collections::BTreeMap;

use bollard::query_parameters::{CreateImageOptionsBuilder, ListImagesOptions};
use futures_util::TryStreamExt;

use super::api::{Api, failed, is_missing};
use crate::RuntimeError;

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

/// All that have a name.
pub(super) async fn list(api: &Api) -> Result<Vec<ContainerImage>, RuntimeError> {
    let docker = api.connect().await?.docker;
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
        let found = match docker.inspect_image(&summary.id).await {
            Ok(found) => found,
            // It went away since it was listed.
            Err(error) if is_missing(&error) => continue,
            Err(error) => return Err(failed("describe an image")(error)),
        };
        let architecture = spelled(&found.architecture.unwrap_or_default());
        images.extend(names.into_iter().map(|name| ContainerImage {
            name,
            architecture: architecture.clone(),
            digest: summary.id.clone(),
            size: u64::try_from(summary.size).unwrap_or(0),
            labels: summary.labels.clone().into_iter().collect(),
        }));
    }
    Ok(images)
}

/// As the manager API spells it.
fn spelled(architecture: &str) -> String {
    match architecture {
        "amd64" => "x86_64".to_owned(),
        "arm64" => "aarch64".to_owned(),
        other => other.to_owned(),
    }
}

/// The environment that an image asks for. An image that is not there is pulled first.
pub(super) async fn environ(
    api: &Api,
    image: &str,
) -> Result<BTreeMap<String, String>, RuntimeError> {
    let docker = api.connect().await?.docker;
    let found = match docker.inspect_image(image).await {
        Err(error) if is_missing(&error) => {
            let options = CreateImageOptionsBuilder::default()
                .from_image(image)
                .build();
            let pulled = docker.create_image(Some(options), None, None);
            let parts: Vec<_> = pulled
                .try_collect()
                .await
                .map_err(failed(format!("pull the image {image}")))?;
            // Podman tells a failure in the middle of a success.
            let refused = parts
                .into_iter()
                .filter_map(|part| part.error_detail?.message)
                .next_back();
            docker.inspect_image(image).await.map_err(|error| {
                let source = refused.map_or_else(|| error.into(), Into::into);
                RuntimeError::Container {
                    doing: format!("pull the image {image}"),
                    source,
                }
            })?
        }
        other => other.map_err(failed(format!("describe the image {image}")))?,
    };
    let variables = found.config.and_then(|config| config.env);
    Ok(variables
        .unwrap_or_default()
        .iter()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

//! Images.

use protocol::api::image::LABEL_SERVICE_PORTS;
use protocol::service_port::{ServicePort, parse_label};
use serde::Deserialize;
use serde_json::json;

use crate::graphql::null_is_empty;
use crate::{Client, Error};

/// An image, as GraphQL tells it.
#[derive(Debug, Clone, Deserialize)]
pub struct ImageRow {
    /// Repository name, with the project.
    pub name: Option<String>,
    /// For people.
    pub humanized_name: Option<String>,
    /// Its tag.
    pub tag: Option<String>,
    /// Host of its registry.
    pub registry: Option<String>,
    /// `x86_64`, `aarch64`.
    pub architecture: Option<String>,
    /// Digest of its manifest.
    pub digest: Option<String>,
    /// On disk.
    pub size_bytes: Option<u64>,
    /// Whether an agent has it.
    pub installed: Option<bool>,
    /// Its labels.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub labels: Vec<Label>,
    /// Least and most of each slot.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub resource_limits: Vec<ResourceLimit>,
}

/// A label of an image.
#[derive(Debug, Clone, Deserialize)]
pub struct Label {
    /// Its name.
    pub key: String,
    /// Its text.
    pub value: Option<String>,
}

/// What an image needs of one slot.
#[derive(Debug, Clone, Deserialize)]
pub struct ResourceLimit {
    /// The slot.
    pub key: String,
    /// The least.
    pub min: Option<String>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(deserialize_with = "null_is_empty")]
    images: Vec<ImageRow>,
}

impl Client {
    /// All images that the account may start.
    ///
    /// # Errors
    /// When the manager refuses or can't be reached.
    pub async fn images(&self) -> Result<Vec<ImageRow>, Error> {
        const QUERY: &str = "query { images { name humanized_name tag registry architecture \
            digest size_bytes installed labels { key value } \
            resource_limits { key min } } }";
        let data: Data = self.query(QUERY, json!({})).await?;
        Ok(data.images)
    }
}

impl ImageRow {
    /// `registry/name:tag`, as sessions are launched with.
    #[must_use]
    pub fn canonical(&self) -> String {
        let part = |text: &Option<String>| text.clone().unwrap_or_default();
        format!(
            "{}/{}:{}",
            part(&self.registry),
            part(&self.name),
            part(&self.tag)
        )
    }

    /// The text of a label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels
            .iter()
            .find(|label| label.key == key)?
            .value
            .as_deref()
    }

    /// The apps that it brings; none when its label makes no sense.
    #[must_use]
    pub fn service_ports(&self) -> Vec<ServicePort> {
        self.label(LABEL_SERVICE_PORTS)
            .and_then(|label| parse_label(label).ok())
            .unwrap_or_default()
    }

    /// The least of a slot, as written.
    #[must_use]
    pub fn minimum(&self, slot: &str) -> Option<&str> {
        self.resource_limits
            .iter()
            .find(|limit| limit.key == slot)?
            .min
            .as_deref()
    }
}

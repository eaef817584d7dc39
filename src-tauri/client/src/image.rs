//! Images.

use protocol::api::image::LABEL_SERVICE_PORTS;
use protocol::service_port::{ServicePort, parse_label};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use protocol::api::gangway::{ImageImport, ImagePull, TaskStarted, capability};

use crate::call::Call;
use crate::graphql::null_is_empty;
use crate::{Client, Error};

/// An image, as GraphQL tells it.
#[derive(Debug, Clone, Deserialize)]
pub struct ImageRow {
    /// Its id.
    #[serde(default)]
    pub id: Option<Uuid>,
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

/// What most mutations answer.
#[derive(Default, Deserialize)]
struct Changed {
    #[serde(default)]
    ok: bool,
    #[serde(default)]
    msg: Option<String>,
    #[serde(default)]
    task_id: Option<Uuid>,
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
        const QUERY: &str = "query { images { id name humanized_name tag registry architecture \
            digest size_bytes installed labels { key value } \
            resource_limits { key min } } }";
        let data: Data = self.query(QUERY, json!({})).await?;
        Ok(data.images)
    }

    /// Starts to fetch an image onto the engine's computer; gives the task.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the manager is not our engine.
    pub async fn pull_image(&self, reference: &str) -> Result<Uuid, Error> {
        self.require(capability::IMAGES).await?;
        let body = ImagePull {
            reference: reference.to_owned(),
        };
        let call = Call::post(&["gangway", "image", "pull"])
            .json(&body)?
            .works();
        let started: TaskStarted = self.json(call).await?;
        Ok(started.task_id)
    }

    /// Starts to take the image in a file or a folder of the engine's computer; gives the task.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the manager is not our engine.
    pub async fn import_image(&self, body: &ImageImport) -> Result<Uuid, Error> {
        self.require(capability::IMAGES).await?;
        let call = Call::post(&["gangway", "image", "import"])
            .json(body)?
            .works();
        let started: TaskStarted = self.json(call).await?;
        Ok(started.task_id)
    }

    /// Starts to read which images a registry has, or all registries; gives the task.
    ///
    /// # Errors
    /// When the manager refuses or can't be reached.
    pub async fn rescan_images(&self, registry: Option<&str>) -> Result<Uuid, Error> {
        const QUERY: &str = "mutation($registry: String) { \
            rescan_images(registry: $registry) { ok msg task_id } }";
        let answer = self.change(QUERY, json!({ "registry": registry })).await?;
        answer.task_id.ok_or_else(|| {
            use serde::de::Error as _;
            Error::answer("a rescan", serde_json::Error::custom("there is no task"))
        })
    }

    /// Gives an image another name; without an image the name is taken away.
    ///
    /// # Errors
    /// When the manager refuses or can't be reached.
    pub async fn alias_image(&self, alias: &str, image: Option<&str>) -> Result<(), Error> {
        const ADD: &str = "mutation($alias: String!, $target: String!) { \
            alias_image(alias: $alias, target: $target) { ok msg } }";
        const REMOVE: &str =
            "mutation($alias: String!) { dealias_image(alias: $alias) { ok msg } }";
        match image {
            Some(image) => {
                let variables = json!({ "alias": alias, "target": image });
                self.change(ADD, variables).await?;
            }
            None => {
                self.change(REMOVE, json!({ "alias": alias })).await?;
            }
        }
        Ok(())
    }

    /// Forgets an image: no new session starts from it.
    ///
    /// # Errors
    /// When the manager refuses or can't be reached.
    pub async fn forget_image(&self, id: Uuid) -> Result<(), Error> {
        const QUERY: &str =
            "mutation($id: String!) { forget_image_by_id(image_id: $id) { ok msg } }";
        self.change(QUERY, json!({ "id": id })).await?;
        Ok(())
    }

    /// Starts to save a running session as an image of its owner's; gives the task.
    ///
    /// # Errors
    /// When the manager refuses or can't be reached.
    pub async fn commit_session(&self, session: &str, name: &str) -> Result<Uuid, Error> {
        let body = json!({ "image_name": name, "image_visibility": "user" });
        let call = Call::post(&["session", session, "imagify"])
            .json(&body)?
            .works();
        let started: TaskStarted = self.json(call).await?;
        Ok(started.task_id)
    }

    /// A mutation that answers `{ok, msg}`, refused in the same words as anything else.
    async fn change(&self, query: &str, variables: Value) -> Result<Changed, Error> {
        let data: std::collections::BTreeMap<String, Changed> =
            self.query(query, variables).await?;
        let answer = data.into_values().next().unwrap_or_default();
        if answer.ok {
            return Ok(answer);
        }
        let body = json!({ "type": "https://api.backend.ai/probs/graphql-error",
            "title": "GraphQL-generated error.", "msg": answer.msg });
        Err(crate::answer::refused(400, body.to_string().as_bytes()))
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

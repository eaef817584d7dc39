//! Images and the labels that say what is in them (protocol page "Image labels").

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The label of the service ports, see [`crate::service_port::parse_label`].
pub const LABEL_SERVICE_PORTS: &str = "ai.backend.service-ports";
/// The label of what an image is for: `COMPUTE`, `INFERENCE`, `SYSTEM`.
pub const LABEL_ROLE: &str = "ai.backend.role";
/// Variables that are set to the number of cores.
pub const LABEL_CORECOUNT: &str = "ai.backend.envs.corecount";
/// Label of an image that a container engine of this computer has: `container`.
pub const LABEL_RUNTIME: &str = "ai.gangway.runtime";
/// The image that is this computer itself, offered by the bundled engine.
pub const HOST_IMAGE: &str = "local/host:latest";

/// A registry that images come from (`GET /container-registries/`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// Names it.
    pub id: Uuid,
    /// `https://host:port`.
    pub url: String,
    /// Host and port: the first part of its images' names.
    pub registry_name: String,
    /// `docker`, `harbor2`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Repositories that begin so; all when absent or empty.
    #[serde(default)]
    pub project: Option<String>,
    /// Who logs in.
    #[serde(default)]
    pub username: Option<String>,
    /// Whether its certificate is checked.
    #[serde(default)]
    pub ssl_verify: Option<bool>,
}

/// `GET /container-registries/`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegistryList {
    /// By name.
    pub items: Vec<Registry>,
}

/// `POST /container-registries/`.
#[derive(Clone, Serialize, Deserialize)]
pub struct RegistryAdd {
    /// `https://host:port`.
    pub url: String,
    /// Host and port.
    pub registry_name: String,
    /// `docker`, `harbor2`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Repositories that begin so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Who logs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// With which password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Whether its certificate is checked.
    pub ssl_verify: bool,
}

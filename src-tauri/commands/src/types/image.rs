//! Environments that sessions start from, and what there is to give them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::ServicePort;

/// The least that an image needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, TS)]
pub struct ImageMinimum {
    /// Cores.
    pub cpu: f64,
    /// Bytes.
    pub mem: u64,
    /// Bytes.
    pub shmem: u64,
}

/// An environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Image {
    /// Canonical reference (`registry/project/name:tag`).
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Where it comes from.
    pub registry: String,
    /// Its tag.
    pub tag: String,
    /// `x86_64` or `aarch64`.
    pub architecture: String,
    /// Digest of its manifest.
    pub digest: Option<String>,
    /// Size on disk.
    pub size_bytes: u64,
    /// The least that it needs.
    pub min: ImageMinimum,
    /// The apps that it brings.
    pub service_ports: Vec<ServicePort>,
    /// Whether it is on a machine already.
    pub installed: bool,
}

/// An image by its reference, its alias, or a file of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ImageRef {
    /// Canonical reference (`registry/project/name:tag`).
    pub image: String,
}

/// An image in a file or a folder of the engine's computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ImageImport {
    /// An archive (`docker save`, OCI) or a folder (OCI layout), absolute.
    pub path: String,
    /// What to call it; without one what it calls itself.
    #[serde(default)]
    pub name: Option<String>,
}

/// Which registry to read; all without a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ImageRescan {
    /// Host and port.
    #[serde(default)]
    pub registry: Option<String>,
}

/// Another name for an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ImageAlias {
    /// The other name.
    pub alias: String,
    /// The image; without one the name is taken away.
    #[serde(default)]
    pub image: Option<String>,
}

/// A session to be saved as an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SessionCommit {
    /// The session.
    pub session: String,
    /// What its owner calls the image: letters, digits, dots, dashes, underscores.
    pub name: String,
}

/// How far something is that the manager does in the background.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TaskProgress {
    /// It goes on.
    Step {
        /// In words.
        message: String,
        /// Of the total, so much is done.
        current: f64,
        /// 0 when it is not known yet.
        total: f64,
    },
    /// It is done.
    Done {
        /// What came of it.
        message: String,
    },
}

/// A registry that images come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Registry {
    /// Names it.
    pub id: String,
    /// Host and port: the first part of its images' names.
    pub name: String,
    /// `https://host:port`.
    pub url: String,
    /// `docker`, `harbor2`, …
    pub kind: String,
    /// Repositories that begin so; all when empty.
    pub project: String,
    /// Who logs in; nobody when empty.
    pub username: String,
}

/// Registries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct RegistryList {
    /// By name.
    pub registries: Vec<Registry>,
}

/// A registry by its name or id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct RegistryRef {
    /// Host and port, or the id.
    pub registry: String,
}

/// A registry to add.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct RegistryAdd {
    /// `https://host:port`, or `http://` for one without a certificate.
    pub url: String,
    /// Only repositories that begin so.
    #[serde(default)]
    pub project: Option<String>,
    /// Who logs in.
    #[serde(default)]
    pub username: Option<String>,
    /// With which password.
    #[serde(default)]
    pub password: Option<String>,
    /// Take any certificate.
    #[serde(default)]
    pub insecure: bool,
}

/// Environments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct ImageList {
    /// By title.
    pub images: Vec<Image>,
}

/// How a slot is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum SlotUnit {
    /// Whole or fractional pieces.
    Count,
    /// Bytes.
    Bytes,
}

/// What there is of one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Slot {
    /// `cpu`, `mem`, `cuda.device`, …
    pub name: String,
    /// How it is counted.
    pub unit: SlotUnit,
    /// The most that the account may hold; `None`: no limit but the machine.
    pub max: Option<f64>,
    /// What is left for the account.
    pub remaining: Option<f64>,
    /// Smallest sensible change.
    pub step: f64,
    /// What the account holds.
    pub used: f64,
}

/// A named amount of resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Preset {
    /// Its name.
    pub name: String,
    /// Slot → amount.
    pub slots: BTreeMap<String, String>,
    /// Shared memory in bytes.
    pub shmem: Option<u64>,
    /// Whether it can be had now.
    pub allocatable: bool,
}

/// What can be had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Limits {
    /// Every kind of resource.
    pub slots: Vec<Slot>,
    /// Named amounts.
    pub presets: Vec<Preset>,
    /// Groups of machines that the account may use.
    pub resource_groups: Vec<String>,
}

/// For which group of machines.
#[derive(Debug, Clone, Default, Serialize, Deserialize, TS)]
#[serde(default)]
#[ts(optional_fields = nullable)]
pub struct LimitsRequest {
    /// The manager's default when absent.
    pub resource_group: Option<String>,
}

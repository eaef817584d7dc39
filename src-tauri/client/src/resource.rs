//! What there is to give, and what is left of it.

use std::collections::BTreeMap;

use protocol::slots::ResourceSlots;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::Call;
use crate::{Client, Error};

/// A named amount.
#[derive(Debug, Clone, Deserialize)]
pub struct PresetRow {
    /// Its name.
    pub name: String,
    /// Slot → amount.
    pub resource_slots: ResourceSlots,
    /// Shared memory in bytes, as text or number.
    #[serde(default)]
    pub shared_memory: Option<Value>,
    /// Whether it can be had now.
    #[serde(default)]
    pub allocatable: bool,
}

/// Limits and what is left, for one project and resource group.
#[derive(Debug, Clone, Deserialize)]
pub struct CheckedPresets {
    /// Named amounts.
    #[serde(default)]
    pub presets: Vec<PresetRow>,
    /// The most that the account may hold.
    #[serde(default)]
    pub keypair_limits: ResourceSlots,
    /// What the account holds.
    #[serde(default)]
    pub keypair_using: ResourceSlots,
    /// What is left for the account.
    #[serde(default)]
    pub keypair_remaining: ResourceSlots,
    /// What is left in the resource group.
    #[serde(default)]
    pub scaling_group_remaining: ResourceSlots,
    /// Resource groups that the account may use.
    #[serde(default)]
    pub scaling_groups: BTreeMap<String, Value>,
}

impl Client {
    /// How each slot is counted: slot → `count`, `bytes`, …
    ///
    /// # Errors
    /// When the manager refuses or can't be reached.
    pub async fn slot_types(&self) -> Result<BTreeMap<String, String>, Error> {
        self.json(Call::get(&["config", "resource-slots"])).await
    }

    /// Limits, use and presets for a project.
    ///
    /// # Errors
    /// [`Error::Manager`] with 404 when there is no such project or group.
    pub async fn check_presets(
        &self,
        project: &str,
        resource_group: Option<&str>,
    ) -> Result<CheckedPresets, Error> {
        let mut body = json!({ "group": project });
        if let Some(group) = resource_group {
            body["scaling_group"] = group.into();
        }
        self.json(Call::post(&["resource", "check-presets"]).json(&body)?)
            .await
    }
}

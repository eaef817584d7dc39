//! Registries that images come from.

use protocol::api::image::{Registry, RegistryAdd, RegistryList};

use crate::call::Call;
use crate::{Client, Error};

impl Client {
    /// All registries that the manager knows.
    ///
    /// # Errors
    /// When the manager refuses or can't be reached.
    pub async fn registries(&self) -> Result<Vec<Registry>, Error> {
        let list: RegistryList = self.json(Call::get(&["container-registries", ""])).await?;
        Ok(list.items)
    }

    /// Adds one.
    ///
    /// # Errors
    /// When the manager refuses or can't be reached.
    pub async fn add_registry(&self, registry: &RegistryAdd) -> Result<Registry, Error> {
        self.json(Call::post(&["container-registries", ""]).json(registry)?)
            .await
    }

    /// Forgets one.
    ///
    /// # Errors
    /// When the manager refuses or can't be reached.
    pub async fn remove_registry(&self, id: &str) -> Result<(), Error> {
        self.done(Call::delete(&["container-registries", id])).await
    }
}

//! How the folders of a launch are called. Managers from API version 9 take ids; asked for a name,
//! 26.9 mounts whatever folder has it first, also a deleted one or somebody else's, and refuses
//! that one then.

use std::collections::BTreeMap;

use protocol::api::folder::Item;
use protocol::api::session::{Create, CreateConfig};
use uuid::Uuid;

use crate::{Client, Error};

impl Client {
    /// The launch as this manager has to be told it.
    pub(crate) async fn with_folders(&self, create: &Create) -> Result<Create, Error> {
        let mut create = create.clone();
        if create.config.mounts.is_empty() || !self.mounts_by_id().await? {
            return Ok(create);
        }
        by_id(&mut create.config, &self.folders().await?);
        Ok(create)
    }
}

/// Puts the ids of these folders in place of their names. What is no name of one of them is left
/// for the manager to refuse.
fn by_id(config: &mut CreateConfig, folders: &[Item]) {
    let mut named: BTreeMap<&str, (bool, Uuid)> = BTreeMap::new();
    for folder in folders {
        let gone = folder
            .status
            .as_deref()
            .is_some_and(|it| it.starts_with("delete"));
        let Ok(id) = Uuid::parse_str(&folder.id) else {
            continue;
        };
        // Of two, the account's own is meant: the other one's name was somebody else's choice.
        let known = named.get(folder.name.as_str());
        if !gone && known.is_none_or(|(own, _)| !own) {
            named.insert(&folder.name, (folder.is_owner, id));
        }
    }
    let mounts = std::mem::take(&mut config.mounts);
    for mount in mounts {
        let Some((_, id)) = named.get(mount.as_str()) else {
            config.mounts.push(mount);
            continue;
        };
        if let Some(place) = config.mount_map.remove(&mount) {
            config.mount_id_map.insert(*id, place);
        }
        if let Some(options) = config.mount_options.remove(&mount) {
            config.mount_options.insert(id.to_string(), options);
        }
        config.mount_ids.push(*id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_ones_own_that_is_there_is_meant() {
        let item = |id: u128, name: &str, status: &str, own: bool| -> Item {
            let id = Uuid::from_u128(id).simple().to_string();
            serde_json::from_value(serde_json::json!({
                "id": id, "name": name, "status": status, "is_owner": own,
                "host": "local:volume1", "permission": "rw",
            }))
            .unwrap()
        };
        let folders = [
            item(1, "data", "delete-complete", true),
            item(2, "data", "ready", false),
            item(3, "data", "ready", true),
            item(4, "data", "ready", false),
            item(5, "old", "delete-pending", true),
        ];
        let mut config: CreateConfig = serde_json::from_value(serde_json::json!({
            "mounts": ["data", "old", "data/part"],
            "mount_map": {"data": "/home/work/here"},
            "mount_options": {"data": {"permission": "ro"}},
        }))
        .unwrap();
        by_id(&mut config, &folders);
        let id = Uuid::from_u128(3);
        assert_eq!(config.mount_ids, [id]);
        assert_eq!(config.mount_id_map[&id], "/home/work/here");
        assert_eq!(config.mounts, ["old", "data/part"]);
        assert!(config.mount_map.is_empty());
        let options = &config.mount_options[&id.to_string()];
        assert_eq!(options.permission.as_deref(), Some("ro"));
    }
}

//! Domains: the outermost scope.

use db::rusqlite::{Connection, OptionalExtension, Result, Row};
use protocol::slots::ResourceSlots;
use serde_json::Value;

use super::{At, Json};

/// A domain.
#[derive(Debug, Clone)]
pub(crate) struct Domain {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) is_active: bool,
    /// A slot that is not named is unlimited.
    pub(crate) total_resource_slots: ResourceSlots,
    /// Host → permissions.
    pub(crate) allowed_vfolder_hosts: Value,
    pub(crate) allowed_docker_registries: Vec<String>,
    pub(crate) integration_id: Option<String>,
    pub(crate) created_at: At,
}

const COLUMNS: &str = "name, description, is_active, total_resource_slots, created_at, \
                       allowed_vfolder_hosts, allowed_docker_registries, integration_id";

fn read(row: &Row<'_>) -> Result<Domain> {
    Ok(Domain {
        name: row.get(0)?,
        description: row.get(1)?,
        is_active: row.get(2)?,
        total_resource_slots: row.get::<_, Json<_>>(3)?.0,
        created_at: row.get(4)?,
        allowed_vfolder_hosts: row.get::<_, Json<_>>(5)?.0,
        allowed_docker_registries: row.get::<_, Json<_>>(6)?.0,
        integration_id: row.get(7)?,
    })
}

/// The domain `name`.
pub(crate) fn get(db: &Connection, name: &str) -> Result<Option<Domain>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM domain WHERE name = ?1"))?
        .query_row([name], read)
        .optional()
}

/// Makes a domain without limits.
pub(crate) fn insert(db: &Connection, name: &str, hosts: &Value) -> Result<()> {
    db.execute(
        "INSERT INTO domain (name, allowed_vfolder_hosts, created_at) VALUES (?1, ?2, ?3)",
        (name, Json(hosts), At::now()),
    )?;
    Ok(())
}

/// Lets every domain have images of a registry.
pub(crate) fn allow_registry(db: &Connection, registry: &str) -> Result<()> {
    db.execute(
        "UPDATE domain SET allowed_docker_registries =
            json_insert(allowed_docker_registries, '$[#]', ?1)
         WHERE ?1 NOT IN (SELECT value FROM json_each(allowed_docker_registries))",
        [registry],
    )?;
    Ok(())
}

/// Every domain, by name.
pub(crate) fn list(db: &Connection) -> Result<Vec<Domain>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM domain ORDER BY name"))?
        .query_map([], read)?
        .collect()
}

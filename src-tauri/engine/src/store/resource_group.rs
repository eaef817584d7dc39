//! Resource groups (the protocol also says "scaling group").

use db::rusqlite::{Connection, OptionalExtension, Result, Row};
use serde_json::Value;

use super::{At, Json};

/// A resource group.
#[derive(Debug, Clone)]
pub(crate) struct ResourceGroup {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) is_active: bool,
    pub(crate) is_public: bool,
    /// How its queue is ordered: `fifo`, `lifo`, `drf`.
    pub(crate) scheduler: String,
    pub(crate) scheduler_opts: Value,
    pub(crate) created_at: At,
}

const COLUMNS: &str =
    "name, description, is_active, is_public, scheduler, scheduler_opts, created_at";

fn read(row: &Row<'_>) -> Result<ResourceGroup> {
    Ok(ResourceGroup {
        name: row.get(0)?,
        description: row.get(1)?,
        is_active: row.get(2)?,
        is_public: row.get(3)?,
        scheduler: row.get(4)?,
        scheduler_opts: row.get::<_, Json<_>>(5)?.0,
        created_at: row.get(6)?,
    })
}

/// The group `name`.
pub(crate) fn get(db: &Connection, name: &str) -> Result<Option<ResourceGroup>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM resource_group WHERE name = ?1"
    ))?
    .query_row([name], read)
    .optional()
}

/// All groups, by name.
pub(crate) fn list(db: &Connection) -> Result<Vec<ResourceGroup>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM resource_group ORDER BY name"
    ))?
    .query_map([], read)?
    .collect()
}

/// Makes a public group whose queue is first come, first served.
pub(crate) fn insert(db: &Connection, name: &str) -> Result<()> {
    db.execute(
        "INSERT INTO resource_group (name, created_at) VALUES (?1, ?2)",
        (name, At::now()),
    )?;
    Ok(())
}

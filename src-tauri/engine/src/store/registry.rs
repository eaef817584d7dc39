//! Registries that images come from.

use db::rusqlite::{Connection, Result, Row};
use serde_json::Value;
use uuid::Uuid;

use super::{Id, Json};

/// A registry, or one project of it.
#[derive(Clone)]
pub(crate) struct Registry {
    pub(crate) id: Uuid,
    /// `https://host:port`.
    pub(crate) url: String,
    /// Host and port: the first part of its images' names.
    pub(crate) name: String,
    /// `docker`, `harbor2`, …
    pub(crate) kind: String,
    /// Repositories that begin so; all when empty.
    pub(crate) project: String,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) ssl_verify: bool,
    pub(crate) is_global: bool,
    pub(crate) extra: Value,
}

const COLUMNS: &str =
    "id, url, registry_name, type, project, username, password, ssl_verify, is_global, extra";

fn read(row: &Row<'_>) -> Result<Registry> {
    Ok(Registry {
        id: row.get::<_, Id>(0)?.0,
        url: row.get(1)?,
        name: row.get(2)?,
        kind: row.get(3)?,
        project: row.get(4)?,
        username: row.get(5)?,
        password: row.get(6)?,
        ssl_verify: row.get(7)?,
        is_global: row.get(8)?,
        extra: row.get::<_, Json<_>>(9)?.0,
    })
}

/// All, by name.
pub(crate) fn list(db: &Connection) -> Result<Vec<Registry>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM container_registry ORDER BY registry_name, project"
    ))?
    .query_map([], read)?
    .collect()
}

/// Makes one, or changes the one with this id.
pub(crate) fn put(db: &Connection, registry: &Registry) -> Result<()> {
    db.execute(
        "INSERT INTO container_registry
            (id, url, registry_name, type, project, username, password, ssl_verify, is_global, extra)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (id) DO UPDATE SET url = excluded.url, registry_name = excluded.registry_name,
            type = excluded.type, project = excluded.project, username = excluded.username,
            password = excluded.password, ssl_verify = excluded.ssl_verify,
            is_global = excluded.is_global, extra = excluded.extra",
        (
            Id(registry.id),
            &registry.url,
            &registry.name,
            &registry.kind,
            &registry.project,
            &registry.username,
            &registry.password,
            registry.ssl_verify,
            registry.is_global,
            Json(&registry.extra),
        ),
    )?;
    Ok(())
}

/// Forgets one; answers whether it was one.
pub(crate) fn remove(db: &Connection, id: Uuid) -> Result<bool> {
    Ok(db.execute("DELETE FROM container_registry WHERE id = ?1", [Id(id)])? > 0)
}

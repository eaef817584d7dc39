//! Resource presets: amounts that are offered under a name.

use db::rusqlite::{Connection, Result, Row};
use protocol::slots::ResourceSlots;
use uuid::Uuid;

use super::{Id, Json};

/// A preset.
#[derive(Debug, Clone)]
pub(crate) struct Preset {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) resource_slots: ResourceSlots,
    /// Bytes.
    pub(crate) shared_memory: Option<u64>,
    /// The only group that it is offered in.
    pub(crate) resource_group: Option<String>,
}

fn read(row: &Row<'_>) -> Result<Preset> {
    Ok(Preset {
        id: row.get::<_, Id>(0)?.0,
        name: row.get(1)?,
        resource_slots: row.get::<_, Json<_>>(2)?.0,
        shared_memory: row
            .get::<_, Option<i64>>(3)?
            .and_then(|bytes| u64::try_from(bytes).ok()),
        resource_group: row.get(4)?,
    })
}

/// The presets that are offered in `group`, or everywhere when it is not said.
pub(crate) fn list(db: &Connection, group: Option<&str>) -> Result<Vec<Preset>> {
    db.prepare_cached(
        "SELECT id, name, resource_slots, shared_memory, resource_group FROM preset
         WHERE resource_group IS NULL OR resource_group = ?1 ORDER BY id",
    )?
    .query_map([group], read)?
    .collect()
}

/// Every preset of every group.
pub(crate) fn all(db: &Connection) -> Result<Vec<Preset>> {
    db.prepare_cached(
        "SELECT id, name, resource_slots, shared_memory, resource_group FROM preset ORDER BY id",
    )?
    .query_map([], read)?
    .collect()
}

/// Makes a preset.
pub(crate) fn insert(db: &Connection, preset: &Preset) -> Result<()> {
    db.execute(
        "INSERT INTO preset (id, name, resource_slots, shared_memory, resource_group)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        (
            Id(preset.id),
            &preset.name,
            Json(&preset.resource_slots),
            preset
                .shared_memory
                .and_then(|bytes| i64::try_from(bytes).ok()),
            &preset.resource_group,
        ),
    )?;
    Ok(())
}

/// Changes a preset; answers whether it was there.
pub(crate) fn update(db: &Connection, preset: &Preset) -> Result<bool> {
    let changed = db.execute(
        "UPDATE preset SET name = ?2, resource_slots = ?3, shared_memory = ?4, resource_group = ?5
         WHERE id = ?1",
        (
            Id(preset.id),
            &preset.name,
            Json(&preset.resource_slots),
            preset
                .shared_memory
                .and_then(|bytes| i64::try_from(bytes).ok()),
            &preset.resource_group,
        ),
    )?;
    Ok(changed > 0)
}

/// Removes a preset; answers whether it was there.
pub(crate) fn remove(db: &Connection, id: Uuid) -> Result<bool> {
    Ok(db.execute("DELETE FROM preset WHERE id = ?1", [Id(id)])? > 0)
}

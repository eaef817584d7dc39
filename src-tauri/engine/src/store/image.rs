//! Images that sessions are made from.

use std::collections::BTreeMap;

use db::rusqlite::{Connection, OptionalExtension, Result, Row};
use uuid::Uuid;

use super::{At, Id, Json};

/// An image.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) id: Uuid,
    /// `<registry>/<name>:<tag>`.
    pub(crate) name: String,
    pub(crate) architecture: String,
    pub(crate) registry: String,
    pub(crate) digest: String,
    pub(crate) size_bytes: u64,
    /// See the protocol page "Image labels".
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) created_at: At,
    /// Other names for it.
    pub(crate) aliases: Vec<String>,
}

const COLUMNS: &str = "i.id, i.name, i.architecture, i.registry, i.digest, i.size_bytes, \
     json_patch(i.labels, coalesce((SELECT s.overrides FROM image_state s WHERE s.image = i.id), \
        '{}')), i.created_at, \
     (SELECT json_group_array(a.alias ORDER BY a.alias) FROM image_alias a WHERE a.image = i.id)";

fn read(row: &Row<'_>) -> Result<Image> {
    Ok(Image {
        id: row.get::<_, Id>(0)?.0,
        name: row.get(1)?,
        architecture: row.get(2)?,
        registry: row.get(3)?,
        digest: row.get(4)?,
        size_bytes: u64::try_from(row.get::<_, i64>(5)?).unwrap_or_default(),
        labels: row.get::<_, Json<_>>(6)?.0,
        created_at: row.get(7)?,
        aliases: row.get::<_, Json<_>>(8)?.0,
    })
}

/// All images, by name.
pub(crate) fn list(db: &Connection) -> Result<Vec<Image>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM image i ORDER BY i.name, i.architecture"
    ))?
    .query_map([], read)?
    .collect()
}

/// The image of this name, or of this alias; with no architecture, the first that there is. One
/// that is forgotten is found only by [`get`] and [`by_name`].
pub(crate) fn find(
    db: &Connection,
    reference: &str,
    architecture: Option<&str>,
) -> Result<Option<Image>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM image i
         WHERE (i.name = ?1 OR i.id IN (SELECT a.image FROM image_alias a WHERE a.alias = ?1))
           AND i.architecture = coalesce(?2, i.architecture)
           AND i.id NOT IN (SELECT s.image FROM image_state s WHERE s.status = 'DELETED')
         ORDER BY i.architecture"
    ))?
    .query_row((reference, architecture), read)
    .optional()
}

/// The image of exactly this name, forgotten or not.
pub(crate) fn by_name(db: &Connection, name: &str, architecture: &str) -> Result<Option<Image>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM image i WHERE i.name = ?1 AND i.architecture = ?2"
    ))?
    .query_row((name, architecture), read)
    .optional()
}

/// The image with this id.
pub(crate) fn get(db: &Connection, id: Uuid) -> Result<Option<Image>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM image i WHERE i.id = ?1"))?
        .query_row([Id(id)], read)
        .optional()
}

/// Makes an image, or brings the one of this name and architecture up to date.
pub(crate) fn upsert(db: &Connection, image: &Image) -> Result<()> {
    db.execute(
        "INSERT INTO image (id, name, architecture, registry, digest, size_bytes, labels, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (name, architecture) DO UPDATE SET
            digest = excluded.digest, size_bytes = excluded.size_bytes, labels = excluded.labels",
        (
            Id(image.id),
            &image.name,
            &image.architecture,
            &image.registry,
            &image.digest,
            i64::try_from(image.size_bytes).unwrap_or(i64::MAX),
            Json(&image.labels),
            image.created_at,
        ),
    )?;
    Ok(())
}

/// Forgets an image and its aliases.
pub(crate) fn remove(db: &Connection, id: Uuid) -> Result<()> {
    db.execute("DELETE FROM image WHERE id = ?1", [Id(id)])?;
    Ok(())
}

/// Gives an image another name; an alias that exists moves to it.
pub(crate) fn set_alias(db: &Connection, alias: &str, image: Uuid) -> Result<()> {
    db.execute(
        "INSERT INTO image_alias (alias, image) VALUES (?1, ?2)
         ON CONFLICT (alias) DO UPDATE SET image = excluded.image",
        (alias, Id(image)),
    )?;
    Ok(())
}

/// Takes a name away; answers whether it was one.
pub(crate) fn remove_alias(db: &Connection, alias: &str) -> Result<bool> {
    Ok(db.execute("DELETE FROM image_alias WHERE alias = ?1", [alias])? > 0)
}

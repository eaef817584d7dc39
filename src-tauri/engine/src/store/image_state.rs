//! Which images are here, which are forgotten, and what sessions show of them.

use std::collections::{BTreeMap, HashMap};

use db::rusqlite::{Connection, OptionalExtension, Result};
use runtime::image::Content;
use uuid::Uuid;

use super::{Id, Json};

/// What is known of an image beyond its name.
#[derive(Debug, Clone, Default)]
pub(crate) struct ImageState {
    /// Nobody is to start sessions of it any more.
    pub(crate) is_forgotten: bool,
    /// What is unpacked of it.
    pub(crate) content: Option<Content>,
    /// Labels in place of its own.
    pub(crate) overrides: BTreeMap<String, String>,
}

/// Of one image; an image without a row is simply there.
pub(crate) fn get(db: &Connection, image: Uuid) -> Result<ImageState> {
    let found = db
        .prepare_cached("SELECT status, content, overrides FROM image_state WHERE image = ?1")?
        .query_row([Id(image)], |row| {
            Ok(ImageState {
                is_forgotten: row.get::<_, String>(0)? == "DELETED",
                content: row.get::<_, Option<Json<_>>>(1)?.map(|json| json.0),
                overrides: row.get::<_, Json<_>>(2)?.0,
            })
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// Of every image that has a row.
pub(crate) fn all(db: &Connection) -> Result<HashMap<Uuid, ImageState>> {
    db.prepare_cached("SELECT image, status, content, overrides FROM image_state")?
        .query_map([], |row| {
            let state = ImageState {
                is_forgotten: row.get::<_, String>(1)? == "DELETED",
                content: row.get::<_, Option<Json<_>>>(2)?.map(|json| json.0),
                overrides: row.get::<_, Json<_>>(3)?.0,
            };
            Ok((row.get::<_, Id>(0)?.0, state))
        })?
        .collect()
}

/// Writes it down.
pub(crate) fn put(db: &Connection, image: Uuid, state: &ImageState) -> Result<()> {
    db.execute(
        "INSERT INTO image_state (image, status, content, overrides) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (image) DO UPDATE SET status = excluded.status,
            content = excluded.content, overrides = excluded.overrides",
        (
            Id(image),
            if state.is_forgotten {
                "DELETED"
            } else {
                "ALIVE"
            },
            state.content.as_ref().map(Json),
            Json(&state.overrides),
        ),
    )?;
    Ok(())
}

/// Notes what a session's root is made of.
pub(crate) fn show(db: &Connection, session: Uuid, content: &Content) -> Result<()> {
    db.execute(
        "INSERT INTO session_image (session, content) VALUES (?1, ?2)
         ON CONFLICT (session) DO UPDATE SET content = excluded.content",
        (Id(session), Json(content)),
    )?;
    Ok(())
}

/// What a session's root is made of.
pub(crate) fn shown(db: &Connection, session: Uuid) -> Result<Option<Content>> {
    let found = db
        .prepare_cached("SELECT content FROM session_image WHERE session = ?1")?
        .query_row([Id(session)], |row| row.get::<_, Json<Content>>(0))
        .optional()?;
    Ok(found.map(|json| json.0))
}

/// Forgets what ended sessions showed, and gives what has to stay on the disk.
pub(crate) fn needed(db: &Connection) -> Result<Vec<Content>> {
    db.execute(
        "DELETE FROM session_image WHERE session NOT IN
            (SELECT s.id FROM session s WHERE s.status NOT IN ('TERMINATED', 'CANCELLED', 'ERROR')
             UNION SELECT k.session FROM kernel k WHERE k.removed_at IS NULL)",
        [],
    )?;
    db.prepare_cached(
        "SELECT content FROM image_state WHERE content IS NOT NULL
         UNION ALL SELECT content FROM session_image",
    )?
    .query_map([], |row| Ok(row.get::<_, Json<Content>>(0)?.0))?
    .collect()
}

//! What the owners of sessions should know.

use db::rusqlite::{Connection, Result};
use jiff::Timestamp;
use protocol::api::gangway::Notice;
use uuid::Uuid;

use super::{At, Id};

/// Keeps a notice; one that is there already is not kept twice.
pub(crate) fn add(db: &Connection, session: Uuid, notice: &Notice) -> Result<()> {
    db.execute(
        "INSERT INTO notice (session, code, message, at) SELECT ?1, ?2, ?3, ?4
         WHERE NOT EXISTS (SELECT 1 FROM notice WHERE session = ?1 AND code = ?2 AND message = ?3)",
        (Id(session), &notice.code, &notice.message, At(notice.at)),
    )?;
    Ok(())
}

/// The notices of a session, oldest first.
pub(crate) fn of_session(db: &Connection, session: Uuid) -> Result<Vec<Notice>> {
    db.prepare_cached("SELECT code, message, at FROM notice WHERE session = ?1 ORDER BY at")?
        .query_map([Id(session)], |row| {
            let At(at): At = row.get(2)?;
            let at: Timestamp = at;
            Ok(Notice {
                code: row.get(0)?,
                message: row.get(1)?,
                at,
            })
        })?
        .collect()
}

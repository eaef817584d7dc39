//! Errors that clients wrote down.

use db::rusqlite::{Connection, Result, Row};
use serde_json::Value;
use uuid::Uuid;

use super::{At, Id, Json};

/// The most that are kept; the oldest go first.
const KEPT: u32 = 10_000;

/// One error.
#[derive(Debug, Clone)]
pub(crate) struct ErrorLog {
    pub(crate) id: Uuid,
    pub(crate) created_at: At,
    /// `critical`, `error`, `warning`.
    pub(crate) severity: String,
    pub(crate) source: String,
    pub(crate) user: Option<Uuid>,
    pub(crate) is_read: bool,
    pub(crate) is_cleared: bool,
    pub(crate) message: String,
    pub(crate) context_lang: String,
    pub(crate) context_env: Value,
    pub(crate) request_url: Option<String>,
    pub(crate) request_status: Option<i64>,
    pub(crate) traceback: Option<String>,
}

/// Whose errors.
#[derive(Debug, Clone)]
pub(crate) enum Whose {
    All,
    /// Of the users of a domain.
    Domain(String),
    /// Of one user, without those that they have cleared.
    User(Uuid),
}

impl Whose {
    /// The condition, of which `?1` is the value.
    const fn condition(&self) -> &'static str {
        match self {
            Self::All => "?1 IS NULL",
            Self::Domain(_) => "user IN (SELECT id FROM user WHERE domain = ?1)",
            Self::User(_) => "user = ?1 AND NOT is_cleared",
        }
    }

    fn value(&self) -> Option<String> {
        match self {
            Self::All => None,
            Self::Domain(name) => Some(name.clone()),
            Self::User(id) => Some(id.to_string()),
        }
    }
}

fn read(row: &Row<'_>) -> Result<ErrorLog> {
    Ok(ErrorLog {
        id: row.get::<_, Id>(0)?.0,
        created_at: row.get(1)?,
        severity: row.get(2)?,
        source: row.get(3)?,
        user: row.get::<_, Option<Id>>(4)?.map(|id| id.0),
        is_read: row.get(5)?,
        is_cleared: row.get(6)?,
        message: row.get(7)?,
        context_lang: row.get(8)?,
        context_env: row.get::<_, Json<_>>(9)?.0,
        request_url: row.get(10)?,
        request_status: row.get(11)?,
        traceback: row.get(12)?,
    })
}

/// Writes an error down, and forgets the oldest when there are too many.
pub(crate) fn insert(db: &Connection, log: &ErrorLog) -> Result<()> {
    db.execute(
        "INSERT INTO error_log (id, created_at, severity, source, user, message, context_lang,
            context_env, request_url, request_status, traceback)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        (
            Id(log.id),
            log.created_at,
            &log.severity,
            &log.source,
            log.user.map(Id),
            &log.message,
            &log.context_lang,
            Json(&log.context_env),
            &log.request_url,
            log.request_status,
            &log.traceback,
        ),
    )?;
    db.execute(
        "DELETE FROM error_log WHERE id IN
            (SELECT id FROM error_log ORDER BY created_at DESC, id LIMIT -1 OFFSET ?1)",
        [KEPT],
    )?;
    Ok(())
}

/// A page of errors, the newest first, and how many there are in all.
pub(crate) fn list(
    db: &Connection,
    whose: &Whose,
    limit: u32,
    offset: u32,
) -> Result<(Vec<ErrorLog>, u32)> {
    let condition = whose.condition();
    let count = db
        .prepare_cached(&format!("SELECT count(*) FROM error_log WHERE {condition}"))?
        .query_row([whose.value()], |row| row.get(0))?;
    let logs = db
        .prepare_cached(&format!(
            "SELECT id, created_at, severity, source, user, is_read, is_cleared, message,
                context_lang, context_env, request_url, request_status, traceback
             FROM error_log WHERE {condition} ORDER BY created_at DESC, id LIMIT ?2 OFFSET ?3"
        ))?
        .query_map((whose.value(), limit, offset), read)?
        .collect::<Result<_>>()?;
    Ok((logs, count))
}

/// Notes that somebody has read these.
pub(crate) fn mark_read(db: &Connection, ids: &[Uuid]) -> Result<()> {
    let mut statement = db.prepare_cached("UPDATE error_log SET is_read = 1 WHERE id = ?1")?;
    for id in ids {
        statement.execute([Id(*id)])?;
    }
    Ok(())
}

/// Clears one; `false` when there is none that is among `whose`.
pub(crate) fn clear(db: &Connection, whose: &Whose, id: Uuid) -> Result<bool> {
    let changed = db
        .prepare_cached(&format!(
            "UPDATE error_log SET is_cleared = 1 WHERE id = ?2 AND {}",
            whose.condition()
        ))?
        .execute((whose.value(), Id(id)))?;
    Ok(changed > 0)
}

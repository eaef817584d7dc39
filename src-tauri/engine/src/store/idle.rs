//! What the idle checks need to know and to remember.

use std::collections::HashMap;

use db::rusqlite::{Connection, OptionalExtension, Result};
use uuid::Uuid;

use super::{At, Id};

/// What a user's policy says about idle sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// When the user was made.
    pub(crate) user_since: At,
    /// Seconds without exchange or use; 0 is never, negative leaves it to the installation.
    pub(crate) idle_timeout: i64,
    /// Seconds; 0 is without limit.
    pub(crate) max_session_lifetime: i64,
}

/// The limits of a user: those of the policy of the main keypair. `None` without one.
pub(crate) fn limits(db: &Connection, user: Uuid) -> Result<Option<Limits>> {
    db.prepare_cached(
        "SELECT user.created_at, policy.idle_timeout, policy.max_session_lifetime
         FROM user
         JOIN keypair ON keypair.access_key = user.main_access_key
         JOIN keypair_policy AS policy ON policy.name = keypair.resource_policy
         WHERE user.id = ?1",
    )?
    .query_row([Id(user)], |row| {
        Ok(Limits {
            user_since: row.get(0)?,
            idle_timeout: row.get(1)?,
            max_session_lifetime: row.get(2)?,
        })
    })
    .optional()
}

/// When the users of sessions last exchanged data with them, as far as it was written down.
pub(crate) fn last_access(db: &Connection) -> Result<HashMap<Uuid, At>> {
    db.prepare_cached("SELECT session, at FROM last_access")?
        .query_map([], |row| Ok((row.get::<_, Id>(0)?.0, row.get(1)?)))?
        .collect()
}

/// Writes it down.
pub(crate) fn put_last_access(db: &Connection, session: Uuid, at: At) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO last_access (session, at) VALUES (?1, ?2)
         ON CONFLICT (session) DO UPDATE SET at = excluded.at",
    )?
    .execute((Id(session), at))?;
    Ok(())
}

/// Forgets the sessions that are over.
pub(crate) fn forget_last_access(db: &Connection) -> Result<()> {
    db.prepare_cached(
        "DELETE FROM last_access WHERE session IN (SELECT id FROM session
            WHERE status IN ('TERMINATED', 'CANCELLED', 'ERROR'))",
    )?
    .execute([])?;
    Ok(())
}

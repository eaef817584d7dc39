//! Single facts that the engine keeps.

use db::rusqlite::{Connection, OptionalExtension, Result};

/// The value of `key`.
pub(crate) fn get(db: &Connection, key: &str) -> Result<Option<String>> {
    db.prepare_cached("SELECT value FROM setting WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()
}

/// Sets `key`.
pub(crate) fn set(db: &Connection, key: &str, value: &str) -> Result<()> {
    db.execute(
        "INSERT INTO setting (key, value) VALUES (?1, ?2)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [key, value],
    )?;
    Ok(())
}

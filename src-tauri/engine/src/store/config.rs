//! Settings of the installation: a tree of keys, `/` between its levels.

use std::collections::BTreeMap;

use db::rusqlite::{Connection, OptionalExtension, Result};

/// The value of exactly this key.
pub(crate) fn get(db: &Connection, key: &str) -> Result<Option<String>> {
    db.prepare_cached("SELECT value FROM config WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()
}

/// This key and all below it, by their full names.
pub(crate) fn below(db: &Connection, key: &str) -> Result<BTreeMap<String, String>> {
    // '0' is what follows '/': everything that begins with "key/" lies between the two.
    db.prepare_cached(
        "SELECT key, value FROM config
         WHERE key = ?1 OR (key >= ?1 || '/' AND key < ?1 || '0') ORDER BY key",
    )?
    .query_map([key], |row| Ok((row.get(0)?, row.get(1)?)))?
    .collect()
}

/// Sets a key.
pub(crate) fn set(db: &Connection, key: &str, value: &str) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO config (key, value) VALUES (?1, ?2)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )?
    .execute([key, value])?;
    Ok(())
}

/// Forgets exactly this key.
pub(crate) fn remove(db: &Connection, key: &str) -> Result<()> {
    db.execute("DELETE FROM config WHERE key = ?1", [key])?;
    Ok(())
}

/// Forgets this key and all below it.
pub(crate) fn remove_below(db: &Connection, key: &str) -> Result<()> {
    db.execute(
        "DELETE FROM config WHERE key = ?1 OR (key >= ?1 || '/' AND key < ?1 || '0')",
        [key],
    )?;
    Ok(())
}

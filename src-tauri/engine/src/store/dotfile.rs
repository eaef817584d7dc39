//! Files that sessions find in their home.

use db::rusqlite::{Connection, Result};

/// Whose files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner<'a> {
    /// An access key.
    Keypair(&'a str),
    /// A project's id.
    Project(&'a str),
    /// A domain's name.
    Domain(&'a str),
}

impl<'a> Owner<'a> {
    const fn parts(self) -> (&'static str, &'a str) {
        match self {
            Self::Keypair(key) => ("keypair", key),
            Self::Project(id) => ("project", id),
            Self::Domain(name) => ("domain", name),
        }
    }
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dotfile {
    /// Below the home.
    pub(crate) path: String,
    pub(crate) data: String,
    /// Octal digits.
    pub(crate) permission: String,
}

/// Somebody's files, by path.
pub(crate) fn list(db: &Connection, owner: Owner<'_>) -> Result<Vec<Dotfile>> {
    db.prepare_cached(
        "SELECT path, data, permission FROM dotfile WHERE kind = ?1 AND owner = ?2 ORDER BY path",
    )?
    .query_map(owner.parts(), |row| {
        Ok(Dotfile {
            path: row.get(0)?,
            data: row.get(1)?,
            permission: row.get(2)?,
        })
    })?
    .collect()
}

/// Keeps a file, in the place of one of the same path.
pub(crate) fn put(db: &Connection, owner: Owner<'_>, file: &Dotfile) -> Result<()> {
    let (kind, owner) = owner.parts();
    db.execute(
        "INSERT OR REPLACE INTO dotfile (kind, owner, path, data, permission)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        (kind, owner, &file.path, &file.data, &file.permission),
    )?;
    Ok(())
}

/// Forgets a file; answers whether it was there.
pub(crate) fn remove(db: &Connection, owner: Owner<'_>, path: &str) -> Result<bool> {
    let (kind, owner) = owner.parts();
    let removed = db.execute(
        "DELETE FROM dotfile WHERE kind = ?1 AND owner = ?2 AND path = ?3",
        (kind, owner, path),
    )?;
    Ok(removed > 0)
}

//! Keypairs: what requests are signed with.

use std::fmt;

use db::rusqlite::{Connection, OptionalExtension, Result, Row};
use uuid::Uuid;

use super::{At, Id};

/// A keypair. Its `Debug` hides the secret.
#[derive(Clone)]
pub(crate) struct Keypair {
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    pub(crate) user: Uuid,
    pub(crate) is_active: bool,
    pub(crate) is_admin: bool,
    pub(crate) resource_policy: String,
    /// Requests in 15 minutes; `None` is without limit.
    pub(crate) rate_limit: Option<u32>,
    pub(crate) bootstrap_script: String,
    pub(crate) created_at: At,
    pub(crate) modified_at: At,
    /// What may log in to the user's sessions.
    pub(crate) ssh_public_key: Option<String>,
}

impl fmt::Debug for Keypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keypair")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

const COLUMNS: &str = "access_key, secret_key, user, is_active, is_admin, resource_policy, \
                       rate_limit, bootstrap_script, created_at, modified_at, ssh_public_key";

fn read(row: &Row<'_>) -> Result<Keypair> {
    Ok(Keypair {
        access_key: row.get(0)?,
        secret_key: row.get(1)?,
        user: row.get::<_, Id>(2)?.0,
        is_active: row.get(3)?,
        is_admin: row.get(4)?,
        resource_policy: row.get(5)?,
        rate_limit: row.get(6)?,
        bootstrap_script: row.get(7)?,
        created_at: row.get(8)?,
        modified_at: row.get(9)?,
        ssh_public_key: row.get(10)?,
    })
}

/// The keypair of this access key.
pub(crate) fn get(db: &Connection, access_key: &str) -> Result<Option<Keypair>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM keypair WHERE access_key = ?1"
    ))?
    .query_row([access_key], read)
    .optional()
}

/// A user's keypairs, oldest first.
pub(crate) fn of_user(db: &Connection, user: Uuid) -> Result<Vec<Keypair>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM keypair WHERE user = ?1 ORDER BY created_at"
    ))?
    .query_map([Id(user)], read)?
    .collect()
}

/// Makes a keypair.
pub(crate) fn insert(db: &Connection, keypair: &Keypair) -> Result<()> {
    db.execute(
        "INSERT INTO keypair (access_key, secret_key, user, is_active, is_admin, resource_policy,
            rate_limit, bootstrap_script, created_at, modified_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        (
            &keypair.access_key,
            &keypair.secret_key,
            Id(keypair.user),
            keypair.is_active,
            keypair.is_admin,
            &keypair.resource_policy,
            keypair.rate_limit,
            &keypair.bootstrap_script,
            keypair.created_at,
            keypair.modified_at,
        ),
    )?;
    Ok(())
}

/// Switches all keypairs of a user on or off.
pub(crate) fn set_active(db: &Connection, user: Uuid, active: bool) -> Result<()> {
    db.execute(
        "UPDATE keypair SET is_active = ?2 WHERE user = ?1",
        (Id(user), active),
    )?;
    Ok(())
}

/// Keeps the public half of the user's own SSH keys; the private half stays theirs.
pub(crate) fn set_ssh_key(db: &Connection, access_key: &str, public: &str) -> Result<()> {
    db.execute(
        "UPDATE keypair SET ssh_public_key = ?2 WHERE access_key = ?1",
        (access_key, public),
    )?;
    Ok(())
}

/// Keeps the script that runs first in each session.
pub(crate) fn set_bootstrap_script(db: &Connection, access_key: &str, script: &str) -> Result<()> {
    db.execute(
        "UPDATE keypair SET bootstrap_script = ?2 WHERE access_key = ?1",
        (access_key, script),
    )?;
    Ok(())
}

/// Forgets a keypair; sessions that it had made go on under `heir`.
pub(crate) fn remove(db: &Connection, access_key: &str, heir: &str) -> Result<bool> {
    db.execute(
        "UPDATE session SET access_key = ?2 WHERE access_key = ?1",
        (access_key, heir),
    )?;
    Ok(db.execute("DELETE FROM keypair WHERE access_key = ?1", [access_key])? > 0)
}

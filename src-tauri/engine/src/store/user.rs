//! Users.

use std::fmt;
use std::str::FromStr;

use db::rusqlite::{Connection, OptionalExtension, Result, Row};
use protocol::session::UnknownValue;
use uuid::Uuid;

use super::{At, Id, Json, Word};

/// What a user is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Superadmin,
    Admin,
    User,
    Monitor,
}

/// Whether a user may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UserStatus {
    Active,
    Inactive,
    Deleted,
    BeforeVerification,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Superadmin => "superadmin",
            Self::Admin => "admin",
            Self::User => "user",
            Self::Monitor => "monitor",
        })
    }
}

impl FromStr for Role {
    type Err = UnknownValue;

    fn from_str(text: &str) -> Result<Self, UnknownValue> {
        [Self::Superadmin, Self::Admin, Self::User, Self::Monitor]
            .into_iter()
            .find(|role| role.to_string() == text)
            .ok_or_else(|| UnknownValue {
                kind: "Role",
                text: text.to_owned(),
            })
    }
}

impl fmt::Display for UserStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Deleted => "deleted",
            Self::BeforeVerification => "before-verification",
        })
    }
}

impl FromStr for UserStatus {
    type Err = UnknownValue;

    fn from_str(text: &str) -> Result<Self, UnknownValue> {
        [
            Self::Active,
            Self::Inactive,
            Self::Deleted,
            Self::BeforeVerification,
        ]
        .into_iter()
        .find(|status| status.to_string() == text)
        .ok_or_else(|| UnknownValue {
            kind: "UserStatus",
            text: text.to_owned(),
        })
    }
}

/// A user.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) id: Uuid,
    pub(crate) email: String,
    pub(crate) username: String,
    pub(crate) full_name: String,
    pub(crate) description: String,
    pub(crate) status: UserStatus,
    pub(crate) role: Role,
    pub(crate) domain: String,
    pub(crate) resource_policy: String,
    pub(crate) main_access_key: Option<String>,
    pub(crate) created_at: At,
    pub(crate) modified_at: At,
    pub(crate) need_password_change: bool,
    pub(crate) sudo_session_enabled: bool,
    /// Addresses and networks that the user may come from; `None` is any.
    pub(crate) allowed_client_ip: Option<Vec<String>>,
    pub(crate) container_uid: Option<u32>,
    pub(crate) container_main_gid: Option<u32>,
    pub(crate) container_gids: Option<Vec<u32>>,
}

const COLUMNS: &str = "id, email, username, full_name, description, status, role, domain, \
                       resource_policy, main_access_key, created_at, modified_at, \
                       need_password_change, sudo_session_enabled, allowed_client_ip, \
                       container_uid, container_main_gid, container_gids";

fn read(row: &Row<'_>) -> Result<User> {
    Ok(User {
        id: row.get::<_, Id>(0)?.0,
        email: row.get(1)?,
        username: row.get(2)?,
        full_name: row.get(3)?,
        description: row.get(4)?,
        status: row.get::<_, Word<_>>(5)?.0,
        role: row.get::<_, Word<_>>(6)?.0,
        domain: row.get(7)?,
        resource_policy: row.get(8)?,
        main_access_key: row.get(9)?,
        created_at: row.get(10)?,
        modified_at: row.get(11)?,
        need_password_change: row.get(12)?,
        sudo_session_enabled: row.get(13)?,
        allowed_client_ip: row.get::<_, Option<Json<_>>>(14)?.map(|json| json.0),
        container_uid: row.get(15)?,
        container_main_gid: row.get(16)?,
        container_gids: row.get::<_, Option<Json<_>>>(17)?.map(|json| json.0),
    })
}

/// The user with this id.
pub(crate) fn get(db: &Connection, id: Uuid) -> Result<Option<User>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM user WHERE id = ?1"))?
        .query_row([Id(id)], read)
        .optional()
}

/// The user of this e-mail address or user name.
pub(crate) fn by_login(db: &Connection, login: &str) -> Result<Option<User>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM user WHERE email = ?1 OR username = ?1"
    ))?
    .query_row([login], read)
    .optional()
}

/// All users, oldest first.
pub(crate) fn list(db: &Connection) -> Result<Vec<User>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM user ORDER BY created_at"))?
        .query_map([], read)?
        .collect()
}

/// Makes a user.
pub(crate) fn insert(db: &Connection, user: &User) -> Result<()> {
    db.execute(
        "INSERT INTO user (id, email, username, full_name, description, status, role, domain,
            resource_policy, main_access_key, created_at, modified_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        (
            Id(user.id),
            &user.email,
            &user.username,
            &user.full_name,
            &user.description,
            Word(user.status),
            Word(user.role),
            &user.domain,
            &user.resource_policy,
            &user.main_access_key,
            user.created_at,
            user.modified_at,
        ),
    )?;
    Ok(())
}

/// The stored hash of a user's password; `None` when they have none.
pub(crate) fn password_hash(db: &Connection, id: Uuid) -> Result<Option<String>> {
    db.query_row(
        "SELECT password_hash FROM user WHERE id = ?1",
        [Id(id)],
        |row| row.get(0),
    )
}

/// When a user's password was last changed.
pub(crate) fn password_changed_at(db: &Connection, id: Uuid) -> Result<Option<At>> {
    db.query_row(
        "SELECT password_changed_at FROM user WHERE id = ?1",
        [Id(id)],
        |row| row.get(0),
    )
}

/// Stores the hash of a new password; returns when that was.
pub(crate) fn set_password_hash(db: &Connection, id: Uuid, hash: &str) -> Result<At> {
    let now = At::now();
    db.execute(
        "UPDATE user SET password_hash = ?2, password_changed_at = ?3, modified_at = ?3
         WHERE id = ?1",
        (Id(id), hash, now),
    )?;
    Ok(now)
}

/// Changes the name that people read.
pub(crate) fn set_full_name(db: &Connection, id: Uuid, full_name: &str) -> Result<()> {
    db.execute(
        "UPDATE user SET full_name = ?2, modified_at = ?3 WHERE id = ?1",
        (Id(id), full_name, At::now()),
    )?;
    Ok(())
}

/// Forgets a user with their keypairs, the sessions that they had and the folders that are left to
/// them.
pub(crate) fn remove(db: &Connection, id: Uuid) -> Result<()> {
    db.execute("DELETE FROM session WHERE user = ?1", [Id(id)])?;
    db.execute("DELETE FROM folder WHERE user = ?1", [Id(id)])?;
    db.execute("DELETE FROM user WHERE id = ?1", [Id(id)])?;
    Ok(())
}

//! Data folders.

use std::fmt;
use std::str::FromStr;

use db::rusqlite::{Connection, OptionalExtension, Result, Row};
use protocol::api::folder::Permission;
use protocol::session::UnknownValue;
use uuid::Uuid;

use super::{At, Id, Word};

/// Where a folder is in its life (protocol page "Virtual folders" §1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FolderStatus {
    Ready,
    /// Another is being copied into it.
    Cloning,
    /// In the trash.
    DeletePending,
    /// Its files are being removed.
    DeleteOngoing,
    /// Its files are gone.
    DeleteComplete,
    /// Its files could not be removed.
    DeleteError,
}

impl FolderStatus {
    const ALL: [Self; 6] = [
        Self::Ready,
        Self::Cloning,
        Self::DeletePending,
        Self::DeleteOngoing,
        Self::DeleteComplete,
        Self::DeleteError,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Cloning => "cloning",
            Self::DeletePending => "delete-pending",
            Self::DeleteOngoing => "delete-ongoing",
            Self::DeleteComplete => "delete-complete",
            Self::DeleteError => "delete-error",
        }
    }

    /// Its files can be looked at.
    pub(crate) const fn is_readable(self) -> bool {
        matches!(self, Self::Ready | Self::Cloning | Self::DeletePending)
    }
}

impl fmt::Display for FolderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for FolderStatus {
    type Err = UnknownValue;

    fn from_str(text: &str) -> Result<Self, UnknownValue> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| UnknownValue {
                kind: "FolderStatus",
                text: text.to_owned(),
            })
    }
}

/// Whose a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FolderOwner {
    User(Uuid),
    Project(Uuid),
}

impl FolderOwner {
    pub(crate) fn user(self) -> Option<Uuid> {
        match self {
            Self::User(id) => Some(id),
            Self::Project(_) => None,
        }
    }

    pub(crate) fn project(self) -> Option<Uuid> {
        match self {
            Self::Project(id) => Some(id),
            Self::User(_) => None,
        }
    }

    /// `user` or `group`.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Project(_) => "group",
        }
    }

    /// The owner of a scope.
    pub(crate) fn of_scope(scope: &str) -> Option<Self> {
        let (kind, id) = scope.split_once(':')?;
        let id = Uuid::try_parse(id).ok()?;
        match kind {
            "user" => Some(Self::User(id)),
            "project" => Some(Self::Project(id)),
            _ => None,
        }
    }

    /// The scope that its bytes count against, `user:<uuid>` or `project:<uuid>`.
    pub(crate) fn quota_scope(self) -> String {
        match self {
            Self::User(id) => format!("user:{id}"),
            Self::Project(id) => format!("project:{id}"),
        }
    }
}

/// A data folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) owner: FolderOwner,
    pub(crate) creator: String,
    pub(crate) usage_mode: String,
    pub(crate) permission: Permission,
    pub(crate) cloneable: bool,
    pub(crate) status: FolderStatus,
    pub(crate) created_at: At,
    pub(crate) last_used: Option<At>,
}

const COLUMNS: &str = "f.id, f.name, f.host, f.user, f.project, f.creator, f.usage_mode, \
                       f.permission, f.cloneable, f.status, f.created_at, f.last_used";

fn read(row: &Row<'_>) -> Result<Folder> {
    let user: Option<Id> = row.get(3)?;
    let owner = match user {
        Some(id) => FolderOwner::User(id.0),
        None => FolderOwner::Project(row.get::<_, Id>(4)?.0),
    };
    Ok(Folder {
        id: row.get::<_, Id>(0)?.0,
        name: row.get(1)?,
        host: row.get(2)?,
        owner,
        creator: row.get(5)?,
        usage_mode: row.get(6)?,
        permission: row.get::<_, Word<_>>(7)?.0,
        cloneable: row.get(8)?,
        status: row.get::<_, Word<_>>(9)?.0,
        created_at: row.get(10)?,
        last_used: row.get(11)?,
    })
}

/// The folder with this id.
pub(crate) fn get(db: &Connection, id: Uuid) -> Result<Option<Folder>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM folder f WHERE f.id = ?1"))?
        .query_row([Id(id)], read)
        .optional()
}

/// What a user may reach: the own folders, those of the own projects and those that others share,
/// oldest first. A right that was given to the user goes before the folder's own permission.
pub(crate) fn accessible(db: &Connection, user: Uuid) -> Result<Vec<Folder>> {
    let columns = COLUMNS.replace("f.permission", "coalesce(s.permission, f.permission)");
    db.prepare_cached(&format!(
        "SELECT {columns} FROM folder f
         LEFT JOIN folder_permission s ON s.folder = f.id AND s.user = ?1
         WHERE f.user = ?1 OR (s.user IS NOT NULL AND f.status NOT LIKE 'delete-%')
            OR f.project IN (SELECT m.project FROM user_project m WHERE m.user = ?1)
         ORDER BY f.created_at, f.id"
    ))?
    .query_map([Id(user)], read)?
    .collect()
}

/// Every folder, oldest first.
pub(crate) fn all(db: &Connection) -> Result<Vec<Folder>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM folder f ORDER BY f.created_at, f.id"
    ))?
    .query_map([], read)?
    .collect()
}

/// How many folders an owner has, the trash left out.
pub(crate) fn count(db: &Connection, owner: FolderOwner) -> Result<u32> {
    db.prepare_cached(
        "SELECT count(*) FROM folder
         WHERE (user = ?1 OR project = ?2) AND status NOT LIKE 'delete-%'",
    )?
    .query_row((owner.user().map(Id), owner.project().map(Id)), |row| {
        row.get(0)
    })
}

/// Whether an owner has a folder of this name outside the trash.
pub(crate) fn name_taken(db: &Connection, owner: FolderOwner, name: &str) -> Result<bool> {
    db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM folder
         WHERE (user = ?1 OR project = ?2) AND name = ?3 AND status NOT LIKE 'delete-%')",
    )?
    .query_row(
        (owner.user().map(Id), owner.project().map(Id), name),
        |row| row.get(0),
    )
}

/// Makes a folder.
pub(crate) fn insert(db: &Connection, folder: &Folder) -> Result<()> {
    db.execute(
        "INSERT INTO folder (id, name, host, user, project, creator, usage_mode, permission,
            cloneable, status, created_at, last_used)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        (
            Id(folder.id),
            &folder.name,
            &folder.host,
            folder.owner.user().map(Id),
            folder.owner.project().map(Id),
            &folder.creator,
            &folder.usage_mode,
            Word(folder.permission),
            folder.cloneable,
            Word(folder.status),
            folder.created_at,
            folder.last_used,
        ),
    )?;
    Ok(())
}

/// Gives a folder another name.
pub(crate) fn rename(db: &Connection, id: Uuid, name: &str) -> Result<()> {
    db.execute("UPDATE folder SET name = ?2 WHERE id = ?1", (Id(id), name))?;
    Ok(())
}

/// Changes what a folder allows; `None` leaves a part as it is.
pub(crate) fn set_options(
    db: &Connection,
    id: Uuid,
    cloneable: Option<bool>,
    permission: Option<Permission>,
) -> Result<()> {
    db.execute(
        "UPDATE folder SET cloneable = coalesce(?2, cloneable),
            permission = coalesce(?3, permission) WHERE id = ?1",
        (Id(id), cloneable, permission.map(Word)),
    )?;
    Ok(())
}

/// Moves a folder on in its life.
pub(crate) fn set_status(db: &Connection, id: Uuid, status: FolderStatus) -> Result<()> {
    db.execute(
        "UPDATE folder SET status = ?2 WHERE id = ?1",
        (Id(id), Word(status)),
    )?;
    Ok(())
}

/// Notes that a session mounts it.
pub(crate) fn touch(db: &Connection, id: Uuid, at: At) -> Result<()> {
    db.execute(
        "UPDATE folder SET last_used = ?2 WHERE id = ?1",
        (Id(id), at),
    )?;
    Ok(())
}

/// Forgets a folder.
pub(crate) fn remove(db: &Connection, id: Uuid) -> Result<()> {
    db.execute("DELETE FROM folder WHERE id = ?1", [Id(id)])?;
    Ok(())
}

/// The names of the live sessions that mount it. A mount's record holds the folder's id in one of
/// its two spellings.
pub(crate) fn mounted_by(db: &Connection, id: Uuid) -> Result<Vec<String>> {
    db.prepare_cached(
        "SELECT name FROM session
         WHERE status NOT IN ('TERMINATED', 'CANCELLED', 'ERROR')
           AND (instr(mounts, ?1) OR instr(mounts, ?2)) ORDER BY name",
    )?
    .query_map(
        (id.hyphenated().to_string(), id.simple().to_string()),
        |row| row.get(0),
    )?
    .collect()
}

/// The limits of an owner: folders (0 is any number) and bytes (negative is any number). Both are
/// the policy's, unless an administrator chose the bytes for this owner.
pub(crate) fn limits(db: &Connection, owner: FolderOwner) -> Result<(u32, i64)> {
    let (sql, id) = match owner {
        FolderOwner::User(id) => (
            "SELECT p.max_vfolder_count, p.max_quota_scope_size FROM user u
             JOIN user_policy p ON p.name = u.resource_policy WHERE u.id = ?1",
            id,
        ),
        FolderOwner::Project(id) => (
            "SELECT p.max_vfolder_count, p.max_quota_scope_size FROM project g
             JOIN project_policy p ON p.name = g.resource_policy WHERE g.id = ?1",
            id,
        ),
    };
    let (folders, bytes) = db
        .prepare_cached(sql)?
        .query_row([Id(id)], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let chosen = db
        .prepare_cached("SELECT hard_limit FROM quota_scope WHERE id = ?1")?
        .query_row([owner.quota_scope()], |row| row.get(0))
        .optional()?;
    Ok((folders, chosen.unwrap_or(bytes)))
}

/// Chooses the bytes of an owner; `None` leaves them to the policy again.
pub(crate) fn set_hard_limit(
    db: &Connection,
    owner: FolderOwner,
    bytes: Option<i64>,
) -> Result<()> {
    let scope = owner.quota_scope();
    match bytes {
        Some(bytes) => db.execute(
            "INSERT OR REPLACE INTO quota_scope (id, hard_limit) VALUES (?1, ?2)",
            (scope, bytes),
        ),
        None => db.execute("DELETE FROM quota_scope WHERE id = ?1", [scope]),
    }?;
    Ok(())
}

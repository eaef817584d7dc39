//! Projects (the protocol also says "group").

use db::rusqlite::{Connection, OptionalExtension, Result, Row};
use protocol::slots::ResourceSlots;
use uuid::Uuid;

use super::{At, Id, Json};

/// A project.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) is_active: bool,
    pub(crate) domain: String,
    /// `general` or `model-store`.
    pub(crate) kind: String,
    /// A slot that is not named is unlimited.
    pub(crate) total_resource_slots: ResourceSlots,
    pub(crate) resource_policy: String,
    pub(crate) created_at: At,
}

const COLUMNS: &str = "p.id, p.name, p.description, p.is_active, p.domain, p.type, \
                       p.total_resource_slots, p.resource_policy, p.created_at";

fn read(row: &Row<'_>) -> Result<Project> {
    Ok(Project {
        id: row.get::<_, Id>(0)?.0,
        name: row.get(1)?,
        description: row.get(2)?,
        is_active: row.get(3)?,
        domain: row.get(4)?,
        kind: row.get(5)?,
        total_resource_slots: row.get::<_, Json<_>>(6)?.0,
        resource_policy: row.get(7)?,
        created_at: row.get(8)?,
    })
}

/// The project with this id.
pub(crate) fn get(db: &Connection, id: Uuid) -> Result<Option<Project>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM project p WHERE p.id = ?1"))?
        .query_row([Id(id)], read)
        .optional()
}

/// All of a domain, by name.
pub(crate) fn list(db: &Connection, domain: &str) -> Result<Vec<Project>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM project p WHERE p.domain = ?1 ORDER BY p.name"
    ))?
    .query_map([domain], read)?
    .collect()
}

/// Those that a user belongs to, by name.
pub(crate) fn of_user(db: &Connection, user: Uuid) -> Result<Vec<Project>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM project p JOIN user_project m ON m.project = p.id
         WHERE m.user = ?1 ORDER BY p.name"
    ))?
    .query_map([Id(user)], read)?
    .collect()
}

/// Makes a general project without limits.
pub(crate) fn insert(
    db: &Connection,
    id: Uuid,
    name: &str,
    domain: &str,
    policy: &str,
) -> Result<()> {
    db.execute(
        "INSERT INTO project (id, name, domain, resource_policy, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        (Id(id), name, domain, policy, At::now()),
    )?;
    Ok(())
}

/// Lets a user work in a project.
pub(crate) fn add_member(db: &Connection, project: Uuid, user: Uuid) -> Result<()> {
    db.execute(
        "INSERT OR IGNORE INTO user_project (user, project) VALUES (?1, ?2)",
        (Id(user), Id(project)),
    )?;
    Ok(())
}

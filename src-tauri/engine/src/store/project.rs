//! Projects (the protocol also says "group").

use db::rusqlite::{Connection, OptionalExtension, Result, Row};
use protocol::slots::ResourceSlots;
use serde_json::Value;
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
    /// Host → permissions.
    pub(crate) allowed_vfolder_hosts: Value,
    /// Where images of its sessions are pushed to: `{registry, project}`.
    pub(crate) container_registry: Option<Value>,
    pub(crate) integration_id: Option<String>,
}

const COLUMNS: &str = "p.id, p.name, p.description, p.is_active, p.domain, p.type, \
                       p.total_resource_slots, p.resource_policy, p.created_at, \
                       p.allowed_vfolder_hosts, p.container_registry, p.integration_id";

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
        allowed_vfolder_hosts: row.get::<_, Json<_>>(9)?.0,
        container_registry: row.get::<_, Option<Json<_>>>(10)?.map(|json| json.0),
        integration_id: row.get(11)?,
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

/// Ends a user's work in a project.
pub(crate) fn remove_member(db: &Connection, project: Uuid, user: Uuid) -> Result<()> {
    db.execute(
        "DELETE FROM user_project WHERE user = ?1 AND project = ?2",
        (Id(user), Id(project)),
    )?;
    Ok(())
}

/// Whether anything is left that belongs to a project: sessions or folders.
pub(crate) fn in_use(db: &Connection, project: Uuid) -> Result<bool> {
    db.query_row(
        "SELECT EXISTS (SELECT 1 FROM session WHERE project = ?1
            AND status NOT IN ('TERMINATED', 'CANCELLED', 'ERROR'))
         OR EXISTS (SELECT 1 FROM folder WHERE project = ?1)",
        [Id(project)],
        |row| row.get(0),
    )
}

/// Forgets a project that is not in use, with the sessions that it had.
pub(crate) fn remove(db: &Connection, project: Uuid) -> Result<bool> {
    db.execute("DELETE FROM session WHERE project = ?1", [Id(project)])?;
    Ok(db.execute("DELETE FROM project WHERE id = ?1", [Id(project)])? > 0)
}

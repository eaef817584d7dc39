//! Resource policies of keypairs, users and projects.

use db::rusqlite::{Connection, OptionalExtension, Result, Row};
use protocol::slots::ResourceSlots;
use serde_json::Value;

use super::{At, Json};

/// What a keypair may use.
#[derive(Debug, Clone)]
pub(crate) struct KeypairPolicy {
    pub(crate) name: String,
    /// Whether a slot that is not named is unlimited (`UNLIMITED`) or zero (`LIMITED`).
    pub(crate) unspecified_is_unlimited: bool,
    pub(crate) total_resource_slots: ResourceSlots,
    /// Seconds, 0 is without limit.
    pub(crate) max_session_lifetime: u32,
    /// 0 is without limit.
    pub(crate) max_concurrent_sessions: u32,
    pub(crate) max_concurrent_sftp_sessions: u32,
    pub(crate) max_pending_session_count: Option<u32>,
    pub(crate) max_pending_session_resource_slots: Option<ResourceSlots>,
    pub(crate) max_priority: Option<u8>,
    pub(crate) max_containers_per_session: u32,
    /// Seconds, 0 is never.
    pub(crate) idle_timeout: u32,
    /// Host → permissions.
    pub(crate) allowed_vfolder_hosts: Value,
    pub(crate) created_at: At,
}

const COLUMNS: &str = "name, default_for_unspecified, total_resource_slots, max_session_lifetime, \
     max_concurrent_sessions, max_concurrent_sftp_sessions, max_pending_session_count, \
     max_pending_session_resource_slots, max_priority, max_containers_per_session, idle_timeout, \
     allowed_vfolder_hosts, created_at";

fn read(row: &Row<'_>) -> Result<KeypairPolicy> {
    Ok(KeypairPolicy {
        name: row.get(0)?,
        unspecified_is_unlimited: row.get::<_, String>(1)? == "UNLIMITED",
        total_resource_slots: row.get::<_, Json<_>>(2)?.0,
        max_session_lifetime: row.get(3)?,
        max_concurrent_sessions: row.get(4)?,
        max_concurrent_sftp_sessions: row.get(5)?,
        max_pending_session_count: row.get(6)?,
        max_pending_session_resource_slots: row.get::<_, Option<Json<_>>>(7)?.map(|json| json.0),
        max_priority: row.get(8)?,
        max_containers_per_session: row.get(9)?,
        idle_timeout: row.get(10)?,
        allowed_vfolder_hosts: row.get::<_, Json<_>>(11)?.0,
        created_at: row.get(12)?,
    })
}

/// The keypair policy `name`.
pub(crate) fn get(db: &Connection, name: &str) -> Result<Option<KeypairPolicy>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM keypair_policy WHERE name = ?1"
    ))?
    .query_row([name], read)
    .optional()
}

/// Kernels of one session that the first policy allows.
const FIRST_CONTAINERS: u32 = 16;

/// Makes the three policies `name`, all without limits but the number of kernels of a session.
pub(crate) fn insert_all(db: &Connection, name: &str, hosts: &Value) -> Result<()> {
    let now = At::now();
    db.execute(
        "INSERT INTO keypair_policy
            (name, allowed_vfolder_hosts, max_containers_per_session, created_at)
         VALUES (?1, ?2, ?3, ?4)",
        (name, Json(hosts), FIRST_CONTAINERS, now),
    )?;
    db.execute(
        "INSERT INTO user_policy (name, created_at) VALUES (?1, ?2)",
        (name, now),
    )?;
    db.execute(
        "INSERT INTO project_policy (name, created_at) VALUES (?1, ?2)",
        (name, now),
    )?;
    Ok(())
}

/// Every keypair policy, by name.
pub(crate) fn list(db: &Connection) -> Result<Vec<KeypairPolicy>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM keypair_policy ORDER BY name"
    ))?
    .query_map([], read)?
    .collect()
}

/// What a user or a project may keep and make.
#[derive(Debug, Clone)]
pub(crate) struct OwnerPolicy {
    pub(crate) name: String,
    /// 0 is without limit.
    pub(crate) max_vfolder_count: u32,
    /// Bytes; negative is without limit.
    pub(crate) max_quota_scope_size: i64,
    /// Of a user's policy: sessions for each model. Of a project's: networks.
    pub(crate) max_dependents: u32,
    /// Of a user's policy only.
    pub(crate) max_customized_image_count: u32,
    pub(crate) created_at: At,
}

fn read_owner(row: &Row<'_>) -> Result<OwnerPolicy> {
    Ok(OwnerPolicy {
        name: row.get(0)?,
        max_vfolder_count: row.get(1)?,
        max_quota_scope_size: row.get(2)?,
        max_dependents: row.get(3)?,
        max_customized_image_count: row.get(4)?,
        created_at: row.get(5)?,
    })
}

/// Every user policy, by name.
pub(crate) fn of_users(db: &Connection) -> Result<Vec<OwnerPolicy>> {
    db.prepare_cached(
        "SELECT name, max_vfolder_count, max_quota_scope_size, \
         max_session_count_per_model_session, max_customized_image_count, created_at \
         FROM user_policy ORDER BY name",
    )?
    .query_map([], read_owner)?
    .collect()
}

/// Every project policy, by name.
pub(crate) fn of_projects(db: &Connection) -> Result<Vec<OwnerPolicy>> {
    db.prepare_cached(
        "SELECT name, max_vfolder_count, max_quota_scope_size, max_network_count, 0, created_at \
         FROM project_policy ORDER BY name",
    )?
    .query_map([], read_owner)?
    .collect()
}

/// Whether anybody has the policy `name` of this table.
pub(crate) fn in_use(db: &Connection, name: &str, table: &str) -> Result<bool> {
    let holders = match table {
        "keypair_policy" => "keypair",
        "user_policy" => "user",
        _ => "project",
    };
    db.query_row(
        &format!("SELECT EXISTS (SELECT 1 FROM {holders} WHERE resource_policy = ?1)"),
        [name],
        |row| row.get(0),
    )
}

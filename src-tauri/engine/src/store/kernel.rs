//! Rows of kernels.

use db::rusqlite::types::ToSql;
use db::rusqlite::{Connection, OptionalExtension, Result, Row};
use protocol::service_port::ServicePort;
use protocol::session::KernelStatus;
use protocol::slots::ResourceSlots;
use serde_json::Value;
use uuid::Uuid;

use super::{At, Id, Json, Word};

/// A kernel: one machine-to-be of a session.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    pub(crate) id: Uuid,
    pub(crate) session: Uuid,
    /// `main` or `sub`.
    pub(crate) role: String,
    /// From 1, within its role.
    pub(crate) idx: u32,
    /// From 0, within its session.
    pub(crate) local_rank: u32,
    pub(crate) hostname: String,
    pub(crate) status: KernelStatus,
    pub(crate) status_info: Option<String>,
    pub(crate) status_data: Value,
    /// Where it runs.
    pub(crate) agent: Option<String>,
    pub(crate) container_id: Option<String>,
    pub(crate) service_ports: Vec<ServicePort>,
    pub(crate) occupied_slots: ResourceSlots,
    /// UUIDs of the GPUs that it has, or had.
    pub(crate) gpus: Vec<String>,
    /// The boot of the computer in which it was started.
    pub(crate) boot_id: Option<String>,
    /// Its last statistics, kept at its end.
    pub(crate) last_stat: Option<Value>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) started_at: Option<At>,
    pub(crate) terminated_at: Option<At>,
    /// When it was certain that nothing of it runs any more; until then it holds its resources.
    pub(crate) halted_at: Option<At>,
    /// When nothing was left of it.
    pub(crate) removed_at: Option<At>,
}

const COLUMNS: &str = "id, session, role, idx, local_rank, hostname, status, status_info, \
     status_data, agent, container_id, service_ports, occupied_slots, boot_id, last_stat, \
     exit_code, started_at, terminated_at, removed_at, gpus, halted_at";

fn read(row: &Row<'_>) -> Result<Kernel> {
    Ok(Kernel {
        id: row.get::<_, Id>(0)?.0,
        session: row.get::<_, Id>(1)?.0,
        role: row.get(2)?,
        idx: row.get(3)?,
        local_rank: row.get(4)?,
        hostname: row.get(5)?,
        status: row.get::<_, Word<_>>(6)?.0,
        status_info: row.get(7)?,
        status_data: row.get::<_, Json<_>>(8)?.0,
        agent: row.get(9)?,
        container_id: row.get(10)?,
        service_ports: row.get::<_, Json<_>>(11)?.0,
        occupied_slots: row.get::<_, Json<_>>(12)?.0,
        boot_id: row.get(13)?,
        last_stat: row.get::<_, Option<Json<_>>>(14)?.map(|json| json.0),
        exit_code: row.get(15)?,
        started_at: row.get(16)?,
        terminated_at: row.get(17)?,
        removed_at: row.get(18)?,
        gpus: row.get::<_, Json<_>>(19)?.0,
        halted_at: row.get(20)?,
    })
}

/// Adds a kernel, or stores all of it again.
pub(crate) fn put(db: &Connection, kernel: &Kernel) -> Result<()> {
    let k = kernel;
    let last_stat = k.last_stat.as_ref().map(Json);
    let values: [&dyn ToSql; 21] = [
        &Id(k.id),
        &Id(k.session),
        &k.role,
        &k.idx,
        &k.local_rank,
        &k.hostname,
        &Word(k.status),
        &k.status_info,
        &Json(&k.status_data),
        &k.agent,
        &k.container_id,
        &Json(&k.service_ports),
        &Json(&k.occupied_slots),
        &k.boot_id,
        &last_stat,
        &k.exit_code,
        &k.started_at,
        &k.terminated_at,
        &k.removed_at,
        &Json(&k.gpus),
        &k.halted_at,
    ];
    db.prepare_cached(&format!(
        "INSERT INTO kernel ({COLUMNS}) VALUES
            (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
            ?20, ?21)
         ON CONFLICT (id) DO UPDATE SET status = ?7, status_info = ?8, status_data = ?9,
            agent = ?10, container_id = ?11, service_ports = ?12, occupied_slots = ?13,
            boot_id = ?14, last_stat = ?15, exit_code = ?16, started_at = ?17,
            terminated_at = ?18, removed_at = ?19, gpus = ?20,
            halted_at = ?21"
    ))?
    .execute(values)?;
    Ok(())
}

/// The kernel with this id.
pub(crate) fn get(db: &Connection, id: Uuid) -> Result<Option<Kernel>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM kernel WHERE id = ?1"))?
        .query_row([Id(id)], read)
        .optional()
}

/// The kernels of a session, the main one first.
pub(crate) fn of_session(db: &Connection, session: Uuid) -> Result<Vec<Kernel>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM kernel WHERE session = ?1 ORDER BY local_rank"
    ))?
    .query_map([Id(session)], read)?
    .collect()
}

/// The kernels of several sessions, the main one of each before its others.
pub(crate) fn of_sessions(db: &Connection, sessions: &[Uuid]) -> Result<Vec<Kernel>> {
    let ids: Vec<String> = sessions.iter().map(Uuid::to_string).collect();
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM kernel WHERE session IN (SELECT value FROM json_each(?1))
         ORDER BY session, local_rank"
    ))?
    .query_map([Json(ids)], read)?
    .collect()
}

/// What a list of sessions shows of a kernel; statistics, the largest part of a row, stay unread.
#[derive(Debug, Clone)]
pub(crate) struct ListedKernel {
    pub(crate) id: Uuid,
    pub(crate) session: Uuid,
    pub(crate) agent: Option<String>,
    /// JSON of `Vec<ServicePort>`: read when somebody looks.
    service_ports: String,
}

impl ListedKernel {
    /// Its service ports; none when they can't be read.
    pub(crate) fn service_ports(&self) -> Vec<ServicePort> {
        serde_json::from_str(&self.service_ports).unwrap_or_default()
    }
}

/// The kernels of several sessions for a list, the main one of each before its others.
pub(crate) fn listed(db: &Connection, sessions: &[Uuid]) -> Result<Vec<ListedKernel>> {
    let ids: Vec<String> = sessions.iter().map(Uuid::to_string).collect();
    db.prepare_cached(
        "SELECT id, session, agent, service_ports FROM kernel
         WHERE session IN (SELECT value FROM json_each(?1)) ORDER BY session, local_rank",
    )?
    .query_map([Json(ids)], |row| {
        Ok(ListedKernel {
            id: row.get::<_, Id>(0)?.0,
            session: row.get::<_, Id>(1)?.0,
            agent: row.get(2)?,
            service_ports: row.get(3)?,
        })
    })?
    .collect()
}

/// Kernels that hold resources, whatever session they belong to: those that have a place, until it is
/// certain that nothing of them runs there any more.
pub(crate) fn occupying(db: &Connection) -> Result<Vec<Kernel>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM kernel
         WHERE halted_at IS NULL AND agent IS NOT NULL AND status != 'PENDING'"
    ))?
    .query_map([], read)?
    .collect()
}

/// Kernels that ran at some moment between `start` and `end`, the oldest first.
pub(crate) fn between(db: &Connection, start: At, end: At) -> Result<Vec<Kernel>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM kernel WHERE started_at < ?2
            AND (terminated_at >= ?1 OR terminated_at IS NULL) ORDER BY started_at, id"
    ))?
    .query_map((start, end), read)?
    .collect()
}

/// Ids of kernels of which something may be left.
pub(crate) fn remaining(db: &Connection) -> Result<Vec<Uuid>> {
    db.prepare_cached("SELECT id FROM kernel WHERE removed_at IS NULL")?
        .query_map([], |row| row.get::<_, Id>(0).map(|id| id.0))?
        .collect()
}

/// What a kernel printed last, as kept at its end.
pub(crate) fn log(db: &Connection, id: Uuid) -> Result<Option<String>> {
    db.query_row(
        "SELECT text FROM kernel_log WHERE kernel = ?1",
        [Id(id)],
        |row| row.get(0),
    )
    .optional()
}

/// Keeps what a kernel printed last.
pub(crate) fn keep_log(db: &Connection, id: Uuid, text: &str) -> Result<()> {
    db.execute(
        "INSERT OR REPLACE INTO kernel_log (kernel, text) VALUES (?1, ?2)",
        (Id(id), text),
    )?;
    Ok(())
}

/// The agent that a kernel was last given to.
pub(crate) fn last_placed(db: &Connection) -> Result<Option<String>> {
    db.prepare_cached(
        "SELECT agent FROM kernel WHERE agent IS NOT NULL AND started_at IS NOT NULL
         ORDER BY started_at DESC LIMIT 1",
    )?
    .query_row([], |row| row.get(0))
    .optional()
}

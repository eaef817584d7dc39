//! Runs of kernels that were over before their sessions were.

use db::rusqlite::{Connection, Result};
use protocol::session::KernelStatus;
use uuid::Uuid;

use super::kernel::{self, Kernel};
use super::{At, Id, Json};

/// Keeps the run of a kernel that goes back to the queue now; nothing if it never ran.
pub(crate) fn keep(db: &Connection, kernel: &Kernel, now: At) -> Result<()> {
    let Some(started) = kernel.started_at else {
        return Ok(());
    };
    let ended = kernel.halted_at.unwrap_or(now);
    db.prepare_cached(
        "INSERT OR REPLACE INTO kernel_run (kernel, started_at, terminated_at, agent, container_id,
            occupied_slots, last_stat) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute((
        Id(kernel.id),
        started,
        ended,
        &kernel.agent,
        &kernel.container_id,
        Json(&kernel.occupied_slots),
        kernel.last_stat.as_ref().map(Json),
    ))?;
    Ok(())
}

/// The runs that went on at some moment between `start` and `end`, the oldest first, each as the
/// kernel was then.
pub(crate) fn between(db: &Connection, start: At, end: At) -> Result<Vec<Kernel>> {
    let mut statement = db.prepare_cached(
        "SELECT kernel, started_at, terminated_at, agent, container_id, occupied_slots, last_stat
         FROM kernel_run WHERE started_at < ?2 AND terminated_at >= ?1
         ORDER BY started_at, kernel",
    )?;
    let mut rows = statement.query((start, end))?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        let id: Uuid = row.get::<_, Id>(0)?.0;
        let Some(kernel) = kernel::get(db, id)? else {
            continue;
        };
        runs.push(Kernel {
            status: KernelStatus::Terminated,
            status_info: None,
            started_at: row.get(1)?,
            terminated_at: row.get(2)?,
            agent: row.get(3)?,
            container_id: row.get(4)?,
            occupied_slots: row.get::<_, Json<_>>(5)?.0,
            last_stat: row.get::<_, Option<Json<_>>>(6)?.map(|json| json.0),
            ..kernel
        });
    }
    Ok(runs)
}

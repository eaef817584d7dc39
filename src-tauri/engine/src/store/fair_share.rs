//! What fair shares are made from: the usage of kernels, and weights.

use std::collections::BTreeMap;

use db::rusqlite::{Connection, Result};
use protocol::slots::ResourceSlots;
use uuid::Uuid;

use super::{At, Id, Json};

/// One kernel's use of a resource group.
#[derive(Debug, Clone)]
pub(crate) struct Used {
    pub(crate) user: Uuid,
    pub(crate) project: Uuid,
    pub(crate) domain: String,
    pub(crate) slots: ResourceSlots,
    pub(crate) begin: At,
    /// `None` while it runs.
    pub(crate) end: Option<At>,
}

/// The kernels of a resource group that ran after `since`; one that ran several times is there for
/// each of them.
pub(crate) fn used(db: &Connection, group: &str, since: At) -> Result<Vec<Used>> {
    db.prepare_cached(
        "SELECT s.user, s.project, s.domain, k.occupied_slots, k.started_at, k.terminated_at
         FROM kernel k JOIN session s ON s.id = k.session
         WHERE s.resource_group = ?1 AND k.started_at IS NOT NULL
           AND (k.terminated_at IS NULL OR k.terminated_at > ?2)
         UNION ALL
         SELECT s.user, s.project, s.domain, r.occupied_slots, r.started_at, r.terminated_at
         FROM kernel_run r JOIN kernel k ON k.id = r.kernel JOIN session s ON s.id = k.session
         WHERE s.resource_group = ?1 AND r.terminated_at > ?2",
    )?
    .query_map((group, since), |row| {
        Ok(Used {
            user: row.get::<_, Id>(0)?.0,
            project: row.get::<_, Id>(1)?.0,
            domain: row.get(2)?,
            slots: row.get::<_, Json<_>>(3)?.0,
            begin: row.get(4)?,
            end: row.get(5)?,
        })
    })?
    .collect()
}

/// The weights of a resource group: (kind, target) → weight. See the table for kinds and targets.
pub(crate) fn weights(db: &Connection, group: &str) -> Result<BTreeMap<(String, String), f64>> {
    db.prepare_cached(
        "SELECT kind, target, weight FROM fair_share_weight WHERE resource_group = ?1",
    )?
    .query_map([group], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?
    .collect()
}

/// Sets a weight; `None` goes back to the resource group's default.
pub(crate) fn set_weight(
    db: &Connection,
    group: &str,
    kind: &str,
    target: &str,
    weight: Option<f64>,
) -> Result<()> {
    match weight {
        Some(weight) => db.execute(
            "INSERT OR REPLACE INTO fair_share_weight (resource_group, kind, target, weight)
             VALUES (?1, ?2, ?3, ?4)",
            (group, kind, target, weight),
        )?,
        None => db.execute(
            "DELETE FROM fair_share_weight
             WHERE resource_group = ?1 AND kind = ?2 AND target = ?3",
            (group, kind, target),
        )?,
    };
    Ok(())
}

//! Resource groups (the protocol also says "scaling group").

use db::rusqlite::{Connection, OptionalExtension, Result, Row};
use serde_json::Value;

use super::{At, Json};

/// A resource group.
#[derive(Debug, Clone)]
pub(crate) struct ResourceGroup {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) is_active: bool,
    pub(crate) is_public: bool,
    /// How its queue is ordered: `fifo`, `lifo`, `drf`.
    pub(crate) scheduler: String,
    pub(crate) scheduler_opts: Value,
    pub(crate) created_at: At,
    pub(crate) driver: String,
    pub(crate) driver_opts: Value,
    pub(crate) use_host_network: bool,
    pub(crate) wsproxy_addr: Option<String>,
    /// What it names of `half_life_days`, `lookback_days`, `decay_unit_days`, `default_weight`,
    /// `resource_weights`.
    pub(crate) fair_share_spec: Value,
}

impl ResourceGroup {
    /// Whether sessions of this type may go to it.
    pub(crate) fn takes(&self, session_type: &str) -> bool {
        self.scheduler_opts
            .get("allowed_session_types")
            .and_then(Value::as_array)
            .is_none_or(|types| types.iter().any(|it| it.as_str() == Some(session_type)))
    }
}

const COLUMNS: &str = "name, description, is_active, is_public, scheduler, scheduler_opts, created_at, driver, \
     driver_opts, use_host_network, wsproxy_addr, fair_share_spec";

fn read(row: &Row<'_>) -> Result<ResourceGroup> {
    Ok(ResourceGroup {
        name: row.get(0)?,
        description: row.get(1)?,
        is_active: row.get(2)?,
        is_public: row.get(3)?,
        scheduler: row.get(4)?,
        scheduler_opts: row.get::<_, Json<_>>(5)?.0,
        created_at: row.get(6)?,
        driver: row.get(7)?,
        driver_opts: row.get::<_, Json<_>>(8)?.0,
        use_host_network: row.get(9)?,
        wsproxy_addr: row.get(10)?,
        fair_share_spec: row.get::<_, Json<_>>(11)?.0,
    })
}

/// The group `name`.
pub(crate) fn get(db: &Connection, name: &str) -> Result<Option<ResourceGroup>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM resource_group WHERE name = ?1"
    ))?
    .query_row([name], read)
    .optional()
}

/// All groups, by name.
pub(crate) fn list(db: &Connection) -> Result<Vec<ResourceGroup>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM resource_group ORDER BY name"
    ))?
    .query_map([], read)?
    .collect()
}

/// Makes a public group whose queue is first come, first served.
pub(crate) fn insert(db: &Connection, name: &str) -> Result<()> {
    db.execute(
        "INSERT INTO resource_group (name, created_at) VALUES (?1, ?2)",
        (name, At::now()),
    )?;
    Ok(())
}

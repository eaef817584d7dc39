//! Rows of sessions.

use std::collections::BTreeMap;
use std::path::PathBuf;

use db::rusqlite::types::ToSql;
use db::rusqlite::{Connection, OptionalExtension, Result, Row};
use jiff::Timestamp;
use protocol::session::{ClusterMode, SessionResult, SessionStatus, SessionType};
use protocol::slots::ResourceSlots;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{At, Id, Json, Word};

/// A session.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) kind: SessionType,
    pub(crate) status: SessionStatus,
    /// Why it is where it is: `user-requested`, `task-finished`, …
    pub(crate) status_info: Option<String>,
    /// `error`, `scheduler`, `kernel`, `session`.
    pub(crate) status_data: Value,
    /// Status → when it was last entered (ISO).
    pub(crate) status_history: BTreeMap<String, String>,
    pub(crate) result: SessionResult,
    /// Of a batch job.
    pub(crate) exit_code: Option<i32>,
    pub(crate) user: Uuid,
    pub(crate) access_key: String,
    pub(crate) domain: String,
    pub(crate) project: Uuid,
    pub(crate) resource_group: String,
    pub(crate) image: String,
    pub(crate) architecture: String,
    pub(crate) tag: Option<String>,
    pub(crate) priority: u8,
    /// Its rank among those that it may make give way.
    pub(crate) job_priority: i32,
    /// Whether it may have to give way itself.
    pub(crate) is_preemptible: bool,
    pub(crate) cluster_mode: ClusterMode,
    pub(crate) cluster_size: u32,
    /// Of one kernel.
    pub(crate) requested_slots: ResourceSlots,
    pub(crate) occupied_slots: ResourceSlots,
    pub(crate) resource_opts: Map<String, Value>,
    pub(crate) environ: BTreeMap<String, String>,
    pub(crate) mounts: Vec<SessionMount>,
    pub(crate) preopen_ports: Vec<u16>,
    /// The agents that it may go to; empty for any.
    pub(crate) agents: Vec<String>,
    /// Python environments of the computer, canonical.
    pub(crate) environments: Vec<PathBuf>,
    pub(crate) bootstrap_script: Option<String>,
    pub(crate) startup_command: Option<String>,
    /// Seconds.
    pub(crate) batch_timeout: Option<f64>,
    pub(crate) starts_at: Option<At>,
    pub(crate) dependencies: Vec<Uuid>,
    pub(crate) callback_url: Option<String>,
    /// Asked to end, and why.
    pub(crate) terminate_reason: Option<String>,
    /// Asked to end without waiting for its processes.
    pub(crate) terminate_forced: bool,
    pub(crate) num_queries: u32,
    pub(crate) created_at: At,
    pub(crate) terminated_at: Option<At>,
}

/// A data folder in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionMount {
    pub(crate) folder: Uuid,
    pub(crate) name: String,
    /// The part of the folder that is mounted; empty for all of it.
    pub(crate) subpath: String,
    /// Absolute path inside.
    pub(crate) target: String,
    pub(crate) read_only: bool,
}

impl Session {
    /// When it last entered a status, in milliseconds since 1970.
    pub(crate) fn entered(&self, status: SessionStatus) -> Option<i64> {
        let text = self.status_history.get(status.as_str())?;
        Some(text.parse::<Timestamp>().ok()?.as_millisecond())
    }

    /// Since when it waits without a place, in milliseconds since 1970: it may have been given one
    /// before, and to lose its rank in the queue is not to leave it.
    pub(crate) fn waits_since(&self) -> i64 {
        let left = SessionStatus::ALL
            .iter()
            .filter(|status| {
                !matches!(
                    status,
                    SessionStatus::Pending | SessionStatus::Deprioritizing
                )
            })
            .filter_map(|status| self.entered(*status));
        left.max()
            .unwrap_or(i64::MIN)
            .max(self.created_at.0.as_millisecond())
    }
}

const COLUMNS: &str = "id, name, type, status, status_info, status_data, status_history, result, \
     exit_code, user, access_key, domain, project, resource_group, image, architecture, tag, \
     priority, cluster_mode, cluster_size, requested_slots, occupied_slots, resource_opts, \
     environ, mounts, preopen_ports, bootstrap_script, startup_command, batch_timeout, starts_at, \
     dependencies, callback_url, terminate_reason, terminate_forced, num_queries, created_at, \
     terminated_at, environments, agent_list, job_priority, is_preemptible";

fn read(row: &Row<'_>) -> Result<Session> {
    Ok(Session {
        id: row.get::<_, Id>(0)?.0,
        name: row.get(1)?,
        kind: row.get::<_, Word<_>>(2)?.0,
        status: row.get::<_, Word<_>>(3)?.0,
        status_info: row.get(4)?,
        status_data: row.get::<_, Json<_>>(5)?.0,
        status_history: row.get::<_, Json<_>>(6)?.0,
        result: row.get::<_, Word<_>>(7)?.0,
        exit_code: row.get(8)?,
        user: row.get::<_, Id>(9)?.0,
        access_key: row.get(10)?,
        domain: row.get(11)?,
        project: row.get::<_, Id>(12)?.0,
        resource_group: row.get(13)?,
        image: row.get(14)?,
        architecture: row.get(15)?,
        tag: row.get(16)?,
        priority: row.get(17)?,
        cluster_mode: row.get::<_, Word<_>>(18)?.0,
        cluster_size: row.get(19)?,
        requested_slots: row.get::<_, Json<_>>(20)?.0,
        occupied_slots: row.get::<_, Json<_>>(21)?.0,
        resource_opts: row.get::<_, Json<_>>(22)?.0,
        environ: row.get::<_, Json<_>>(23)?.0,
        mounts: row.get::<_, Json<_>>(24)?.0,
        preopen_ports: row.get::<_, Json<_>>(25)?.0,
        bootstrap_script: row.get(26)?,
        startup_command: row.get(27)?,
        batch_timeout: row.get(28)?,
        starts_at: row.get(29)?,
        dependencies: row.get::<_, Json<_>>(30)?.0,
        callback_url: row.get(31)?,
        terminate_reason: row.get(32)?,
        terminate_forced: row.get(33)?,
        num_queries: row.get(34)?,
        created_at: row.get(35)?,
        terminated_at: row.get(36)?,
        environments: row.get::<_, Json<_>>(37)?.0,
        agents: row.get::<_, Json<_>>(38)?.0,
        job_priority: row.get(39)?,
        is_preemptible: row.get(40)?,
    })
}

/// Adds a session.
pub(crate) fn insert(db: &Connection, session: &Session) -> Result<()> {
    let s = session;
    let values: [&dyn ToSql; 41] = [
        &Id(s.id),
        &s.name,
        &Word(s.kind),
        &Word(s.status),
        &s.status_info,
        &Json(&s.status_data),
        &Json(&s.status_history),
        &Word(s.result),
        &s.exit_code,
        &Id(s.user),
        &s.access_key,
        &s.domain,
        &Id(s.project),
        &s.resource_group,
        &s.image,
        &s.architecture,
        &s.tag,
        &s.priority,
        &Word(s.cluster_mode),
        &s.cluster_size,
        &Json(&s.requested_slots),
        &Json(&s.occupied_slots),
        &Json(&s.resource_opts),
        &Json(&s.environ),
        &Json(&s.mounts),
        &Json(&s.preopen_ports),
        &s.bootstrap_script,
        &s.startup_command,
        &s.batch_timeout,
        &s.starts_at,
        &Json(&s.dependencies),
        &s.callback_url,
        &s.terminate_reason,
        &s.terminate_forced,
        &s.num_queries,
        &s.created_at,
        &s.terminated_at,
        &Json(&s.environments),
        &Json(&s.agents),
        &s.job_priority,
        &s.is_preemptible,
    ];
    let places = (1..=values.len())
        .map(|n| format!("?{n}"))
        .collect::<Vec<_>>()
        .join(", ");
    db.execute(
        &format!("INSERT INTO session ({COLUMNS}) VALUES ({places})"),
        &values[..],
    )?;
    Ok(())
}

/// Stores what changes in the life of a session; what was asked for never changes.
pub(crate) fn update(db: &Connection, session: &Session) -> Result<()> {
    let s = session;
    let values: [&dyn ToSql; 13] = [
        &Id(s.id),
        &s.name,
        &Word(s.status),
        &s.status_info,
        &Json(&s.status_data),
        &Json(&s.status_history),
        &Word(s.result),
        &s.exit_code,
        &Json(&s.occupied_slots),
        &s.terminate_reason,
        &s.terminate_forced,
        &s.terminated_at,
        &s.priority,
    ];
    db.prepare_cached(
        "UPDATE session SET name = ?2, status = ?3, status_info = ?4, status_data = ?5,
            status_history = ?6, result = ?7, exit_code = ?8, occupied_slots = ?9,
            terminate_reason = ?10, terminate_forced = ?11, terminated_at = ?12, priority = ?13
         WHERE id = ?1",
    )?
    .execute(values)?;
    Ok(())
}

/// The session with this id.
pub(crate) fn get(db: &Connection, id: Uuid) -> Result<Option<Session>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM session WHERE id = ?1"))?
        .query_row([Id(id)], read)
        .optional()
}

const LIVE: &str = "status NOT IN ('TERMINATED', 'CANCELLED', 'ERROR')";

/// The live session of this name; there is at most one for each user.
pub(crate) fn live_by_name(db: &Connection, user: Uuid, name: &str) -> Result<Option<Session>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM session WHERE user = ?1 AND name = ?2 AND {LIVE}"
    ))?
    .query_row((Id(user), name), read)
    .optional()
}

/// Sessions in any of these statuses, oldest first.
pub(crate) fn in_status(db: &Connection, statuses: &[SessionStatus]) -> Result<Vec<Session>> {
    let filter = Filter {
        statuses: Some(statuses.to_vec()),
        ..Filter::default()
    };
    let mut sessions = list(db, &filter, None, 0)?;
    sessions.reverse();
    Ok(sessions)
}

/// Sessions that are over, of which something is left to be cleaned up; oldest first.
pub(crate) fn with_remains(db: &Connection) -> Result<Vec<Session>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM session WHERE NOT ({LIVE}) AND id IN
            (SELECT session FROM kernel WHERE removed_at IS NULL)
         ORDER BY created_at"
    ))?
    .query_map([], read)?
    .collect()
}

/// How many sessions are not over.
pub(crate) fn count_live(db: &Connection) -> Result<u32> {
    db.query_row(
        &format!("SELECT count(*) FROM session WHERE {LIVE}"),
        [],
        |row| row.get(0),
    )
}

/// The statuses of sessions that are not over.
pub(crate) fn live_statuses() -> Vec<SessionStatus> {
    SessionStatus::ALL
        .iter()
        .copied()
        .filter(|status| !status.is_terminal())
        .collect()
}

/// Which sessions; what is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) user: Option<Uuid>,
    pub(crate) access_key: Option<String>,
    pub(crate) project: Option<Uuid>,
    pub(crate) domain: Option<String>,
    pub(crate) resource_group: Option<String>,
    pub(crate) statuses: Option<Vec<SessionStatus>>,
    pub(crate) name: Option<String>,
}

impl Filter {
    /// The `WHERE` of a question about sessions, if it needs one, and its values.
    pub(super) fn conditions(&self) -> (String, Vec<Box<dyn ToSql>>) {
        let mut conditions = Vec::new();
        let mut values: Vec<Box<dyn ToSql>> = Vec::new();
        let mut equal = |column: &str, value: Box<dyn ToSql>| {
            values.push(value);
            conditions.push(format!("session.{column} = ?{}", values.len()));
        };
        if let Some(user) = self.user {
            equal("user", Box::new(Id(user)));
        }
        if let Some(project) = self.project {
            equal("project", Box::new(Id(project)));
        }
        for (column, value) in [
            ("access_key", &self.access_key),
            ("domain", &self.domain),
            ("resource_group", &self.resource_group),
            ("name", &self.name),
        ] {
            if let Some(value) = value {
                equal(column, Box::new(value.clone()));
            }
        }
        if let Some(statuses) = &self.statuses {
            // The words are the protocol's own: nothing from outside gets into the text.
            let words: Vec<_> = statuses
                .iter()
                .map(|status| format!("'{status}'"))
                .collect();
            conditions.push(format!("session.status IN ({})", words.join(", ")));
        }
        // Without any the database counts its rows without looking at them.
        let conditions = match conditions.is_empty() {
            true => String::new(),
            false => format!("WHERE {}", conditions.join(" AND ")),
        };
        (conditions, values)
    }
}

/// Sessions, newest first; `limit` of them after `offset`.
pub(crate) fn list(
    db: &Connection,
    filter: &Filter,
    limit: Option<u32>,
    offset: u32,
) -> Result<Vec<Session>> {
    let (conditions, mut values) = filter.conditions();
    values.push(Box::new(limit.map_or(-1, i64::from)));
    values.push(Box::new(offset));
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM session {conditions}
         ORDER BY created_at DESC, id LIMIT ?{} OFFSET ?{}",
        values.len() - 1,
        values.len()
    ))?
    .query_map(db::rusqlite::params_from_iter(values), read)?
    .collect()
}

/// How many sessions [`list`] would find without limit.
pub(crate) fn count(db: &Connection, filter: &Filter) -> Result<u32> {
    let (conditions, values) = filter.conditions();
    db.prepare_cached(&format!("SELECT count(*) FROM session {conditions}"))?
        .query_row(db::rusqlite::params_from_iter(values), |row| row.get(0))
}

/// Counts a query that a session executed.
pub(crate) fn count_query(db: &Connection, id: Uuid) -> Result<()> {
    db.execute(
        "UPDATE session SET num_queries = num_queries + 1 WHERE id = ?1",
        [Id(id)],
    )?;
    Ok(())
}

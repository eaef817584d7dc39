//! Who may use which resource group, and which agents serve it.

use db::rusqlite::{Connection, Result};
use uuid::Uuid;

/// Whom a resource group is opened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Domain,
    Project,
    Keypair,
}

impl Scope {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Domain => "domain",
            Self::Project => "project",
            Self::Keypair => "keypair",
        }
    }
}

/// Opens a resource group to `target`.
pub(crate) fn open(db: &Connection, scope: Scope, target: &str, group: &str) -> Result<()> {
    db.execute(
        "INSERT OR IGNORE INTO resource_group_access (resource_group, kind, target)
         VALUES (?1, ?2, ?3)",
        (group, scope.as_str(), target),
    )?;
    Ok(())
}

/// Closes a resource group to `target`, or every one when none is named; answers how many it was.
pub(crate) fn close(
    db: &Connection,
    scope: Scope,
    target: &str,
    group: Option<&str>,
) -> Result<usize> {
    db.execute(
        "DELETE FROM resource_group_access
         WHERE kind = ?1 AND target = ?2 AND resource_group = coalesce(?3, resource_group)",
        (scope.as_str(), target, group),
    )
}

/// The resource groups that are open to one of these, by name.
pub(crate) fn groups(
    db: &Connection,
    domain: Option<&str>,
    projects: &[Uuid],
    keypair: Option<&str>,
) -> Result<Vec<String>> {
    let projects: Vec<String> = projects.iter().map(Uuid::to_string).collect();
    let projects = serde_json::json!(projects).to_string();
    db.prepare_cached(
        "SELECT DISTINCT resource_group FROM resource_group_access
         WHERE (kind = 'domain' AND target = ?1) OR (kind = 'keypair' AND target = ?2)
            OR (kind = 'project' AND target IN (SELECT value FROM json_each(?3)))
         ORDER BY resource_group",
    )?
    .query_map((domain, keypair, projects), |row| row.get(0))?
    .collect()
}

/// What administrators have said about an agent.
#[derive(Debug, Clone)]
pub(crate) struct AgentSetting {
    pub(crate) agent: String,
    pub(crate) resource_group: Option<String>,
    pub(crate) schedulable: bool,
}

/// What is said about all agents.
pub(crate) fn agents(db: &Connection) -> Result<Vec<AgentSetting>> {
    db.prepare_cached("SELECT agent, resource_group, schedulable FROM agent_setting")?
        .query_map([], |row| {
            Ok(AgentSetting {
                agent: row.get(0)?,
                resource_group: row.get(1)?,
                schedulable: row.get(2)?,
            })
        })?
        .collect()
}

/// Says it.
pub(crate) fn set_agent(db: &Connection, setting: &AgentSetting) -> Result<()> {
    db.execute(
        "INSERT OR REPLACE INTO agent_setting (agent, resource_group, schedulable)
         VALUES (?1, ?2, ?3)",
        (&setting.agent, &setting.resource_group, setting.schedulable),
    )?;
    Ok(())
}

//! Sessions as a list shows them: those columns alone that somebody looks at, as the tables have
//! them. To read the whole of a session ([`super::session::Session`]) costs several times as much.

use db::rusqlite::{Connection, OptionalExtension, Result, Row};
use uuid::Uuid;

use super::Id;
use super::session::Filter;

/// Something that a row of the list can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Id,
    Name,
    Kind,
    Status,
    StatusInfo,
    StatusData,
    StatusHistory,
    Result,
    User,
    AccessKey,
    Domain,
    Project,
    ResourceGroup,
    Image,
    Architecture,
    Tag,
    Priority,
    ClusterMode,
    ClusterSize,
    RequestedSlots,
    OccupiedSlots,
    ResourceOpts,
    Mounts,
    StartupCommand,
    StartsAt,
    NumQueries,
    CreatedAt,
    TerminatedAt,
    UserEmail,
    UserFullName,
    ProjectName,
    /// Of its main kernel.
    MainKernel,
    /// Of its main kernel, as JSON.
    ServicePorts,
    /// Where its kernels are, the main one's first, as JSON.
    Agents,
}

impl Column {
    const fn sql(self) -> &'static str {
        match self {
            Self::Id => "session.id",
            Self::Name => "session.name",
            Self::Kind => "session.type",
            Self::Status => "session.status",
            Self::StatusInfo => "session.status_info",
            Self::StatusData => "session.status_data",
            Self::StatusHistory => "session.status_history",
            Self::Result => "session.result",
            Self::User => "session.user",
            Self::AccessKey => "session.access_key",
            Self::Domain => "session.domain",
            Self::Project => "session.project",
            Self::ResourceGroup => "session.resource_group",
            Self::Image => "session.image",
            Self::Architecture => "session.architecture",
            Self::Tag => "session.tag",
            Self::Priority => "session.priority",
            Self::ClusterMode => "session.cluster_mode",
            Self::ClusterSize => "session.cluster_size",
            Self::RequestedSlots => "session.requested_slots",
            Self::OccupiedSlots => "session.occupied_slots",
            Self::ResourceOpts => "session.resource_opts",
            Self::Mounts => "session.mounts",
            Self::StartupCommand => "session.startup_command",
            Self::StartsAt => "session.starts_at",
            Self::NumQueries => "session.num_queries",
            Self::CreatedAt => "session.created_at",
            Self::TerminatedAt => "session.terminated_at",
            Self::UserEmail => "user.email",
            Self::UserFullName => "user.full_name",
            Self::ProjectName => "project.name",
            Self::MainKernel => "kernel.id",
            Self::ServicePorts => "kernel.service_ports",
            Self::Agents => {
                "(SELECT json_group_array(agent) FROM (SELECT k.agent FROM kernel k
                  WHERE k.session = session.id AND k.agent IS NOT NULL ORDER BY k.local_rank))"
            }
        }
    }

    /// The table that it needs besides the sessions'.
    const fn joined(self) -> Option<&'static str> {
        match self {
            Self::UserEmail | Self::UserFullName => {
                Some(" LEFT JOIN user ON user.id = session.user")
            }
            Self::ProjectName => Some(" LEFT JOIN project ON project.id = session.project"),
            Self::MainKernel | Self::ServicePorts => Some(
                " LEFT JOIN kernel ON kernel.id = (SELECT k.id FROM kernel k
                    WHERE k.session = session.id ORDER BY k.local_rank LIMIT 1)",
            ),
            _ => None,
        }
    }
}

/// Where a session's row is; good within one look at the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(i64);

/// The places of a page of sessions, newest first.
pub(crate) fn page(
    db: &Connection,
    filter: &Filter,
    limit: u32,
    offset: u32,
) -> Result<Vec<Place>> {
    let (conditions, mut values) = filter.conditions();
    values.push(Box::new(limit));
    values.push(Box::new(offset));
    db.prepare_cached(&format!(
        "SELECT session.rowid FROM session {conditions}
         ORDER BY session.created_at DESC, session.id LIMIT ?{} OFFSET ?{}",
        values.len() - 1,
        values.len()
    ))?
    .query_map(db::rusqlite::params_from_iter(values), |row| {
        row.get(0).map(Place)
    })?
    .collect()
}

/// The places of these sessions, in their order.
pub(crate) fn places(db: &Connection, sessions: &[Uuid]) -> Result<Vec<Place>> {
    let mut places = Vec::with_capacity(sessions.len());
    let mut statement = db.prepare_cached("SELECT rowid FROM session WHERE id = ?1")?;
    for id in sessions {
        let place = statement.query_row([Id(*id)], |row| row.get(0).map(Place));
        places.extend(place.optional()?);
    }
    Ok(places)
}

/// Shows each of these rows, with the columns in the order in which they are given.
pub(crate) fn each<E: From<db::rusqlite::Error>>(
    db: &Connection,
    places: &[Place],
    columns: &[Column],
    mut look: impl FnMut(&Row<'_>) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let mut joined: Vec<&str> = Vec::new();
    for table in columns.iter().filter_map(|column| column.joined()) {
        if !joined.contains(&table) {
            joined.push(table);
        }
    }
    let shown: Vec<&str> = columns.iter().map(|column| column.sql()).collect();
    let mut statement = db.prepare_cached(&format!(
        "SELECT {} FROM session{} WHERE session.rowid = ?1",
        shown.join(", "),
        joined.concat()
    ))?;
    for place in places {
        let mut rows = statement.query([place.0])?;
        if let Some(row) = rows.next()? {
            look(row)?;
        }
    }
    Ok(())
}

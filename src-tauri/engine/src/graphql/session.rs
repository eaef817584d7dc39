//! Sessions as GraphQL objects.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use db::rusqlite::Connection;
use protocol::session::SessionStatus;
use protocol::slots::ResourceSlots;
use serde_json::{Value, json};
use uuid::Uuid;

use super::record::{Ask, Record, node, raw_id};
use super::session_record::{self, Known, session_record};
use crate::error::Problem;
use crate::store;
use crate::store::kernel::ListedKernel;
use crate::store::project::Project;
use crate::store::session::{Filter, Session};
use crate::store::session_list::{self, Place};
use crate::store::user::User;

const NODE: &str = "ComputeSessionNode";

/// Loads the sessions of a filter, newest first.
pub(super) async fn load(ask: &Ask<'_>, filter: Filter) -> Result<Vec<Known>, Problem> {
    ask.app
        .store
        .read(move |db| {
            let mut known = know(db, store::session::list(db, &filter, None, 0)?)?;
            add_kernels(db, &mut known)?;
            Ok(known)
        })
        .await
}

/// The sessions with their owners and projects, without their kernels.
fn know(db: &Connection, sessions: Vec<Session>) -> Result<Vec<Known>, Problem> {
    let mut users: HashMap<Uuid, Option<Arc<User>>> = HashMap::new();
    let mut projects: HashMap<Uuid, Option<Arc<Project>>> = HashMap::new();
    let mut known = Vec::with_capacity(sessions.len());
    for session in sessions {
        let user = match users.entry(session.user) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                unknown.insert(store::user::get(db, session.user)?.map(Arc::new))
            }
        };
        let project = match projects.entry(session.project) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                unknown.insert(store::project::get(db, session.project)?.map(Arc::new))
            }
        };
        known.push(Known {
            kernels: Vec::new(),
            user: user.clone(),
            project: project.clone(),
            session,
        });
    }
    Ok(known)
}

fn add_kernels(db: &Connection, known: &mut [Known]) -> Result<(), Problem> {
    let ids: Vec<Uuid> = known.iter().map(|one| one.session.id).collect();
    let mut by_session: HashMap<Uuid, Vec<ListedKernel>> = HashMap::new();
    for kernel in store::kernel::listed(db, &ids)? {
        by_session.entry(kernel.session).or_default().push(kernel);
    }
    for one in known {
        one.kernels = by_session.remove(&one.session.id).unwrap_or_default();
    }
    Ok(())
}

/// Which sessions are on a page.
pub(super) enum Chosen {
    /// Nothing but a page is asked for: the database cuts it, and ten thousand sessions are not read
    /// for a hundred.
    Newest {
        filter: Filter,
        limit: u32,
        offset: u32,
    },
    /// Those that a filter or an order left, of so many in all.
    Arranged(Vec<Known>, usize),
}

impl Chosen {
    /// Where the sessions are in the database.
    pub(super) fn places(&self, db: &Connection) -> Result<Vec<Place>, Problem> {
        Ok(match self {
            Self::Newest {
                filter,
                limit,
                offset,
            } => session_list::page(db, filter, *limit, *offset)?,
            Self::Arranged(known, _) => {
                let ids: Vec<Uuid> = known.iter().map(|one| one.session.id).collect();
                session_list::places(db, &ids)?
            }
        })
    }

    /// How many sessions there are on all pages.
    pub(super) fn total_count(&self, db: &Connection) -> Result<usize, Problem> {
        Ok(match self {
            Self::Newest { filter, .. } => store::session::count(db, filter)? as usize,
            Self::Arranged(_, total) => *total,
        })
    }
}

/// The page that the arguments of `compute_session_list` ask for.
pub(super) async fn choose(ask: &Ask<'_>) -> Result<Chosen, Problem> {
    let filter = filter(ask)?;
    let (limit, offset) = ask.window();
    let newest_first = matches!(ask.text("order"), None | Some("-created_at"));
    if ask.text("filter").is_none() && newest_first {
        return Ok(Chosen::Newest {
            filter,
            limit,
            offset,
        });
    }
    let by_kernel = ["filter", "order"]
        .into_iter()
        .filter_map(|name| ask.text(name))
        .any(session_record::mentions_kernels);
    let all = if by_kernel {
        load(ask, filter).await?
    } else {
        ask.app
            .store
            .read(move |db| know(db, store::session::list(db, &filter, None, 0)?))
            .await?
    };
    let all = ask.arranged(all)?;
    let total = all.len();
    let page = all.into_iter().skip(offset as usize).take(limit as usize);
    Ok(Chosen::Arranged(page.collect(), total))
}

/// The session with this id, if the caller may see it.
pub(super) async fn by_id(ask: &Ask<'_>, id: Uuid) -> Result<Option<Known>, Problem> {
    let session = ask
        .app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::session::get(db, id)?) })
        .await?;
    let Some(session) = session else {
        return Ok(None);
    };
    if session.user != ask.caller.user_id() && !ask.caller.is_superadmin() {
        return Ok(None);
    }
    let filter = Filter {
        user: Some(session.user),
        name: Some(session.name),
        ..Filter::default()
    };
    Ok(load(ask, filter)
        .await?
        .into_iter()
        .find(|known| known.session.id == id))
}

/// What the arguments of a list ask for; users see their own sessions only.
fn filter(ask: &Ask<'_>) -> Result<Filter, Problem> {
    ask.own_domain()?;
    let caller = ask.caller;
    let mut filter = Filter {
        access_key: ask.text("access_key").map(str::to_owned),
        domain: ask.text("domain_name").map(str::to_owned),
        ..Filter::default()
    };
    if !caller.is_superadmin() {
        if filter
            .access_key
            .as_ref()
            .is_some_and(|key| *key != caller.keypair.access_key)
        {
            return Err(Problem::forbidden("Forbidden operation."));
        }
        filter.user = Some(caller.user_id());
    }
    if let Some(project) = ask.text("group_id").or_else(|| ask.text("project_id")) {
        let unread = |_| Problem::invalid_params(format!("{project} is not a UUID"));
        filter.project = Some(project.parse().map_err(unread)?);
    }
    if let Some(scope) = ask.text("scope_id") {
        apply_scope(&mut filter, scope)?;
    }
    if let Some(text) = ask.text("status") {
        let statuses = text
            .split(',')
            .map(|word| word.trim().parse::<SessionStatus>());
        let statuses = statuses.collect::<Result<Vec<_>, _>>();
        let unread = |error| Problem::invalid_params(format!("status: {error}"));
        filter.statuses = Some(statuses.map_err(unread)?);
    }
    Ok(filter)
}

/// `system:`, `domain:<name>`, `project:<uuid>`, `user:<uuid>`.
fn apply_scope(filter: &mut Filter, scope: &str) -> Result<(), Problem> {
    let (kind, value) = scope.split_once(':').unwrap_or((scope, ""));
    let id = || {
        value
            .parse::<Uuid>()
            .map_err(|_| Problem::invalid_params(format!("{value} is not a UUID")))
    };
    match kind {
        "system" => {}
        "domain" => filter.domain = Some(value.to_owned()),
        "project" => filter.project = Some(id()?),
        "user" => filter.user = Some(id()?),
        _ => {
            return Err(Problem::invalid_params(format!(
                "\"{scope}\" is not a scope"
            )));
        }
    }
    Ok(())
}

/// What the idle checks found last.
pub(super) fn idle_checks(ask: &Ask<'_>, parent: &Record) -> Value {
    parent_id(parent).map_or_else(|| json!({}), |id| ask.app.idle.report(id))
}

fn as_node(known: &Known) -> Record {
    node(NODE, session_record(known))
}

pub(super) async fn one(ask: &Ask<'_>) -> Result<Value, Problem> {
    let known = by_id(ask, ask.uuid("id")?).await?;
    Ok(known
        .map(|known| session_record(&known).into())
        .unwrap_or_default())
}

pub(super) async fn one_node(ask: &Ask<'_>) -> Result<Value, Problem> {
    let known = by_id(ask, ask.uuid("id")?).await?;
    Ok(known
        .map(|known| as_node(&known).into())
        .unwrap_or_default())
}

/// The record of the session that a mutation has changed.
pub(super) async fn changed(ask: &Ask<'_>, id: Uuid) -> Result<Value, Problem> {
    Ok(by_id(ask, id)
        .await?
        .map(|known| as_node(&known).into())
        .unwrap_or_default())
}

pub(super) async fn list(ask: &Ask<'_>) -> Result<Value, Problem> {
    let chosen = choose(ask).await?;
    let (items, total_count) = ask
        .app
        .store
        .read(move |db| -> Result<_, Problem> {
            let total_count = chosen.total_count(db)?;
            let mut items = match chosen {
                Chosen::Newest {
                    filter,
                    limit,
                    offset,
                } => know(db, store::session::list(db, &filter, Some(limit), offset)?)?,
                Chosen::Arranged(items, _) => items,
            };
            add_kernels(db, &mut items)?;
            Ok((items, total_count))
        })
        .await?;
    let items = items
        .iter()
        .map(|known| Value::Object(session_record(known)));
    let mut page = Record::new();
    page.insert("items".into(), items.collect());
    page.insert("total_count".into(), total_count.into());
    Ok(page.into())
}

pub(super) async fn nodes(ask: &Ask<'_>) -> Result<Value, Problem> {
    ask.connection(load(ask, filter(ask)?).await?.iter().map(as_node).collect())
}

/// The place of a waiting session in its queue, from 0.
pub(super) fn queue_position(ask: &Ask<'_>, parent: &Record) -> Value {
    json!(parent_id(parent).and_then(|id| ask.app.queues.position(id)))
}

/// The queue of a resource group, in its order.
pub(super) async fn pending_queue(ask: &Ask<'_>) -> Result<Value, Problem> {
    ask.superadmin()?;
    let group = raw_id(ask.needed("resource_group_id")?);
    let mut nodes = Vec::new();
    for id in ask.app.queues.of(&group) {
        nodes.extend(by_id(ask, id).await?.map(|known| as_node(&known)));
    }
    ask.connection(nodes)
}

pub(super) fn parent_id(parent: &Record) -> Option<Uuid> {
    raw_id(parent.get("id")?.as_str()?).parse().ok()
}

pub(super) async fn parent_session(
    ask: &Ask<'_>,
    parent: &Record,
) -> Result<Option<Known>, Problem> {
    match parent_id(parent) {
        Some(id) => by_id(ask, id).await,
        None => Ok(None),
    }
}

/// The sessions that this one waits for.
async fn dependees(ask: &Ask<'_>, known: &Known) -> Result<Vec<Known>, Problem> {
    let mut found = Vec::new();
    for id in &known.session.dependencies {
        found.extend(by_id(ask, *id).await?);
    }
    Ok(found)
}

/// The sessions that wait for this one.
async fn dependents(ask: &Ask<'_>, known: &Known) -> Result<Vec<Known>, Problem> {
    let filter = Filter {
        user: Some(known.session.user),
        ..Filter::default()
    };
    let all = load(ask, filter).await?;
    let waits = |other: &Known| other.session.dependencies.contains(&known.session.id);
    Ok(all.into_iter().filter(waits).collect())
}

pub(super) async fn dependencies(ask: &Ask<'_>, parent: &Record) -> Result<Value, Problem> {
    let Some(known) = parent_session(ask, parent).await? else {
        return Ok(json!([]));
    };
    let found = dependees(ask, &known).await?;
    Ok(json!(found.iter().map(session_record).collect::<Vec<_>>()))
}

pub(super) async fn related(ask: &Ask<'_>, field: &str, parent: &Record) -> Result<Value, Problem> {
    let mut found = Vec::new();
    if let Some(known) = parent_session(ask, parent).await? {
        if field != "dependents" {
            found.extend(dependees(ask, &known).await?);
        }
        if field != "dependees" {
            found.extend(dependents(ask, &known).await?);
        }
    }
    ask.connection(found.iter().map(as_node).collect())
}

fn access_key(parent: &Record) -> Option<String> {
    Some(parent.get("access_key")?.as_str()?.to_owned())
}

pub(super) async fn of_keypair(ask: &Ask<'_>, parent: &Record) -> Result<Value, Problem> {
    let mut filter = filter(ask)?;
    filter.access_key = access_key(parent);
    let records: Vec<Record> = load(ask, filter)
        .await?
        .iter()
        .map(session_record)
        .collect();
    Ok(json!(records))
}

pub(super) async fn concurrency(ask: &Ask<'_>, parent: &Record) -> Result<Value, Problem> {
    let filter = Filter {
        access_key: access_key(parent),
        statuses: Some(
            SessionStatus::ALL
                .iter()
                .copied()
                .filter(|one| one.occupies_resources())
                .collect(),
        ),
        ..Filter::default()
    };
    let count = ask
        .app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::session::count(db, &filter)?) })
        .await?;
    Ok(json!(count))
}

pub(super) async fn total_slots(ask: &Ask<'_>) -> Result<Value, Problem> {
    ask.superadmin()?;
    let mut filter = Filter {
        domain: ask.text("domain_name").map(str::to_owned),
        resource_group: ask.text("resource_group_name").map(str::to_owned),
        ..Filter::default()
    };
    if let Some(Value::Array(words)) = ask.args.get("statuses") {
        let words = words.iter().filter_map(Value::as_str);
        let statuses = words
            .map(str::parse)
            .collect::<Result<Vec<SessionStatus>, _>>();
        let unread = |error| Problem::invalid_params(format!("statuses: {error}"));
        filter.statuses = Some(statuses.map_err(unread)?);
    }
    let known = load(ask, filter).await?;
    let sum = |slots: fn(&Session) -> &ResourceSlots| {
        known.iter().fold(ResourceSlots::default(), |sum, one| {
            sum.plus(slots(&one.session))
        })
    };
    Ok(json!({
        "id": "total",
        "occupied_slots": sum(|session| &session.occupied_slots),
        "requested_slots": sum(|session| &session.requested_slots),
    }))
}

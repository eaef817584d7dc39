//! Kernels as GraphQL objects; the protocol also says "containers".

use std::collections::HashMap;

use protocol::session::SessionStatus;
use serde_json::{Value, json};
use uuid::Uuid;

use super::record::{Ask, Record, node, raw_id, record};
use super::session::{by_id, load, parent_id, parent_session};
use super::session_record::{Known, entered, iso};
use crate::error::Problem;
use crate::store;
use crate::store::kernel::Kernel;
use crate::store::session::{Filter, Session};

const NODE: &str = "KernelNode";

fn kernel_record(session: &Session, kernel: &Kernel) -> Record {
    let changed = match kernel.terminated_at.or(kernel.started_at) {
        Some(at) => at.iso(),
        None => session.created_at.iso(),
    };
    record(json!({
        "id": kernel.id,
        "kernel_id": kernel.id,
        "idx": kernel.idx,
        "role": kernel.role,
        "hostname": kernel.hostname,
        "cluster_idx": kernel.idx,
        "local_rank": kernel.local_rank,
        "cluster_role": kernel.role,
        "cluster_hostname": kernel.hostname,
        "session_id": session.id,
        "image": session.image,
        "image_reference": session.image,
        "architecture": session.architecture,
        "registry": session.image.split('/').next(),
        "status": kernel.status,
        "status_changed": changed,
        "status_info": kernel.status_info,
        "status_data": kernel.status_data,
        "created_at": session.created_at.iso(),
        "terminated_at": iso(kernel.terminated_at),
        "starts_at": iso(session.starts_at),
        "scheduled_at": entered(session, SessionStatus::Scheduled),
        "abusing_report": null,
        "agent": kernel.agent,
        "agent_id": kernel.agent,
        "agent_addr": null,
        "container_id": kernel.container_id,
        "resource_opts": session.resource_opts,
        "occupied_slots": kernel.occupied_slots,
        "last_stat": kernel.last_stat,
        "preopen_ports": session.preopen_ports,
    }))
}

/// The kernels of the sessions, in the sessions' order.
async fn kernel_records(
    ask: &Ask<'_>,
    known: impl IntoIterator<Item = Known>,
) -> Result<Vec<Record>, Problem> {
    let sessions: Vec<Session> = known.into_iter().map(|one| one.session).collect();
    let ids: Vec<Uuid> = sessions.iter().map(|session| session.id).collect();
    let kernels = ask
        .app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::kernel::of_sessions(db, &ids)?) })
        .await?;
    let mut records: HashMap<Uuid, Vec<Record>> = HashMap::new();
    let by_id: HashMap<Uuid, &Session> = sessions.iter().map(|one| (one.id, one)).collect();
    for kernel in &kernels {
        if let Some(session) = by_id.get(&kernel.session) {
            let own = records.entry(session.id).or_default();
            own.push(kernel_record(session, kernel));
        }
    }
    Ok(sessions
        .iter()
        .flat_map(|session| records.remove(&session.id).unwrap_or_default())
        .collect())
}

fn kernels_as_nodes(records: Vec<Record>) -> Vec<Record> {
    records
        .into_iter()
        .map(|fields| node(NODE, fields))
        .collect()
}

pub(super) async fn one(ask: &Ask<'_>) -> Result<Value, Problem> {
    let id = ask.uuid("id")?;
    let kernel = ask
        .app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::kernel::get(db, id)?) })
        .await?;
    let Some(kernel) = kernel else {
        return Ok(Value::Null);
    };
    let known = by_id(ask, kernel.session).await?;
    Ok(known
        .map(|known| kernel_record(&known.session, &kernel).into())
        .unwrap_or_default())
}

pub(super) async fn list(ask: &Ask<'_>) -> Result<Value, Problem> {
    let known = by_id(ask, ask.uuid("session_id")?).await?;
    let mut records = kernel_records(ask, known).await?;
    if let Some(role) = ask.text("role") {
        records.retain(|record| record.get("role").and_then(Value::as_str) == Some(role));
    }
    ask.page(records)
}

pub(super) async fn containers(ask: &Ask<'_>, parent: &Record) -> Result<Value, Problem> {
    let known = parent_session(ask, parent).await?;
    Ok(json!(kernel_records(ask, known).await?))
}

pub(super) async fn nodes(ask: &Ask<'_>, parent: &Record) -> Result<Value, Problem> {
    let known = parent_session(ask, parent).await?;
    ask.connection(kernels_as_nodes(kernel_records(ask, known).await?))
}

/// What a running kernel measures now; null when it does not run.
pub(super) async fn live_stat(ask: &Ask<'_>, parent: &Record) -> Result<Value, Problem> {
    let Some(kernel) = parent_id(parent).and_then(|id| ask.app.kernels.get(id)) else {
        return Ok(Value::Null);
    };
    // A kernel that ends at this moment has no statistics, which is no reason to fail the list.
    Ok(kernel
        .stats()
        .await
        .map(|stats| json!(stats))
        .unwrap_or_default())
}

/// The records of the kernels that have resources on an agent.
async fn agent_kernels(ask: &Ask<'_>, parent: &Record) -> Result<Vec<Record>, Problem> {
    let agent = parent
        .get("id")
        .and_then(Value::as_str)
        .map(raw_id)
        .unwrap_or_default();
    let statuses: Vec<SessionStatus> = SessionStatus::ALL
        .iter()
        .copied()
        .filter(|status| status.occupies_resources())
        .collect();
    let known = load(
        ask,
        Filter {
            statuses: Some(statuses),
            ..Filter::default()
        },
    )
    .await?;
    let here = |record: &Record| record.get("agent").and_then(Value::as_str) == Some(&agent);
    let mut records = kernel_records(ask, known).await?;
    records.retain(here);
    Ok(records)
}

pub(super) async fn on_agent(ask: &Ask<'_>, parent: &Record) -> Result<Value, Problem> {
    let mut records = agent_kernels(ask, parent).await?;
    if let Some(status) = ask.text("status") {
        let same = |record: &Record| record.get("status").and_then(Value::as_str) == Some(status);
        records.retain(same);
    }
    Ok(json!(records))
}

pub(super) async fn nodes_on_agent(ask: &Ask<'_>, parent: &Record) -> Result<Value, Problem> {
    ask.connection(kernels_as_nodes(agent_kernels(ask, parent).await?))
}

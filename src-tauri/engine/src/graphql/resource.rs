//! Agents, resource groups and presets as GraphQL objects.

use protocol::runner::Metric;
use protocol::slots::{CPU, MEM, ResourceSlots};
use serde_json::{Value, json};

use super::record::{Ask, Record, global_id, raw_id, record};
use crate::app::resource::{self, Agent};
use crate::app::resource_group;
use crate::error::Problem;
use crate::store::access::Scope;
use crate::store::preset::Preset;
use crate::store::resource_group::ResourceGroup;

const ALIVE: &str = "ALIVE";

fn agent_record(agent: &Agent) -> Record {
    let gpus = |slots: &ResourceSlots| {
        let gpus = slots
            .0
            .iter()
            .filter(|(slot, _)| slot.starts_with("cuda") || slot.starts_with("rocm"));
        gpus.map(|(_, amount)| amount.as_f64()).sum::<f64>()
    };
    // These older fields count mebibytes.
    let mebibytes = |slots: &ResourceSlots| slots.get(MEM).floor() >> 20;
    let live = &agent.node.live;
    let cpu_pct = live
        .get("cpu_util")
        .and_then(|metric| metric.pct.parse::<f64>().ok());
    let mem_used = live
        .get("mem")
        .and_then(|metric| metric.current.parse::<f64>().ok());
    record(json!({
        "id": agent.id,
        "row_id": agent.id,
        "status": ALIVE,
        "status_changed": null,
        "region": "local",
        "scaling_group": agent.group,
        "schedulable": agent.schedulable,
        "available_slots": agent.capacity,
        "occupied_slots": zeroed(agent),
        "addr": "local",
        "architecture": agent.node.architecture,
        "first_contact": null,
        "lost_at": null,
        "live_stat": { "node": live, "devices": devices(agent) },
        "version": env!("CARGO_PKG_VERSION"),
        "compute_plugins": {},
        "hardware_metadata": {},
        "auto_terminate_abusing_kernel": false,
        "local_config": { "agent": { "auto_terminate_abusing_kernel": false } },
        "container_count": agent.containers,
        "gpu_alloc_map": {},
        "mem_slots": mebibytes(&agent.capacity),
        "cpu_slots": agent.capacity.get(CPU).as_f64(),
        "gpu_slots": gpus(&agent.capacity),
        "tpu_slots": 0.0,
        "used_mem_slots": mebibytes(&agent.occupied),
        "used_cpu_slots": agent.occupied.get(CPU).as_f64(),
        "used_gpu_slots": gpus(&agent.occupied),
        "used_tpu_slots": 0.0,
        "cpu_cur_pct": cpu_pct,
        "mem_cur_bytes": mem_used,
        "permissions": ["read_attribute", "create_compute_session"],
    }))
}

/// The metrics by device. The runtime measures the cores together: each is given its share, since
/// clients count the cores here.
fn devices(agent: &Agent) -> Value {
    let live = &agent.node.live;
    let cores = agent.node.cpu.max(1);
    let share = |text: &str| text.parse::<f64>().unwrap_or_default() / f64::from(cores);
    let mut devices = Record::new();
    if let Some(all) = live.get("cpu_util") {
        let core = Metric {
            current: share(&all.current).round().to_string(),
            pct: format!("{:.2}", share(&all.pct)),
            ..all.clone()
        };
        let cores: Record = (0..cores)
            .map(|core_id| (core_id.to_string(), json!(core)))
            .collect();
        devices.insert("cpu_util".into(), cores.into());
    }
    if let Some(mem) = live.get("mem") {
        devices.insert("mem".into(), json!({ "root": mem }));
    }
    devices.into()
}

/// What is occupied of each slot that the agent has, zeros written out.
fn zeroed(agent: &Agent) -> ResourceSlots {
    agent
        .capacity
        .0
        .keys()
        .map(|slot| (slot.clone(), agent.occupied.get(slot)))
        .collect()
}

async fn agent_records(ask: &Ask<'_>) -> Result<Vec<Record>, Problem> {
    let mut agents = resource::agents(ask.app).await?;
    if let Some(group) = ask.text("scaling_group") {
        agents.retain(|agent| agent.group == group);
    }
    if ask
        .text("status")
        .is_some_and(|status| !status.split(',').any(|one| one.trim() == ALIVE))
    {
        agents.clear();
    }
    Ok(agents.iter().map(agent_record).collect())
}

pub(super) async fn agent(ask: &Ask<'_>, field: &str) -> Result<Value, Problem> {
    if field == "agent" {
        ask.superadmin()?;
    }
    let wanted = json!(ask.id("agent_id")?);
    let all = agent_records(ask).await?;
    let found = all
        .into_iter()
        .find(|record| record.get("id") == Some(&wanted));
    Ok(found.map(Value::from).unwrap_or_default())
}

pub(super) async fn agents(ask: &Ask<'_>, field: &str) -> Result<Value, Problem> {
    match field {
        "agent_summary_list" => ask.page(agent_records(ask).await?),
        "agent_nodes" => {
            let as_node = |mut fields: Record| {
                let id = fields.get("id").and_then(Value::as_str).unwrap_or_default();
                let id = global_id("AgentNode", id);
                fields.insert("id".into(), id.into());
                fields
            };
            ask.connection(agent_records(ask).await?.into_iter().map(as_node).collect())
        }
        "agent_list" => {
            ask.superadmin()?;
            ask.page(agent_records(ask).await?)
        }
        _ => {
            ask.superadmin()?;
            Ok(json!(agent_records(ask).await?))
        }
    }
}

pub(super) fn group_record(group: &ResourceGroup) -> Record {
    record(json!({
        "id": group.name,
        "name": group.name,
        "description": group.description,
        "is_active": group.is_active,
        "is_public": group.is_public,
        "created_at": group.created_at.iso(),
        "wsproxy_addr": group.wsproxy_addr,
        "wsproxy_api_token": null,
        "driver": group.driver,
        "driver_opts": group.driver_opts,
        "scheduler": group.scheduler,
        "scheduler_opts": group.scheduler_opts,
        "use_host_network": group.use_host_network,
        "accelerator_quantum_size": null,
        "resource_allocation_limit_for_sessions": null,
    }))
}

pub(super) async fn group(ask: &Ask<'_>) -> Result<Value, Problem> {
    ask.superadmin()?;
    let wanted = ask.needed("name")?;
    let all = resource_group::all_groups(ask.app).await?;
    let found = all.iter().find(|group| group.name == wanted);
    Ok(found
        .map(|group| group_record(group).into())
        .unwrap_or_default())
}

pub(super) async fn groups(ask: &Ask<'_>, field: &str) -> Result<Value, Problem> {
    let (name, active) = (ask.text("name"), ask.flag("is_active"));
    let groups = if field == "accessible_scaling_groups" {
        let project = ask.uuid("project_id")?.to_string();
        let project = resource::project(ask.app, ask.caller, &project).await?;
        resource_group::groups(ask.app, ask.caller, Some(project.id)).await?
    } else {
        ask.superadmin()?;
        let scope = match field {
            "scaling_groups_for_domain" => Some((Scope::Domain, ask.needed("domain")?)),
            "scaling_groups_for_user_group" => Some((Scope::Project, ask.needed("user_group")?)),
            "scaling_groups_for_keypair" => Some((Scope::Keypair, ask.needed("access_key")?)),
            _ => None,
        };
        match scope {
            None => resource_group::all_groups(ask.app).await?,
            Some((scope, target)) => resource_group::groups_of(ask.app, scope, target).await?,
        }
    };
    let wanted = |group: &&ResourceGroup| {
        name.is_none_or(|name| group.name == name)
            && active.is_none_or(|active| group.is_active == active)
    };
    Ok(json!(
        groups
            .iter()
            .filter(wanted)
            .map(group_record)
            .collect::<Vec<_>>()
    ))
}

pub(super) async fn group_nodes(ask: &Ask<'_>, parent: &Record) -> Result<Value, Problem> {
    let groups = resource_group::groups_of(ask.app, Scope::Domain, name_of(parent)).await?;
    let as_node = |group: &ResourceGroup| {
        let mut fields = group_record(group);
        fields.insert(
            "id".into(),
            global_id("ScalingGroupNode", &group.name).into(),
        );
        fields
    };
    ask.connection(groups.iter().map(as_node).collect())
}

fn name_of(parent: &Record) -> &str {
    parent
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub(super) async fn group_agents(
    ask: &Ask<'_>,
    field: &str,
    parent: &Record,
) -> Result<Value, Problem> {
    let mut agents = resource::agents(ask.app).await?;
    agents.retain(|agent| agent.group == name_of(parent));
    if ask.text("status").is_some_and(|status| status != ALIVE) {
        agents.clear();
    }
    if field == "agent_count_by_status" {
        return Ok(json!(agents.len()));
    }
    let sum = |slots: fn(&Agent) -> &ResourceSlots| {
        agents.iter().fold(ResourceSlots::default(), |sum, agent| {
            sum.plus(slots(agent))
        })
    };
    Ok(json!({
        "available_slots": sum(|agent| &agent.capacity),
        "occupied_slots": sum(|agent| &agent.occupied),
    }))
}

pub(super) async fn own_use(ask: &Ask<'_>, parent: &Record) -> Result<Value, Problem> {
    let (user, group) = (ask.caller.user_id(), name_of(parent));
    let sessions = resource::occupying(ask.app).await?;
    let own = sessions
        .iter()
        .filter(|session| session.user == user && session.resource_group == group)
        .fold(ResourceSlots::default(), |sum, session| {
            sum.plus(&session.occupied_slots)
        });
    Ok(json!(own))
}

pub(super) fn preset_record(preset: &Preset) -> Record {
    record(json!({
        "id": preset.id,
        "name": preset.name,
        "resource_slots": preset.resource_slots,
        "shared_memory": preset.shared_memory,
        "scaling_group_name": preset.resource_group,
    }))
}

pub(super) async fn preset(ask: &Ask<'_>) -> Result<Value, Problem> {
    let all = resource::all_presets(ask.app).await?;
    let wanted = raw_id(ask.needed(if ask.text("id").is_some() {
        "id"
    } else {
        "name"
    })?);
    let found = all
        .iter()
        .find(|preset| preset.name == wanted || preset.id.to_string() == wanted);
    Ok(found
        .map(|preset| preset_record(preset).into())
        .unwrap_or_default())
}

pub(super) async fn presets(ask: &Ask<'_>) -> Result<Value, Problem> {
    let all = resource::all_presets(ask.app).await?;
    Ok(json!(
        ask.arranged(all.iter().map(preset_record).collect())?
    ))
}

//! What a new session may ask for, in the manager's order (protocol page "Semantics" §2.2).

use axum::http::StatusCode;
use db::rusqlite::Connection;
use protocol::api::image::LABEL_SERVICE_PORTS;
use protocol::binary_size::BinarySize;
use protocol::service_port::{RESERVED_PORTS, ServicePort};
use protocol::session::{ClusterMode, SessionStatus};
use protocol::slots::{CPU, MEM, Quantity, ResourceSlots};
use runtime::Node;
use serde_json::Value;

use crate::error::Problem;
use crate::store;
use crate::store::image::Image;
use crate::store::keypair::Keypair;
use crate::store::policy::KeypairPolicy;
use crate::store::session::{Session, SessionMount};
use crate::store::user::User;

/// What an image asks for at least, and offers.
pub(crate) struct ImageNeeds {
    /// By slot; memory without the shared part of it.
    pub(crate) min: ResourceSlots,
    /// What `/dev/shm` gets when nothing else is asked for, in bytes.
    pub(crate) shmem: u64,
    pub(crate) service_ports: Vec<ServicePort>,
}

const DEFAULT_SHMEM: u64 = 64 << 20;
/// What an image needs that does not say how much.
const DEFAULT_MIN_CPU: u64 = 1;
const DEFAULT_MIN_MEM: u64 = 1 << 30;

impl ImageNeeds {
    /// Reads the labels; what an image does not say is one core and 1 GiB.
    pub(crate) fn of(image: &Image) -> Result<Self, Problem> {
        let mut min = ResourceSlots::cpu_mem(DEFAULT_MIN_CPU, BinarySize(DEFAULT_MIN_MEM));
        for (label, text) in &image.labels {
            let Some(slot) = label.strip_prefix("ai.backend.resource.min.") else {
                continue;
            };
            let amount = if slot == MEM {
                text.parse::<BinarySize>()
                    .ok()
                    .map(|size| Quantity::whole(size.0))
            } else {
                text.parse().ok()
            };
            // One that makes no sense says nothing.
            if let Some(amount) = amount {
                min.0.insert(slot.to_owned(), amount);
            }
        }
        min.0.retain(|_, amount| *amount != Quantity::ZERO);
        let service_ports = match image.labels.get(LABEL_SERVICE_PORTS) {
            None => Vec::new(),
            Some(text) => protocol::service_port::parse_label(text)
                .map_err(|error| Problem::invalid_params(format!("{}: {error}", image.name)))?,
        };
        Ok(Self {
            min,
            shmem: image
                .labels
                .get("ai.backend.resource.preferred.shmem")
                .and_then(|text| text.parse::<BinarySize>().ok())
                .map_or(DEFAULT_SHMEM, |size| size.0),
            service_ports,
        })
    }
}

/// The slots of a request and its shared memory in bytes. What it leaves out, asks nothing of, or
/// asks less of than the image needs is raised to that; memory to what the image needs beside the
/// shared part.
///
/// A manager refuses a request that states less than the image needs. Nobody gains by that: no client
/// acts on the refusal, and what is missing is known.
pub(crate) fn resources(
    written: &std::collections::BTreeMap<String, Value>,
    resource_opts: &serde_json::Map<String, Value>,
    needs: &ImageNeeds,
) -> Result<(ResourceSlots, u64), Problem> {
    let mut slots = protocol::api::session::resources(written)
        .map_err(|text| Problem::invalid_params(format!("Invalid resource allocation: {text}")))?;
    for (slot, quantity) in &slots.0 {
        if quantity.is_negative() || *quantity == Quantity::INFINITE {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "invalid-resource-slot-quantity",
                "Invalid resource slot quantity.",
                "backendai_parsing_invalid-parameters",
            )
            .msg(format!(
                "{slot}: {quantity} is not an amount that can be given."
            )));
        }
    }
    let shmem = match resource_opts.get("shmem") {
        None | Some(Value::Null) => needs.shmem,
        Some(value) => {
            let shmem = serde_json::from_value::<BinarySize>(value.clone())
                .map_err(|error| {
                    Problem::invalid_params(format!("Invalid resource allocation: shmem: {error}"))
                })?
                .0;
            // Both stated, they must fit each other.
            let mem = slots.get(MEM).floor();
            if mem > 0 && shmem >= mem {
                return Err(shmem_too_large(shmem, mem));
            }
            shmem
        }
    };
    for (slot, least) in &needs.min.0 {
        let least = match slot.as_str() {
            MEM => least.plus(Quantity::whole(shmem)),
            _ => *least,
        };
        let amount = slots.0.entry(slot.clone()).or_default();
        *amount = least.max(*amount);
    }
    for slot in [CPU, MEM] {
        slots.0.entry(slot.to_owned()).or_default();
    }
    slots
        .0
        .retain(|slot, quantity| *quantity != Quantity::ZERO || slot == CPU || slot == MEM);
    Ok((slots, shmem))
}

fn shmem_too_large(shmem: u64, mem: u64) -> Problem {
    Problem::invalid_params(format!(
        "kernel_specs[0] shared-memory ({}) must be smaller than requested memory ({}).",
        BinarySize(shmem),
        BinarySize(mem)
    ))
}

/// What the checks look at.
pub(crate) struct Asked<'a> {
    pub(crate) session: &'a Session,
    /// Bytes.
    pub(crate) shmem: u64,
    pub(crate) needs: &'a ImageNeeds,
    pub(crate) policy: &'a KeypairPolicy,
    /// The owner's sessions that wait.
    pub(crate) pending: &'a [Session],
    pub(crate) nodes: &'a [Node],
}

/// Refuses what can't be, with the first reason.
pub(crate) fn check(asked: &Asked<'_>) -> Result<(), Problem> {
    limits(asked)?;
    slots(asked)?;
    ports(asked)?;
    mounts(&asked.session.mounts)?;
    room(asked)
}

fn quota(msg: String) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "quota-exceeded",
        "You have reached your resource limit.",
        "session_create_unavailable",
    )
    .msg(msg)
}

fn limits(asked: &Asked<'_>) -> Result<(), Problem> {
    let Asked {
        session,
        policy,
        pending,
        ..
    } = asked;
    let count = u32::try_from(pending.len()).unwrap_or(u32::MAX);
    if let Some(limit) = policy.max_pending_session_count
        && count >= limit
    {
        return Err(quota(format!(
            "You already have {count} pending sessions, which exceeds the pending-session limit \
             of {limit}."
        )));
    }
    if let Some(limit) = &policy.max_pending_session_resource_slots {
        let sum = pending
            .iter()
            .fold(session.requested_slots.clone(), |sum, other| {
                sum.plus(&other.requested_slots)
            });
        let over = limit.0.iter().any(|(slot, most)| sum.get(slot) > *most);
        if over {
            return Err(quota(format!(
                "Your pending sessions would occupy {}, which exceeds the pending-session \
                 resource limit of {}.",
                text(&sum),
                text(limit)
            )));
        }
    }
    priority(policy, session.priority)?;
    let (kernels, limit) = (session.cluster_size, policy.max_containers_per_session);
    if kernels > limit {
        return Err(quota(format!(
            "Session requests {kernels} kernels, exceeding the keypair limit of {limit} \
             containers per session."
        )));
    }
    Ok(())
}

/// Refuses a priority that a policy does not allow.
pub(crate) fn priority(policy: &KeypairPolicy, priority: u8) -> Result<(), Problem> {
    match policy.max_priority {
        Some(limit) if priority > limit => Err(quota(format!(
            "The requested session priority {priority} exceeds the allowed maximum priority of \
             {limit}."
        ))),
        _ => Ok(()),
    }
}

/// The policy whose limits count for a user: that of the main keypair, whichever a request is signed
/// with; of `keypair` while there is no main one.
pub(crate) fn policy_of(
    db: &Connection,
    user: &User,
    keypair: Option<&Keypair>,
) -> Result<Option<KeypairPolicy>, Problem> {
    let main = match &user.main_access_key {
        Some(access_key) => store::keypair::get(db, access_key)?,
        None => None,
    };
    match main.as_ref().or(keypair) {
        Some(keypair) => Ok(store::policy::get(db, &keypair.resource_policy)?),
        None => Ok(None),
    }
}

fn slots(asked: &Asked<'_>) -> Result<(), Problem> {
    let Asked {
        session,
        needs,
        nodes,
        shmem,
        ..
    } = asked;
    let group = &session.resource_group;
    if nodes.is_empty() {
        return Err(Problem::invalid_params(format!(
            "resource group '{group}' has no agents serving any resource slot."
        )));
    }
    let served = |slot: &String| nodes.iter().any(|node| capacity(node).0.contains_key(slot));
    let lacking: Vec<_> = needs.min.0.keys().filter(|slot| !served(slot)).collect();
    if !lacking.is_empty() {
        return Err(Problem::invalid_params(format!(
            "kernel_specs[0]: image '{}' requires resource slot(s) {lacking:?} that resource group \
             '{group}' does not serve.",
            session.image
        )));
    }
    let requested = &session.requested_slots;
    let unknown = requested.0.keys().find(|slot| !served(slot));
    if let Some(slot) = unknown {
        let hint = match slot.as_str() {
            "shmem" => " Put it into resource_opts.",
            slot if slot.ends_with(".shares") => {
                " Nothing here can share a device out: ask for whole devices."
            }
            _ => "",
        };
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "unknown-resource-slot-type",
            "Unknown resource slot type.",
            "backendai_parsing_not-found",
        )
        .msg(format!(
            "Unknown slot type: '{slot}'. The resource group '{group}' does not serve it.{hint}"
        )));
    }
    let share = requested
        .0
        .iter()
        .find(|(slot, amount)| *slot != CPU && **amount != Quantity::whole(amount.floor()));
    if let Some((slot, amount)) = share {
        return Err(Problem::invalid_params(format!(
            "Invalid resource allocation: {slot}: {amount} is a share of a device, and nothing on \
             the agents of '{group}' can share one out. Ask for whole devices."
        )));
    }
    let cpu = requested.get(CPU);
    if cpu != Quantity::whole(cpu.floor()) {
        return Err(Problem::invalid_params(format!(
            "Invalid resource allocation: cpu: {cpu} is not a whole number of cores."
        )));
    }
    let mem = requested.get(MEM).floor();
    if cpu == Quantity::ZERO || mem == 0 {
        return Err(Problem::invalid_params(
            "kernel_specs[0].execution_spec.resources is missing required resource slot(s): cpu and \
             mem.",
        ));
    }
    if *shmem >= mem {
        return Err(shmem_too_large(*shmem, mem));
    }
    Ok(())
}

fn ports(asked: &Asked<'_>) -> Result<(), Problem> {
    let ports = &asked.session.preopen_ports;
    if let Some(port) = ports.iter().find(|port| **port < 1024) {
        return Err(Problem::invalid_params(format!(
            "kernel_specs[0] preopen_ports [{port}]: choose ports of 1024 and above."
        )));
    }
    let reserved: Vec<_> = ports
        .iter()
        .filter(|port| RESERVED_PORTS.contains(port))
        .collect();
    if !reserved.is_empty() {
        return Err(Problem::invalid_params(format!(
            "kernel_specs[0] preopen_ports {reserved:?} collide with reserved ports \
             ({RESERVED_PORTS:?})."
        )));
    }
    let taken: Vec<_> = ports
        .iter()
        .filter(|port| {
            asked
                .needs
                .service_ports
                .iter()
                .any(|service| service.ports.contains(port))
        })
        .collect();
    if !taken.is_empty() {
        return Err(Problem::invalid_params(format!(
            "kernel_specs[0] preopen_ports {taken:?} collide with ports declared by the image's \
             service metadata."
        )));
    }
    Ok(())
}

fn mounts(mounts: &[SessionMount]) -> Result<(), Problem> {
    // A mount over a part of another one would hide files without saying so.
    for (index, mount) in mounts.iter().enumerate() {
        let nested = mounts[..index].iter().find(|other| {
            let inside =
                |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
            inside(&mount.target, &other.target) || inside(&other.target, &mount.target)
        });
        if let Some(other) = nested {
            return Err(Problem::invalid_params(format!(
                "kernel_specs[0].vfolder_mounts has conflicting kernel_paths '{}' and '{}'.",
                other.target, mount.target
            )));
        }
    }
    Ok(())
}

/// A session that no agent can ever hold is refused at once: it would wait for ever.
fn room(asked: &Asked<'_>) -> Result<(), Problem> {
    let Asked { session, nodes, .. } = asked;
    let kernels = session.cluster_size;
    // A session on one node needs room for all of its kernels there.
    let together = match session.cluster_mode {
        ClusterMode::SingleNode => kernels,
        ClusterMode::MultiNode => 1,
    };
    if session.cluster_mode == ClusterMode::MultiNode
        && usize::try_from(kernels).is_ok_and(|kernels| kernels > nodes.len())
    {
        return Err(Problem::invalid_params(format!(
            "{kernels} requirement(s) could not be placed: a multi-node session takes one agent \
             for each of its {kernels} kernels, and the resource group '{}' has {}. Choose \
             cluster_mode single-node.",
            session.resource_group,
            nodes.len()
        )));
    }
    let requested = &(0..together).fold(ResourceSlots::default(), |sum, _| {
        sum.plus(&session.requested_slots)
    });
    let fitting: Vec<_> = nodes
        .iter()
        .filter(|node| node.architecture == session.architecture)
        .collect();
    if fitting.is_empty() {
        return Err(Problem::invalid_params(format!(
            "no agents passed the 'architecture' filter: the image '{}' is made for {}.",
            session.image, session.architecture
        )));
    }
    let lacks: Vec<_> = fitting
        .iter()
        .filter_map(|node| {
            let has = capacity(node);
            let (slot, _) = requested.lacking(&has)?;
            let amount = |slots: &ResourceSlots| amount_text(slot, slots.get(slot));
            Some(format!(
                "{slot}: requested {}, the computer has {}",
                amount(requested),
                amount(&has)
            ))
        })
        .collect();
    match lacks.first() {
        Some(lack) if lacks.len() == fitting.len() => Err(quota(format!(
            "The request asks for more than any agent of the resource group '{}' has ({lack}).",
            session.resource_group
        ))),
        _ => Ok(()),
    }
}

/// What a machine gives out, as slots.
pub(crate) fn capacity(node: &Node) -> ResourceSlots {
    let times = node.overcommit;
    let mut slots = ResourceSlots::cpu_mem(
        u64::from(node.cpu) * u64::from(times.cpu),
        BinarySize(node.mem.saturating_mul(u64::from(times.mem))),
    );
    for (slot, amount) in &node.accelerators {
        if let Ok(quantity) = amount.to_string().parse() {
            slots.0.insert(slot.clone(), quantity);
        }
    }
    slots
}

fn amount_text(slot: &str, quantity: Quantity) -> String {
    if slot == MEM {
        BinarySize(quantity.floor()).to_string()
    } else {
        quantity.to_string()
    }
}

fn text(slots: &ResourceSlots) -> String {
    let parts: Vec<_> = slots
        .0
        .iter()
        .map(|(slot, quantity)| format!("{slot}={}", amount_text(slot, *quantity)))
        .collect();
    parts.join(" ")
}

/// Statuses in which a session still waits.
pub(crate) const WAITING: [SessionStatus; 2] =
    [SessionStatus::Pending, SessionStatus::Deprioritizing];

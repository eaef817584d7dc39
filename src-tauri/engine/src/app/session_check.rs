//! What a new session may ask for, in the manager's order (protocol page "Semantics" §2.2).

use axum::http::StatusCode;
use protocol::binary_size::BinarySize;
use protocol::service_port::{RESERVED_PORTS, ServicePort};
use protocol::session::{ClusterMode, SessionStatus};
use protocol::slots::{CPU, MEM, Quantity, ResourceSlots};
use runtime::Node;
use serde_json::Value;

use crate::error::Problem;
use crate::store::image::Image;
use crate::store::policy::KeypairPolicy;
use crate::store::session::{Session, SessionMount};

/// What an image asks for at least, and offers.
pub(crate) struct ImageNeeds {
    pub(crate) min_cpu: Quantity,
    pub(crate) min_mem: u64,
    /// What `/dev/shm` gets when nothing else is asked for, in bytes.
    pub(crate) shmem: u64,
    pub(crate) service_ports: Vec<ServicePort>,
}

const DEFAULT_SHMEM: u64 = 64 << 20;

impl ImageNeeds {
    /// Reads the labels; what an image does not say is one core and 1 GiB.
    pub(crate) fn of(image: &Image) -> Result<Self, Problem> {
        let label = |key: &str| image.labels.get(key).map(String::as_str);
        let size = |key: &str, default: u64| {
            label(key)
                .and_then(|text| text.parse::<BinarySize>().ok())
                .map_or(default, |size| size.0)
        };
        let service_ports = match label("ai.backend.service-ports") {
            None => Vec::new(),
            Some(text) => protocol::service_port::parse_label(text)
                .map_err(|error| Problem::invalid_params(format!("{}: {error}", image.name)))?,
        };
        Ok(Self {
            min_cpu: label("ai.backend.resource.min.cpu")
                .and_then(|text| text.parse().ok())
                .unwrap_or(Quantity::whole(1)),
            min_mem: size("ai.backend.resource.min.mem", 1 << 30),
            shmem: size("ai.backend.resource.preferred.shmem", DEFAULT_SHMEM),
            service_ports,
        })
    }
}

/// The slots of a request, with what it leaves out filled in, and its shared memory in bytes.
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
            serde_json::from_value::<BinarySize>(value.clone())
                .map_err(|error| {
                    Problem::invalid_params(format!("Invalid resource allocation: shmem: {error}"))
                })?
                .0
        }
    };
    slots.0.entry(CPU.into()).or_insert(needs.min_cpu);
    slots
        .0
        .entry(MEM.into())
        .or_insert(Quantity::whole(needs.min_mem + shmem));
    slots
        .0
        .retain(|slot, quantity| *quantity != Quantity::ZERO || slot == CPU || slot == MEM);
    Ok((slots, shmem))
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
    if let Some(limit) = policy.max_priority
        && session.priority > limit
    {
        return Err(quota(format!(
            "The requested session priority {} exceeds the allowed maximum priority of {limit}.",
            session.priority
        )));
    }
    let (kernels, limit) = (session.cluster_size, policy.max_containers_per_session);
    if kernels > limit {
        return Err(quota(format!(
            "Session requests {kernels} kernels, exceeding the keypair limit of {limit} \
             containers per session."
        )));
    }
    Ok(())
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
    let requested = &session.requested_slots;
    let unknown = requested.0.keys().find(|slot| {
        !nodes
            .iter()
            .any(|node| capacity(node).0.contains_key(*slot))
    });
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
    if cpu < needs.min_cpu || requested.get(MEM).floor() < needs.min_mem {
        return Err(Problem::invalid_params(format!(
            "kernel_specs[0] resource request is smaller than the image minimum (cpu={} mem={}).",
            needs.min_cpu,
            BinarySize(needs.min_mem)
        )));
    }
    if *shmem >= requested.get(MEM).floor() {
        return Err(Problem::invalid_params(format!(
            "kernel_specs[0] shared-memory ({}) must be smaller than requested memory ({}).",
            BinarySize(*shmem),
            BinarySize(requested.get(MEM).floor())
        )));
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

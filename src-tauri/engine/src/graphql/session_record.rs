//! The fields of a session, each made only when somebody looks at it: a list of ten thousand is
//! filtered by one field and shows thirty of a hundred.

use std::borrow::Cow;
use std::sync::Arc;

use protocol::service_port::{ServicePort, ServiceProtocol};
use protocol::session::SessionStatus;
use protocol::slots::ResourceSlots;
use serde::Serialize;
use serde_json::{Value, json};

use super::record::{Fields, Record};
use crate::store::At;
use crate::store::kernel::ListedKernel;
use crate::store::project::Project;
use crate::store::session::Session;
use crate::store::user::User;

/// A session with what its fields need besides.
pub(super) struct Known {
    pub(super) session: Session,
    /// The main one first.
    pub(super) kernels: Vec<ListedKernel>,
    pub(super) user: Option<Arc<User>>,
    pub(super) project: Option<Arc<Project>>,
}

/// The fields that [`field`] knows.
pub(super) const FIELDS: [&str; 52] = [
    "id",
    "session_id",
    "tag",
    "name",
    "type",
    "image",
    "image_references",
    "architecture",
    "registry",
    "cluster_template",
    "cluster_mode",
    "cluster_size",
    "domain_name",
    "group_name",
    "group_id",
    "project_id",
    "user_email",
    "full_name",
    "user_id",
    "access_key",
    "created_user_email",
    "created_user_id",
    "created_at",
    "starts_at",
    "startup_command",
    "resource_opts",
    "scaling_group",
    "mounts",
    "vfolder_mounts",
    "requested_slots",
    "permissions",
    "main_kernel_id",
    "main_kernel_role",
    "priority",
    "status",
    "status_changed",
    "status_info",
    "status_data",
    "status_history",
    "terminated_at",
    "scheduled_at",
    "result",
    "commit_status",
    "abusing_reports",
    "agent_ids",
    "agent_id",
    "agents",
    "service_ports",
    "occupying_slots",
    "occupied_slots",
    "num_queries",
    "inference_metrics",
];

/// What the owner of a session may do with it.
pub(super) const PERMISSIONS: [&str; 4] = [
    "read_attribute",
    "update_attribute",
    "delete_session",
    "start_app",
];

/// Those that come from the session's kernels.
const OF_KERNELS: [&str; 4] = ["main_kernel_id", "agent_id", "agents", "service_ports"];

/// Whether a filter or an order looks at a field that comes from the kernels. May be wrong the safe
/// way: a name that is looked for can contain such a word.
pub(super) fn mentions_kernels(text: &str) -> bool {
    OF_KERNELS.iter().any(|field| text.contains(field))
}

/// When a status was last entered.
pub(super) fn entered(session: &Session, status: SessionStatus) -> Option<&String> {
    session.status_history.get(status.as_str())
}

pub(super) fn iso(at: Option<At>) -> Option<String> {
    at.map(At::iso)
}

/// All fields of a session.
pub(super) fn session_record(known: &Known) -> Record {
    FIELDS
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), field(known, name)?)))
        .collect()
}

/// One field of a session; `None` when it has no such field.
pub(super) fn field(known: &Known, name: &str) -> Option<Value> {
    let Known {
        session,
        user,
        project,
        ..
    } = known;
    Some(match name {
        "id" | "session_id" => json!(session.id),
        "tag" => json!(session.tag),
        "name" => json!(session.name),
        "type" => session.kind.as_str().to_uppercase().into(),
        "image" => json!(session.image),
        "image_references" => json!([session.image]),
        "architecture" => json!(session.architecture),
        "registry" => json!(session.image.split('/').next()),
        "cluster_template" | "inference_metrics" => Value::Null,
        "cluster_mode" => json!(session.cluster_mode),
        "cluster_size" => json!(session.cluster_size),
        "domain_name" => json!(session.domain),
        "group_name" => json!(project.as_ref().map(|project| &project.name)),
        "group_id" | "project_id" => json!(session.project),
        "user_email" | "created_user_email" => json!(user.as_ref().map(|user| &user.email)),
        "full_name" => json!(user.as_ref().map(|user| &user.full_name)),
        "user_id" | "created_user_id" => json!(session.user),
        "access_key" => json!(session.access_key),
        "created_at" => session.created_at.iso().into(),
        "starts_at" => json!(iso(session.starts_at)),
        "startup_command" => json!(session.startup_command),
        "resource_opts" => text(&session.resource_opts),
        "scaling_group" => json!(session.resource_group),
        "mounts" => session
            .mounts
            .iter()
            .map(|mount| mount.name.as_str())
            .collect(),
        "vfolder_mounts" => session
            .mounts
            .iter()
            .map(|mount| mount.folder.to_string())
            .collect(),
        "requested_slots" => text(&requested(session)),
        "permissions" => json!(PERMISSIONS),
        _ => return lived(known, name),
    })
}

/// The fields that a session's life changes.
fn lived(known: &Known, name: &str) -> Option<Value> {
    let Known {
        session, kernels, ..
    } = known;
    let main = kernels.first();
    let mut agents = kernels.iter().filter_map(|kernel| kernel.agent.as_deref());
    Some(match name {
        "main_kernel_id" => json!(main.map(|kernel| kernel.id)),
        "main_kernel_role" => "COMPUTE".into(),
        "priority" => json!(session.priority),
        "status" => json!(session.status),
        "status_changed" => json!(entered(session, session.status)),
        "status_info" => json!(session.status_info),
        "status_data" => shown_data(&session.status_data),
        "status_history" => text(&session.status_history),
        "terminated_at" => json!(iso(session.terminated_at)),
        "scheduled_at" => json!(entered(session, SessionStatus::Scheduled)),
        "result" => session.result.as_str().to_uppercase().into(),
        "commit_status" => "ready".into(),
        "abusing_reports" => json!([]),
        "agent_ids" | "agents" => agents.collect(),
        "agent_id" => json!(agents.next()),
        "service_ports" => text(&main.map(service_ports).unwrap_or_default()),
        "occupying_slots" | "occupied_slots" => text(&session.occupied_slots),
        "num_queries" => json!(session.num_queries),
        _ => return None,
    })
}

/// What all kernels ask for.
fn requested(session: &Session) -> ResourceSlots {
    times(&session.requested_slots, session.cluster_size)
}

/// What so many kernels ask for.
pub(super) fn times(slots: &ResourceSlots, kernels: u32) -> ResourceSlots {
    (0..kernels).fold(ResourceSlots::default(), |sum, _| sum.plus(slots))
}

/// The data of a status, as text.
pub(super) fn shown_data(data: &Value) -> Value {
    if data.is_null() {
        return Value::Null;
    }
    text(data)
}

/// A service port as the manager shows it in a list.
#[derive(Serialize)]
pub(super) struct ShownPort {
    name: String,
    protocol: ServiceProtocol,
    container_ports: Vec<u16>,
    host_ports: [u16; 0],
    is_inference: bool,
}

pub(super) fn shown_ports(ports: Vec<ServicePort>) -> Vec<ShownPort> {
    let shown = |port: ServicePort| ShownPort {
        name: port.name,
        protocol: port.protocol,
        container_ports: port.ports,
        host_ports: [],
        is_inference: false,
    };
    ports.into_iter().map(shown).collect()
}

fn service_ports(kernel: &ListedKernel) -> Vec<ShownPort> {
    shown_ports(kernel.service_ports())
}

/// What the schema calls a `JSONString`, without a detour over its values.
pub(super) fn text(value: &impl Serialize) -> Value {
    serde_json::to_string(value).map_or(Value::Null, Value::String)
}

impl Fields for Known {
    fn field(&self, name: &str) -> Option<Cow<'_, Value>> {
        field(self, name).map(Cow::Owned)
    }
}

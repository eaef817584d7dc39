//! Which question is answered where.

use serde_json::Value;

use super::record::{Ask, Record};
use super::{folder, image, kernel, project, registry, resource, session, user};
use crate::error::Problem;

/// Answers a field of the root.
pub(super) async fn root(ask: &Ask<'_>, field: &str) -> Result<Value, Problem> {
    match field {
        "compute_session" => session::one(ask).await,
        "compute_session_list" => session::list(ask).await,
        "compute_session_node" => session::one_node(ask).await,
        "session_pending_queue" => session::pending_queue(ask).await,
        "compute_session_nodes" => session::nodes(ask).await,
        "compute_container" => kernel::one(ask).await,
        "compute_container_list" => kernel::list(ask).await,
        "total_resource_slot" => session::total_slots(ask).await,
        "image" | "image_node" => image::one(ask, field).await,
        "images" | "customized_images" => image::list(ask, field).await,
        "image_nodes" => image::nodes(ask).await,
        "container_registry"
        | "container_registries"
        | "container_registry_node"
        | "container_registry_nodes" => registry::query(ask, field).await,
        "domain" | "domain_node" => project::domain(ask, field).await,
        "domains" | "domain_nodes" => project::domains(ask, field).await,
        "group" | "group_node" => project::one(ask, field).await,
        "groups" | "groups_by_name" | "group_nodes" => project::list(ask, field).await,
        "user" | "user_from_uuid" | "user_node" => user::one(ask, field).await,
        "users" | "user_list" | "user_nodes" => user::list(ask, field).await,
        "viewer" => user::viewer(ask).await,
        "keypair" => user::keypair(ask).await,
        "keypairs" | "keypair_list" => user::keypairs(ask, field).await,
        "keypair_resource_policy" | "user_resource_policy" | "project_resource_policy" => {
            user::policy(ask, field).await
        }
        "keypair_resource_policies" | "user_resource_policies" | "project_resource_policies" => {
            user::policies(ask, field).await
        }
        "agent" | "agent_summary" => resource::agent(ask, field).await,
        "agents" | "agent_list" | "agent_summary_list" | "agent_nodes" => {
            resource::agents(ask, field).await
        }
        "scaling_group" => resource::group(ask).await,
        "scaling_groups"
        | "accessible_scaling_groups"
        | "scaling_groups_for_domain"
        | "scaling_groups_for_user_group"
        | "scaling_groups_for_keypair" => resource::groups(ask, field).await,
        "resource_preset" | "resource_preset_by_id" => resource::preset(ask).await,
        "resource_presets" => resource::presets(ask).await,
        "vfolder" | "vfolder_node" => folder::one(ask, field).await,
        "vfolders" => folder::list(ask).await,
        "vfolder_list" | "vfolder_own_list" | "vfolder_invited_list" | "vfolder_project_list" => {
            folder::page(ask, field).await
        }
        "vfolder_nodes" => folder::nodes(ask).await,
        "vfolder_host_permissions" => Ok(folder::host_permissions()),
        "storage_volume" | "storage_volume_list" => folder::volumes(ask, field).await,
        "quota_scope" => folder::quota_scope(ask).await,
        other => Err(Problem::not_implemented(format!(
            "{other} is not answered by this engine"
        ))),
    }
}

/// Answers a field that is not in its parent's record because knowing it costs something; `None`
/// when it is not such a field.
pub(super) async fn computed(
    ask: &Ask<'_>,
    object: &str,
    field: &str,
    parent: &Record,
) -> Result<Option<Value>, Problem> {
    let value = match (object, field) {
        ("ComputeSession", "containers") => kernel::containers(ask, parent).await?,
        ("ComputeSession" | "ComputeSessionNode", "idle_checks") => {
            session::idle_checks(ask, parent)
        }
        ("ComputeSession", "dependencies") => session::dependencies(ask, parent).await?,
        ("ComputeSessionNode", "queue_position") => session::queue_position(ask, parent),
        ("ComputeSessionNode", "kernel_nodes") => kernel::nodes(ask, parent).await?,
        ("ComputeSessionNode", "dependees" | "dependents" | "graph") => {
            session::related(ask, field, parent).await?
        }
        ("ComputeSessionNode", "owner") => user::owner(ask, parent).await?,
        ("ComputeSessionNode", "vfolder_nodes") => folder::of_session(ask, parent).await?,
        ("ComputeContainer" | "KernelNode", "live_stat") => kernel::live_stat(ask, parent).await?,
        ("ComputeContainer", "image_object") | ("KernelNode", "image") => {
            image::of_kernel(ask, parent).await?
        }
        ("Agent", "compute_containers") => kernel::on_agent(ask, parent).await?,
        ("AgentNode", "kernel_nodes") => kernel::nodes_on_agent(ask, parent).await?,
        ("GroupNode", "user_nodes") => user::members(ask, parent).await?,
        ("UserNode", "project_nodes") => project::of_user(ask, parent).await?,
        ("DomainNode", "scaling_groups") => resource::group_nodes(ask, parent).await?,
        ("VirtualFolder" | "VirtualFolderNode", "num_files" | "cur_size") => {
            folder::usage(ask, field, parent).await?
        }
        ("KeyPair", "compute_sessions") => session::of_keypair(ask, parent).await?,
        ("KeyPair", "vfolders") => folder::of_keypair(ask, parent).await?,
        ("KeyPair", "concurrency_used") => session::concurrency(ask, parent).await?,
        ("ScalingGroup", "agent_count_by_status" | "agent_total_resource_slots_by_status") => {
            resource::group_agents(ask, field, parent).await?
        }
        ("ScalingGroup", "own_session_occupied_resource_slots") => {
            resource::own_use(ask, parent).await?
        }
        _ => return Ok(None),
    };
    Ok(Some(value))
}

//! Users, keypairs and policies as GraphQL objects.

use serde_json::{Value, json};
use uuid::Uuid;

use super::record::{Ask, Record, global_id, raw_id, record};
use crate::error::Problem;
use crate::store::keypair::Keypair;
use crate::store::policy::{KeypairPolicy, OwnerPolicy};
use crate::store::project::Project;
use crate::store::user::{User, UserStatus};
use crate::store::{self};

const NODE: &str = "UserNode";

/// A user and the projects that they belong to.
struct Known {
    user: User,
    projects: Vec<Project>,
    keypairs: Vec<Keypair>,
}

/// The users that the caller may see: themselves, or everybody of the domain for administrators.
async fn load(ask: &Ask<'_>) -> Result<Vec<Known>, Problem> {
    ask.own_domain()?;
    let (me, admin) = (ask.caller.user_id(), ask.is_admin());
    let domain = match ask.text("domain_name") {
        Some(domain) => Some(domain.to_owned()),
        None => (!ask.caller.is_superadmin()).then(|| ask.caller.user.domain.clone()),
    };
    ask.app
        .store
        .read(move |db| {
            let mut known = Vec::new();
            for user in store::user::list(db)? {
                let in_domain = domain.as_ref().is_none_or(|domain| user.domain == *domain);
                if in_domain && (admin || user.id == me) {
                    known.push(Known {
                        projects: store::project::of_user(db, user.id)?,
                        keypairs: store::keypair::of_user(db, user.id)?,
                        user,
                    });
                }
            }
            Ok(known)
        })
        .await
}

fn user_record(known: &Known) -> Record {
    let Known { user, projects, .. } = known;
    let groups: Vec<Value> = projects
        .iter()
        .map(|project| json!({ "id": project.id, "name": project.name }))
        .collect();
    record(json!({
        "id": user.id,
        "uuid": user.id,
        "username": user.username,
        "email": user.email,
        "need_password_change": user.need_password_change,
        "full_name": user.full_name,
        "description": user.description,
        "is_active": user.status == UserStatus::Active,
        "status": user.status.to_string(),
        "status_info": null,
        "created_at": user.created_at.iso(),
        "modified_at": user.modified_at.iso(),
        "domain_name": user.domain,
        "role": user.role.to_string(),
        "resource_policy": user.resource_policy,
        "allowed_client_ip": user.allowed_client_ip,
        "totp_activated": false,
        "totp_activated_at": null,
        "sudo_session_enabled": user.sudo_session_enabled,
        "container_uid": user.container_uid,
        "container_main_gid": user.container_main_gid,
        "container_gids": user.container_gids,
        "main_access_key": user.main_access_key,
        "groups": groups,
    }))
}

fn as_node(known: &Known) -> Record {
    let mut fields = user_record(known);
    fields.insert(
        "id".into(),
        global_id(NODE, &known.user.id.to_string()).into(),
    );
    fields
}

fn found(known: Option<&Known>, nodes: bool) -> Value {
    match known {
        Some(known) if nodes => as_node(known).into(),
        Some(known) => user_record(known).into(),
        None => Value::Null,
    }
}

pub(super) async fn one(ask: &Ask<'_>, field: &str) -> Result<Value, Problem> {
    let all = load(ask).await?;
    let wanted: Box<dyn Fn(&User) -> bool + Send> = match field {
        "user" => match ask.text("email").map(str::to_owned) {
            Some(email) => Box::new(move |user| user.email == email),
            None => own(ask),
        },
        "user_from_uuid" if ask.text("user_id").is_none() => own(ask),
        _ => {
            let id = ask.uuid(if field == "user_node" {
                "id"
            } else {
                "user_id"
            })?;
            Box::new(move |user| user.id == id)
        }
    };
    Ok(found(
        all.iter().find(|known| wanted(&known.user)),
        field == "user_node",
    ))
}

fn own(ask: &Ask<'_>) -> Box<dyn Fn(&User) -> bool + Send> {
    let me = ask.caller.user_id();
    Box::new(move |user| user.id == me)
}

pub(super) async fn list(ask: &Ask<'_>, field: &str) -> Result<Value, Problem> {
    if !ask.is_admin() {
        return Err(Problem::forbidden(
            "Forbidden operation. (admin privilege required)",
        ));
    }
    let project = match ask.text("group_id") {
        Some(_) => Some(ask.uuid("group_id")?),
        None => None,
    };
    let (active, status) = (ask.flag("is_active"), ask.text("status"));
    let all = load(ask).await?;
    let wanted = |known: &&Known| {
        project.is_none_or(|id| known.projects.iter().any(|project| project.id == id))
            && active.is_none_or(|active| (known.user.status == UserStatus::Active) == active)
            && status.is_none_or(|status| known.user.status.to_string() == status)
    };
    let kept = all.iter().filter(wanted);
    match field {
        "user_nodes" => ask.connection(kept.map(as_node).collect()),
        "user_list" => ask.page(kept.map(user_record).collect()),
        _ => Ok(json!(kept.map(user_record).collect::<Vec<_>>())),
    }
}

pub(super) async fn viewer(ask: &Ask<'_>) -> Result<Value, Problem> {
    let me = ask.caller.user_id();
    let all = load(ask).await?;
    let known = all.iter().find(|known| known.user.id == me);
    Ok(json!({
        "user": found(known, true),
        "user_id": me,
        "encoded_user_role": ask.caller.user.role.to_string(),
    }))
}

async fn node_of(ask: &Ask<'_>, id: Uuid) -> Result<Option<Record>, Problem> {
    Ok(load(ask)
        .await?
        .iter()
        .find(|known| known.user.id == id)
        .map(as_node))
}

pub(super) async fn owner(ask: &Ask<'_>, parent: &Record) -> Result<Value, Problem> {
    let id = parent
        .get("user_id")
        .and_then(|id| id.as_str()?.parse().ok());
    Ok(match id {
        Some(id) => node_of(ask, id).await?.map(Value::from).unwrap_or_default(),
        None => Value::Null,
    })
}

pub(super) async fn members(ask: &Ask<'_>, parent: &Record) -> Result<Value, Problem> {
    let project = parent
        .get("row_id")
        .and_then(|id| id.as_str()?.parse::<Uuid>().ok());
    let all = load(ask).await?;
    let inside = |known: &&Known| known.projects.iter().any(|one| Some(one.id) == project);
    ask.connection(all.iter().filter(inside).map(as_node).collect())
}

fn keypair_record(known: &Known, keypair: &Keypair, mine: bool) -> Record {
    let user = &known.user;
    let projects: Vec<&String> = known.projects.iter().map(|project| &project.name).collect();
    record(json!({
        "id": global_id("KeyPair", &keypair.access_key),
        "user_id": user.email,
        "email": user.email,
        "full_name": user.full_name,
        "access_key": keypair.access_key,
        // Other people's secrets are theirs, whatever the role of the one who asks.
        "secret_key": mine.then_some(&keypair.secret_key),
        "is_active": keypair.is_active,
        "is_admin": keypair.is_admin,
        "is_default": user.main_access_key.as_ref() == Some(&keypair.access_key),
        "resource_policy": keypair.resource_policy,
        "created_at": keypair.created_at.iso(),
        "last_used": null,
        "rate_limit": keypair.rate_limit,
        "num_queries": 0,
        "rolling_count": 0,
        "user": user.id,
        "projects": projects,
        "ssh_public_key": keypair.ssh_public_key,
        "user_info": { "email": user.email, "full_name": user.full_name },
    }))
}

/// The record of a user that a mutation has changed.
pub(super) async fn changed(ask: &Ask<'_>, id: Uuid) -> Result<Value, Problem> {
    let all = load(ask).await?;
    Ok(found(all.iter().find(|known| known.user.id == id), false))
}

/// The record of a keypair that was just made. Its secret is told to the administrator who made it:
/// nobody else could pass it on.
pub(super) async fn new_keypair(
    ask: &Ask<'_>,
    user: &User,
    keypair: &Keypair,
) -> Result<Value, Problem> {
    let id = user.id;
    let projects = ask
        .app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::project::of_user(db, id)?) })
        .await?;
    let known = Known {
        user: user.clone(),
        projects,
        keypairs: Vec::new(),
    };
    Ok(keypair_record(&known, keypair, true).into())
}

async fn keypair_records(ask: &Ask<'_>) -> Result<Vec<Record>, Problem> {
    let me = ask.caller.user_id();
    let all = load(ask).await?;
    Ok(all
        .iter()
        .flat_map(|known| {
            let mine = known.user.id == me;
            known
                .keypairs
                .iter()
                .map(move |keypair| keypair_record(known, keypair, mine))
        })
        .collect())
}

pub(super) async fn keypair(ask: &Ask<'_>) -> Result<Value, Problem> {
    let wanted = ask
        .text("access_key")
        .unwrap_or(&ask.caller.keypair.access_key);
    let wanted = json!(wanted);
    let all = keypair_records(ask).await?;
    let found = all
        .into_iter()
        .find(|record| record.get("access_key") == Some(&wanted));
    Ok(found.map(Value::from).unwrap_or_default())
}

pub(super) async fn keypairs(ask: &Ask<'_>, field: &str) -> Result<Value, Problem> {
    let mut records = keypair_records(ask).await?;
    if let Some(email) = ask.text("email") {
        records.retain(|record| record.get("user_id") == Some(&json!(email)));
    }
    if let Some(active) = ask.flag("is_active") {
        records.retain(|record| record.get("is_active") == Some(&json!(active)));
    }
    if field == "keypair_list" {
        ask.page(records)
    } else {
        Ok(json!(records))
    }
}

fn keypair_policy(policy: &KeypairPolicy) -> Record {
    let unspecified = if policy.unspecified_is_unlimited {
        "UNLIMITED"
    } else {
        "LIMITED"
    };
    record(json!({
        "name": policy.name,
        "created_at": policy.created_at.iso(),
        "default_for_unspecified": unspecified,
        "total_resource_slots": policy.total_resource_slots,
        "max_session_lifetime": policy.max_session_lifetime,
        "max_concurrent_sessions": policy.max_concurrent_sessions,
        "max_concurrent_sftp_sessions": policy.max_concurrent_sftp_sessions,
        "max_containers_per_session": policy.max_containers_per_session,
        "idle_timeout": policy.idle_timeout,
        "allowed_vfolder_hosts": policy.allowed_vfolder_hosts,
        // Deprecated here, said by the owner's policy; older clients want numbers: no limit.
        "max_vfolder_count": 0,
        "max_vfolder_size": 0,
        "max_quota_scope_size": -1,
        "max_pending_session_count": policy.max_pending_session_count,
        "max_pending_session_resource_slots": policy.max_pending_session_resource_slots,
    }))
}

fn owner_policy(policy: &OwnerPolicy, kind: &str) -> Record {
    record(json!({
        "id": global_id(kind, &policy.name),
        "name": policy.name,
        "created_at": policy.created_at.iso(),
        "max_vfolder_count": policy.max_vfolder_count,
        "max_quota_scope_size": policy.max_quota_scope_size,
        "max_vfolder_size": null,
        "max_session_count_per_model_session": policy.max_dependents,
        "max_customized_image_count": policy.max_customized_image_count,
        "max_network_count": policy.max_dependents,
    }))
}

async fn policy_records(ask: &Ask<'_>, field: &str) -> Result<Vec<Record>, Problem> {
    let kind = field.split('_').next().unwrap_or_default().to_owned();
    ask.app
        .store
        .read(move |db| {
            Ok(match &*kind {
                "user" => {
                    let policies = store::policy::of_users(db)?;
                    policies
                        .iter()
                        .map(|one| owner_policy(one, "UserResourcePolicy"))
                        .collect()
                }
                "project" => {
                    let policies = store::policy::of_projects(db)?;
                    policies
                        .iter()
                        .map(|one| owner_policy(one, "ProjectResourcePolicy"))
                        .collect()
                }
                _ => store::policy::list(db)?
                    .iter()
                    .map(keypair_policy)
                    .collect(),
            })
        })
        .await
}

pub(super) async fn policy(ask: &Ask<'_>, field: &str) -> Result<Value, Problem> {
    let own = match field {
        "user_resource_policy" => &ask.caller.user.resource_policy,
        _ => &ask.caller.keypair.resource_policy,
    };
    let wanted = json!(ask.text("name").map_or_else(|| own.clone(), raw_id));
    let all = policy_records(ask, field).await?;
    let found = all
        .into_iter()
        .find(|record| record.get("name") == Some(&wanted));
    Ok(found.map(Value::from).unwrap_or_default())
}

pub(super) async fn policies(ask: &Ask<'_>, field: &str) -> Result<Value, Problem> {
    Ok(json!(policy_records(ask, field).await?))
}

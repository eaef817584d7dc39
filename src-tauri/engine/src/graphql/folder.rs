//! Data folders as GraphQL objects.

use serde_json::{Value, json};
use uuid::Uuid;

use super::record::{Ask, Record, node, raw_id, record};
use crate::app::bootstrap::{FOLDER_HOST, FOLDER_PERMISSIONS};
use crate::app::folder::{self, Seen};
use crate::error::Problem;

const NODE: &str = "VirtualFolderNode";

fn folder_record(seen: &Seen) -> Record {
    let folder = &seen.folder;
    let user_email = folder.owner.user().map(|_| &folder.creator);
    record(json!({
        "id": folder.id,
        "host": folder.host,
        "quota_scope_id": folder.owner.quota_scope(),
        "name": folder.name,
        "user": folder.owner.user(),
        "user_email": user_email,
        "group": folder.owner.project(),
        "group_name": null,
        "creator": folder.creator,
        "domain_name": null,
        "unmanaged_path": null,
        "usage_mode": folder.usage_mode,
        "permission": folder.permission,
        "ownership_type": folder.owner.kind(),
        "max_files": 0,
        "max_size": null,
        "created_at": folder.created_at.iso(),
        "last_used": folder.last_used.map(crate::store::At::iso),
        "cloneable": folder.cloneable,
        "status": folder.status.as_str(),
        "permissions": ["read_attribute", "read_content", "write_content", "mount_rw"],
    }))
}

/// The folders of a list: an administrator's lists show everybody's.
async fn records(ask: &Ask<'_>, everybody: bool) -> Result<Vec<(Seen, Record)>, Problem> {
    ask.own_domain()?;
    let project = match ask.text("group_id").or_else(|| ask.text("project_id")) {
        None => None,
        Some(text) => {
            let unread = |_| Problem::invalid_params(format!("{text} is not a UUID"));
            Some(text.parse().map_err(unread)?)
        }
    };
    let seen = folder::list(ask.app, ask.caller, everybody, project).await?;
    let with_record = |seen: Seen| {
        let record = folder_record(&seen);
        (seen, record)
    };
    Ok(seen.into_iter().map(with_record).collect())
}

pub(super) async fn one(ask: &Ask<'_>, field: &str) -> Result<Value, Problem> {
    let seen = folder::find(ask.app, ask.caller, &ask.id("id")?).await?;
    let fields = folder_record(&seen);
    Ok(if field == "vfolder" {
        fields.into()
    } else {
        node(NODE, fields).into()
    })
}

pub(super) async fn list(ask: &Ask<'_>) -> Result<Value, Problem> {
    let all = records(ask, false).await?;
    Ok(json!(
        all.into_iter()
            .map(|(_, record)| record)
            .collect::<Vec<_>>()
    ))
}

pub(super) async fn page(ask: &Ask<'_>, field: &str) -> Result<Value, Problem> {
    let me = ask.caller.user_id();
    let wanted = |seen: &Seen| match field {
        "vfolder_own_list" => seen.folder.owner.user() == Some(me),
        "vfolder_project_list" => seen.folder.owner.project().is_some(),
        "vfolder_invited_list" => seen.folder.owner.user().is_some_and(|owner| owner != me),
        _ => true,
    };
    let all = records(ask, field == "vfolder_list").await?;
    ask.page(
        all.into_iter()
            .filter(|(seen, _)| wanted(seen))
            .map(|(_, record)| record)
            .collect(),
    )
}

pub(super) async fn nodes(ask: &Ask<'_>) -> Result<Value, Problem> {
    let all = records(ask, false).await?;
    ask.connection(
        all.into_iter()
            .map(|(_, record)| node(NODE, record))
            .collect(),
    )
}

pub(super) async fn of_session(ask: &Ask<'_>, parent: &Record) -> Result<Value, Problem> {
    let mounted = parent.get("vfolder_mounts").and_then(Value::as_array);
    let mounted: Vec<&str> = mounted
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let all = folder::list(ask.app, ask.caller, true, None).await?;
    let here = |seen: &&Seen| mounted.contains(&&*seen.folder.id.to_string());
    ask.connection(
        all.iter()
            .filter(here)
            .map(|seen| node(NODE, folder_record(seen)))
            .collect(),
    )
}

pub(super) async fn of_keypair(ask: &Ask<'_>, parent: &Record) -> Result<Value, Problem> {
    let user = parent.get("user").and_then(Value::as_str);
    let all = folder::list(ask.app, ask.caller, true, None).await?;
    let theirs = |seen: &&Seen| {
        seen.folder
            .owner
            .user()
            .is_some_and(|id| Some(&*id.to_string()) == user)
    };
    Ok(json!(
        all.iter()
            .filter(theirs)
            .map(folder_record)
            .collect::<Vec<_>>()
    ))
}

/// Counting what a folder holds takes a walk through it.
pub(super) async fn usage(ask: &Ask<'_>, field: &str, parent: &Record) -> Result<Value, Problem> {
    let id = parent
        .get("id")
        .and_then(Value::as_str)
        .map(raw_id)
        .unwrap_or_default();
    let Ok(id) = id.parse::<Uuid>() else {
        return Ok(Value::Null);
    };
    match folder::usage(ask.app, id).await {
        Ok(usage) if field == "num_files" => Ok(json!(usage.files)),
        Ok(usage) => Ok(json!(usage.bytes)),
        // Its files are being removed.
        Err(_) => Ok(Value::Null),
    }
}

pub(super) fn host_permissions() -> Value {
    json!({ "vfolder_host_permission_list": FOLDER_PERMISSIONS })
}

pub(super) async fn volumes(ask: &Ask<'_>, field: &str) -> Result<Value, Problem> {
    ask.superadmin()?;
    let space = folder::hosts(ask.app, ask.caller).await?;
    let (proxy, name) = FOLDER_HOST.split_once(':').unwrap_or((FOLDER_HOST, ""));
    let volumes: Vec<Record> = space
        .into_iter()
        .map(|(host, space)| {
            let used = space.total.saturating_sub(space.free);
            record(json!({
                "id": host,
                "backend": "vfs",
                "fsprefix": null,
                "path": null,
                "capabilities": ["vfolder"],
                "hardware_metadata": {},
                "performance_metric": {},
                "usage": { "capacity_bytes": space.total, "used_bytes": used },
                "proxy": proxy,
                "name": name,
            }))
        })
        .collect();
    if field == "storage_volume_list" {
        return ask.page(volumes);
    }
    let wanted = ask.needed("id")?;
    let found = volumes
        .into_iter()
        .find(|volume| volume.get("id") == Some(&json!(wanted)));
    Ok(found.map(Value::from).unwrap_or_default())
}

pub(super) async fn quota_scope(ask: &Ask<'_>) -> Result<Value, Problem> {
    let (host, scope) = (
        ask.needed("storage_host_name")?,
        ask.needed("quota_scope_id")?,
    );
    quota_scope_record(ask, host, scope).await
}

/// What administrators change of a scope. `None` for another field.
pub(super) async fn change(ask: &Ask<'_>, field: &str) -> Option<Result<Value, Problem>> {
    let is_set = match field {
        "set_quota_scope" => true,
        "unset_quota_scope" => false,
        _ => return None,
    };
    Some(set_quota_scope(ask, is_set).await)
}

async fn set_quota_scope(ask: &Ask<'_>, is_set: bool) -> Result<Value, Problem> {
    ask.superadmin()?;
    let host = ask.needed("storage_host_name")?;
    let scope = ask.needed("quota_scope_id")?;
    let bytes = ask
        .args
        .get("props")
        .and_then(|props| props.get("hard_limit_bytes"))
        .filter(|_| is_set);
    let bytes = match bytes {
        None | Some(Value::Null) => None,
        // BigInt travels as a text, too.
        Some(value) => {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            let wrong =
                || Problem::invalid_params("hard_limit_bytes: a number of bytes is needed.");
            let bytes = text.parse::<i64>().ok().filter(|bytes| *bytes >= 0);
            Some(bytes.ok_or_else(wrong)?)
        }
    };
    folder::quota::set_hard_limit(ask.app, host, scope, bytes).await?;
    Ok(json!({ "quota_scope": quota_scope_record(ask, host, scope).await? }))
}

async fn quota_scope_record(ask: &Ask<'_>, host: &str, scope: &str) -> Result<Value, Problem> {
    let folders = folder::list(ask.app, ask.caller, true, None).await?;
    let limit = folder::quota::hard_limit(ask.app, host, scope).await?;
    let (mut bytes, mut count) = (0, 0);
    for seen in folders
        .iter()
        .filter(|seen| seen.folder.owner.quota_scope() == scope)
    {
        let reference = seen.folder.id.to_string();
        let (usage, _) = folder::quota(ask.app, ask.caller, &reference).await?;
        bytes += usage.bytes;
        count += usage.files;
    }
    Ok(json!({
        "id": format!("{host}:{scope}"),
        "quota_scope_id": scope,
        "storage_host_name": host,
        "details": { "usage_bytes": bytes, "usage_count": count, "hard_limit_bytes": limit },
    }))
}

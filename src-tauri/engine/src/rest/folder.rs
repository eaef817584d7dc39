//! `/folders` over HTTP.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use protocol::api::folder::{ById, CloneRequest, Create, Info, Item, Permission};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::extract::{Body, Params, flag};
use crate::app::bootstrap::{FOLDER_HOST, FOLDER_PERMISSIONS};
use crate::app::folder::{self, Seen, clone, trash};
use crate::auth::{Caller, Superadmin};
use crate::error::Problem;
use crate::state::App;
use crate::storage::Usage;
use crate::store::At;

pub(super) type Answer<T> = Result<T, Problem>;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/folders", get(list).post(create).delete(trash_by_id))
        .route("/folders/{name}", get(info).delete(trash))
        .route("/folders/_/id", get(id_of))
        .route("/folders/_/hosts", get(hosts))
        .route("/folders/_/all-hosts", get(all_hosts))
        .route("/folders/_/all_hosts", get(all_hosts))
        .route("/folders/_/allowed-types", get(allowed_types))
        .route("/folders/_/allowed_types", get(allowed_types))
        .route("/folders/_/quota", get(quota))
        .route("/folders/_/usage", get(usage))
        .route("/folders/_/used-bytes", get(used_bytes))
        .route("/folders/purge", post(purge))
        .route("/folders/restore-from-trash-bin", post(restore))
        .route("/folders/delete-from-trash-bin", post(delete_forever))
        .route("/folders/{name}/force", delete(delete_at_once))
        .route("/folders/{name}/clone", post(copy))
        .route("/folders/{name}/rename", post(rename))
        .route("/folders/{name}/update-options", post(update_options))
        .route("/acl", get(acl))
}

/// A time as the manager prints it in folder records.
pub(super) fn spaced(at: At) -> String {
    at.iso().replacen('T', " ", 1)
}

fn item(seen: Seen) -> Item {
    let folder = seen.folder;
    Item {
        id: folder.id.simple().to_string(),
        name: folder.name,
        quota_scope_id: Some(folder.owner.quota_scope()),
        host: folder.host,
        usage_mode: folder.usage_mode,
        created_at: spaced(folder.created_at),
        permission: folder.permission,
        user_email: Some(match folder.owner.user() {
            Some(_) => folder.creator.clone(),
            None => String::new(),
        }),
        creator: Some(folder.creator),
        ownership_type: Some(folder.owner.kind().to_owned()),
        user: folder.owner.user(),
        group: folder.owner.project(),
        cloneable: folder.cloneable,
        status: Some(folder.status.to_string()),
        is_owner: seen.is_owner,
        group_name: Some(String::new()),
        kind: Some(folder.owner.kind().to_owned()),
        max_size: Some(0),
        max_files: 0,
        cur_size: 0,
    }
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<Create>,
) -> Answer<(StatusCode, Json<Item>)> {
    let seen = folder::create(&app, &caller, request).await?;
    Ok((StatusCode::CREATED, Json(item(seen))))
}

async fn copy(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Body(request): Body<CloneRequest>,
) -> Answer<(StatusCode, Json<Value>)> {
    let (Seen { folder, .. }, task) = clone::start(&app, &caller, &name, request).await?;
    let answer = json!({
        "id": folder.id.simple().to_string(),
        "name": folder.name,
        "host": folder.host,
        "usage_mode": folder.usage_mode,
        "permission": folder.permission,
        "creator": folder.creator,
        "ownership_type": folder.owner.kind(),
        "user": folder.owner.user(),
        "group": folder.owner.project(),
        "cloneable": folder.cloneable,
        "bgtask_id": task,
    });
    Ok((StatusCode::CREATED, Json(answer)))
}

#[derive(Deserialize)]
struct ListQuery {
    #[serde(default, deserialize_with = "flag")]
    all: bool,
    #[serde(alias = "groupId")]
    group_id: Option<Uuid>,
    #[serde(alias = "ownerUserEmail")]
    owner_user_email: Option<String>,
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<ListQuery>,
) -> Answer<Json<Vec<Item>>> {
    if query.owner_user_email.is_some() && !caller.is_superadmin() {
        return Err(Problem::invalid_params("ownerUserEmail is for superadmins"));
    }
    let everybody = query.all || query.owner_user_email.is_some();
    let seen = folder::list(&app, &caller, everybody, query.group_id).await?;
    let wanted = |seen: &Seen| {
        query
            .owner_user_email
            .as_ref()
            .is_none_or(|email| seen.folder.creator == *email)
    };
    Ok(Json(seen.into_iter().filter(wanted).map(item).collect()))
}

async fn info(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Answer<Json<Info>> {
    let (Seen { folder, is_owner }, usage) = folder::info(&app, &caller, &name).await?;
    Ok(Json(Info {
        name: folder.name,
        id: folder.id.simple().to_string(),
        quota_scope_id: Some(folder.owner.quota_scope()),
        host: folder.host,
        status: Some(folder.status.to_string()),
        num_files: usage.files,
        used_bytes: usage.bytes,
        created_at: spaced(folder.created_at),
        last_used: folder.last_used.map(spaced),
        user: folder.owner.user().map(|id| id.to_string()),
        group: folder.owner.project().map(|id| id.to_string()),
        kind: Some(folder.owner.kind().to_owned()),
        is_owner,
        permission: folder.permission,
        usage_mode: folder.usage_mode,
        cloneable: folder.cloneable,
    }))
}

#[derive(Deserialize)]
struct NameBody {
    #[serde(alias = "vfolderName", alias = "name")]
    vfolder_name: String,
}

async fn id_of(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<NameBody>,
) -> Answer<Json<Value>> {
    let folder = folder::find(&app, &caller, &body.vfolder_name)
        .await?
        .folder;
    Ok(Json(
        json!({ "id": folder.id.simple().to_string(), "name": folder.name }),
    ))
}

async fn trash(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Answer<StatusCode> {
    trash::put(&app, &caller, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn trash_by_id(
    State(app): State<App>,
    caller: Caller,
    Body(ById { id }): Body<ById>,
) -> Answer<StatusCode> {
    trash::put(&app, &caller, &id.to_string()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn restore(
    State(app): State<App>,
    caller: Caller,
    Body(ById { id }): Body<ById>,
) -> Answer<StatusCode> {
    trash::restore(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_forever(
    State(app): State<App>,
    caller: Caller,
    Body(ById { id }): Body<ById>,
) -> Answer<StatusCode> {
    trash::delete_forever(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_at_once(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Answer<StatusCode> {
    trash::delete_at_once(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn purge(
    State(app): State<App>,
    caller: Caller,
    Body(ById { id }): Body<ById>,
) -> Answer<StatusCode> {
    trash::purge(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the manager answers where there is nothing to say.
pub(super) fn said() -> Json<Value> {
    Json(json!({ "msg": "" }))
}

#[derive(Deserialize)]
struct Rename {
    new_name: String,
}

async fn rename(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Body(body): Body<Rename>,
) -> Answer<Json<Value>> {
    folder::rename(&app, &caller, &name, body.new_name).await?;
    Ok(said())
}

#[derive(Deserialize)]
struct Options {
    cloneable: Option<bool>,
    permission: Option<Permission>,
}

async fn update_options(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Body(body): Body<Options>,
) -> Answer<Json<Value>> {
    folder::update_options(&app, &caller, &name, body.cloneable, body.permission).await?;
    Ok(said())
}

async fn hosts(State(app): State<App>, caller: Caller) -> Answer<Json<Value>> {
    let volumes = folder::hosts(&app, &caller).await?;
    let volume_info: serde_json::Map<String, Value> = volumes
        .iter()
        .map(|(host, space)| {
            let used = space.total.saturating_sub(space.free);
            let percentage = used as f64 * 100.0 / space.total.max(1) as f64;
            let info = json!({
                "backend": "vfs",
                "capabilities": ["vfolder"],
                "usage": { "percentage": percentage, "used": used, "total": space.total },
                "sftp_scaling_groups": [],
            });
            (host.clone(), info)
        })
        .collect();
    let allowed: Vec<&String> = volumes.iter().map(|(host, _)| host).collect();
    let default = allowed.iter().find(|host| **host == FOLDER_HOST);
    Ok(Json(
        json!({ "default": default, "allowed": allowed, "volume_info": volume_info }),
    ))
}

async fn all_hosts(_: Superadmin) -> Json<Value> {
    Json(json!({ "default": FOLDER_HOST, "allowed": [FOLDER_HOST] }))
}

async fn allowed_types(_: Caller) -> Json<Value> {
    Json(json!(["user", "group"]))
}

async fn acl(_: Caller) -> Json<Value> {
    Json(json!({ "vfolder_host_permission_list": FOLDER_PERMISSIONS }))
}

#[derive(Deserialize)]
struct IdQuery {
    id: String,
}

async fn quota(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<IdQuery>,
) -> Answer<Json<Value>> {
    let (used, limit) = folder::quota(&app, &caller, &query.id).await?;
    Ok(Json(
        json!({ "data": { "used_bytes": used.bytes, "limit_bytes": limit } }),
    ))
}

async fn usage_of(app: &App, Superadmin(caller): Superadmin, query: IdQuery) -> Answer<Usage> {
    Ok(folder::info(app, &caller, &query.id).await?.1)
}

async fn usage(
    State(app): State<App>,
    admin: Superadmin,
    Params(query): Params<IdQuery>,
) -> Answer<Json<Value>> {
    let usage = usage_of(&app, admin, query).await?;
    Ok(Json(
        json!({ "data": { "file_count": usage.files, "used_bytes": usage.bytes } }),
    ))
}

async fn used_bytes(
    State(app): State<App>,
    admin: Superadmin,
    Params(query): Params<IdQuery>,
) -> Answer<Json<Value>> {
    let usage = usage_of(&app, admin, query).await?;
    Ok(Json(json!({ "data": { "used_bytes": usage.bytes } })))
}

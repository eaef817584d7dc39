//! Sharing folders over HTTP: invitations, rights, owners.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use protocol::api::folder::Permission;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::extract::{Body, Params};
use super::folder::{Answer, said, spaced};
use crate::app::folder::sharing;
use crate::auth::{Caller, Superadmin};
use crate::state::App;
use crate::store::folder_sharing::Invitation;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/folders/{name}/invite", post(invite))
        .route("/folders/{name}/leave", post(leave))
        .route("/folders/{name}/share", post(share))
        .route("/folders/{name}/unshare", post(unshare).delete(unshare))
        .route("/folders/invitations/list", get(received))
        .route("/folders/invitations/list-sent", get(sent))
        .route("/folders/invitations/list_sent", get(sent))
        .route("/folders/invitations/update/{id}", post(update))
        .route("/folders/invitations/accept", post(accept))
        .route("/folders/invitations/delete", post(delete).delete(delete))
        .route("/folders/_/shared", get(shared).post(change))
        .route("/folders/_/sharing", post(change_several))
        .route("/folders/_/change-ownership", post(change_owner))
}

#[derive(Deserialize)]
struct Invite {
    #[serde(default, alias = "permission")]
    perm: Permission,
    #[serde(alias = "user_ids", alias = "userIDs", alias = "userIds")]
    emails: Vec<String>,
}

async fn invite(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Body(body): Body<Invite>,
) -> Answer<(StatusCode, Json<Value>)> {
    let invited = sharing::invite(&app, &caller, &name, body.perm, body.emails).await?;
    Ok((StatusCode::CREATED, Json(json!({ "invited_ids": invited }))))
}

#[derive(Deserialize, Default)]
struct Leave {
    #[serde(default, alias = "sharedUserUuid")]
    shared_user_uuid: Option<Uuid>,
}

async fn leave(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    bytes: bytes::Bytes,
) -> Answer<Json<Value>> {
    // Older clients send no body here.
    let body: Leave = serde_json::from_slice(&bytes).unwrap_or_default();
    sharing::leave(&app, &caller, &name, body.shared_user_uuid).await?;
    Ok(Json(json!({ "msg": "left the shared vfolder" })))
}

async fn share(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Body(body): Body<Invite>,
) -> Answer<(StatusCode, Json<Value>)> {
    let shared = sharing::share(&app, &caller, &name, body.perm, body.emails).await?;
    Ok((
        StatusCode::CREATED,
        Json(json!({ "shared_emails": shared })),
    ))
}

async fn unshare(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Body(body): Body<Invite>,
) -> Answer<Json<Value>> {
    let unshared = sharing::unshare(&app, &caller, &name, body.emails).await?;
    Ok(Json(json!({ "unshared_emails": unshared })))
}

fn record(one: &Invitation) -> Value {
    json!({
        "id": one.id,
        "inviter": one.inviter,
        "invitee": one.invitee,
        "perm": one.permission,
        "state": one.state.to_string(),
        "created_at": spaced(one.created_at),
        "modified_at": spaced(one.modified_at),
        "vfolder_id": one.folder.simple().to_string(),
        "vfolder_name": one.folder_name,
    })
}

async fn list(app: &App, caller: &Caller, sent: bool) -> Answer<Json<Value>> {
    let found = sharing::invitations(app, caller, sent).await?;
    let records: Vec<Value> = found.iter().map(record).collect();
    Ok(Json(json!({ "invitations": records })))
}

async fn received(State(app): State<App>, caller: Caller) -> Answer<Json<Value>> {
    list(&app, &caller, false).await
}

async fn sent(State(app): State<App>, caller: Caller) -> Answer<Json<Value>> {
    list(&app, &caller, true).await
}

#[derive(Deserialize)]
struct Offer {
    #[serde(alias = "permission")]
    perm: Permission,
}

async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Body(body): Body<Offer>,
) -> Answer<Json<Value>> {
    sharing::change_invitation(&app, &caller, id, body.perm).await?;
    Ok(Json(
        json!({ "msg": format!("vfolder invitation updated: {id}.") }),
    ))
}

#[derive(Deserialize)]
struct ByInvitation {
    #[serde(alias = "invId")]
    inv_id: Uuid,
}

async fn accept(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<ByInvitation>,
) -> Answer<Json<Value>> {
    sharing::accept(&app, &caller, body.inv_id).await?;
    Ok(said())
}

async fn delete(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<ByInvitation>,
) -> Answer<Json<Value>> {
    sharing::delete_invitation(&app, &caller, body.inv_id).await?;
    Ok(Json(
        json!({ "msg": format!("Vfolder invitation is deleted: {}.", body.inv_id) }),
    ))
}

#[derive(Deserialize)]
struct SharedQuery {
    #[serde(alias = "vfolderId")]
    vfolder_id: Option<Uuid>,
}

async fn shared(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<SharedQuery>,
) -> Answer<Json<Value>> {
    let found = sharing::shared(&app, &caller, query.vfolder_id).await?;
    let records: Vec<Value> = found
        .iter()
        .map(|one| {
            let kind = match one.folder.owner.user() {
                Some(_) => "user",
                None => "project",
            };
            json!({
                "vfolder_id": one.folder.id.simple().to_string(),
                "vfolder_name": one.folder.name,
                "status": one.folder.status.to_string(),
                "owner": one.owner_email,
                "type": kind,
                "shared_to": { "uuid": one.user, "email": one.email },
                "perm": one.permission,
            })
        })
        .collect();
    Ok(Json(json!({ "shared": records })))
}

#[derive(Deserialize)]
struct Change {
    #[serde(alias = "vfolder_id", alias = "vfolderId")]
    vfolder: Uuid,
    #[serde(alias = "user_id", alias = "userId")]
    user: Uuid,
    #[serde(alias = "permission")]
    perm: Option<Permission>,
}

async fn change(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<Change>,
) -> Answer<Json<Value>> {
    let changes = vec![(body.user, body.perm)];
    sharing::change_shared(&app, &caller, body.vfolder, changes).await?;
    Ok(Json(json!({ "msg": "shared vfolder permission updated" })))
}

#[derive(Deserialize)]
struct UserPermission {
    #[serde(alias = "userId")]
    user_id: Uuid,
    #[serde(alias = "permission")]
    perm: Option<Permission>,
}

#[derive(Deserialize)]
struct Several {
    #[serde(alias = "vfolder_id", alias = "vfolderId")]
    vfolder: Uuid,
    #[serde(alias = "userPermList", alias = "user_perm_list")]
    user_perm: Vec<UserPermission>,
}

async fn change_several(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<Several>,
) -> Answer<StatusCode> {
    let changes = body.user_perm.iter().map(|one| (one.user_id, one.perm));
    sharing::change_shared(&app, &caller, body.vfolder, changes.collect()).await?;
    Ok(StatusCode::CREATED)
}

#[derive(Deserialize)]
struct NewOwner {
    #[serde(alias = "vfolder_id", alias = "vfolderId")]
    vfolder: Uuid,
    #[serde(alias = "userEmail")]
    user_email: String,
}

async fn change_owner(
    State(app): State<App>,
    Superadmin(caller): Superadmin,
    Body(body): Body<NewOwner>,
) -> Answer<Json<Value>> {
    sharing::change_owner(&app, &caller, body.vfolder, &body.user_email).await?;
    Ok(Json(json!({})))
}

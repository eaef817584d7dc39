//! Logging in and the caller's own account over HTTP.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use protocol::api::auth::{Authorize, Authorized, RenewPassword};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::extract::{Body, Params};
use crate::app::user;
use crate::auth::Caller;
use crate::auth::address::ClientAddress;
use crate::error::Problem;
use crate::state::App;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/auth", get(test).post(echo))
        .route("/auth/test", get(test).post(echo))
        .route("/auth/authorize", post(authorize))
        .route("/auth/logout", post(logout))
        .route("/auth/role", get(role))
        .route("/auth/my-ip", get(my_ip))
        .route("/auth/update-password", post(update_password))
        .route("/auth/update-password-no-auth", post(renew_password))
        .route("/auth/update-full-name", post(update_full_name))
        .route(
            "/auth/ssh-keypair",
            get(ssh_key).patch(new_ssh_keys).post(upload_ssh_keys),
        )
}

async fn test(_: Caller) -> Json<Value> {
    Json(json!({ "authorized": "yes", "echo": "" }))
}

#[derive(Deserialize)]
struct Echo {
    echo: String,
}

async fn echo(_: Caller, Body(body): Body<Echo>) -> Json<Value> {
    Json(json!({ "authorized": "yes", "echo": body.echo }))
}

async fn authorize(
    State(app): State<App>,
    Body(request): Body<Authorize>,
) -> Result<Json<Authorized>, Problem> {
    user::authorize(&app, request).await.map(Json)
}

/// A keypair stays what it is: there is no login session to end.
async fn logout() -> Json<Value> {
    Json(json!({}))
}

#[derive(Deserialize)]
struct RoleQuery {
    #[serde(default)]
    group: Option<Uuid>,
}

async fn role(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<RoleQuery>,
) -> Result<Json<Value>, Problem> {
    user::role(&app, &caller, query.group).await.map(Json)
}

async fn my_ip(_: Caller, from: ClientAddress) -> Json<Value> {
    Json(json!({ "client_ip": from.0.to_string() }))
}

#[derive(Deserialize)]
struct UpdatePassword {
    old_password: String,
    new_password: String,
    new_password2: String,
}

async fn update_password(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<UpdatePassword>,
) -> Result<Response, Problem> {
    if body.new_password != body.new_password2 {
        let mismatch = Json(json!({ "error_msg": "new password mismatch" }));
        return Ok((StatusCode::BAD_REQUEST, mismatch).into_response());
    }
    user::update_password(&app, &caller, body.old_password, body.new_password).await?;
    Ok(Json(json!({ "error_msg": null })).into_response())
}

async fn renew_password(
    State(app): State<App>,
    Body(body): Body<RenewPassword>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let who = (body.username, body.domain);
    let at = user::renew_password(&app, who, body.current_password, body.new_password).await?;
    let said = Json(json!({ "password_changed_at": at }));
    Ok((StatusCode::CREATED, said))
}

#[derive(Deserialize)]
struct UpdateFullName {
    email: String,
    full_name: String,
}

async fn update_full_name(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<UpdateFullName>,
) -> Result<Json<Value>, Problem> {
    user::update_full_name(&app, &caller, &body.email, body.full_name).await?;
    Ok(Json(json!({})))
}

async fn ssh_key(caller: Caller) -> Json<Value> {
    Json(json!({ "ssh_public_key": caller.keypair.ssh_public_key.as_deref().unwrap_or_default() }))
}

fn both((public, private): (String, String)) -> Json<Value> {
    Json(json!({ "ssh_public_key": public, "ssh_private_key": private }))
}

async fn new_ssh_keys(State(app): State<App>, caller: Caller) -> Result<Json<Value>, Problem> {
    user::new_ssh_keys(&app, &caller).await.map(both)
}

#[derive(Deserialize)]
struct SshKeys {
    #[serde(alias = "public_key")]
    pubkey: String,
    #[serde(alias = "private_key")]
    privkey: String,
}

async fn upload_ssh_keys(
    State(app): State<App>,
    caller: Caller,
    Body(keys): Body<SshKeys>,
) -> Result<Json<Value>, Problem> {
    user::upload_ssh_keys(&app, &caller, keys.pubkey, keys.privkey)
        .await
        .map(both)
}

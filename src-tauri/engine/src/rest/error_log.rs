//! `/logs/error` over HTTP: errors that clients write down (protocol page "Administrative REST" §6).

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::extract::{Body, Params, flag};
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;
use crate::store::At;
use crate::store::error_log::{self, ErrorLog, Whose};
use crate::store::user::Role;

/// The most on one page.
const LARGEST_PAGE: u32 = 100;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/logs/error", get(list).post(append))
        .route("/logs/error/{id}/clear", post(clear))
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Critical,
    Error,
    Warning,
}

#[derive(Deserialize)]
struct NewLog {
    severity: Severity,
    source: String,
    message: String,
    context_lang: String,
    context_env: Value,
    request_url: Option<String>,
    request_status: Option<i64>,
    traceback: Option<String>,
}

/// Whose errors the caller sees.
fn seen_by(caller: &Caller) -> Whose {
    match caller.user.role {
        Role::Superadmin => Whose::All,
        Role::Admin => Whose::Domain(caller.user.domain.clone()),
        Role::User | Role::Monitor => Whose::User(caller.user_id()),
    }
}

async fn append(
    State(app): State<App>,
    caller: Caller,
    Body(new): Body<NewLog>,
) -> Result<Json<Value>, Problem> {
    // Clients send the environment as an object, or as the text of one.
    let environment = match new.context_env {
        Value::String(text) => serde_json::from_str(&text).map_err(|_| {
            Problem::invalid_params("context_env: it is neither an object nor the text of one")
        })?,
        other => other,
    };
    let severity = match new.severity {
        Severity::Critical => "critical",
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let log = ErrorLog {
        id: Uuid::now_v7(),
        created_at: At((app.clock)()),
        severity: severity.to_owned(),
        source: new.source,
        user: Some(caller.user_id()),
        is_read: false,
        is_cleared: false,
        message: new.message,
        context_lang: new.context_lang,
        context_env: environment,
        request_url: new.request_url,
        request_status: new.request_status,
        traceback: new.traceback,
    };
    app.store
        .write(move |tx| -> Result<(), Problem> { Ok(error_log::insert(tx, &log)?) })
        .await?;
    Ok(Json(json!({ "success": true })))
}

#[derive(Deserialize)]
struct ListQuery {
    #[serde(default, deserialize_with = "flag")]
    mark_read: bool,
    #[serde(default = "first_page")]
    page_no: u32,
    #[serde(default = "page_size")]
    page_size: u32,
}

const fn first_page() -> u32 {
    1
}

const fn page_size() -> u32 {
    20
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<ListQuery>,
) -> Result<Json<Value>, Problem> {
    let size = query.page_size;
    if size == 0 || size > LARGEST_PAGE || query.page_no == 0 {
        return Err(Problem::invalid_params(format!(
            "page_size is 1 to {LARGEST_PAGE}, page_no counts from 1"
        )));
    }
    let whose = seen_by(&caller);
    let offset = (query.page_no - 1).saturating_mul(size);
    let (logs, count) = app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(error_log::list(db, &whose, size, offset)?) })
        .await?;
    if query.mark_read {
        let ids: Vec<Uuid> = logs.iter().map(|log| log.id).collect();
        app.store
            .write(move |tx| -> Result<(), Problem> { Ok(error_log::mark_read(tx, &ids)?) })
            .await?;
    }
    let is_admin = !matches!(caller.user.role, Role::User | Role::Monitor);
    let logs: Vec<Value> = logs.into_iter().map(|log| record(log, is_admin)).collect();
    Ok(Json(json!({ "logs": logs, "count": count })))
}

fn record(log: ErrorLog, is_admin: bool) -> Value {
    let mut record = Map::new();
    let mut put = |name: &str, value: Value| record.insert(name.to_owned(), value);
    put("log_id", json!(log.id));
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds are exact in a double until the year 2255"
    )]
    let created = log.created_at.0.as_microsecond() as f64 / 1e6;
    put("created_at", json!(created));
    put("severity", json!(log.severity));
    put("source", json!(log.source));
    put("user", json!(log.user));
    put("is_read", json!(log.is_read));
    put("message", json!(log.message));
    put("context_lang", json!(log.context_lang));
    put("context_env", log.context_env);
    put("request_url", json!(log.request_url));
    put("request_status", json!(log.request_status));
    put("traceback", json!(log.traceback));
    if is_admin {
        put("is_cleared", json!(log.is_cleared));
    }
    record.into()
}

async fn clear(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<Value>, Problem> {
    let whose = seen_by(&caller);
    let cleared = app
        .store
        .write(move |tx| -> Result<bool, Problem> { Ok(error_log::clear(tx, &whose, id)?) })
        .await?;
    if !cleared {
        return Err(Problem::not_found("error log", "error-log_read_not-found"));
    }
    Ok(Json(json!({ "success": true })))
}

//! The manager API: one file per noun, each parses, calls `app` and shapes the answer.

pub(crate) mod auth;
pub(crate) mod config;
pub(crate) mod error_log;
pub(crate) mod extension;
pub(crate) mod extract;
pub(crate) mod fair_share;
pub(crate) mod folder;
pub(crate) mod folder_files;
pub(crate) mod folder_sharing;
pub(crate) mod image;
pub(crate) mod local;
pub(crate) mod manager;
mod old_clients;
pub(crate) mod registry;
pub(crate) mod resource;
pub(crate) mod resource_group;
pub(crate) mod root;
pub(crate) mod scheduling_history;
pub(crate) mod session;
pub(crate) mod session_exec;
pub(crate) mod session_files;
pub(crate) mod session_service;
pub(crate) mod storage;
pub(crate) mod usage;
pub(crate) mod user_config;

use axum::extract::OriginalUri;
use axum::http::StatusCode;
use axum::middleware;
use axum::{Router, http::HeaderValue};
use tower_http::cors::CorsLayer;

use crate::error::Problem;
use crate::state::App;
use crate::{auth as authentication, graphql, stream};

/// Everything that answers on the ordinary listener.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .merge(root::routes())
        .merge(auth::routes())
        .merge(session::routes())
        .merge(session_exec::routes())
        .merge(session_files::routes())
        .merge(session_service::routes())
        .merge(extension::routes())
        .merge(folder::routes())
        .merge(folder_files::routes())
        .merge(folder_sharing::routes())
        .merge(storage::routes())
        .merge(resource::routes())
        .merge(image::routes())
        .merge(registry::routes())
        .merge(resource_group::routes())
        .merge(usage::routes())
        .merge(config::routes())
        .merge(manager::routes())
        .merge(error_log::routes())
        .merge(fair_share::routes())
        .merge(scheduling_history::routes())
        .merge(user_config::routes())
        .merge(graphql::routes())
        .merge(stream::routes())
        .fallback(unknown_url)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(old_clients::body_as_query))
        .layer(middleware::from_fn_with_state(
            app.clone(),
            authentication::layer,
        ))
        .layer(
            CorsLayer::very_permissive()
                .allow_credentials(false)
                .allow_origin(tower_http::cors::Any),
        )
        .layer(tower_http::set_header::SetResponseHeaderLayer::overriding(
            axum::http::header::SERVER,
            HeaderValue::from_static("BackendAI"),
        ))
        .with_state(app)
}

async fn unknown_url(OriginalUri(uri): OriginalUri) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "url-not-found",
        "Unknown URL path.",
        "api_read_not-found",
    )
    .data(uri.path().into())
}

async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "HTTP Method Not Allowed.",
        "api_access_forbidden",
    )
}

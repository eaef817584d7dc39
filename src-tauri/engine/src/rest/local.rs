//! The owner's socket: logging in without a password, status, shutdown.
//!
//! Whoever connects is known by the kernel's word (peer credentials), not by anything they say.

use std::os::unix::fs::MetadataExt;

use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use axum::{Json, Router};
use protocol::api::auth::LocalLogin;
use protocol::api::gangway::EngineStatus;
use tokio::net::UnixListener;

use crate::app::user;
use crate::error::Problem;
use crate::state::App;
use crate::store;

/// Answers on the socket until the engine stops.
pub(crate) async fn serve(app: App, listener: UnixListener) {
    let router = Router::new()
        .route("/gangway/login", post(login))
        .route("/gangway/status", get(status))
        .route("/gangway/shutdown", post(shutdown))
        .layer(middleware::from_fn_with_state(app.clone(), owner_only))
        .with_state(app.clone())
        .into_make_service_with_connect_info::<Peer>();
    let served =
        axum::serve(listener, router).with_graceful_shutdown(app.stop.clone().cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(%error, "owner's socket");
    }
}

/// The user id at the other end; `None` when the system does not say.
#[derive(Debug, Clone, Copy)]
struct Peer(Option<u32>);

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(
            stream
                .io()
                .peer_cred()
                .ok()
                .map(|credentials| credentials.uid()),
        )
    }
}

async fn owner_only(
    State(app): State<App>,
    ConnectInfo(Peer(uid)): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let owner = std::fs::metadata(&app.data_dir).map(|data| data.uid()).ok();
    if uid.is_none() || uid != owner {
        return Problem::forbidden("This socket is for the owner of the engine's data.")
            .into_response();
    }
    next.run(request).await
}

async fn login(State(app): State<App>) -> Result<Json<LocalLogin>, Problem> {
    user::local_login(&app).await.map(Json)
}

async fn status(State(app): State<App>) -> Result<Json<EngineStatus>, Problem> {
    let sessions = app
        .store
        .read(|db| -> Result<_, Problem> { Ok(store::session::count_live(db)?) })
        .await?;
    Ok(Json(EngineStatus {
        pid: std::process::id(),
        endpoint: app.endpoint.clone(),
        data_dir: app.data_dir.display().to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        sessions: sessions.into(),
    }))
}

async fn shutdown(State(app): State<App>) -> StatusCode {
    tracing::info!("told to stop by the owner");
    app.stop.cancel();
    StatusCode::NO_CONTENT
}

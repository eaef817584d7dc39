//! What this engine offers beyond the manager API (`GET /` names it).

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::StreamExt;
use protocol::api::gangway::{
    Install, InstallDone, InstallLine, Notice, Save, Saved, SshInfo, StartProgress, Stats, Unsaved,
    UnsavedFile,
};
use runtime::{AppState, InstallEvent};
use serde_json::json;

use super::extract::Body;
use crate::app::{notice, service, session, session_home, session_save};
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;
use crate::store;
use crate::stream::events::{frame, ping, response};

/// The most unsaved files that are counted, and that are named.
const COUNTED: usize = 100_000;
const NAMED: usize = 20;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/gangway/session/{s}/ssh", get(ssh))
        .route("/gangway/session/{s}/apps", get(apps))
        .route("/gangway/session/{s}/apps/{name}/start", get(starting))
        .route("/gangway/session/{s}/install", post(install))
        .route("/gangway/session/{s}/unsaved", get(unsaved))
        .route("/gangway/session/{s}/save", post(save))
        .route("/gangway/session/{s}/stats", get(stats))
        .route("/gangway/session/{s}/notices", get(notices))
}

async fn ssh(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Json<SshInfo>, Problem> {
    let (found, kernels) = session::find(&app, &caller, &reference, None).await?;
    let kernel = session::main_kernel(&app, &found, &kernels)?;
    let info = kernel.ssh_info().await.map_err(session::runtime_problem)?;
    Ok(Json(SshInfo {
        user: info.user,
        host_key: info.host_key,
        service: info.service,
    }))
}

async fn apps(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Json<Vec<AppState>>, Problem> {
    let (found, kernels) = session::find(&app, &caller, &reference, None).await?;
    let kernel = session::main_kernel(&app, &found, &kernels)?;
    kernel
        .apps()
        .await
        .map(Json)
        .map_err(session::runtime_problem)
}

async fn starting(
    State(app): State<App>,
    caller: Caller,
    Path((reference, name)): Path<(String, String)>,
) -> Result<Json<Option<StartProgress>>, Problem> {
    let (found, kernels) = session::find(&app, &caller, &reference, None).await?;
    let service = service::find(&found, &kernels, &name)?;
    let kernel = session::main_kernel(&app, &found, &kernels)?;
    kernel
        .start_progress(&service.name)
        .await
        .map(Json)
        .map_err(session::runtime_problem)
}

async fn install(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Body(body): Body<Install>,
) -> Result<Response, Problem> {
    let (found, kernels) = session::find(&app, &caller, &reference, None).await?;
    let kernel = session::main_kernel(&app, &found, &kernels)?;
    let events = kernel
        .install(&body.app)
        .await
        .map_err(session::runtime_problem)?;
    let frames = events.map(|event| {
        Ok(match event {
            Ok(InstallEvent::Line(text)) => frame("line", &json!(InstallLine { text })),
            Ok(InstallEvent::Done(exit_code)) => {
                let done = InstallDone {
                    ok: exit_code == 0,
                    exit_code: Some(exit_code),
                };
                frame("done", &json!(done))
            }
            Err(error) => {
                tracing::info!(%error, "installation");
                frame(
                    "done",
                    &json!(InstallDone {
                        ok: false,
                        exit_code: None
                    }),
                )
            }
        })
    });
    let begin = futures_util::stream::once(async { Ok(ping()) });
    Ok(response(begin.chain(frames)))
}

async fn unsaved(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Json<Unsaved>, Problem> {
    let (found, kernels) = session::find(&app, &caller, &reference, None).await?;
    let home = session_home::find(&app, &found, &kernels).await?;
    let unsaved = home
        .unsaved(COUNTED)
        .await
        .map_err(session::runtime_problem)?;
    let largest = unsaved
        .listed
        .into_iter()
        .take(NAMED)
        .map(|file| UnsavedFile {
            path: file.path,
            size: file.size,
        })
        .collect();
    Ok(Json(Unsaved {
        files: unsaved.files,
        bytes: unsaved.bytes,
        truncated: unsaved.truncated,
        largest,
    }))
}

async fn save(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Body(body): Body<Save>,
) -> Result<Json<Saved>, Problem> {
    let (found, kernels) = session::find(&app, &caller, &reference, None).await?;
    let home = session_home::find(&app, &found, &kernels).await?;
    session_save::save(&app, &caller, &home, &body)
        .await
        .map(Json)
}

async fn stats(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Json<Stats>, Problem> {
    let (_, rows) = session::find(&app, &caller, &reference, None).await?;
    let mut kernels = BTreeMap::new();
    for row in rows {
        let live = match app.kernels.get(row.id) {
            Some(kernel) => kernel.stats().await.ok().map(|stats| json!(stats)),
            None => None,
        };
        if let Some(stats) = live.or(row.last_stat) {
            kernels.insert(row.id, stats);
        }
    }
    Ok(Json(Stats {
        at: (app.clock)(),
        kernels,
    }))
}

async fn notices(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Json<Vec<Notice>>, Problem> {
    let (found, rows) = session::find(&app, &caller, &reference, None).await?;
    notice::refresh(&app, found.id, &rows).await;
    let id = found.id;
    app.store
        .read(move |db| -> Result<_, Problem> { Ok(store::notice::of_session(db, id)?) })
        .await
        .map(Json)
}

//! Running code over a WebSocket (protocol page "Sessions" §12.4).

use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade, rejection};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use protocol::api::session::Execute;
use runtime::Kernel;
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

use crate::app::{execute, session};
use crate::auth::Caller;
use crate::error::Problem;
use crate::rest::session_exec::count;
use crate::state::App;

/// How long a frame waits for more output.
const FLUSH: Duration = Duration::from_millis(200);

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/stream/session/{s}/execute", get(open))
}

async fn open(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    upgrade: Result<WebSocketUpgrade, rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|error| Problem::bad_request(error.body_text()))?;
    let (found, kernels) = session::find(&app, &caller, &reference, None).await?;
    let kernel = session::main_kernel(&app, &found, &kernels)?;
    Ok(upgrade.on_upgrade(move |mut socket| async move {
        if let Err(problem) = run(&app, found.id, kernel, &mut socket).await {
            let message = json!({ "status": "error", "msg": problem.text() });
            let _ = socket.send(Message::Text(message.to_string().into())).await;
        }
        let _ = socket.send(Message::Close(None)).await;
    }))
}

async fn run(
    app: &App,
    session: Uuid,
    kernel: Arc<dyn Kernel>,
    socket: &mut WebSocket,
) -> Result<(), Problem> {
    let Some(Ok(Message::Text(text))) = socket.recv().await else {
        return Err(Problem::malformed_body());
    };
    let request: Execute =
        serde_json::from_str(&text).map_err(|error| Problem::unparsable(error.to_string()))?;
    count(app, session).await?;
    // A run counts as an exchange from its beginning to its end.
    let _activity = app.activity.open(session);
    let mut progress = execute::begin(kernel, Uuid::new_v4().simple().to_string(), request)?;
    loop {
        // Closing the socket drops the run, which ends it.
        let result = tokio::select! {
            result = progress.next(FLUSH) => result,
            message = socket.recv() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                Some(Ok(_)) => continue,
            },
            () = app.stop.cancelled() => {
                let message = json!({ "status": "server-restarting", "msg": "The engine stops." });
                let _ = socket.send(Message::Text(message.to_string().into())).await;
                return Ok(());
            }
        };
        let message = json!({
            "status": result.status,
            "console": result.console,
            "exitCode": result.exit_code,
            "options": result.options,
            "files": result.files,
        });
        if socket
            .send(Message::Text(message.to_string().into()))
            .await
            .is_err()
            || result.status == "finished"
        {
            return Ok(());
        }
    }
}

//! Starts the kernels of running sessions again, in their homes.

use std::sync::Arc;
use std::time::Duration;

use protocol::session::Event;
use runtime::{Kernel, RuntimeError};
use serde_json::json;

use super::watch::RESTART_FAILED;
use super::{InHand, Work, failure, insist, start};
use crate::app::session::chain;
use crate::app::transition::advance;
use crate::error::Problem;
use crate::state::App;
use crate::store;
use crate::store::kernel::Kernel as KernelRow;
use crate::store::session::Session;

/// How long processes may take to end by themselves.
const GRACE: Duration = Duration::from_secs(3);

/// Ends what runs of a session and starts it again. Cut off at any line, it simply begins anew.
pub(super) async fn again(work: Work, session: Session, in_hand: InHand) {
    let app = &work.app;
    let id = session.id;
    let ends = async |app: &App, rows: &[KernelRow]| failure::end(app, rows, GRACE).await;
    if failure::is_done(app, id, ends).await {
        let rows = insist(app, |app| async move {
            app.store
                .read(move |db| -> Result<_, Problem> { Ok(store::kernel::of_session(db, id)?) })
                .await
        });
        if let Some(rows) = rows.await {
            match make(app, &session, &rows).await {
                Ok(kernels) => start::ready(&work, &session, kernels).await,
                Err(error) => {
                    let text = chain(&error);
                    tracing::warn!(session = %id, error = text, "did not start again");
                    failed(app, &session, &text).await;
                }
            }
        }
    }
    drop(in_hand);
}

async fn make(
    app: &App,
    session: &Session,
    rows: &[KernelRow],
) -> Result<Vec<Arc<dyn Kernel>>, RuntimeError> {
    let specs = start::specs(app, session, rows).await?;
    start::together(specs, |spec| app.runtime.restart(spec)).await
}

/// The session is over; its home is kept, as nobody wanted that.
async fn failed(app: &App, session: &Session, text: &str) {
    let error = json!({ "src": "agent", "name": "KernelRestartFailed", "repr": text });
    let id = session.id;
    insist(app, |app| {
        let error = error.clone();
        async move {
            let edit = move |session: &mut Session, kernels: &mut [KernelRow]| {
                session.status_data["error"] = error.clone();
                for kernel in kernels {
                    kernel.status_data["error"] = error.clone();
                }
            };
            advance(&app, id, &[Event::ForceTerminated], RESTART_FAILED, edit).await
        }
    })
    .await;
    app.nudge.schedule.notify_one();
}

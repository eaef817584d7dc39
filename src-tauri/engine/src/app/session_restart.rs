//! Starting a running session again: its processes end, its home and its place stay.

use protocol::session::{Event, SessionStatus};
use tokio::sync::broadcast::error::RecvError;

use super::session::{failure_text, not_ready};
use super::transition::advance;
use crate::error::Problem;
use crate::lock;
use crate::state::App;
use crate::store;
use crate::store::session::Session;

/// Starts a session again and waits until it runs.
pub(crate) async fn restart(app: &App, session: &Session) -> Result<(), Problem> {
    if !matches!(
        session.status,
        SessionStatus::Running | SessionStatus::RunningDegraded
    ) {
        return Err(not_ready(session));
    }
    let stopping = app.commits.let_restart(session)?;
    let mut events = app.events.listen();
    let boot_id = lock::boot_id();
    let moved = advance(
        app,
        session.id,
        &[Event::Restarting],
        "restarting",
        move |_, kernels| {
            for kernel in kernels {
                kernel.boot_id = Some(boot_id.clone());
            }
        },
    )
    .await?;
    drop(stopping);
    if moved.is_none() {
        return Err(not_ready(session));
    }
    app.nudge.start.notify_one();
    let id = session.id;
    loop {
        let now = app
            .store
            .read(move |db| -> Result<_, Problem> { Ok(store::session::get(db, id)?) })
            .await?
            .ok_or_else(Problem::no_session)?;
        match now.status {
            SessionStatus::Restarting => {}
            SessionStatus::Running => return Ok(()),
            _ => {
                let why = failure_text(&now).unwrap_or("It was ended meanwhile.");
                return Err(not_ready(&now).msg(format!("The session was not restarted. {why}")));
            }
        }
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = app.stop.cancelled() => Err(RecvError::Closed),
            };
            match event {
                Ok(event) if event.session != id => {}
                Ok(_) | Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return Err(Problem::internal("The engine stops.")),
            }
        }
    }
}

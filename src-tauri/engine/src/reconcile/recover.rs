//! After a start: finds the kernels that an earlier engine started, and tells the ends of the others.

use std::sync::Arc;

use protocol::session::{Event, SessionStatus};

use super::{Work, stop, watch};
use crate::app::session::chain;
use crate::app::transition::advance;
use crate::error::Problem;
use crate::lock;
use crate::store;
use crate::store::kernel::Kernel as KernelRow;
use crate::store::session::Session;

pub(super) async fn run(work: &Work) -> Result<(), Problem> {
    let app = &work.app;
    let (known, sessions) = app
        .store
        .read(|db| -> Result<_, Problem> {
            let statuses: Vec<_> = SessionStatus::ALL
                .iter()
                .copied()
                .filter(|status| !status.is_terminal() && *status != SessionStatus::Pending)
                .collect();
            let mut sessions = Vec::new();
            for session in store::session::in_status(db, &statuses)? {
                let kernels = store::kernel::of_session(db, session.id)?;
                sessions.push((session, kernels));
            }
            Ok((store::kernel::remaining(db)?, sessions))
        })
        .await?;
    match app.runtime.sweep(&known).await {
        Ok(strangers) if strangers.is_empty() => {}
        Ok(strangers) => tracing::warn!(?strangers, "ended kernels that nobody knows"),
        Err(error) => tracing::warn!(error = chain(&error), "sweep"),
    }
    for (session, kernels) in sessions {
        recover(work, &session, &kernels).await?;
    }
    Ok(())
}

async fn recover(work: &Work, session: &Session, rows: &[KernelRow]) -> Result<(), Problem> {
    let app = &work.app;
    let boot_id = lock::boot_id();
    let other_boot = rows
        .iter()
        .any(|row| row.boot_id.as_ref().is_some_and(|boot| *boot != boot_id));
    let mut missing = None;
    let mut found = Vec::new();
    for row in rows {
        let adopted = match app.runtime.adopt(row.id).await {
            Ok(adopted) => adopted,
            Err(error) => {
                tracing::warn!(kernel = %row.id, error = chain(&error), "can't be adopted");
                None
            }
        };
        match adopted {
            Some(kernel) => {
                app.kernels.insert(Arc::clone(&kernel));
                found.push(kernel);
            }
            None => missing = Some(row.id),
        }
    }
    match (session.status, missing) {
        // Being ended: the stopper goes on. Being started again: that goes on as well.
        (SessionStatus::Terminating | SessionStatus::Restarting, _) => {}
        (SessionStatus::Running | SessionStatus::Creating, None) => {
            if session.status == SessionStatus::Creating {
                advance(app, session.id, &[Event::Started], "", |_, _| {}).await?;
            }
            for kernel in found {
                watch::attach(work, session.id, kernel);
            }
        }
        (SessionStatus::Running, Some(kernel)) => {
            let exit = watch::lost(app, kernel, other_boot).await;
            stop::keep_log(app, kernel).await?;
            watch::ended(app, session.id, exit).await?;
        }
        // Cut off while starting: nobody has worked in it, so it simply starts again.
        (_, _) => {
            for row in rows {
                if let Some(kernel) = app.kernels.get(row.id) {
                    app.kernels.remove(row.id);
                    if let Err(error) = kernel.terminate(std::time::Duration::ZERO).await {
                        tracing::warn!(kernel = %row.id, error = chain(&error), "half-made");
                    }
                }
                if let Err(error) = app.runtime.remove(row.id).await {
                    tracing::warn!(kernel = %row.id, error = chain(&error), "half-made");
                }
            }
            advance(app, session.id, &[Event::Rescheduled], "", |_, _| {}).await?;
        }
    }
    Ok(())
}

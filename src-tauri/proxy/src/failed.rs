//! Keeps what came to nothing at tunnels, so that it can be told after the process has ended.

use history::{FailedLaunch, History, Hop};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};
use tunnel::{FailedTry, Tunnel, Tunnels};

use crate::host::Changed;

/// Stores failures until the tunnels are gone.
pub(crate) async fn keep(
    mut failures: Receiver<(Tunnel, FailedTry)>,
    history: History,
    changes: Sender<Changed>,
) {
    loop {
        match failures.recv().await {
            Ok((tunnel, failure)) => {
                let launch = launch(&tunnel, &failure);
                if let Err(error) = history.note_failed_launch(launch).await {
                    tracing::warn!(%error, "a failed launch is not stored");
                }
                // Nobody listening is fine.
                let _ = changes.send(Changed::Tunnel(tunnel.id));
            }
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// How a tunnel is doing, and all that came to nothing there, also before this process began.
/// `None`: unknown id.
pub(crate) async fn report(tunnels: &Tunnels, history: &History, id: &str) -> Option<String> {
    let mut text = tunnels.report(id)?;
    let mut hops: Vec<Hop> = match history.failed_launches_through(id).await {
        Ok(launches) => launches.into_iter().flat_map(|it| it.hops).collect(),
        Err(error) => {
            tracing::warn!(%error, "stored failures can't be read");
            Vec::new()
        }
    };
    // What has failed just now may still be on its way into the store.
    let last = hops.iter().map(|hop| hop.at).max();
    let fresh = tunnels.failed_tries(id);
    hops.extend(
        fresh
            .iter()
            .filter(|failure| last.is_none_or(|last| failure.at > last))
            .map(hop),
    );
    for hop in hops {
        text.push_str(&format!("{hop}\n"));
    }
    Some(text)
}

fn hop(failure: &FailedTry) -> Hop {
    let FailedTry {
        at, took, error, ..
    } = failure;
    Hop {
        at: *at,
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        hop: error.stage.name().to_owned(),
        code: Some(error.code.clone()),
        message: error.message.clone(),
        detail: error.detail.clone(),
    }
}

fn launch(tunnel: &Tunnel, failure: &FailedTry) -> FailedLaunch {
    FailedLaunch {
        id: failure.launch.clone(),
        profile: tunnel.target.profile.clone(),
        session: tunnel.target.session.clone(),
        session_name: tunnel.target.session_name.clone(),
        app: tunnel.target.service.label(),
        tunnel: Some(tunnel.id.clone()),
        local_port: Some(tunnel.local_port),
        began_at: failure.at,
        failed_at: failure.at,
        hops: vec![hop(failure)],
    }
}

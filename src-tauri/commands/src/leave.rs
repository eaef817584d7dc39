//! Leaving the desktop app: what is under way, and a note about it for the next start.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::Table;
use crate::context::Context;
use crate::types::{
    Changed, EndKind, Failure, LastEnd, LastEndShown, Leave, Leaving, Location, Nothing,
    TransferList, TransferState, TunnelList,
};

/// What is remembered of the last run, and whether the program is about to quit.
#[derive(Default)]
pub(crate) struct Departure {
    last: Mutex<Option<LastEnd>>,
    waiting: std::sync::atomic::AtomicBool,
}

/// The note that a running app keeps. It is gone when the app has ended in peace.
#[derive(Serialize, Deserialize)]
struct Note {
    at: Timestamp,
    logout: bool,
    tunnels: Vec<String>,
    transfers: Vec<String>,
    #[serde(default)]
    files: Vec<String>,
}

impl Note {
    fn is_empty(&self) -> bool {
        [&self.tunnels, &self.transfers, &self.files]
            .iter()
            .all(|names| names.is_empty())
    }
}

fn note_file(context: &Context) -> PathBuf {
    context.paths().state_dir.join("last-run.json")
}

impl Table {
    /// Reads what the last run of the app has left, and begins a note of its own. To be called
    /// once, by the one app that runs.
    pub fn begin_run(&self) {
        let context = &self.context;
        let file = note_file(context);
        let before = std::fs::read(&file)
            .ok()
            .and_then(|text| serde_json::from_slice::<Note>(&text).ok())
            .filter(|note| !note.is_empty());
        let last = before.map(|note| LastEnd {
            kind: match note.logout {
                true => EndKind::Logout,
                false => EndKind::Crash,
            },
            at: note.at,
            tunnels: note.tunnels,
            transfers: note.transfers,
            files: note.files,
        });
        *context
            .departure()
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = last;
    }

    /// Notes what is under way now; `logout` says that the app is being ended from outside.
    pub async fn note_run(&self, logout: bool) {
        let (tunnels, transfers) = under_way(&self.context).await;
        let note = Note {
            at: Timestamp::now(),
            logout,
            tunnels,
            transfers,
            files: self.context.names_of_open_files(),
        };
        let file = note_file(&self.context);
        let text = serde_json::to_vec(&note).unwrap_or_default();
        let new = file.with_extension("new");
        // A note that can't be kept is missed at the next start, and no sooner.
        let kept = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &file));
        if let Err(error) = kept {
            tracing::debug!(%error, "what is under way could not be noted");
        }
    }

    /// The app ends in peace: there is nothing to say at the next start.
    pub fn end_run(&self) {
        let _ = std::fs::remove_file(note_file(&self.context));
    }

    /// News of everything that the window shows.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Changed> {
        self.context.changes()
    }

    /// Says whether the program is about to quit.
    pub fn set_waiting(&self, waiting: bool) {
        let departure = self.context.departure();
        departure
            .waiting
            .store(waiting, std::sync::atomic::Ordering::Release);
    }
}

/// Tunnels and transfers that would be missed, in words.
async fn under_way(context: &Context) -> (Vec<String>, Vec<String>) {
    if context.seat().host().is_none() {
        return Default::default();
    }
    let tunnels = crate::tunnel::list(context, Nothing {}).await;
    let tunnels = tunnels.unwrap_or(TunnelList {
        tunnels: Vec::new(),
    });
    let transfers = crate::transfer::list(context, Nothing {}).await;
    let transfers = transfers.unwrap_or(TransferList {
        transfers: Vec::new(),
    });
    let over = |state| {
        matches!(
            state,
            TransferState::Done | TransferState::Cancelled | TransferState::Failed
        )
    };
    (
        tunnels
            .tunnels
            .iter()
            .map(|tunnel| format!("{} · {}", tunnel.app, tunnel.session_name))
            .collect(),
        transfers
            .transfers
            .iter()
            .filter(|transfer| !over(transfer.state))
            .map(|transfer| last_name(&transfer.src).to_owned())
            .collect(),
    )
}

fn last_name(location: &Location) -> &str {
    let (Location::Local { path } | Location::Session { path, .. } | Location::Folder { path, .. }) =
        location;
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}

pub(crate) async fn last_end(context: &Context, _: Nothing) -> Result<LastEndShown, Failure> {
    let last = context.departure().last.lock();
    Ok(LastEndShown {
        last_end: last.unwrap_or_else(PoisonError::into_inner).clone(),
    })
}

pub(crate) async fn forget_last_end(
    context: &Context,
    _: Nothing,
) -> Result<LastEndShown, Failure> {
    let departure = context.departure();
    *departure
        .last
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = None;
    Ok(LastEndShown { last_end: None })
}

pub(crate) async fn leaving(context: &Context, _: Nothing) -> Result<Leaving, Failure> {
    context.host().heard();
    let departure = context.departure();
    Ok(Leaving {
        waiting: departure.waiting.load(std::sync::atomic::Ordering::Acquire),
    })
}

pub(crate) async fn leave(context: &Context, request: Leave) -> Result<Leaving, Failure> {
    context.host().leave(request.choice)?;
    leaving(context, Nothing {}).await
}

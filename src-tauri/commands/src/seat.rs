//! Who owns tunnels and transfers: this process, or another one that is asked over its socket.

use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proxy::{Config, Holder, ProxyHost, StartError};
use settings::Program;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use transfer::Queue;

use crate::context::Context;
use crate::pages::TranslatedPages;
use crate::reach::Reach;
use crate::types::{Failure, FailureCode, Tag};

/// How long a host may take to come up or to leave. Leaving waits for bytes that are on their
/// way.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);
/// How often is looked whether a host that ends has ended.
pub(crate) const MOMENT: Duration = Duration::from_millis(20);

/// The host while this process is it.
#[derive(Default)]
pub(crate) struct Seat(Mutex<Option<ProxyHost>>);

impl Seat {
    pub(crate) fn host(&self) -> Option<ProxyHost> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn take(&self, host: ProxyHost) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(host);
    }

    /// From now on this process is the host no longer.
    pub(crate) fn leave(&self) -> Option<ProxyHost> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Becomes the host. One that serves is there to stay, and is an error; one that does no longer is
/// about to end, and is waited for.
pub(crate) async fn sit(context: &Context, holder: Holder) -> Result<ProxyHost, Failure> {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        match try_sit(context, holder).await {
            Err(StartError::Held(by)) if tokio::time::Instant::now() < end => {
                if proxy::socket::connect(context.paths()).await.is_ok() {
                    return Err(StartError::Held(by).into());
                }
                tokio::time::sleep(MOMENT).await;
            }
            sat => return Ok(sat?),
        }
    }
}

async fn try_sit(context: &Context, holder: Holder) -> Result<ProxyHost, StartError> {
    let reach = Arc::new(Reach::new(context.clone()));
    let config = Config::new(context.paths(), holder);
    let pages = Arc::new(TranslatedPages(context.clone()));
    let host = ProxyHost::start(config, reach.clone(), reach, pages).await?;
    context.seat().take(host.clone());
    tokio::spawn(quit_at_the_end(context.clone(), host.transfers().clone()));
    tokio::spawn(tell(context.clone(), host.clone()));
    context.watch_logins();
    context.listen_to_left_edits();
    Ok(host)
}

/// Becomes the host for a window: a host of its own gives way, another window does not.
pub(crate) async fn sit_for_window(context: &Context) -> Result<Option<ProxyHost>, Failure> {
    let end = tokio::time::Instant::now() + PATIENCE;
    let mut asked = false;
    loop {
        match try_sit(context, Holder::App).await {
            Ok(host) => return Ok(Some(host)),
            Err(StartError::Held(Some(held))) if held.holder == Holder::App => return Ok(None),
            Err(StartError::Held(_)) if tokio::time::Instant::now() < end => {
                if !asked {
                    asked = crate::socket::ask_to_leave(context, true).await.is_ok();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Ends the program when the last transfer is over, if the user wanted that.
async fn quit_at_the_end(context: Context, transfers: Queue) {
    if transfers.wants_quit().await {
        context.host().quit();
    }
}

/// Whether files are gone from where they were.
fn has_moved(transfer: &transfer::Transfer) -> bool {
    transfer.remove_source && transfer.state == transfer::State::Done
}

/// Tells the news of the host to whoever listens.
async fn tell(context: Context, host: ProxyHost) {
    let mut changes = host.changes();
    let transfers = host.transfers().clone();
    drop(host);
    loop {
        match changes.recv().await {
            Ok(proxy::Changed::Tunnel(id)) => context.changed(Tag::Tunnel, Some(id)),
            Ok(proxy::Changed::Transfer(id)) => {
                if transfers.get(&id).is_some_and(|it| has_moved(&it)) {
                    context.changed(Tag::File, None);
                }
                context.changed(Tag::Transfer, Some(id));
            }
            Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {
                context.changed(Tag::Tunnel, None);
                context.changed(Tag::Transfer, None);
            }
            Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// Starts a host of its own and waits until it serves. It ends by itself when it is idle.
pub(crate) async fn start_daemon() -> Result<(), Failure> {
    let failed = |reason: String| {
        let message = format!("the process for tunnels and transfers did not start: {reason}");
        Failure::new(FailureCode::ProxyFailed, message)
    };
    let mut command = Command::new(settings::find(Program::Cli)?);
    command
        .args(["proxy", "run"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    // Not in the terminal's foreground group: Ctrl-C there is not meant for it.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let Some(out) = child.stdout.take() else {
        return Err(failed("no output".to_owned()));
    };
    let mut lines = BufReader::new(out).lines();
    match tokio::time::timeout(PATIENCE, lines.next_line()).await {
        // Ended at once: another one was quicker, which is as good.
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed(format!("not ready after {} s", PATIENCE.as_secs()))),
    }
}

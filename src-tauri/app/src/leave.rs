//! Closing the window and quitting, when something is under way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use commands::types::LeaveChoice;
use commands::{LiveWork, Table};
use tauri::{AppHandle, Emitter, Manager, Window};
use tauri_plugin_dialog::{DialogExt, MessageDialogButtons, MessageDialogResult};
use tokio::sync::broadcast::error::RecvError;

use crate::words::Words;
use crate::{tray, window};

/// The page shows the question; this long it may take to take notice. A page that hangs or is not
/// there yet must not make it impossible to quit.
const HEARING: Duration = Duration::from_secs(4);
/// How often a program that waits for its transfers looks at them.
const LOOK: Duration = Duration::from_millis(400);

/// What the user has been told, and whether the program is on its way out.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    told: AtomicBool,
    decided: AtomicBool,
    heard: AtomicBool,
    waiting: AtomicBool,
}

/// What becomes of live work when the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The proxy host takes it over.
    KeepGoing,
    /// It stops, as far as it was not marked to come back.
    Stop,
}

/// The close button: while something is under way, the window goes into the panel, or is
/// minimised where there is none; said once.
pub(crate) fn close_requested(window: &Window, api: &tauri::CloseRequestApi) {
    let app = window.app_handle();
    let leaving = app.state::<Leaving>();
    if leaving.decided.load(Ordering::Acquire) {
        return;
    }
    let live = live_work(app);
    if live.is_none() {
        return;
    }
    api.prevent_close();
    let in_panel = tray::is_shown(app);
    let gone = match in_panel {
        true => window.hide(),
        false => window.minimize(),
    };
    if let Err(error) = gone {
        tracing::warn!(%error, "the window could not be put away");
    }
    if !leaving.told.swap(true, Ordering::AcqRel) {
        let words = app.state::<&'static Words>();
        let what = match in_panel {
            true => words.goes_on,
            false => words.goes_on_minimised,
        };
        let text = format!("{what}\n\n{}", describe(&words, live));
        app.dialog().message(text).title("Gangway").show(|_| {});
    }
}

/// Quits; with something under way the user decides what becomes of it.
pub(crate) fn ask(app: &AppHandle) {
    if live_work(app).is_none() {
        leave(app, Fate::Stop);
        return;
    }
    window::show(app);
    let leaving = app.state::<Leaving>();
    leaving.heard.store(false, Ordering::Release);
    if let Err(error) = app.emit_to(window::MAIN, "shell:leave", ()) {
        tracing::warn!(%error, "the page could not be asked");
    }
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        tokio::time::sleep(HEARING).await;
        if !app.state::<Leaving>().heard.load(Ordering::Acquire) {
            ask_without_page(&app);
        }
    });
}

/// The page has the question before it.
pub(crate) fn heard(app: &AppHandle) {
    app.state::<Leaving>().heard.store(true, Ordering::Release);
}

/// The user's answer.
pub(crate) fn decide(app: &AppHandle, choice: LeaveChoice) {
    match choice {
        LeaveChoice::Ask => ask(app),
        LeaveChoice::Stay => {
            set_waiting(app, false);
        }
        LeaveChoice::Wait => wait(app),
        LeaveChoice::Background => leave(app, Fate::KeepGoing),
        LeaveChoice::Stop => leave(app, Fate::Stop),
    }
}

fn set_waiting(app: &AppHandle, waiting: bool) -> bool {
    let leaving = app.state::<Leaving>();
    let before = leaving.waiting.swap(waiting, Ordering::AcqRel);
    if let Some(table) = app.try_state::<Table>() {
        table.set_waiting(waiting);
    }
    before
}

/// Quits as soon as all that is on its way has arrived; tunnels and open files, which never end by
/// themselves, go on in the background.
fn wait(app: &AppHandle) {
    if set_waiting(app, true) {
        return;
    }
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        loop {
            if !app.state::<Leaving>().waiting.load(Ordering::Acquire) {
                return;
            }
            let live = live_work(&app);
            if live.transfers == 0 && live.arriving == 0 {
                return leave(&app, Fate::KeepGoing);
            }
            tokio::time::sleep(LOOK).await;
        }
    });
}

fn ask_without_page(app: &AppHandle) {
    let words = *app.state::<&'static Words>();
    let live = live_work(app);
    let asked = app.clone();
    app.dialog()
        .message(format!(
            "{}\n\n{}",
            words.quit_question,
            describe(words, live)
        ))
        .title("Gangway")
        .buttons(MessageDialogButtons::YesNoCancelCustom(
            words.keep_going.to_owned(),
            words.stop_everything.to_owned(),
            words.cancel.to_owned(),
        ))
        .show_with_result(move |answer| match fate(&answer, words) {
            Some(fate) => leave(&asked, fate),
            None => tracing::debug!("the user stays"),
        });
}

/// Ends without asking, and keeps what is under way going: the session of the desktop ends, or
/// somebody has sent SIGTERM. What it was is said at the next start.
pub(crate) fn at_once(app: &AppHandle) {
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        if wind_down(&app).await {
            app.exit(0);
        }
    });
}

/// Does all that [`at_once`] does but the end. `false`: somebody has ended the program already.
pub(crate) async fn wind_down(app: &AppHandle) -> bool {
    if app.state::<Leaving>().decided.swap(true, Ordering::AcqRel) {
        return false;
    }
    // First: there may be little time.
    app.state::<Table>().note_run(true).await;
    hand_over(app).await;
    true
}

/// Ends without asking because the user has asked for it beforehand: the last transfer is over.
pub(crate) fn when_done(app: &AppHandle) {
    let fate = if live_work(app).is_none() {
        Fate::Stop
    } else {
        Fate::KeepGoing
    };
    leave(app, fate);
}

/// Gives what is under way to the proxy host, as before an update.
pub(crate) async fn hand_over(app: &AppHandle) {
    let table = app.state::<Table>().inner().clone();
    if let Err(failure) = table.hand_over().await {
        tracing::warn!(message = %failure.message, "live work could not be handed over");
    }
}

/// Keeps the note for the next start right, for as long as the program runs.
pub(crate) async fn keep_note(app: AppHandle) {
    let table = app.state::<Table>().inner().clone();
    let mut changes = table.changes();
    let mut before = LiveWork::default();
    loop {
        let live = table.live_work();
        if live != before && !is_decided(&app) {
            before = live;
            // At once: the end that it is for gives no notice. What changes often is noted once a
            // while, because the news of it wait meanwhile.
            table.note_run(false).await;
            tokio::time::sleep(LOOK).await;
            continue;
        }
        if let Err(RecvError::Closed) = changes.recv().await {
            return;
        }
        while changes.try_recv().is_ok() {}
    }
}

fn leave(app: &AppHandle, fate: Fate) {
    if app.state::<Leaving>().decided.swap(true, Ordering::AcqRel) {
        return;
    }
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        if fate == Fate::KeepGoing {
            hand_over(&app).await;
        }
        app.state::<Table>().end_run();
        app.exit(0);
    });
}

fn fate(answer: &MessageDialogResult, words: &Words) -> Option<Fate> {
    match answer {
        MessageDialogResult::Yes => Some(Fate::KeepGoing),
        MessageDialogResult::No => Some(Fate::Stop),
        MessageDialogResult::Custom(text) if text == words.keep_going => Some(Fate::KeepGoing),
        MessageDialogResult::Custom(text) if text == words.stop_everything => Some(Fate::Stop),
        _ => None,
    }
}

/// What would be missed if the program ended now.
pub(crate) fn live_work(app: &AppHandle) -> LiveWork {
    let table = app.try_state::<Table>();
    table.map(|table| table.live_work()).unwrap_or_default()
}

/// Whether somebody has decided that the program ends.
pub(crate) fn is_decided(app: &AppHandle) -> bool {
    app.state::<Leaving>().decided.load(Ordering::Acquire)
}

fn describe(words: &Words, live: LiveWork) -> String {
    words.under_way(live.tunnels, live.transfers, live.files)
}

#[cfg(test)]
mod tests {
    use commands::types::Language;

    use super::*;

    #[test]
    fn only_a_clear_answer_ends_the_program() {
        let words = Words::of(Language::En);
        let custom = |text: &str| MessageDialogResult::Custom(text.to_owned());
        assert_eq!(
            fate(&custom(words.keep_going), words),
            Some(Fate::KeepGoing)
        );
        assert_eq!(
            fate(&custom(words.stop_everything), words),
            Some(Fate::Stop)
        );
        assert_eq!(fate(&custom(words.cancel), words), None);
        assert_eq!(fate(&MessageDialogResult::Cancel, words), None);
        assert_eq!(fate(&MessageDialogResult::Ok, words), None);
    }
}

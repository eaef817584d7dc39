//! Closing the window and quitting, when something is under way.

use std::sync::atomic::{AtomicBool, Ordering};

use commands::{LiveWork, Table};
use tauri::{AppHandle, Manager, Window};
use tauri_plugin_dialog::{DialogExt, MessageDialogButtons, MessageDialogResult};

use crate::window;
use crate::words::Words;

/// What the user has been told, and whether the program is on its way out.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    told: AtomicBool,
    decided: AtomicBool,
}

/// What becomes of live work when the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The proxy host takes it over.
    KeepGoing,
    /// It stops, as far as it was not marked to come back.
    Stop,
}

/// The close button: hides the window while something is under way, and says so once.
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
    if let Err(error) = window.hide() {
        tracing::warn!(%error, "the window could not be hidden");
    }
    if !leaving.told.swap(true, Ordering::AcqRel) {
        let words = app.state::<&'static Words>();
        let text = format!("{}\n\n{}", words.goes_on, describe(&words, live));
        app.dialog().message(text).title("Gangway").show(|_| {});
    }
}

/// Quits; with something under way the user decides what becomes of it.
pub(crate) fn ask(app: &AppHandle) {
    let live = live_work(app);
    if live.is_none() {
        leave(app, Fate::Stop);
        return;
    }
    window::show(app);
    let words = *app.state::<&'static Words>();
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
/// somebody has sent SIGTERM.
pub(crate) fn at_once(app: &AppHandle) {
    leave(app, Fate::KeepGoing);
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

fn leave(app: &AppHandle, fate: Fate) {
    if app.state::<Leaving>().decided.swap(true, Ordering::AcqRel) {
        return;
    }
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        if fate == Fate::KeepGoing {
            hand_over(&app).await;
        }
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

fn live_work(app: &AppHandle) -> LiveWork {
    let table = app.try_state::<Table>();
    table.map(|table| table.live_work()).unwrap_or_default()
}

fn describe(words: &Words, live: LiveWork) -> String {
    words.under_way(live.tunnels, live.transfers)
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

//! The icon in the panel, with what is under way. Everything in its menu is in the window too,
//! since not every desktop shows such icons.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use commands::{LiveWork, Table};
#[cfg(target_os = "linux")]
use futures_util::StreamExt;
use tauri::menu::{Menu, MenuItem, PredefinedMenuItem};
use tauri::tray::{TrayIcon, TrayIconBuilder};
use tauri::{AppHandle, Manager, Wry};
use tokio::sync::broadcast::error::RecvError;

use crate::words::Words;
use crate::{leave, window};

const OPEN: &str = "open";
const SETTINGS: &str = "settings";
const TRANSFERS: &str = "transfers";
const QUIT: &str = "quit";

/// A transfer tells of itself many times a second.
const REST: Duration = Duration::from_millis(500);
/// A panel may be started after us, or end.
const LOOK: Duration = Duration::from_secs(10);

/// Whether a panel shows our icon.
#[derive(Debug, Default)]
pub(crate) struct Shown(AtomicBool);

/// Whether a panel shows our icon, so that a window that was hidden can be found again.
pub(crate) fn is_shown(app: &AppHandle) -> bool {
    app.state::<Shown>().0.load(Ordering::Acquire)
}

/// Puts the icon into the panel.
pub(crate) fn build(app: &AppHandle, words: &'static Words) -> tauri::Result<()> {
    let live = MenuItem::with_id(app, TRANSFERS, words.nothing, false, None::<&str>)?;
    let line = PredefinedMenuItem::separator(app)?;
    let open = MenuItem::with_id(app, OPEN, words.open, true, None::<&str>)?;
    let settings = MenuItem::with_id(app, SETTINGS, words.settings, true, None::<&str>)?;
    let quit = MenuItem::with_id(app, QUIT, words.quit, true, None::<&str>)?;
    let menu = Menu::with_items(app, &[&live, &line, &open, &settings, &quit])?;
    let mut icon = TrayIconBuilder::with_id("main")
        .menu(&menu)
        .tooltip("Gangway")
        .on_menu_event(|app, event| match event.id().as_ref() {
            OPEN => window::show(app),
            SETTINGS => window::show_at(app, "#/settings"),
            TRANSFERS => window::show_at(app, "#/transfers"),
            QUIT => leave::ask(app),
            _ => {}
        });
    if let Some(image) = app.default_window_icon() {
        icon = icon.icon(image.clone());
    }
    let icon = icon.build(app.app_handle())?;
    tauri::async_runtime::spawn(count(app.clone(), icon, live, words));
    tauri::async_runtime::spawn(look_for_panel(app.clone()));
    Ok(())
}

/// Keeps the numbers in the menu right.
async fn count(app: AppHandle, icon: TrayIcon<Wry>, item: MenuItem<Wry>, words: &'static Words) {
    let table = app.state::<Table>().inner().clone();
    let mut changes = table.changes();
    let mut before = LiveWork::default();
    loop {
        let live = table.live_work();
        if live != before {
            before = live;
            if let Err(error) = say(&icon, &item, words, live) {
                tracing::debug!(%error, "the panel's icon can't be changed");
            }
        }
        match changes.recv().await {
            Ok(_) | Err(RecvError::Lagged(_)) => tokio::time::sleep(REST).await,
            Err(RecvError::Closed) => return,
        }
        while changes.try_recv().is_ok() {}
    }
}

fn say(
    icon: &TrayIcon<Wry>,
    item: &MenuItem<Wry>,
    words: &Words,
    live: LiveWork,
) -> tauri::Result<()> {
    let text = match words.under_way(live.tunnels, live.transfers, live.files) {
        text if text.is_empty() => words.nothing.to_owned(),
        text => text.replace('\n', " · "),
    };
    item.set_text(&text)?;
    item.set_enabled(!live.is_none())?;
    icon.set_tooltip(Some(format!("Gangway: {text}")))?;
    // Panels of Linux show no tooltips, but a few words beside the icon.
    let number = live.tunnels + live.transfers + live.files;
    icon.set_title((number > 0).then(|| number.to_string()))
}

/// Watches the panel for as long as the program runs.
#[cfg(target_os = "linux")]
async fn look_for_panel(app: AppHandle) {
    loop {
        if let Err(error) = watch_panel(&app).await {
            tracing::debug!(%error, "no session bus, so no panel");
        }
        set_shown(&app, false);
        tokio::time::sleep(LOOK).await;
    }
}

/// Panels that show icons of this kind own a name on the session bus, and are registered there.
#[cfg(target_os = "linux")]
async fn watch_panel(app: &AppHandle) -> zbus::Result<()> {
    const PANEL: &str = "org.kde.StatusNotifierWatcher";
    let bus = zbus::Connection::session().await?;
    let names = zbus::fdo::DBusProxy::new(&bus).await?;
    let mut changes = names
        .receive_name_owner_changed_with_args(&[(0, PANEL)])
        .await?;
    let watcher = zbus::fdo::PropertiesProxy::builder(&bus)
        .destination(PANEL)?
        .path("/StatusNotifierWatcher")?
        .build()
        .await?;
    loop {
        let owned = names.name_has_owner(PANEL.try_into()?).await?;
        let has_host = watcher
            .get(PANEL.try_into()?, "IsStatusNotifierHostRegistered")
            .await;
        // One that does not say so is taken at its name.
        let has_host = has_host.ok().and_then(|value| bool::try_from(value).ok());
        set_shown(app, owned && has_host != Some(false));
        tokio::select! {
            change = changes.next() => if change.is_none() {
                return Ok(());
            },
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// A window that was put into a panel is found again when the panel goes.
#[cfg(target_os = "linux")]
fn set_shown(app: &AppHandle, shown: bool) {
    let before = app.state::<Shown>().0.swap(shown, Ordering::AcqRel);
    if before && !shown {
        window::leave_panel(app);
    }
}

/// Elsewhere the system itself has a place for icons.
#[cfg(not(target_os = "linux"))]
async fn look_for_panel(app: AppHandle) {
    app.state::<Shown>().0.store(true, Ordering::Release);
}

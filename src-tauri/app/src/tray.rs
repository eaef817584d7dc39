//! The icon in the panel. Everything in its menu is in the window too, since not every desktop
//! shows such icons.

use tauri::menu::{Menu, MenuItem};
use tauri::tray::TrayIconBuilder;
use tauri::{AppHandle, Manager};

use crate::words::Words;
use crate::{leave, window};

const OPEN: &str = "open";
const SETTINGS: &str = "settings";
const QUIT: &str = "quit";

/// Puts the icon into the panel.
pub(crate) fn build(app: &AppHandle, words: &Words) -> tauri::Result<()> {
    let open = MenuItem::with_id(app, OPEN, words.open, true, None::<&str>)?;
    let settings = MenuItem::with_id(app, SETTINGS, words.settings, true, None::<&str>)?;
    let quit = MenuItem::with_id(app, QUIT, words.quit, true, None::<&str>)?;
    let menu = Menu::with_items(app, &[&open, &settings, &quit])?;
    let mut icon = TrayIconBuilder::with_id("main")
        .menu(&menu)
        .tooltip("Gangway")
        .on_menu_event(|app, event| match event.id().as_ref() {
            OPEN => window::show(app),
            SETTINGS => window::show_at(app, "#/settings"),
            QUIT => leave::ask(app),
            _ => {}
        });
    if let Some(image) = app.default_window_icon() {
        icon = icon.icon(image.clone());
    }
    icon.build(app.app_handle())?;
    Ok(())
}

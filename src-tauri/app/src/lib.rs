//! The desktop shell: one window with our own pages, the panel icon, updates, and the bridge from
//! the page to the command table.
//!
//! Hides Tauri. Everything that the product can do is in `commands`; here is only what needs a
//! window around it, and what happens when that window closes while something is under way.

mod bridge;
mod calls;
#[cfg(target_os = "linux")]
mod drag;
mod host;
mod leave;
mod link;
mod page;
#[cfg(target_os = "linux")]
mod session_end;
mod tray;
mod update;
mod window;
mod words;

use std::sync::Arc;

use anyhow::{Context, Result};
use commands::types::{Language, Settings};
use commands::{Surface, Table};
use tauri::{App, AppHandle, Manager, RunEvent, WindowEvent};
use tauri_plugin_window_state::StateFlags;
use tracing_subscriber::EnvFilter;

use crate::words::Words;

/// Set in tests, which run several apps on one session bus.
const MULTI_INSTANCE: &str = "GANGWAY_MULTI_INSTANCE";

/// Opens the window and stays until the program ends.
///
/// # Errors
/// When the window system, the configuration or the local database can't be used.
pub fn run() -> Result<()> {
    log();
    // Several libraries bring different implementations of TLS ciphers along; without a choice
    // the first one that is used would panic. A second call means that it has been made.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let app = match build() {
        // Another copy of us is just ending: it owned the name on the bus when we asked, and was
        // gone when we wanted to talk to it.
        Err(tauri::Error::PluginInitialization(plugin, cause)) if plugin == "single-instance" => {
            tracing::warn!(%cause, "started while another copy was ending; trying once more");
            build()
        }
        first => first,
    };
    app.context("the window can't be opened")?.run(on_event);
    Ok(())
}

/// To standard error, which desktops keep in their journal. `GANGWAY_LOG` chooses what.
fn log() {
    let chosen = EnvFilter::try_from_env("GANGWAY_LOG");
    let filter = chosen.unwrap_or_else(|_| EnvFilter::new("warn,app=info"));
    // A second call, in tests, keeps the first.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}

fn build() -> tauri::Result<App> {
    let mut builder = tauri::Builder::default();
    if std::env::var_os(MULTI_INSTANCE).is_none() {
        // Before all others, so that a second copy ends before it has touched anything.
        // The link of a second copy reaches `link::follow` by itself.
        builder = builder.plugin(tauri_plugin_single_instance::init(|app, _, _| {
            window::show(app)
        }));
    }
    // Not whether it was visible: a window that was hidden while a transfer ran comes back.
    let kept = StateFlags::all() & !StateFlags::VISIBLE;
    builder
        .plugin(tauri_plugin_deep_link::init())
        .plugin(tauri_plugin_dialog::init())
        .plugin(
            tauri_plugin_opener::Builder::new()
                .open_js_links_on_click(false)
                .build(),
        )
        .plugin(tauri_plugin_updater::Builder::new().build())
        .plugin(
            tauri_plugin_window_state::Builder::new()
                .with_state_flags(kept)
                .with_filter(|label| label == window::MAIN)
                .build(),
        )
        .manage(calls::Calls::default())
        .manage(leave::Leaving::default())
        .manage(tray::Shown::default())
        .manage(update::Offered::default())
        .invoke_handler(tauri::generate_handler![
            bridge::call,
            bridge::stream,
            bridge::cancel,
            bridge::ack
        ])
        .on_window_event(|window, event| {
            if let WindowEvent::CloseRequested { api, .. } = event
                && window.label() == window::MAIN
            {
                leave::close_requested(window, api);
            }
        })
        .setup(|app| Ok(set_up(app.handle())?))
        .build(tauri::generate_context!())
}

fn set_up(app: &AppHandle) -> Result<()> {
    let desktop = Arc::new(host::Desktop::new(app.clone()));
    let table = tauri::async_runtime::block_on(Table::open(Surface::Window, desktop));
    let table = table.map_err(|failure| anyhow::anyhow!(failure.message))?;
    let words = Words::of(tauri::async_runtime::block_on(language(&table)));
    table.begin_run();
    app.manage(table);
    app.manage(words);
    window::open(app, link::first(app))?;
    link::follow(app);
    if let Err(error) = tray::build(app, words) {
        tracing::info!(%error, "no icon in the panel");
    }
    tauri::async_runtime::spawn(leave::keep_note(app.clone()));
    end_on_signal(app.clone());
    #[cfg(target_os = "linux")]
    tauri::async_runtime::spawn(session_end::watch(app.clone()));
    Ok(())
}

async fn language(table: &Table) -> Language {
    let settings = table
        .call(Surface::Window, "settings.get", serde_json::json!({}))
        .await;
    settings
        .ok()
        .and_then(|settings| serde_json::from_value::<Settings>(settings).ok())
        .map(|settings| settings.language)
        .unwrap_or_default()
}

/// Logging out of the desktop must not lose what is under way.
fn end_on_signal(app: AppHandle) {
    tauri::async_runtime::spawn(async move {
        if let Err(error) = terminated().await {
            tracing::warn!(%error, "signals can't be heard");
            return;
        }
        leave::at_once(&app);
    });
}

#[cfg(unix)]
async fn terminated() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn terminated() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

fn on_event(app: &AppHandle, event: RunEvent) {
    if let RunEvent::Exit = event {
        app.state::<calls::Calls>().cancel_all();
        let table = app.state::<Table>().inner().clone();
        if !leave::is_decided(app) {
            // The window was closed with nothing under way.
            table.end_run();
        }
        tauri::async_runtime::block_on(table.close());
    }
}

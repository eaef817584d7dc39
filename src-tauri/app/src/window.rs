//! The one window: built here and not by the configuration, because it may only ever show our own
//! pages.

use tauri::webview::NewWindowResponse;
use tauri::{AppHandle, Emitter, Manager, Url, WebviewUrl, WebviewWindow, WebviewWindowBuilder};

use crate::calls::Calls;

/// Label of the window in configuration and capabilities.
pub(crate) const MAIN: &str = "main";

/// Opens the main window as `tauri.conf.json` describes it, at one of the page's own places.
pub(crate) fn open(app: &AppHandle, place: Option<String>) -> tauri::Result<WebviewWindow> {
    let configured = app
        .config()
        .app
        .windows
        .iter()
        .find(|window| window.label == MAIN);
    let mut configured = configured.cloned().unwrap_or_default();
    if let Some(place) = place {
        configured.url = WebviewUrl::App(format!("index.html{place}").into());
    }
    let development = app
        .config()
        .build
        .dev_url
        .clone()
        .filter(|_| tauri::is_dev());
    let pages = app.clone();
    let window = WebviewWindowBuilder::from_config(app, &configured)?
        .on_navigation(move |url| is_own(url, development.as_ref()))
        // A page that wants a window of its own gets none: links go out through `host.open_url`.
        .on_new_window(|_, _| NewWindowResponse::Deny)
        .on_page_load(move |_, _| {
            // A page that was loaded again has no use for what the one before has asked.
            if let Some(calls) = pages.try_state::<Calls>() {
                calls.cancel_all();
            }
        })
        .build()?;
    #[cfg(target_os = "linux")]
    show_words_in_place(&window)?;
    Ok(window)
}

/// Input methods show a syllable that is not decided yet where it will be, as in a browser. Without
/// this they show it in a window of their own.
#[cfg(target_os = "linux")]
fn show_words_in_place(window: &WebviewWindow) -> tauri::Result<()> {
    use webkit2gtk::{InputMethodContextExt, WebViewExt};
    window.with_webview(|view| {
        if let Some(method) = view.inner().input_method_context() {
            method.set_enable_preedit(true);
        }
    })
}

/// Whether an address is one of our own pages, which have the bridge.
fn is_own(url: &Url, development: Option<&Url>) -> bool {
    let embedded = url.scheme() == "tauri" && url.host_str() == Some("localhost");
    // Windows serves the same pages over http.
    let on_windows = cfg!(windows) && url.host_str() == Some("tauri.localhost");
    embedded || on_windows || development.is_some_and(|own| own.origin() == url.origin())
}

/// Brings the window to the front.
pub(crate) fn show(app: &AppHandle) {
    if let Some(window) = app.get_webview_window(MAIN) {
        // A window manager may refuse each of these; the others still help.
        let _ = window.show();
        let _ = window.unminimize();
        let _ = window.set_focus();
    }
}

/// Shows a window that was put into the panel in the list of windows instead.
#[cfg(target_os = "linux")]
pub(crate) fn leave_panel(app: &AppHandle) {
    let window = app.get_webview_window(MAIN);
    if let Some(window) = window.filter(|it| !it.is_visible().unwrap_or(true)) {
        let _ = window.show();
        let _ = window.minimize();
    }
}

/// Brings the window to the front at one of the page's own places.
pub(crate) fn show_at(app: &AppHandle, place: &str) {
    show(app);
    if let Err(error) = app.emit_to(MAIN, "shell:navigate", place) {
        tracing::warn!(%error, "the page could not be told where to go");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a good address")
    }

    #[test]
    fn only_our_own_pages_are_shown() {
        let development = url("http://127.0.0.1:5173");
        assert!(is_own(&url("tauri://localhost/#/sessions"), None));
        assert!(is_own(&url("http://127.0.0.1:5173/#/"), Some(&development)));
        for foreign in [
            "http://127.0.0.1:5173/",
            "http://127.0.0.1:40001/",
            "https://tauri.localhost/",
            "tauri://elsewhere/",
            "file:///etc/passwd",
            "data:text/html,x",
            "javascript:alert(1)",
        ] {
            assert!(!is_own(&url(foreign), None), "{foreign}");
        }
        assert!(!is_own(&url("http://127.0.0.1:5174/"), Some(&development)));
    }
}

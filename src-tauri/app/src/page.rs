//! Pages of session apps in windows of their own, for people who don't want them in the browser.
//!
//! Such a window is a bare browser: it has no part in any capability, so nothing of the bridge can
//! be asked from it, and its cookies and storage lie apart from those of our own page.

use tauri::webview::NewWindowResponse;
use tauri::{AppHandle, Manager, Url, WebviewUrl, WebviewWindow, WebviewWindowBuilder};
use tauri_plugin_opener::OpenerExt;

/// Logical pixels; what notebooks and boards need side by side with their panels.
const SIZE: (f64, f64) = (1280.0, 860.0);

/// Opens a page, or brings the window to the front that shows this app already.
pub(crate) fn open(app: &AppHandle, url: Url) -> tauri::Result<()> {
    let label = label(&url);
    if let Some(shown) = app.get_webview_window(&label) {
        shown.unminimize()?;
        return shown.set_focus();
    }
    let place = place(&url);
    let pages = app.path().app_local_data_dir()?.join("pages");
    let opener = app.clone();
    let title = place.clone();
    WebviewWindowBuilder::new(app, label, WebviewUrl::External(url))
        .title(&place)
        .inner_size(SIZE.0, SIZE.1)
        .data_directory(pages)
        .on_navigation(is_of_the_web)
        .on_document_title_changed(move |window, said| retitle(&window, &said, &title))
        .on_new_window(move |url, _| {
            open_beside(&opener, url);
            NewWindowResponse::Deny
        })
        .build()
        .map(drop)
}

/// What a page opens beside itself: more of a session is a window like it, all else is for the
/// user's browser.
fn open_beside(app: &AppHandle, url: Url) {
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        if commands::is_of_this_computer(url.as_str()) {
            if let Err(error) = open(&app, url) {
                tracing::warn!(%error, "a page could not be opened");
            }
        } else if matches!(url.scheme(), "http" | "https")
            && let Err(error) = app.opener().open_url(url.as_str(), None::<&str>)
        {
            tracing::warn!(%error, "the browser could not be opened");
        }
    });
}

/// Always with the place: a page may call itself what it likes.
fn retitle(window: &WebviewWindow, said: &str, place: &str) {
    let title = match said.trim() {
        "" => place.to_owned(),
        said => format!("{said} – {place}"),
    };
    if let Err(error) = window.set_title(&title) {
        tracing::debug!(%error, "the title could not be changed");
    }
}

/// Frames within a page ask too, so that any address of the web is let through; our own pages and
/// links are not.
fn is_of_the_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https" | "about" | "blob" | "data")
}

/// Host and port, which are one app's.
fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// One window for each app. Labels may hold few characters.
fn label(url: &Url) -> String {
    let mut label = "page:".to_owned();
    let plain = |one: char| {
        if one.is_ascii_alphanumeric() {
            one
        } else {
            '_'
        }
    };
    label.extend(place(url).chars().map(plain));
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a good address")
    }

    #[test]
    fn an_app_has_one_window_whatever_its_ticket() {
        let first = label(&url("http://jupyter.demo.localhost:20001/?ticket=a"));
        assert_eq!(
            first,
            label(&url("http://jupyter.demo.localhost:20001/lab"))
        );
        assert_ne!(first, label(&url("http://jupyter.demo.localhost:20002/")));
        assert_eq!(first, "page:jupyter_demo_localhost_20001");
    }

    #[test]
    fn a_page_never_becomes_one_of_ours() {
        for ours in [
            "tauri://localhost/",
            "gangway://settings",
            "file:///etc/passwd",
        ] {
            assert!(!is_of_the_web(&url(ours)), "{ours}");
        }
        assert!(is_of_the_web(&url("http://127.0.0.1:8080/")));
    }
}

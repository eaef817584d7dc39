//! Links that lead into the window: `gangway://session/<id>?tab=log`.
//!
//! Any page in a browser can offer such a link, so one only ever shows a place: it starts, ends and
//! changes nothing, and what it says of that place is checked again by the page.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tauri::{AppHandle, Manager, Url};
use tauri_plugin_deep_link::DeepLinkExt;
use tauri_plugin_dialog::DialogExt;

use crate::window;
use crate::words::Words;

/// Longer links are nobody's; a name has at most 64 characters.
const LONGEST: usize = 1024;

/// Characters of a name that mean nothing in an address.
const IN_A_NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// Pages that a link may name alone.
const PAGES: &[&str] = &[
    "sessions",
    "launch",
    "folders",
    "files",
    "transfers",
    "history",
    "settings",
];

/// Parts of a session's page, as the window's own addresses have them.
const TABS: &[&str] = &["overview", "apps", "terminal", "files", "log", "ssh"];

/// The place that the program was started with, if it was started by a link.
pub(crate) fn first(app: &AppHandle) -> Option<String> {
    let links = app.deep_link().get_current().ok().flatten()?;
    links.iter().find_map(place)
}

/// Follows links that come while the program runs: a second start hands its link over.
pub(crate) fn follow(app: &AppHandle) {
    let shell = app.clone();
    app.deep_link().on_open_url(move |event| {
        for link in event.urls() {
            match place(&link) {
                Some(place) => window::show_at(&shell, &place),
                None => refuse(&shell),
            }
        }
    });
}

fn refuse(app: &AppHandle) {
    window::show(app);
    let words = app.state::<&'static Words>();
    app.dialog()
        .message(words.bad_link)
        .title("Gangway")
        .show(|_| {});
}

/// The place in the window that a link means; `None` for what is no link of ours.
fn place(link: &Url) -> Option<String> {
    if link.scheme() != "gangway" || link.as_str().len() > LONGEST {
        return None;
    }
    let page = link.host_str()?;
    let mut names = link.path_segments().into_iter().flatten();
    let name = names.next().filter(|name| !name.is_empty());
    let name = name.map(|name| percent_decode_str(name).decode_utf8());
    let name = name.transpose().ok()?;
    // Encoded anew: a name adds nothing to the address.
    let name = name
        .as_deref()
        .map(|name| utf8_percent_encode(name, IN_A_NAME));
    if names.next().is_some() {
        return None;
    }
    let tab = link
        .query_pairs()
        .find(|(key, value)| key == "tab" && TABS.contains(&value.as_ref()));
    match (page, name) {
        (page, None) if PAGES.contains(&page) => Some(format!("#/{page}")),
        ("session", Some(id)) => Some(match tab {
            Some((_, tab)) => format!("#/sessions?open={id}&tab={tab}"),
            None => format!("#/sessions?open={id}"),
        }),
        ("folder", Some(name)) => Some(format!("#/folders?open={name}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn led(link: &str) -> Option<String> {
        place(&Url::parse(link).expect("a good address"))
    }

    #[test]
    fn links_lead_to_sessions_folders_and_pages() {
        for (link, place) in [
            ("gangway://sessions", "#/sessions"),
            ("gangway://settings/", "#/settings"),
            ("gangway://session/0192-ab", "#/sessions?open=0192-ab"),
            ("gangway://session/x?tab=log", "#/sessions?open=x&tab=log"),
            ("gangway://session/x?tab=evil", "#/sessions?open=x"),
            ("gangway://folder/data", "#/folders?open=data"),
        ] {
            assert_eq!(led(link).as_deref(), Some(place), "{link}");
        }
    }

    #[test]
    fn other_links_lead_nowhere() {
        let long = format!("gangway://session/{}", "x".repeat(LONGEST));
        for link in [
            "https://session/x",
            "gangway://terminate/x",
            "gangway://session",
            "gangway://session/a/b",
            "gangway://settings/x",
            "gangway:session",
            &long,
        ] {
            assert_eq!(led(link), None, "{link}");
        }
    }

    #[test]
    fn a_name_adds_nothing_to_the_address() {
        let place = led("gangway://session/x%26tab%3Dlog%23%2F").expect("a place");
        assert_eq!(place, "#/sessions?open=x%26tab%3Dlog%23%2F");
        let place = led("gangway://session/x&show=finished").expect("a place");
        assert!(!place.contains("&show="), "{place}");
    }
}

//! Pages of this computer, where the user wants to see them.

use url::Url;

use crate::context::Context;
use crate::types::{AppsIn, Failure, FailureCode, Settings};

/// Opens an address of this computer in the browser, or in a window of its own.
///
/// # Errors
/// [`FailureCode::NotAllowedHere`] for any other; those of [`crate::Host::open_url`], and of the
/// configuration.
pub(crate) fn open(context: &Context, url: &str) -> Result<(), Failure> {
    if !is_of_this_computer(url) {
        let message = "only addresses of this computer are opened";
        return Err(Failure::new(FailureCode::NotAllowedHere, message));
    }
    let settings: Settings = context.config()?.preferences()?;
    match settings.apps_in {
        AppsIn::Browser => context.host().open_url(url),
        AppsIn::Window => context.host().open_page(url),
    }
}

/// Whether an address leads to a loopback port by HTTP(S), without a name or password.
///
/// Session apps are reached there; the page has no reason to open anything else, and what a session
/// shows must not be able to make it.
#[must_use]
pub fn is_of_this_computer(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    let host = url.host_str().unwrap_or_default();
    matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && (host == "127.0.0.1"
            || host == "[::1]"
            || host == "localhost"
            || host.ends_with(".localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_opened() {
        for own in [
            "http://127.0.0.1:40123/?token=x",
            "http://localhost:8080/lab",
            "http://jupyter-1.localhost:8080/",
            "http://[::1]:8080/",
        ] {
            assert!(is_of_this_computer(own), "{own}");
        }
        for foreign in [
            "http://127.0.0.1.example.com/",
            "http://localhost.example.com/",
            "http://127.0.0.1@example.com/",
            "http://me@127.0.0.1/",
            "https://example.com/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "ssh://127.0.0.1/",
            "127.0.0.1:8080",
            "",
        ] {
            assert!(!is_of_this_computer(foreign), "{foreign}");
        }
    }
}

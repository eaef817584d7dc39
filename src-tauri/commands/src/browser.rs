//! Addresses that are opened in the user's browser.

use url::Url;

use crate::context::Context;
use crate::types::{Failure, FailureCode};

/// Opens an address of this computer.
///
/// # Errors
/// [`FailureCode::NotAllowedHere`] for any other; those of [`crate::Host::open_url`].
pub(crate) fn open(context: &Context, url: &str) -> Result<(), Failure> {
    if !is_of_this_computer(url) {
        let message = "only addresses of this computer are opened";
        return Err(Failure::new(FailureCode::NotAllowedHere, message));
    }
    context.host().open_url(url)
}

/// Session apps are reached through loopback ports; the page has no reason to open anything else,
/// and what a session shows must not be able to make it.
fn is_of_this_computer(url: &str) -> bool {
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

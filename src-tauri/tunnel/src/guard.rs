//! The secret that a browser has to know to be served by an HTTP app that the desktop opened. It
//! gets it for a ticket, which stands in the address that is opened and is good for one use; from
//! then on it is a cookie, which the app inside the session never sees.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// The name in the query under which a ticket travels.
const TICKET: &str = "gangway-ticket";
/// What the names of our cookies begin with; the port follows.
const COOKIE: &str = "gangway-";
/// So long after it was made a ticket is good.
const TICKET_LIFE: Duration = Duration::from_secs(120);

/// A secret that no log shows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A new one, of 32 random bytes.
    #[must_use]
    pub fn random() -> Self {
        Self(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
    }

    /// Compares in a time that tells nothing of where the difference lies.
    fn is(&self, other: &[u8]) -> bool {
        let own = self.0.as_bytes();
        own.len() == other.len()
            && own
                .iter()
                .zip(other)
                .fold(0, |all, (one, two)| all | (one ^ two))
                == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What a request is checked against.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    secret: Secret,
    cookie: String,
}

impl Guard {
    /// Cookies do not tell ports apart, so the name does.
    pub(crate) fn new(secret: Secret, port: u16) -> Self {
        Self {
            secret,
            cookie: format!("{COOKIE}{port}"),
        }
    }

    fn is_ours(&self, pair: &str) -> Option<bool> {
        let (name, value) = pair.split_once('=')?;
        (name.trim() == self.cookie).then(|| self.secret.is(value.trim().as_bytes()))
    }

    /// Browsers send the secrets of other tunnels along when those share the name of the host.
    fn is_a_secret(pair: &str) -> bool {
        let name = pair.split('=').next().unwrap_or_default().trim();
        let port = name.strip_prefix(COOKIE);
        port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
    }

    /// Whether the value of a `Cookie` header has the secret.
    pub(crate) fn knows(&self, cookies: &str) -> bool {
        cookies
            .split(';')
            .any(|pair| self.is_ours(pair) == Some(true))
    }

    /// The value of a `Cookie` header without the secrets of tunnels; `None` when nothing is left.
    pub(crate) fn strip(cookies: &str) -> Option<String> {
        let rest: Vec<&str> = cookies
            .split(';')
            .filter(|pair| !Self::is_a_secret(pair))
            .map(str::trim)
            .collect();
        (!rest.is_empty()).then(|| rest.join("; "))
    }

    /// The answer to a ticket: the cookie, and the address without the ticket.
    pub(crate) fn admission(&self, location: &str) -> Vec<u8> {
        format!(
            "HTTP/1.1 303 See Other\r\nLocation: {location}\r\nSet-Cookie: {}={}; Path=/; HttpOnly; \
             SameSite=Lax\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n",
            self.cookie, self.secret.0
        )
        .into_bytes()
    }
}

/// The ticket in a request's path, and the path without it.
pub(crate) fn ticket_in(path: &str) -> Option<(String, String)> {
    // What is sent back in a header must not be able to end it, nor lead to another host, for
    // which browsers take a backslash as well.
    let rest = path.strip_prefix('/')?;
    if rest.starts_with(['/', '\\']) || path.contains(|c: char| c.is_control()) {
        return None;
    }
    let (place, query) = path.split_once('?')?;
    let mut ticket = None;
    let rest: Vec<&str> = query
        .split('&')
        .filter(|pair| match pair.strip_prefix(TICKET) {
            Some(value) if value.starts_with('=') => {
                ticket = Some(value[1..].to_owned());
                false
            }
            _ => true,
        })
        .collect();
    let clean = match rest.as_slice() {
        [] => place.to_owned(),
        rest => format!("{place}?{}", rest.join("&")),
    };
    ticket.map(|ticket| (ticket, clean))
}

/// Tickets that nobody has used yet.
#[derive(Default)]
pub(crate) struct Tickets(HashMap<String, Instant>);

impl Tickets {
    /// A new one, as it stands in a query.
    pub(crate) fn issue(&mut self) -> String {
        self.0.retain(|_, made| made.elapsed() < TICKET_LIFE);
        let ticket = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>());
        self.0.insert(ticket.clone(), Instant::now());
        format!("{TICKET}={ticket}")
    }

    /// Whether it is good; from now on it is not.
    pub(crate) fn spend(&mut self, ticket: &str) -> bool {
        self.0
            .remove(ticket)
            .is_some_and(|made| made.elapsed() < TICKET_LIFE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_known_and_taken_out() {
        let secret = Secret::random();
        let guard = Guard::new(secret.clone(), 8888);
        let ours = format!("gangway-8888={}", secret.0);
        assert!(guard.knows(&ours) && guard.knows(&format!("a=b; {ours}; c=d")));
        assert!(!guard.knows("gangway-8888=x") && !guard.knows("a=b"));
        let other_port = format!("gangway-8889={}", secret.0);
        assert!(!guard.knows(&other_port));
        assert_eq!(Guard::strip(&ours), None);
        let all = format!("a=b; {ours}; gangway-x=1; {other_port}; c=d");
        let rest = Guard::strip(&all);
        assert_eq!(rest.as_deref(), Some("a=b; gangway-x=1; c=d"));
        assert_eq!(format!("{secret:?}"), "Secret");
    }

    #[test]
    fn a_ticket_is_good_once() {
        let mut tickets = Tickets::default();
        let issued = tickets.issue();
        let (ticket, path) = ticket_in(&format!("/lab?x=1&{issued}&y=2")).unwrap();
        assert_eq!(path, "/lab?x=1&y=2");
        assert!(tickets.spend(&ticket));
        assert!(!tickets.spend(&ticket));
        assert_eq!(ticket_in(&format!("/?{issued}")).unwrap().1, "/");
        for path in ["/", "/?a=b", &format!("//evil.example/?{issued}")] {
            assert!(ticket_in(path).is_none(), "{path}");
        }
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_path_leads_elsewhere(path in "[/\\\\a?&=\\r\\n]{0,12}", tail in "[a-z&=]{0,8}") {
            if let Some((_, clean)) = ticket_in(&format!("{path}?{TICKET}=t&{tail}")) {
                let after = clean.strip_prefix('/').unwrap();
                prop_assert!(!after.starts_with(['/', '\\']) && !clean.contains(char::is_control));
            }
            ticket_in(&path);
        }

        #[test]
        fn a_ticket_is_taken_out_and_nothing_else(pairs in prop::collection::vec("[a-z]{1,4}(=[a-z]{0,4})?", 0..5), at in 0usize..5) {
            let at = at.min(pairs.len());
            let mut with = pairs.clone();
            with.insert(at, format!("{TICKET}=one"));
            let (ticket, clean) = ticket_in(&format!("/lab?{}", with.join("&"))).unwrap();
            prop_assert_eq!(ticket, "one");
            let rest = pairs.join("&");
            prop_assert_eq!(clean, if rest.is_empty() { "/lab".to_owned() } else { format!("/lab?{rest}") });
        }

        #[test]
        fn other_cookies_stay(pairs in prop::collection::vec("[a-z]{1,4}=[a-z]{0,4}", 0..5)) {
            let guard = Guard::new(Secret::random(), 8888);
            let all = pairs.join("; ");
            prop_assert!(!guard.knows(&all));
            prop_assert_eq!(Guard::strip(&all), Some(all));
        }
    }
}

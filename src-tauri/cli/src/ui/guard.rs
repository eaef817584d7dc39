//! Who may use the bridge.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, header};
use rand::TryRngCore;
use rand::rngs::OsRng;

/// The cookie of the browser session. Its name carries the port: cookies do not know ports.
const COOKIE: &str = "gangway";

/// One token, one browser session, one address.
pub(crate) struct Guard {
    port: u16,
    token: String,
    used: AtomicBool,
    session: Mutex<Option<String>>,
}

/// Why a request is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The page was reached under another name: somebody points a name of theirs at us.
    Host,
    /// Another web page asks.
    Origin,
    /// No browser session, or another one.
    Session,
}

impl Guard {
    pub(crate) fn new(port: u16) -> Self {
        Self {
            port,
            token: secret(),
            used: AtomicBool::new(false),
            session: Mutex::new(None),
        }
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Trades the token for a cookie, once.
    pub(crate) fn exchange(&self, token: &str) -> Option<String> {
        if !same(token, &self.token) || self.used.swap(true, Ordering::AcqRel) {
            return None;
        }
        let session = secret();
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.clone());
        Some(format!(
            "{COOKIE}-{}={session}; Path=/; HttpOnly; SameSite=Strict",
            self.port
        ))
    }

    /// Whether a request comes to our own address, from our own page.
    pub(crate) fn check_address(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let own = [
            format!("127.0.0.1:{}", self.port),
            format!("localhost:{}", self.port),
        ];
        if !text(header::HOST).is_some_and(|host| own.iter().any(|own| own == host)) {
            return Err(Refusal::Host);
        }
        // A browser leaves it out only when a page loads its own files.
        match text(header::ORIGIN) {
            Some(origin) if !own.iter().any(|own| origin == format!("http://{own}")) => {
                Err(Refusal::Origin)
            }
            _ => Ok(()),
        }
    }

    /// The same, and that it carries the cookie.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        self.check_address(headers)?;
        let name = format!("{COOKIE}-{}", self.port);
        let session = self
            .session
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let cookies = headers.get_all(header::COOKIE).iter();
        let given = cookies
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value.to_owned());
        match (session, given) {
            (Some(session), Some(given)) if same(&session, &given) => Ok(()),
            _ => Err(Refusal::Session),
        }
    }
}

/// 256 bits that nobody can guess.
fn secret() -> String {
    let mut bytes = [0_u8; 32];
    if OsRng.try_fill_bytes(&mut bytes).is_err() {
        // The system has no randomness: the thread's generator was seeded when it had.
        bytes = rand::random();
    }
    hex::encode(bytes)
}

/// Compares without telling by its time how much was right.
fn same(one: &str, other: &str) -> bool {
    one.len() == other.len()
        && one
            .bytes()
            .zip(other.bytes())
            .fold(0, |differ, (a, b)| differ | (a ^ b))
            == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().expect("a header")))
            .collect()
    }

    #[test]
    fn the_token_works_once() {
        let guard = Guard::new(8000);
        assert!(guard.exchange("guess").is_none());
        let token = guard.token().to_owned();
        let cookie = guard.exchange(&token).expect("the first time");
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
        assert!(guard.exchange(&token).is_none());
        let pair = cookie.split(';').next().expect("a pair");
        let own = (header::HOST, "127.0.0.1:8000");
        assert_eq!(
            guard.check(&headers(&[own.clone(), (header::COOKIE, pair)])),
            Ok(())
        );
        assert_eq!(guard.check(&headers(&[own])), Err(Refusal::Session));
    }

    #[test]
    fn other_names_and_other_pages_are_turned_away() {
        let guard = Guard::new(8000);
        for host in ["evil.example:8000", "127.0.0.1:8001", "127.0.0.1"] {
            let refused = guard.check_address(&headers(&[(header::HOST, host)]));
            assert_eq!(refused, Err(Refusal::Host), "{host}");
        }
        let own = (header::HOST, "127.0.0.1:8000");
        for origin in ["http://evil.example", "null", "https://127.0.0.1:8000"] {
            let refused = guard.check_address(&headers(&[own.clone(), (header::ORIGIN, origin)]));
            assert_eq!(refused, Err(Refusal::Origin), "{origin}");
        }
        let page = (header::ORIGIN, "http://127.0.0.1:8000");
        assert_eq!(guard.check_address(&headers(&[own, page])), Ok(()));
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    fn given(name: header::HeaderName, bytes: &[u8], headers: &mut HeaderMap) -> bool {
        let value = header::HeaderValue::from_bytes(bytes);
        value.is_ok_and(|value| headers.insert(name, value).is_none())
    }

    proptest! {
        /// Whatever another page or program sends: without the cookie nobody gets in.
        #[test]
        fn nothing_but_the_cookie_opens(
            cookie in prop_oneof!["(gangway-8000=[0-9a-f]{0,64}(; )?){0,3}".prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..80)],
            token in "[0-9a-f]{0,64}",
            open in any::<bool>(),
        ) {
            let guard = Guard::new(8000);
            prop_assert!(guard.exchange(&token).is_none());
            if open {
                let token = guard.token().to_owned();
                prop_assert!(guard.exchange(&token).is_some());
            }
            let mut headers = HeaderMap::new();
            given(header::HOST, b"localhost:8000", &mut headers);
            given(header::COOKIE, &cookie, &mut headers);
            prop_assert_eq!(guard.check(&headers), Err(Refusal::Session));
        }

        #[test]
        fn no_other_address_is_ours(
            host in prop_oneof!["[a-z0-9.:]{0,20}".prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..30)],
            origin in "(https?://)?[a-z0-9.:]{0,20}",
        ) {
            let guard = Guard::new(8000);
            let own: [&[u8]; 2] = [b"localhost:8000", b"127.0.0.1:8000"];
            let mut headers = HeaderMap::new();
            given(header::HOST, &host, &mut headers);
            prop_assert_eq!(guard.check_address(&headers).is_ok(), own.contains(&&host[..]));
            headers.clear();
            given(header::HOST, own[0], &mut headers);
            given(header::ORIGIN, origin.as_bytes(), &mut headers);
            let page = origin.strip_prefix("http://").map(str::as_bytes);
            prop_assert_eq!(guard.check_address(&headers).is_ok(), page.is_some_and(|page| own.contains(&page)));
        }
    }
}

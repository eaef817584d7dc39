//! Web apps that only a cluster's app proxy leads to: where its workers pass no bytes but HTTP, so
//! that not even a session's SSH server is reached.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use client::protocol::service_port::ServiceProtocol;
use client::{Client, SessionRow, StartOptions, WebApp};
use tunnel::BoxStream;

use crate::types::Failure;

/// So long a permit is used again: a page opens many connections, and whoever has logged out is to
/// get no further.
const USED_FOR: Duration = Duration::from_secs(10);
/// So long nothing else is tried first.
const KNOWN_FOR: Duration = Duration::from_secs(600);

/// Profile, session, app and its port.
type Key = (String, String, String, Option<u16>);
/// One at a time asks for it; the others get the same.
type Slot = Arc<tokio::sync::Mutex<Option<(WebApp, Instant)>>>;

/// Those in use, and the profiles that need them.
#[derive(Default)]
pub(crate) struct WebApps {
    slots: Mutex<HashMap<Key, Slot>>,
    only: Mutex<HashMap<String, Instant>>,
}

impl WebApps {
    /// Whether everything else has failed lately.
    pub(crate) fn is_only_way(&self, profile: &str) -> bool {
        let only = held(&self.only);
        only.get(profile)
            .is_some_and(|since| since.elapsed() < KNOWN_FOR)
    }

    /// Connects to a web app of a session; `None` for what is no web app.
    ///
    /// # Errors
    /// When it does not start, or there is no such app proxy.
    pub(crate) async fn connect(
        &self,
        (profile, client): (&str, &Client),
        row: &SessionRow,
        (name, options): (&str, &StartOptions),
    ) -> Result<Option<BoxStream>, Failure> {
        let announced = row.service_ports.iter().find(|port| port.name == name);
        if announced.is_none_or(|port| port.protocol != ServiceProtocol::Http) {
            return Ok(None);
        }
        let key = (
            profile.to_owned(),
            row.session_id.to_string(),
            name.to_owned(),
            options.port,
        );
        let slot = self.slot(key);
        let mut slot = slot.lock().await;
        let app = match &*slot {
            Some(one) if is_fresh(one) => one.0.clone(),
            _ => {
                let app = client.web_app(row.session_id, name, options).await?;
                *slot = Some((app.clone(), Instant::now()));
                held(&self.only).insert(profile.to_owned(), Instant::now());
                app
            }
        };
        Ok(Some(Box::new(app.connect())))
    }

    fn slot(&self, key: Key) -> Slot {
        let mut slots = held(&self.slots);
        slots.retain(|_, slot| match slot.try_lock() {
            // Somebody is about to use it.
            _ if Arc::strong_count(slot) > 1 => true,
            Ok(one) => one.as_ref().is_some_and(is_fresh),
            Err(_) => true,
        });
        Arc::clone(slots.entry(key).or_default())
    }
}

fn is_fresh((_, since): &(WebApp, Instant)) -> bool {
    since.elapsed() < USED_FOR
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Logins that are over, and new ones: whoever waits for one goes on by itself, whichever program
//! the user logs in with.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use settings::Config;

use crate::context::Context;
use crate::types::{Failure, Tag};

/// How often is looked whether somebody has logged in. A look costs one `stat`.
const LOOK: Duration = Duration::from_millis(700);
/// So long nobody asks again with a login that was refused: it may have become good again where
/// nobody has to log in for that.
const REFUSED_FOR: Duration = Duration::from_secs(20);

/// What is known of logins.
#[derive(Default)]
pub(crate) struct Logins {
    refused: Mutex<HashMap<String, Refused>>,
    /// Which login of each profile was used last.
    used: Mutex<HashMap<String, String>>,
    watched: AtomicBool,
}

impl Logins {
    fn refused(&self) -> MutexGuard<'_, HashMap<String, Refused>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another login of `profile` was used before this one, which is remembered.
    pub(crate) fn is_new(&self, profile: &str, login: &str) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let before = used.insert(profile.to_owned(), login.to_owned());
        before.is_some_and(|before| before != login)
    }
}

/// A login that the manager did not accept.
struct Refused {
    login: Option<String>,
    at: Instant,
    failure: Failure,
}

/// What tells a new login from all others.
pub(crate) fn fresh() -> String {
    uuid::Uuid::new_v4().to_string()
}

impl Context {
    /// Remembers that the present login of `profile` is of no use, if that is what has failed.
    pub(crate) fn note_refusal(&self, profile: &str, failure: &Failure) {
        if !failure.code.waits_for_login() {
            return;
        }
        let refused = Refused {
            login: self.login_of(profile),
            at: Instant::now(),
            failure: failure.clone(),
        };
        self.logins().refused().insert(profile.to_owned(), refused);
        self.watch_logins();
    }

    /// How the manager has refused the present login of `profile` a moment ago, if it did.
    pub(crate) fn refused_login(&self, profile: &str) -> Option<Failure> {
        let mut all = self.logins().refused();
        let refused = all.get(profile)?;
        if refused.login == self.login_of(profile) && refused.at.elapsed() < REFUSED_FOR {
            return Some(refused.failure.clone());
        }
        all.remove(profile);
        drop(all);
        // A keypair of this computer's own engine is handed out anew.
        self.forget_client(profile);
        None
    }

    fn login_of(&self, profile: &str) -> Option<String> {
        logins(&self.config().ok()?).remove(profile)
    }

    /// Notices from now on who logs in, in whichever process, for as long as the program runs.
    pub(crate) fn watch_logins(&self) {
        if !self.logins().watched.swap(true, Ordering::Relaxed) {
            tokio::spawn(watch(self.clone()));
        }
    }

    /// Has everything that waits for a login of `profile` go on.
    async fn go_on(&self, profile: &str) {
        tracing::info!(profile, "logged in anew");
        self.logins().refused().remove(profile);
        self.forget_client(profile);
        if let Some(host) = self.seat().host() {
            host.tunnels().logged_in(profile);
            host.transfers().logged_in(profile).await;
        }
        self.save_waiting_edits(profile);
    }
}

/// The login of each profile that has one.
fn logins(config: &Config) -> BTreeMap<String, String> {
    let of = |name: String| {
        let account = config.profile(&name).ok()??.account?;
        // Logins of older versions have no number: then the key tells them apart.
        let login = match account.login.is_empty() {
            true => account.access_key,
            false => account.login,
        };
        Some((name, login))
    };
    config.profile_names().into_iter().filter_map(of).collect()
}

/// The file as it was last written: every change is a new file.
fn stamp(path: &Path) -> Option<(u64, SystemTime)> {
    let data = std::fs::metadata(path).ok()?;
    Some((data.len(), data.modified().ok()?))
}

async fn watch(context: Context) {
    let file = context.paths().config_file();
    let mut seen = stamp(&file);
    let mut known = context.config().map(|it| logins(&it)).unwrap_or_default();
    loop {
        tokio::time::sleep(LOOK).await;
        let now = stamp(&file);
        if now == seen {
            continue;
        }
        // A file that can't be read now is looked at again.
        let Ok(config) = context.config() else {
            continue;
        };
        seen = now;
        let logins = logins(&config);
        if logins == known {
            continue;
        }
        for (profile, login) in &logins {
            if known.get(profile) != Some(login) {
                context.go_on(profile).await;
            }
        }
        for gone in known.keys().filter(|name| !logins.contains_key(*name)) {
            context.forget_client(gone);
            if let Some(host) = context.seat().host() {
                host.tunnels().logged_out(gone);
            }
        }
        known = logins;
        context.changed(Tag::Profile, None);
        context.changed(Tag::Session, None);
    }
}

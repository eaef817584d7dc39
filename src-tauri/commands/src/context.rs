//! What every handler may use: the profile's client, secrets, paths, and who is told of changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use ::history::History;
use client::{Client, Credentials, Doorway, Keypair, Launch, LocalEngine, WebSession};
use keychain::{Keychain, Store};
use proxy::ProxyHost;
use secrecy::SecretString;
use settings::{AccessMode, Config, KeychainKind, Paths, Profile, Program};
use tokio::sync::broadcast;

use crate::failure::{io, not_logged_in};
use crate::file::edit::Edits;
use crate::host::Host;
use crate::leave::Departure;
use crate::links::Links;
use crate::logins::Logins;
use crate::seat::Seat;
use crate::table::Surface;
use crate::terminal::Terminals;
use crate::types::{Changed, Failure, FailureCode, Tag};

/// Long enough for a first start on a slow disk, with the database and keys to make.
const ENGINE_PATIENCE: Duration = Duration::from_secs(30);

/// A client, and the login that it was made for.
struct Known {
    client: Client,
    login: String,
}

/// Cheap to clone; every clone is the same.
#[derive(Clone)]
pub(crate) struct Context {
    inner: Arc<Inner>,
    /// The profile to use instead of the last one; differs from call to call in the proxy host.
    profile: Option<String>,
}

struct Inner {
    paths: Paths,
    surface: Surface,
    host: Arc<dyn Host>,
    keychain: Keychain,
    clients: Mutex<HashMap<String, Known>>,
    logins: Logins,
    changed: broadcast::Sender<Changed>,
    history: OnceLock<History>,
    links: Links,
    seat: Seat,
    terminals: Terminals,
    edits: Edits,
    departure: Departure,
}

impl Context {
    pub(crate) fn new(
        surface: Surface,
        host: Arc<dyn Host>,
        profile: Option<String>,
    ) -> Result<Self, Failure> {
        let paths = Paths::from_env()?;
        let keychain = Keychain::new(paths.secrets_file());
        if let Some(file) = std::env::var_os("GANGWAY_PASSPHRASE_FILE") {
            let path = std::path::Path::new(&file);
            let text = std::fs::read_to_string(path).map_err(|e| io(&e, &path.display()))?;
            keychain.unlock(text.trim_end_matches(['\r', '\n']).into());
        }
        Ok(Self {
            inner: Arc::new(Inner {
                paths,
                surface,
                host,
                keychain,
                clients: Mutex::default(),
                logins: Logins::default(),
                changed: broadcast::channel(256).0,
                history: OnceLock::new(),
                links: Links::default(),
                seat: Seat::default(),
                terminals: Terminals::default(),
                edits: Edits::default(),
                departure: Departure::default(),
            }),
            profile: profile.or_else(|| std::env::var("GANGWAY_PROFILE").ok()),
        })
    }

    pub(crate) fn paths(&self) -> &Paths {
        &self.inner.paths
    }

    pub(crate) fn surface(&self) -> Surface {
        self.inner.surface
    }

    pub(crate) fn host(&self) -> &dyn Host {
        &*self.inner.host
    }

    pub(crate) fn keychain(&self) -> &Keychain {
        &self.inner.keychain
    }

    /// Opened at first use: `ssh-proxy` and many others never need it.
    pub(crate) fn history(&self) -> Result<&History, Failure> {
        if let Some(history) = self.inner.history.get() {
            return Ok(history);
        }
        let opened = History::open(&self.inner.paths.database())?;
        Ok(self.inner.history.get_or_init(|| opened))
    }

    pub(crate) fn links(&self) -> &Links {
        &self.inner.links
    }

    /// The same with another profile.
    pub(crate) fn with_profile(&self, profile: Option<String>) -> Self {
        Self {
            inner: self.inner.clone(),
            profile: profile.or_else(|| self.profile.clone()),
        }
    }

    pub(crate) fn seat(&self) -> &Seat {
        &self.inner.seat
    }

    /// The owner of tunnels and transfers, when it is this process.
    pub(crate) fn proxy(&self) -> Result<ProxyHost, Failure> {
        self.inner.seat.host().ok_or_else(|| {
            let message = "another process owns tunnels and transfers";
            Failure::new(FailureCode::ProxyFailed, message)
        })
    }

    pub(crate) fn logins(&self) -> &Logins {
        &self.inner.logins
    }

    pub(crate) fn terminals(&self) -> &Terminals {
        &self.inner.terminals
    }

    pub(crate) fn departure(&self) -> &Departure {
        &self.inner.departure
    }

    pub(crate) fn edits(&self) -> &Edits {
        &self.inner.edits
    }

    /// Tells whoever listens; nobody listening is fine.
    pub(crate) fn changed(&self, tag: Tag, id: Option<String>) {
        let _ = self.inner.changed.send(Changed { tag, id });
    }

    pub(crate) fn changes(&self) -> broadcast::Receiver<Changed> {
        self.inner.changed.subscribe()
    }

    pub(crate) fn config(&self) -> Result<Config, Failure> {
        Ok(Config::load(&self.inner.paths)?)
    }

    /// Name of the profile that commands use.
    pub(crate) fn profile_name(&self) -> Result<String, Failure> {
        match &self.profile {
            Some(name) => Ok(name.clone()),
            None => Ok(self.config()?.current().to_owned()),
        }
    }

    pub(crate) fn profile(&self, name: &str) -> Result<Profile, Failure> {
        self.config()?.profile(name)?.ok_or_else(|| {
            Failure::new(
                FailureCode::ProfileNotFound,
                format!("there is no profile \"{name}\""),
            )
            .hint("see `gangway profile ls`")
        })
    }

    pub(crate) fn engine(&self) -> LocalEngine {
        LocalEngine::new(&self.inner.paths.engine_dir)
    }

    pub(crate) fn engine_launch(&self) -> Result<Launch, Failure> {
        Ok(Launch {
            program: settings::find(Program::Engine)?,
            log: self.inner.paths.logs_dir().join("engine.log"),
            patience: ENGINE_PATIENCE,
        })
    }

    /// The client of the profile that commands use.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        self.client_of(&self.profile_name()?).await
    }

    /// The client of a profile, logged in.
    pub(crate) async fn client_of(&self, name: &str) -> Result<Client, Failure> {
        let profile = self.profile(name)?;
        let account = profile
            .account
            .as_ref()
            .ok_or_else(|| not_logged_in(name))?;
        let local = profile.endpoint.is_none();
        let endpoint = match &profile.endpoint {
            Some(endpoint) => endpoint.clone(),
            // The engine may have come up again on another port.
            None => self
                .engine()
                .beacon()
                .map(|beacon| beacon.endpoint)
                .unwrap_or_default(),
        };
        if let Some(known) = self.clients().get(name)
            && known.client.endpoint() == endpoint
            && known.client.access_key() == Some(&account.access_key)
            && known.login == account.login
        {
            return Ok(known.client.clone());
        }
        let client = if local {
            self.local_client().await?
        } else {
            if self.logins().is_new(name, &account.login) {
                // It may have been made in another process.
                let kind = store(profile.keychain);
                self.keychain().ask_again(kind, &secret_name(name));
            }
            let secret = self
                .kept_secret(profile.keychain, &secret_name(name))
                .await?;
            let secret = secret.ok_or_else(|| not_logged_in(name))?;
            let access_key = account.access_key.clone();
            let network = crate::network::of(self, &self.config()?.preferences()?).await?;
            let client = match profile.mode {
                AccessMode::Api => Client::new(
                    &endpoint,
                    Some(Keypair {
                        access_key,
                        secret_key: secret,
                    }),
                )?,
                AccessMode::Session => Client::behind(
                    Doorway::WebServer,
                    &endpoint,
                    Some(Credentials::WebSession(WebSession {
                        access_key,
                        id: secret,
                    })),
                )?,
            }
            .through(network);
            // Another manager may be older than us; ours is not.
            client.announcement().await?;
            client
        };
        let known = Known {
            client: client.clone(),
            login: account.login.clone(),
        };
        self.clients().insert(name.to_owned(), known);
        Ok(client)
    }

    /// A secret of the keychain. A passphrase that is missing is asked for once.
    pub(crate) async fn kept_secret(
        &self,
        kind: KeychainKind,
        name: &str,
    ) -> Result<Option<SecretString>, Failure> {
        match self.keychain().get(store(kind), name).await {
            Err(keychain::Error::PassphraseNeeded) => {
                let asked = self.host().passphrase();
                let passphrase = asked.ok_or(keychain::Error::PassphraseNeeded)?;
                self.keychain().unlock(passphrase);
                Ok(self.keychain().get(store(kind), name).await?)
            }
            found => Ok(found?),
        }
    }

    /// The engine gives its owner's keypair over the owner-only socket, in a millisecond; what a
    /// keychain holds is a copy. The socket also tells an engine from whatever took its port.
    async fn local_client(&self) -> Result<Client, Failure> {
        let login = self.engine().login().await?;
        let keypair = Keypair {
            access_key: login.access_key,
            secret_key: SecretString::from(login.secret_key),
        };
        Ok(Client::new(&login.endpoint, Some(keypair))?)
    }

    /// Forgets connections of a profile, after logout or another login.
    pub(crate) fn forget_client(&self, name: &str) {
        self.clients().remove(name);
    }

    /// The same for all profiles, after the way to managers has changed.
    pub(crate) fn forget_clients(&self) {
        self.clients().clear();
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.inner
            .clients
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Under this name the secret key of a profile is kept.
pub(crate) fn secret_name(profile: &str) -> String {
    format!("profile:{profile}")
}

pub(crate) fn store(kind: KeychainKind) -> Store {
    match kind {
        KeychainKind::System => Store::System,
        KeychainKind::File => Store::File,
        KeychainKind::Memory => Store::Memory,
    }
}

//! The Secret Service: GNOME Keyring, KWallet, KeePassXC, … over D-Bus.

use std::sync::{Arc, Mutex, PoisonError};

use keyring_core::CredentialStore;
use keyring_core::Entry;
use secrecy::{ExposeSecret, SecretString};
use secret_service::EncryptionType;
use secret_service::blocking::SecretService;
use zbus_secret_service_keyring_store::Store as SecretServiceStore;

use crate::{Error, State, Status};

/// Under this name the entries stand in the user's keychain.
const SERVICE: &str = "Gangway";

/// A connection that is made at first use, and again as long as it fails: the daemon may come up
/// later than we do.
#[derive(Default)]
pub(crate) struct System {
    store: Mutex<Option<Arc<CredentialStore>>>,
}

impl System {
    fn store(&self) -> Result<Arc<CredentialStore>, Error> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = &*store {
            return Ok(store.clone());
        }
        let made: Arc<CredentialStore> =
            SecretServiceStore::new().map_err(|error| absent(&error))?;
        *store = Some(made.clone());
        Ok(made)
    }

    fn entry(&self, name: &str) -> Result<Entry, Error> {
        self.store()?.build(SERVICE, name, None).map_err(translate)
    }

    pub(crate) fn status(&self) -> Status {
        if let Err(error) = self.store() {
            return Status {
                state: State::Absent,
                detail: error.to_string(),
            };
        }
        match default_collection_locked() {
            Ok(false) => Status {
                state: State::Ready,
                detail: "The system's keychain is open.".to_owned(),
            },
            Ok(true) => Status {
                state: State::Locked,
                detail: "The system's keychain is locked.".to_owned(),
            },
            // A provider without a keyring: making one asks for a password, as unlocking does.
            Err(secret_service::Error::NoResult) => Status {
                state: State::Locked,
                detail: "The system's keychain has no keyring yet, or it is not unlocked."
                    .to_owned(),
            },
            Err(error) => Status {
                state: State::Absent,
                detail: error.to_string(),
            },
        }
    }

    pub(crate) fn get(&self, name: &str) -> Result<Option<SecretString>, Error> {
        match self.entry(name)?.get_password() {
            Ok(secret) => Ok(Some(secret.into())),
            Err(keyring_core::Error::NoEntry) => Ok(None),
            Err(error) => Err(translate(error)),
        }
    }

    pub(crate) fn set(&self, name: &str, secret: &SecretString) -> Result<(), Error> {
        self.entry(name)?
            .set_password(secret.expose_secret())
            .map_err(translate)
    }

    pub(crate) fn remove(&self, name: &str) -> Result<(), Error> {
        match self.entry(name)?.delete_credential() {
            Ok(()) | Err(keyring_core::Error::NoEntry) => Ok(()),
            Err(error) => Err(translate(error)),
        }
    }
}

/// The store's crate does not tell whether the keyring is locked before one writes to it.
fn default_collection_locked() -> Result<bool, secret_service::Error> {
    let service = SecretService::connect(EncryptionType::Dh)?;
    service.get_default_collection()?.is_locked()
}

fn absent(error: &keyring_core::Error) -> Error {
    let mut detail = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let text = inner.to_string();
        if !detail.contains(&text) {
            detail = format!("{detail}: {text}");
        }
        source = inner.source();
    }
    Error::Absent { detail }
}

fn translate(error: keyring_core::Error) -> Error {
    match error {
        keyring_core::Error::NoStorageAccess(_) => Error::Locked,
        error @ keyring_core::Error::NoDefaultStore => absent(&error),
        error => Error::Failed(Box::new(error)),
    }
}

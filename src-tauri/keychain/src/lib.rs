//! Keeps secrets: in the operating system's keychain, in an encrypted file, or for as long as
//! this process lives. Never in the clear.
//!
//! Hidden here: D-Bus and the Secret Service, their many ways of saying no, and the form of the
//! encrypted file. What is read once is remembered in memory; a keychain takes milliseconds.

mod file;
#[cfg(target_os = "linux")]
mod system;
#[cfg(not(target_os = "linux"))]
#[path = "system_none.rs"]
mod system;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::SecretString;

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Store {
    /// The operating system's keychain.
    System,
    /// A file, encrypted with a passphrase.
    File,
    /// This process.
    Memory,
}

/// Whether a store can be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It can.
    Ready,
    /// It is there and has to be unlocked.
    Locked,
    /// It is not there.
    Absent,
}

/// A store's state, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whether it can be used now.
    pub state: State,
    /// One sentence for people.
    pub detail: String,
}

/// Why a secret could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system's keychain is locked, and nobody unlocked it.
    #[error("the system's keychain is locked")]
    Locked,
    /// There is no keychain: no D-Bus session, or nothing on it that keeps secrets.
    #[error("this computer offers no keychain here: {detail}")]
    Absent {
        /// What is missing.
        detail: String,
    },
    /// The keychain answered with an error.
    #[error("the system's keychain failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The encrypted file needs a passphrase.
    #[error("the encrypted file needs its passphrase")]
    PassphraseNeeded,
    /// The passphrase does not open the encrypted file.
    #[error("the passphrase does not open {}", path.display())]
    PassphraseWrong {
        /// The file.
        path: PathBuf,
    },
    /// The encrypted file is not one.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The encrypted file can't be read or written.
    #[error("can't use {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// All stores of this user. Cheap to clone; clones share what they remember.
#[derive(Clone)]
pub struct Keychain {
    inner: Arc<Inner>,
}

struct Inner {
    system: system::System,
    file: file::EncryptedFile,
    remembered: Mutex<HashMap<(Store, String), SecretString>>,
}

impl std::fmt::Debug for Keychain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keychain").finish_non_exhaustive()
    }
}

impl Keychain {
    /// `secrets_file` is where the encrypted file is or will be. Opens nothing yet.
    #[must_use]
    pub fn new(secrets_file: PathBuf) -> Self {
        Self {
            inner: Arc::new(Inner {
                system: system::System::default(),
                file: file::EncryptedFile::new(secrets_file),
                remembered: Mutex::default(),
            }),
        }
    }

    /// Remembers the passphrase of the encrypted file. It is tried at the next use.
    pub fn unlock(&self, passphrase: SecretString) {
        self.inner.file.unlock(passphrase);
    }

    /// The passphrase that is remembered, for another process of the same user.
    #[must_use]
    pub fn passphrase(&self) -> Option<SecretString> {
        self.inner.file.remembered()
    }

    /// Whether the encrypted file has been made.
    #[must_use]
    pub fn file_exists(&self) -> bool {
        self.inner.file.exists()
    }

    /// Whether `store` can be used now. May take some 100 ms: it asks the system.
    pub async fn status(&self, store: Store) -> Status {
        match store {
            Store::Memory => Status {
                state: State::Ready,
                detail: "Secrets are forgotten when the program ends.".to_owned(),
            },
            Store::File => self.blocking(|inner| inner.file.status()).await,
            Store::System => self.blocking(|inner| inner.system.status()).await,
        }
    }

    /// The secret called `name`; `None` when there is none.
    ///
    /// # Errors
    /// When the store is locked, absent or fails.
    pub async fn get(&self, store: Store, name: &str) -> Result<Option<SecretString>, Error> {
        if let Some(secret) = self.recall(store, name) {
            return Ok(Some(secret));
        }
        let key = name.to_owned();
        let found = match store {
            Store::Memory => None,
            Store::File => self.blocking(move |inner| inner.file.get(&key)).await?,
            Store::System => self.blocking(move |inner| inner.system.get(&key)).await?,
        };
        if let Some(secret) = &found {
            self.remember(store, name, Some(secret.clone()));
        }
        Ok(found)
    }

    /// Another process may have kept another secret as `name`: the next [`Self::get`] asks the store
    /// itself. What is kept nowhere else stays.
    pub fn ask_again(&self, store: Store, name: &str) {
        if store != Store::Memory {
            self.remember(store, name, None);
        }
    }

    /// Keeps `secret` as `name`; what was there before is gone.
    ///
    /// # Errors
    /// When the store is locked, absent or fails; nothing is kept then.
    pub async fn set(&self, store: Store, name: &str, secret: SecretString) -> Result<(), Error> {
        let (key, value) = (name.to_owned(), secret.clone());
        match store {
            Store::Memory => {}
            Store::File => {
                self.blocking(move |inner| inner.file.set(&key, value))
                    .await?
            }
            Store::System => {
                self.blocking(move |inner| inner.system.set(&key, &value))
                    .await?
            }
        }
        self.remember(store, name, Some(secret));
        Ok(())
    }

    /// Forgets the secret called `name`; one that is not there is no error.
    ///
    /// # Errors
    /// When the store is locked, absent or fails.
    pub async fn remove(&self, store: Store, name: &str) -> Result<(), Error> {
        self.remember(store, name, None);
        let key = name.to_owned();
        match store {
            Store::Memory => Ok(()),
            Store::File => self.blocking(move |inner| inner.file.remove(&key)).await,
            Store::System => self.blocking(move |inner| inner.system.remove(&key)).await,
        }
    }

    /// Runs `work` where it may wait: D-Bus and key derivation both do.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> T {
        let inner = self.inner.clone();
        match tokio::task::spawn_blocking(move || work(&inner)).await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn recall(&self, store: Store, name: &str) -> Option<SecretString> {
        let remembered = self
            .inner
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        remembered.get(&(store, name.to_owned())).cloned()
    }

    fn remember(&self, store: Store, name: &str, secret: Option<SecretString>) {
        let mut remembered = self
            .inner
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let key = (store, name.to_owned());
        match secret {
            Some(secret) => remembered.insert(key, secret),
            None => remembered.remove(&key),
        };
    }
}

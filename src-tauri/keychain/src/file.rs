//! The encrypted file: Argon2id makes the key of the passphrase, AES-256-GCM seals the secrets.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{Error, State, Status};

/// Cost of Argon2id as OWASP advises it (19 MiB, 2 passes): some 30 ms.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// What is bound to the sealed text, so that the costs can't be changed unseen.
const LABEL: &str = "gangway secrets 1";

#[derive(Serialize, Deserialize)]
struct Sealed {
    version: u32,
    memory_kib: u32,
    passes: u32,
    salt: String,
    nonce: String,
    data: String,
}

pub(crate) struct EncryptedFile {
    path: PathBuf,
    passphrase: Mutex<Option<SecretString>>,
    /// One change at a time; every change reads the file anew.
    writing: Mutex<()>,
}

impl EncryptedFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            passphrase: Mutex::default(),
            writing: Mutex::default(),
        }
    }

    pub(crate) fn exists(&self) -> bool {
        self.path.exists()
    }

    pub(crate) fn unlock(&self, passphrase: SecretString) {
        *lock(&self.passphrase) = Some(passphrase);
    }

    pub(crate) fn remembered(&self) -> Option<SecretString> {
        lock(&self.passphrase).clone()
    }

    pub(crate) fn status(&self) -> Status {
        let path = self.path.display();
        match (self.exists(), self.read()) {
            (true, Ok(_)) => Status {
                state: State::Ready,
                detail: format!("{path} is open."),
            },
            (false, Ok(_)) => Status {
                state: State::Ready,
                detail: format!("{path} is made at the first login."),
            },
            (_, Err(Error::PassphraseNeeded)) => Status {
                state: State::Locked,
                detail: format!("{path} needs its passphrase."),
            },
            (_, Err(error)) => Status {
                state: State::Locked,
                detail: error.to_string(),
            },
        }
    }

    pub(crate) fn get(&self, name: &str) -> Result<Option<SecretString>, Error> {
        if !self.exists() {
            return Ok(None);
        }
        Ok(self.read()?.remove(name).map(SecretString::from))
    }

    pub(crate) fn set(&self, name: &str, secret: SecretString) -> Result<(), Error> {
        let _guard = lock(&self.writing);
        let mut secrets = self.read()?;
        secrets.insert(name.to_owned(), secret.expose_secret().to_owned());
        self.write(&secrets)
    }

    pub(crate) fn remove(&self, name: &str) -> Result<(), Error> {
        let _guard = lock(&self.writing);
        if !self.exists() {
            return Ok(());
        }
        let mut secrets = self.read()?;
        if secrets.remove(name).is_some() {
            self.write(&secrets)?;
        }
        Ok(())
    }

    fn passphrase(&self) -> Result<SecretString, Error> {
        lock(&self.passphrase)
            .clone()
            .ok_or(Error::PassphraseNeeded)
    }

    /// All secrets; none when the file is not there. Needs the passphrase even then, so that a
    /// new file is never made without one.
    fn read(&self) -> Result<BTreeMap<String, String>, Error> {
        let passphrase = self.passphrase()?;
        let text = match std::fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(BTreeMap::new());
            }
            Err(source) => return Err(self.io(source)),
        };
        let sealed: Sealed = serde_json::from_slice(&text).map_err(|_| self.damaged())?;
        let decode = |text: &str| BASE64_STANDARD.decode(text).map_err(|_| self.damaged());
        let (salt, nonce) = (decode(&sealed.salt)?, decode(&sealed.nonce)?);
        let nonce: [u8; 12] = nonce.try_into().map_err(|_| self.damaged())?;
        // Costs come from a file that others may have written: nobody needs more than this.
        if sealed.version != 1 || sealed.memory_kib > 1024 * 1024 || sealed.passes > 16 {
            return Err(self.damaged());
        }
        let cipher = self.cipher(&passphrase, &salt, sealed.memory_kib, sealed.passes)?;
        let payload = Payload {
            msg: &decode(&sealed.data)?,
            aad: LABEL.as_bytes(),
        };
        let plain =
            cipher
                .decrypt(&Nonce::from(nonce), payload)
                .map_err(|_| Error::PassphraseWrong {
                    path: self.path.clone(),
                })?;
        serde_json::from_slice(&plain).map_err(|_| self.damaged())
    }

    fn write(&self, secrets: &BTreeMap<String, String>) -> Result<(), Error> {
        let passphrase = self.passphrase()?;
        let (salt, nonce): ([u8; 16], [u8; 12]) = (rand::random(), rand::random());
        let plain = serde_json::to_vec(secrets).map_err(|_| self.damaged())?;
        let data = self
            .cipher(&passphrase, &salt, MEMORY_KIB, PASSES)?
            .encrypt(
                &Nonce::from(nonce),
                Payload {
                    msg: &plain,
                    aad: LABEL.as_bytes(),
                },
            )
            .map_err(|_| self.damaged())?;
        let sealed = Sealed {
            version: 1,
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            salt: BASE64_STANDARD.encode(salt),
            nonce: BASE64_STANDARD.encode(nonce),
            data: BASE64_STANDARD.encode(data),
        };
        let text = serde_json::to_vec_pretty(&sealed).map_err(|_| self.damaged())?;
        replace(&self.path, &text).map_err(|source| self.io(source))
    }

    fn cipher(
        &self,
        passphrase: &SecretString,
        salt: &[u8],
        memory_kib: u32,
        passes: u32,
    ) -> Result<Aes256Gcm, Error> {
        let params =
            argon2::Params::new(memory_kib, passes, 1, Some(32)).map_err(|_| self.damaged())?;
        let mut key = [0_u8; 32];
        argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
            .hash_password_into(passphrase.expose_secret().as_bytes(), salt, &mut key)
            .map_err(|_| self.damaged())?;
        Aes256Gcm::new_from_slice(&key).map_err(|_| self.damaged())
    }

    fn damaged(&self) -> Error {
        Error::Damaged {
            path: self.path.clone(),
        }
    }

    fn io(&self, source: std::io::Error) -> Error {
        Error::Io {
            path: self.path.clone(),
            source,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a file of which there is always the old or the new one, for its owner alone.
fn replace(path: &Path, text: &[u8]) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let temporary = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(path: &Path, passphrase: &str) -> EncryptedFile {
        let file = EncryptedFile::new(path.to_owned());
        file.unlock(SecretString::from(passphrase));
        file
    }

    #[test]
    fn opens_with_its_passphrase_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secrets");
        let file = secrets(&path, "correct horse");
        file.set("local", "s3cret-key".into()).expect("kept");
        let again = secrets(&path, "correct horse");
        let found = again.get("local").expect("open").expect("there");
        assert_eq!(found.expose_secret(), "s3cret-key");
        let wrong = secrets(&path, "battery staple");
        assert!(matches!(
            wrong.get("local"),
            Err(Error::PassphraseWrong { .. })
        ));
        assert!(matches!(
            wrong.set("local", "x".into()),
            Err(Error::PassphraseWrong { .. })
        ));
        let shut = EncryptedFile::new(path.clone());
        assert!(matches!(shut.get("local"), Err(Error::PassphraseNeeded)));
        assert_eq!(shut.status().state, State::Locked);
        let bytes = std::fs::read(&path).expect("there");
        assert!(!bytes.windows(10).any(|window| window == b"s3cret-key"));
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_it() {
        use std::os::unix::fs::MetadataExt;
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secrets");
        secrets(&path, "p").set("a", "b".into()).expect("kept");
        assert_eq!(
            std::fs::metadata(&path).expect("there").mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn damage_is_told_from_a_wrong_passphrase() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secrets");
        std::fs::write(&path, "not what it was").expect("written");
        assert!(matches!(
            secrets(&path, "p").get("a"),
            Err(Error::Damaged { .. })
        ));
    }
}

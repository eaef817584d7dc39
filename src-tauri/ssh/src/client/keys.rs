//! Keys of people and of servers.

use std::fmt;
use std::io::Write as _;
use std::path::Path;

use russh::keys::ssh_key::{LineEnding, private::Ed25519Keypair};
use russh::keys::{self, HashAlg};

/// A key could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is not a key in a form that we read, or it needs a passphrase.
    #[error("the SSH key can't be read")]
    Malformed(#[source] keys::Error),
    /// The same, for a public key.
    #[error("the SSH public key can't be read")]
    MalformedPublic(#[source] keys::ssh_key::Error),
    /// It could not be written to a file.
    #[error("the SSH key can't be written")]
    Write(#[source] std::io::Error),
}

/// A person's private key. Its text never appears in `Debug`.
#[derive(Clone)]
pub struct PrivateKey(pub(super) keys::PrivateKey);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public().fingerprint())
    }
}

impl PrivateKey {
    /// Reads a key without passphrase, in OpenSSH's, PKCS#8 or PKCS#1 form.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn parse(pem: &str) -> Result<Self, KeyError> {
        keys::decode_secret_key(pem, None)
            .map(Self)
            .map_err(KeyError::Malformed)
    }

    /// Makes an Ed25519 key from 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(keys::PrivateKey::from(Ed25519Keypair::from_seed(seed)))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public_key().clone())
    }

    /// Writes the key as OpenSSH does, readable by its owner alone, in one step.
    ///
    /// # Errors
    /// [`KeyError::Write`].
    pub fn write(&self, path: &Path) -> Result<(), KeyError> {
        let text = self
            .0
            .to_openssh(LineEnding::LF)
            .map_err(|error| KeyError::Write(std::io::Error::other(error)))?;
        super::config::replace(path, text.as_bytes()).map_err(KeyError::Write)
    }
}

/// A public key: a server's, or the other half of a person's.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(pub(super) keys::PublicKey);

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

impl PublicKey {
    /// Reads `ssh-ed25519 AAAA…` with or without a comment.
    ///
    /// # Errors
    /// [`KeyError::MalformedPublic`].
    pub fn parse(line: &str) -> Result<Self, KeyError> {
        keys::PublicKey::from_openssh(line.trim())
            .map(Self)
            .map_err(KeyError::MalformedPublic)
    }

    /// Type and key as in `known_hosts` and `authorized_keys`, without comment.
    #[must_use]
    pub fn line(&self) -> String {
        let text = self.0.to_openssh().unwrap_or_default();
        text.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// `SHA256:…`, as `ssh` shows it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Same key, whatever the comments.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.key_data() == other.0.key_data()
    }
}

/// Writes `bytes` to an open file and pushes it to the disk.
pub(super) fn write_through(file: &mut std::fs::File, bytes: &[u8]) -> std::io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

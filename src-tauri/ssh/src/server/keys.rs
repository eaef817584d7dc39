//! Keys that the server makes and checks.

use std::fmt;

use russh::keys::{
    PrivateKey, PublicKey,
    ssh_key::{self, LineEnding, private::Ed25519Keypair},
};

/// A key could not be made or read.
#[derive(Debug, thiserror::Error)]
#[error("the SSH key can't be used")]
pub struct KeyError(#[from] ssh_key::Error);

/// The key by which a server proves itself.
#[derive(Clone)]
pub struct HostKey(PrivateKey);

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HostKey").field(&self.public_line()).finish()
    }
}

impl HostKey {
    /// Makes one from 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(PrivateKey::from(Ed25519Keypair::from_seed(seed)))
    }

    /// Type and key as in `known_hosts`, without comment.
    #[must_use]
    pub fn public_line(&self) -> String {
        self.0.public_key().to_openssh().unwrap_or_default()
    }

    pub(super) fn private(&self) -> &PrivateKey {
        &self.0
    }
}

/// A key by which a person logs in.
#[derive(Clone)]
pub struct LoginKey(PrivateKey);

impl fmt::Debug for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginKey(..)")
    }
}

impl LoginKey {
    /// Makes one from 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let mut key = PrivateKey::from(Ed25519Keypair::from_seed(seed));
        key.set_comment("work@session");
        Self(key)
    }

    /// The private key as OpenSSH writes it.
    ///
    /// # Errors
    /// When the key can't be encoded.
    pub fn to_openssh(&self) -> Result<String, KeyError> {
        Ok(self.0.to_openssh(LineEnding::LF)?.to_string())
    }

    /// Line for `authorized_keys`.
    ///
    /// # Errors
    /// When the key can't be encoded.
    pub fn public_line(&self) -> Result<String, KeyError> {
        Ok(self.0.public_key().to_openssh()?)
    }
}

/// Whether a key is among lines in the form of `authorized_keys`. Lines with options are skipped:
/// honouring the key while dropping its restriction would be worse than refusing it.
pub(super) fn is_authorized(lines: &str, key: &PublicKey) -> bool {
    lines
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| PublicKey::from_openssh(line).ok())
        .any(|known| known.key_data() == key.key_data())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_keys_without_options_may_log_in() {
        let key = LoginKey::from_seed(&[7; 32]);
        let line = key.public_line().unwrap();
        let public = key.0.public_key();
        assert!(is_authorized(&format!("# mine\n\n{line}\n"), public));
        assert!(!is_authorized(&format!("from=\"10.0.0.1\" {line}"), public));
        assert!(!is_authorized("ssh-ed25519 garbage", public));
        let other = LoginKey::from_seed(&[8; 32]);
        assert!(!is_authorized(&other.public_line().unwrap(), public));
    }
}

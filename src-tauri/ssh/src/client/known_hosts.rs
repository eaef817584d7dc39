//! Our own file of known hosts. The user's `~/.ssh/known_hosts` is never touched: session names
//! come and go, and would only fill it with stale lines.

use std::path::{Path, PathBuf};

use super::PublicKey;

/// The file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the file of known hosts {path} can't be used")]
pub struct KnownHostsError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// A file in OpenSSH's `known_hosts` form, one line for each session.
#[derive(Debug, Clone)]
pub struct KnownHosts {
    path: PathBuf,
}

impl KnownHosts {
    /// The file at `path`; it need not exist.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key that is known for `name`.
    ///
    /// # Errors
    /// When the file exists and can't be read.
    pub fn get(&self, name: &str) -> Result<Option<PublicKey>, KnownHostsError> {
        let text = self.text()?;
        Ok(text.lines().find_map(|line| {
            let (names, key) = line.split_once(' ')?;
            names
                .split(',')
                .any(|known| known == name)
                .then(|| PublicKey::parse(key).ok())?
        }))
    }

    /// Notes the key of `name`, in place of another that was known.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn set(&self, name: &str, key: &PublicKey) -> Result<(), KnownHostsError> {
        let mut text = self.without(name)?;
        text.push_str(&format!("{name} {}\n", key.line()));
        self.write(&text)
    }

    /// Forgets `name`.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn remove(&self, name: &str) -> Result<(), KnownHostsError> {
        let text = self.without(name)?;
        if text == self.text()? {
            Ok(())
        } else {
            self.write(&text)
        }
    }

    fn without(&self, name: &str) -> Result<String, KnownHostsError> {
        let mut rest = String::new();
        for line in self.text()?.lines() {
            let names = line.split(' ').next().unwrap_or_default();
            if !names.split(',').any(|known| known == name) {
                rest.push_str(line);
                rest.push('\n');
            }
        }
        Ok(rest)
    }

    fn text(&self) -> Result<String, KnownHostsError> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn write(&self, text: &str) -> Result<(), KnownHostsError> {
        super::config::replace(&self.path, text.as_bytes()).map_err(|error| self.failed(error))
    }

    fn failed(&self, source: std::io::Error) -> KnownHostsError {
        KnownHostsError {
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::PrivateKey;

    #[test]
    fn a_session_made_anew_replaces_its_old_key_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = KnownHosts::new(folder.path().join("known_hosts"));
        let [a, b, c] = [1, 2, 3].map(|seed| PrivateKey::from_seed(&[seed; 32]).public());
        hosts.set("one", &a).unwrap();
        hosts.set("two", &b).unwrap();
        hosts.set("one", &c).unwrap();
        assert!(hosts.get("one").unwrap().unwrap().is_same(&c));
        assert!(hosts.get("two").unwrap().unwrap().is_same(&b));
        hosts.remove("one").unwrap();
        assert!(hosts.get("one").unwrap().is_none());
        assert!(hosts.get("tw").unwrap().is_none(), "no prefix matches");
    }
}

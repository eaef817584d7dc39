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

#[cfg(test)]
mod in_a_folder {
    use proptest::prelude::*;

    use super::*;
    use crate::client::PrivateKey;

    proptest! {
        /// Whatever stands in the file, and whatever a manager says a host key is.
        #[test]
        fn a_key_comes_back_and_no_other_line_changes(
            before in "([a-z,]{0,6} ?(ssh-ed25519)? ?[A-Za-z0-9+/=]{0,20}\n){0,5}|\\PC{0,40}",
            name in "[a-z0-9-]{1,12}",
            seed in any::<[u8; 32]>(),
            comment in "\\PC{0,20}|[\\x00-\\x20]{0,6}[a-z]{0,4}",
        ) {
            let folder = tempfile::tempdir().unwrap();
            let hosts = KnownHosts::new(folder.path().join("known_hosts"));
            std::fs::write(hosts.path(), &before).unwrap();
            let _ = hosts.get(&name);
            let key = PrivateKey::from_seed(&seed).public();
            let Ok(told) = PublicKey::parse(&format!("{} {comment}", key.line())) else {
                return Ok(());
            };
            hosts.set(&name, &told).unwrap();
            prop_assert!(hosts.get(&name).unwrap().is_some_and(|known| known.is_same(&key)));
            let text = std::fs::read_to_string(hosts.path()).unwrap();
            let others = |text: &str| -> Vec<String> {
                let ours = |line: &&str| !line.split(' ').next().unwrap_or_default().split(',').any(|it| it == name);
                text.lines().filter(ours).map(str::to_owned).collect()
            };
            prop_assert_eq!(others(&text), others(&before));
            prop_assert_eq!(text.lines().count(), others(&before).len() + 1);
            hosts.remove(&name).unwrap();
            prop_assert!(hosts.get(&name).unwrap().is_none());
        }
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_line_is_a_key_or_refused(text in "(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp256)? ?[A-Za-z0-9+/]{0,80}={0,2}( \\PC{0,10})?") {
            if let Ok(key) = PublicKey::parse(&text) {
                let line = key.line();
                prop_assert!(!line.contains(['\n', '\r']) && line.split(' ').count() == 2);
                prop_assert!(PublicKey::parse(&line).unwrap().is_same(&key));
            }
            let _ = crate::client::PrivateKey::parse(&text);
        }
    }
}

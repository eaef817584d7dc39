//! `config.toml`: profiles and preferences. What the user wrote into it stays as it is.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml_edit::{DocumentMut, Item, Table, value};

use crate::{Error, Paths, private_dir};

/// The profile that is always there: this computer.
pub const LOCAL_PROFILE: &str = "local";

/// Where the secret key of a profile is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeychainKind {
    /// The operating system's keychain.
    #[default]
    System,
    /// An encrypted file.
    File,
    /// Nowhere: the process that logged in.
    Memory,
}

/// How a manager is logged in to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessMode {
    /// At the manager itself, with a keypair.
    #[default]
    Api,
    /// At its web server, which keeps the login.
    Session,
}

impl AccessMode {
    fn is_api(&self) -> bool {
        *self == Self::Api
    }
}

/// What the user says of a container engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerSocket {
    /// Use none.
    Off,
    /// It answers here.
    At(PathBuf),
}

/// One manager and one account on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Profile {
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Address of the manager; `None` for this computer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// How it is logged in to; decides what the keychain holds.
    #[serde(skip_serializing_if = "AccessMode::is_api")]
    pub mode: AccessMode,
    /// Where the secret is kept.
    pub keychain: KeychainKind,
    /// Who is logged in; `None` after `logout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
}

/// What is known of an account without asking the manager. No secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Public half of the keypair.
    pub access_key: String,
    /// E-mail address.
    pub email: String,
    /// User name.
    pub username: String,
    /// Role, as on the wire.
    pub role: String,
    /// Domain.
    pub domain: String,
    /// Project of new sessions.
    pub project: String,
    /// Tells this login from the one before it, so that programs that run notice that somebody has
    /// logged in again. Names nothing outside of this file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub login: String,
}

/// The file as it is now, and what is to be written back.
#[derive(Debug)]
pub struct Config {
    pub(super) path: PathBuf,
    pub(super) document: DocumentMut,
}

impl Config {
    /// Reads the file; a missing one is an empty one.
    ///
    /// # Errors
    /// [`Error::Syntax`] when it is not TOML, [`Error::Io`] when it can't be read.
    pub fn load(paths: &Paths) -> Result<Self, Error> {
        let path = paths.config_file();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(Error::Io { path, source }),
        };
        match text.parse() {
            Ok(document) => Ok(Self { path, document }),
            Err(source) => Err(Error::Syntax { path, source }),
        }
    }

    /// Reads the file, lets `change` change it and writes it back, while no other program of
    /// the product does the same.
    ///
    /// # Errors
    /// Those of `change`, or when the file can't be read or written.
    pub fn update<T, E: From<Error>>(
        paths: &Paths,
        change: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        private_dir(&paths.config_dir)?;
        let lock = paths.config_dir.join(".config.lock");
        let guard = File::create(&lock).map_err(Error::io(&lock))?;
        guard.lock().map_err(Error::io(&lock))?;
        let mut config = Self::load(paths)?;
        let before = config.document.to_string();
        let result = change(&mut config)?;
        if config.document.to_string() != before {
            config.save()?;
        }
        Ok(result)
    }

    fn save(&self) -> Result<(), Error> {
        let temporary = self.path.with_extension("toml.new");
        let mut file = create_private(&temporary).map_err(Error::io(&temporary))?;
        file.write_all(self.document.to_string().as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(Error::io(&temporary))?;
        std::fs::rename(&temporary, &self.path).map_err(Error::io(&self.path))
    }

    /// Name of the profile that was used last.
    #[must_use]
    pub fn current(&self) -> &str {
        self.document
            .get("profile")
            .and_then(Item::as_str)
            .unwrap_or(LOCAL_PROFILE)
    }

    /// Makes `name` the profile to use.
    pub fn set_current(&mut self, name: &str) {
        put(self.document.as_table_mut(), "profile", value(name));
    }

    /// Names of all profiles, this computer first.
    #[must_use]
    pub fn profile_names(&self) -> Vec<String> {
        let written = self.document.get("profiles").and_then(Item::as_table_like);
        let others = written
            .into_iter()
            .flat_map(|table| table.iter().map(|(name, _)| name));
        std::iter::once(LOCAL_PROFILE)
            .chain(others.filter(|name| *name != LOCAL_PROFILE))
            .map(str::to_owned)
            .collect()
    }

    /// The profile called `name`; this computer is there without being written.
    ///
    /// # Errors
    /// [`Error::Value`] when what is written can't be understood.
    pub fn profile(&self, name: &str) -> Result<Option<Profile>, Error> {
        let written = self
            .document
            .get("profiles")
            .and_then(|profiles| profiles.get(name));
        match written {
            Some(item) => self.read(&format!("profiles.{name}"), item).map(Some),
            None => Ok((name == LOCAL_PROFILE).then(Profile::default)),
        }
    }

    /// Writes a profile.
    ///
    /// # Errors
    /// [`Error::Value`] when it can't be written as TOML.
    pub fn set_profile(&mut self, name: &str, profile: &Profile) -> Result<(), Error> {
        let new = self.write(&format!("profiles.{name}"), profile)?;
        let profiles = self
            .document
            .entry("profiles")
            .or_insert_with(implicit_table);
        if let Some(profiles) = profiles.as_table_mut() {
            match profiles.get_mut(name).and_then(Item::as_table_mut) {
                Some(kept) => merge(kept, new),
                None => put(profiles, name, Item::Table(new)),
            }
        }
        Ok(())
    }

    /// Forgets a profile; this computer goes back to its first state.
    pub fn remove_profile(&mut self, name: &str) {
        if let Some(profiles) = self
            .document
            .get_mut("profiles")
            .and_then(Item::as_table_mut)
        {
            profiles.remove(name);
        }
        if self.current() == name {
            self.set_current(LOCAL_PROFILE);
        }
    }

    /// Whether tunnels are to come back when the user logs in to this computer, by
    /// `tunnels_at_login`. `None`: the user has not said, which is a no.
    ///
    /// # Errors
    /// [`Error::Value`] when it is neither `true` nor `false`.
    pub fn tunnels_at_login(&self) -> Result<Option<bool>, Error> {
        let Some(item) = self.document.get("tunnels_at_login") else {
            return Ok(None);
        };
        let wanted = item.as_bool().ok_or_else(|| Error::Value {
            path: self.path.clone(),
            table: "tunnels_at_login".to_owned(),
            reason: "it must be true or false".to_owned(),
        })?;
        Ok(Some(wanted))
    }

    /// Writes whether tunnels are to come back when the user logs in.
    pub fn set_tunnels_at_login(&mut self, wanted: bool) {
        put(
            self.document.as_table_mut(),
            "tunnels_at_login",
            value(wanted),
        );
    }

    /// The user's preferences, kept in one table.
    ///
    /// # Errors
    /// [`Error::Value`] when what is written can't be understood.
    pub fn preferences<T: DeserializeOwned + Default>(&self) -> Result<T, Error> {
        match self.document.get("preferences") {
            Some(item) => self.read("preferences", item),
            None => Ok(T::default()),
        }
    }

    /// Writes the user's preferences.
    ///
    /// # Errors
    /// [`Error::Value`] when they can't be written as TOML.
    pub fn set_preferences<T: Serialize>(&mut self, preferences: &T) -> Result<(), Error> {
        let new = self.write("preferences", preferences)?;
        let kept = self
            .document
            .entry("preferences")
            .or_insert_with(|| Item::Table(Table::new()));
        if let Some(kept) = kept.as_table_mut() {
            merge(kept, new);
        }
        Ok(())
    }

    fn read<T: DeserializeOwned>(&self, table: &str, item: &Item) -> Result<T, Error> {
        let bad = |reason: String| Error::Value {
            path: self.path.clone(),
            table: table.to_owned(),
            reason,
        };
        let table = item
            .clone()
            .into_table()
            .map_err(|_| bad("not a table".to_owned()))?;
        toml_edit::de::from_document(DocumentMut::from(table))
            .map_err(|error| bad(error.message().to_owned()))
    }

    fn write<T: Serialize>(&self, table: &str, value: &T) -> Result<Table, Error> {
        match toml_edit::ser::to_document(value) {
            Ok(document) => Ok(document.into_table()),
            Err(error) => Err(Error::Value {
                path: self.path.clone(),
                table: table.to_owned(),
                reason: error.to_string(),
            }),
        }
    }
}

/// The table that only groups others and has no line of its own.
fn implicit_table() -> Item {
    let mut table = Table::new();
    table.set_implicit(true);
    Item::Table(table)
}

/// Puts `item` where it belongs and keeps the comments around the key.
fn put(table: &mut Table, key: &str, mut item: Item) {
    if let (Some(old), Some(new)) = (table.get(key).and_then(Item::as_value), item.as_value_mut()) {
        *new.decor_mut() = old.decor().clone();
    }
    match table.get_mut(key) {
        Some(kept) => *kept = item,
        None => {
            table.insert(key, item);
        }
    }
}

/// Makes `kept` say what `new` says: keys that are the same keep their place and comments.
fn merge(kept: &mut Table, new: Table) {
    let gone: Vec<String> = kept
        .iter()
        .map(|(key, _)| key.to_owned())
        .filter(|key| !new.contains_key(key))
        .collect();
    for key in gone {
        kept.remove(&key);
    }
    for (key, item) in new {
        let item = match item.into_table() {
            Ok(table) => match kept.get_mut(&key).and_then(Item::as_table_mut) {
                Some(inner) => {
                    merge(inner, table);
                    continue;
                }
                None => Item::Table(table),
            },
            Err(item) => item,
        };
        put(kept, &key, item);
    }
}

#[cfg(unix)]
fn create_private(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> std::io::Result<File> {
    File::create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    struct Preferences {
        language: String,
        check_updates: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        editor: Option<String>,
    }

    fn home() -> (tempfile::TempDir, Paths) {
        let home = tempfile::tempdir().expect("a directory");
        let paths = Paths::under(home.path());
        (home, paths)
    }

    #[test]
    fn what_the_user_wrote_stays() {
        let (_home, paths) = home();
        std::fs::create_dir_all(&paths.config_dir).expect("made");
        let written = "# mine\nprofile = \"local\" # the usual one\n\n[preferences]\n\
                       # speak Korean\nlanguage = \"ko\"\neditor = \"vi\" # of course\n";
        std::fs::write(paths.config_file(), written).expect("written");
        Config::update(&paths, |config| {
            config.set_current("work");
            let mut preferences: Preferences = config.preferences()?;
            assert_eq!(preferences.language, "ko");
            preferences.check_updates = true;
            preferences.editor = None;
            config.set_preferences(&preferences)
        })
        .expect("updated");
        let after = std::fs::read_to_string(paths.config_file()).expect("there");
        for line in [
            "# mine",
            "profile = \"work\" # the usual one",
            "# speak Korean",
        ] {
            assert!(after.contains(line), "{line} is gone from:\n{after}");
        }
        assert!(after.contains("check_updates = true") && !after.contains("editor"));
    }

    #[test]
    fn profiles_come_back_as_they_were() {
        let (_home, paths) = home();
        let profile = Profile {
            endpoint: Some("https://manager.example.com".into()),
            keychain: KeychainKind::File,
            account: Some(Account {
                login: "3f1c".into(),
                access_key: "AKIA".into(),
                email: "a@b.c".into(),
                username: "a".into(),
                role: "user".into(),
                domain: "default".into(),
                project: "default".into(),
            }),
            ..Profile::default()
        };
        Config::update(&paths, |config| {
            config.set_profile("work", &profile)?;
            config.set_current("work");
            Ok::<_, Error>(())
        })
        .expect("written");
        let config = Config::load(&paths).expect("read");
        assert_eq!(config.current(), "work");
        assert_eq!(config.profile_names(), ["local", "work"]);
        assert_eq!(config.profile("work").expect("good"), Some(profile));
        Config::update(&paths, |config| {
            config.remove_profile("work");
            Ok::<_, Error>(())
        })
        .expect("removed");
        let config = Config::load(&paths).expect("read");
        assert_eq!(
            (config.current(), config.profile("work").expect("good")),
            ("local", None)
        );
    }

    #[test]
    fn nonsense_is_named_with_its_table() {
        let (_home, paths) = home();
        std::fs::create_dir_all(&paths.config_dir).expect("made");
        std::fs::write(
            paths.config_file(),
            "[profiles.work]\nkeychain = \"paper\"\n",
        )
        .expect("written");
        let config = Config::load(&paths).expect("TOML");
        let error = config.profile("work").expect_err("no such keychain");
        assert!(error.to_string().contains("profiles.work"), "{error}");
    }
}

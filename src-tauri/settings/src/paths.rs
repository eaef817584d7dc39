//! The directories of the product.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use sha2::{Digest, Sha256};

use crate::Error;

/// What `sun_path` holds on Linux is 108 bytes; on macOS 104. The longest name below it is that of
/// a session's control socket: `/k/<32 hex>.sock`.
const LONGEST_RUNTIME_DIR: usize = 103 - 40;

/// Where things are kept. Making a `Paths` makes no directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `config.toml`.
    pub config_dir: PathBuf,
    /// Database, logs and SSH files of the desktop side.
    pub state_dir: PathBuf,
    /// Everything of the engine: database, folders, images, session homes, logs.
    pub engine_dir: PathBuf,
    /// Sockets; short enough for `sun_path`.
    pub runtime_dir: PathBuf,
    /// What the desktop starts when the user logs in (XDG); shared with all other programs.
    pub autostart_dir: PathBuf,
    /// The directory that holds everything, where it is not the usual ones.
    pub home: Option<PathBuf>,
}

impl Paths {
    /// The paths of this user, or those below `GANGWAY_HOME`.
    ///
    /// # Errors
    /// [`Error::NoHome`] when the system knows no home directory.
    pub fn from_env() -> Result<Self, Error> {
        if let Some(home) = std::env::var_os("GANGWAY_HOME").filter(|home| !home.is_empty()) {
            let home = std::path::absolute(&home).map_err(Error::io(&home))?;
            let mut paths = Self::under(&home);
            // The desktop knows nothing of ours: it looks where it always does.
            if let Ok(base) = etcetera::choose_base_strategy() {
                paths.autostart_dir = base.config_dir().join("autostart");
            }
            return Ok(paths);
        }
        let base = etcetera::choose_base_strategy().map_err(|_| Error::NoHome)?;
        let data = base.data_dir().join("gangway");
        let state = base
            .state_dir()
            .map_or_else(|| data.join("state"), |dir| dir.join("gangway"));
        let runtime = base
            .runtime_dir()
            .map_or_else(|| data.join("run"), |dir| dir.join("gangway"));
        Ok(Self {
            config_dir: base.config_dir().join("gangway"),
            state_dir: state,
            engine_dir: data.join("engine"),
            runtime_dir: short(runtime),
            autostart_dir: base.config_dir().join("autostart"),
            home: None,
        })
    }

    /// The paths below one directory, which has to be absolute.
    #[must_use]
    pub fn under(home: &Path) -> Self {
        Self {
            config_dir: home.join("config"),
            state_dir: home.join("state"),
            engine_dir: home.join("data").join("engine"),
            runtime_dir: short(home.join("run")),
            autostart_dir: home.join("autostart"),
            home: Some(home.to_owned()),
        }
    }

    /// What the user has chosen.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.config_dir.join("config.toml")
    }

    /// The encrypted file for secrets, where the user chose one.
    #[must_use]
    pub fn secrets_file(&self) -> PathBuf {
        self.config_dir.join("secrets.age")
    }

    /// The desktop side's database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.state_dir.join("gangway.db")
    }

    /// Logs of the desktop side.
    #[must_use]
    pub fn logs_dir(&self) -> PathBuf {
        self.state_dir.join("logs")
    }

    /// Keys, known hosts and configuration for the system's `ssh`.
    #[must_use]
    pub fn ssh_dir(&self) -> PathBuf {
        self.state_dir.join("ssh")
    }

    /// Locked by the engine as long as it lives.
    #[must_use]
    pub fn engine_lock(&self) -> PathBuf {
        self.engine_dir.join("engine.lock")
    }

    /// Written by the engine when it listens.
    #[must_use]
    pub fn engine_json(&self) -> PathBuf {
        self.engine_dir.join("engine.json")
    }

    /// The engine's owner-only socket.
    #[must_use]
    pub fn engine_socket(&self) -> PathBuf {
        self.runtime_dir.join("engine.sock")
    }

    /// The proxy host's owner-only socket.
    #[must_use]
    pub fn proxy_socket(&self) -> PathBuf {
        self.runtime_dir.join("proxy.sock")
    }

    /// Starts the proxy host when the user logs in. Each home has its own.
    #[must_use]
    pub fn autostart_entry(&self) -> PathBuf {
        self.autostart_dir.join(match &self.home {
            None => "gangway-tunnels.desktop".to_owned(),
            Some(home) => format!("gangway-tunnels-{}.desktop", digest(home)),
        })
    }

    /// Locked by whoever changes [`Paths::autostart_entry`].
    #[must_use]
    pub fn autostart_lock(&self) -> PathBuf {
        self.state_dir.join("autostart.lock")
    }

    /// Locked by the proxy host as long as it lives.
    #[must_use]
    pub fn proxy_lock(&self) -> PathBuf {
        self.state_dir.join("proxy.lock")
    }
}

/// The same directory, or a short one in its place when a socket would not fit into it. The
/// number is a hash of the long path, so that every program finds the same one.
fn short(dir: PathBuf) -> PathBuf {
    if dir.as_os_str().len() <= LONGEST_RUNTIME_DIR {
        return dir;
    }
    std::env::temp_dir().join(format!("gangway-{}-{}", user_id(), digest(&dir)))
}

/// A short name for a long path, the same in every program.
fn digest(path: &Path) -> String {
    let hash = Sha256::digest(path.as_os_str().as_encoded_bytes());
    hex::encode(&hash[..6])
}

#[cfg(unix)]
fn user_id() -> u32 {
    nix::unistd::getuid().as_raw()
}

#[cfg(not(unix))]
fn user_id() -> u32 {
    0
}

/// Makes `path` and what is above it, for this user alone.
///
/// # Errors
/// [`Error::NotPrivate`] when it is there and other users may enter it or own it: somebody may
/// have put it there first (a directory below `/tmp`).
pub fn private_dir(path: &Path) -> Result<(), Error> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(Error::io(path))?;
        let found = std::fs::symlink_metadata(path).map_err(Error::io(path))?;
        if !found.is_dir() || found.uid() != user_id() {
            return Err(Error::NotPrivate {
                path: path.to_owned(),
            });
        }
        if found.mode() & 0o077 != 0 {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
                .map_err(Error::io(path))?;
        }
        Ok(())
    }
    #[cfg(not(unix))]
    std::fs::create_dir_all(path).map_err(Error::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_directory_holds_everything() {
        let paths = Paths::under(Path::new("/x"));
        assert_eq!(paths.config_file(), Path::new("/x/config/config.toml"));
        assert_eq!(paths.engine_json(), Path::new("/x/data/engine/engine.json"));
        assert_eq!(paths.engine_socket(), Path::new("/x/run/engine.sock"));
    }

    #[test]
    fn sockets_fit_below_any_home() {
        let long = PathBuf::from(format!("/{}", "deep/".repeat(30)));
        let (one, two) = (Paths::under(&long), Paths::under(&long.join("other")));
        assert!(one.engine_socket().as_os_str().len() < 104);
        assert_eq!(one.runtime_dir, Paths::under(&long).runtime_dir);
        assert_ne!(one.runtime_dir, two.runtime_dir);
    }

    #[cfg(unix)]
    #[test]
    fn a_runtime_directory_is_shut_to_others() {
        use std::os::unix::fs::{MetadataExt, symlink};
        let home = tempfile::tempdir().expect("a directory");
        let dir = home.path().join("run");
        std::fs::create_dir(&dir).expect("made");
        private_dir(&dir).expect("ours");
        assert_eq!(
            std::fs::metadata(&dir).expect("there").mode() & 0o777,
            0o700
        );
        let link = home.path().join("link");
        symlink(&dir, &link).expect("linked");
        assert!(matches!(private_dir(&link), Err(Error::NotPrivate { .. })));
    }
}

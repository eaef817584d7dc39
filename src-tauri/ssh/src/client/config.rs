//! Makes the system's own `ssh` (and everything built on it: scp, rsync, editors) find sessions by
//! name: one `Include` line in the user's file, leading to a file of ours.
//!
//! The user's file is theirs: it is changed in one place, by one marked block at the top, atomically,
//! with a dated copy made first, and given back byte for byte on removal.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

mod sessions;

pub use sessions::Part;

const BEGIN: &str =
    "# >>> gangway: sessions by name (managed, removed by `gangway ssh-config remove`)";
const END: &str = "# <<< gangway";

/// One `Host` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The patterns after `Host`, as in `train.gangway` or `*.gangway`.
    pub host: String,
    /// The login name.
    pub user: String,
    /// The words of the command whose standard input and output are the connection. `%n` stands
    /// for the name that the user gave, `%%` for a percent sign.
    pub proxy_command: Vec<String>,
    /// The private key, when it lies in a file.
    pub identity_file: Option<PathBuf>,
    /// Where the server's key is known.
    pub known_hosts_file: PathBuf,
    /// The name in that file; the host itself when absent.
    pub host_key_alias: Option<String>,
}

/// How things stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The user's file leads to ours, and ours exists.
    Installed,
    /// Nothing of ours is in the user's file.
    Absent,
    /// The user's file leads elsewhere or to a file that is gone: install again.
    Stale,
}

/// The configuration could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be read or written.
    #[error("can't change {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A value can't be written in an ssh_config file (line breaks, quotes).
    #[error("{0:?} can't stand in an ssh_config file")]
    Value(String),
}

/// The two files.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    user: PathBuf,
    include: PathBuf,
}

impl ConfigFile {
    /// `user` is `~/.ssh/config`, `include` the file that is wholly ours.
    #[must_use]
    pub fn new(user: impl Into<PathBuf>, include: impl Into<PathBuf>) -> Self {
        Self {
            user: user.into(),
            include: include.into(),
        }
    }

    /// The file that is wholly ours.
    #[must_use]
    pub fn include_path(&self) -> &Path {
        &self.include
    }

    /// How things stand.
    ///
    /// # Errors
    /// When the user's file exists and can't be read.
    pub fn status(&self) -> Result<Status, ConfigError> {
        let text = self.user_text()?;
        Ok(match split(&text) {
            None => Status::Absent,
            Some((block, _)) if block == self.block()? && self.include.exists() => {
                Status::Installed
            }
            Some(_) => Status::Stale,
        })
    }

    /// Writes our file with the sessions of a profile, and puts the `Include` line into the user's
    /// file when it is not there. Doing it twice changes nothing.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn install(&self, part: Part<'_>) -> Result<(), ConfigError> {
        self.write_include(part)?;
        let text = self.user_text()?;
        let rest = split(&text).map_or(&text[..], |(_, rest)| rest);
        let wanted = [self.block()?.as_bytes(), rest].concat();
        if wanted == text {
            return Ok(());
        }
        self.back_up(&text)?;
        self.write_user(&wanted)
    }

    /// Takes our block out of the user's file, which is then what it was, and removes our file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn remove(&self) -> Result<(), ConfigError> {
        let text = self.user_text()?;
        if let Some((_, rest)) = split(&text) {
            self.back_up(&text)?;
            // A file that held nothing but our block was made by us.
            if rest.is_empty() {
                let path = self.real_user_path();
                fs::remove_file(&path).map_err(failed(&path))?;
            } else {
                self.write_user(rest)?;
            }
        }
        match fs::remove_file(&self.include) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed(&self.include)(error))
            }
            _ => Ok(()),
        }
    }

    fn block(&self) -> Result<String, ConfigError> {
        let path = quoted(&self.include.to_string_lossy())?;
        Ok(format!("{BEGIN}\nInclude {path}\n{END}\n"))
    }

    fn user_text(&self) -> Result<Vec<u8>, ConfigError> {
        match fs::read(&self.user) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(failed(&self.user)(error)),
        }
    }

    /// People keep this file in a repository and link to it: the link stays.
    fn real_user_path(&self) -> PathBuf {
        fs::canonicalize(&self.user).unwrap_or_else(|_| self.user.clone())
    }

    fn write_user(&self, text: &[u8]) -> Result<(), ConfigError> {
        let path = self.real_user_path();
        replace_users(&path, text).map_err(failed(&path))
    }

    fn back_up(&self, text: &[u8]) -> Result<(), ConfigError> {
        if text.is_empty() {
            return Ok(());
        }
        let date = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
        let mut name = self.user.file_name().unwrap_or_default().to_owned();
        name.push(format!(".gangway-backup-{date}"));
        let copy = self.user.with_file_name(name);
        replace(&copy, text).map_err(failed(&copy))
    }
}

impl Entry {
    /// The block as it stands in the file.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn text(&self) -> Result<String, ConfigError> {
        self.check()?;
        let mut text = String::new();
        let command: Result<Vec<String>, ConfigError> = self
            .proxy_command
            .iter()
            .map(|word| shell_quoted(word))
            .collect();
        let _ = writeln!(text, "Host {}", self.host);
        let _ = writeln!(text, "    User {}", self.user);
        let _ = writeln!(text, "    ProxyCommand {}", command?.join(" "));
        if let Some(identity) = &self.identity_file {
            let _ = writeln!(
                text,
                "    IdentityFile {}",
                quoted(&identity.to_string_lossy())?
            );
            let _ = writeln!(text, "    IdentitiesOnly yes");
        }
        let hosts = quoted(&self.known_hosts_file.to_string_lossy())?;
        let _ = writeln!(text, "    UserKnownHostsFile {hosts}");
        if let Some(alias) = &self.host_key_alias {
            let _ = writeln!(text, "    HostKeyAlias {alias}");
        }
        let _ = writeln!(text, "    StrictHostKeyChecking yes");
        let _ = writeln!(text, "    ServerAliveInterval 30");
        Ok(text)
    }

    /// Whether names that a manager has told can stand in a file and in a command: none may be an
    /// option of `ssh`, more than one word, or a pattern for everything.
    ///
    /// # Errors
    /// [`ConfigError::Value`] with the one that can't.
    pub fn check(&self) -> Result<(), ConfigError> {
        let bad = |c: char| c.is_control() || c.is_whitespace() || "\"'#!,\\`$;&|<>".contains(c);
        let names = [&self.host, &self.user].into_iter();
        for name in names.chain(&self.host_key_alias) {
            if name.is_empty() || name.starts_with('-') || name.contains(bad) {
                return Err(ConfigError::Value(name.clone()));
            }
        }
        let pattern = |c: char| matches!(c, '*' | '?' | '.' | '[' | ']');
        match self.host.chars().all(pattern) || self.user.contains('@') {
            true => Err(ConfigError::Value(self.host.clone())),
            false => Ok(()),
        }
    }
}

/// Our block and what follows it. The block stands at the very top: below a `Host` line of the
/// user's it would apply to that host alone.
fn split(text: &[u8]) -> Option<(&str, &[u8])> {
    let after = text.strip_prefix(BEGIN.as_bytes())?;
    let end = format!("\n{END}\n");
    let at = after
        .windows(end.len())
        .position(|window| window == end.as_bytes())?;
    let length = BEGIN.len() + at + end.len();
    let block = std::str::from_utf8(&text[..length]).ok()?;
    Some((block, &text[length..]))
}

/// ssh_config(5): arguments with spaces stand in double quotes; there is no escape for a quote.
/// `%` starts a token in paths.
fn quoted(value: &str) -> Result<String, ConfigError> {
    if value.is_empty() || value.contains(|c: char| c.is_control() || c == '"') {
        return Err(ConfigError::Value(value.to_owned()));
    }
    Ok(format!("\"{}\"", value.replace('%', "%%")))
}

/// ProxyCommand is run by the user's shell: single quotes hold everything but themselves.
fn shell_quoted(word: &str) -> Result<String, ConfigError> {
    if word.contains(|c: char| c.is_control()) {
        return Err(ConfigError::Value(word.to_owned()));
    }
    let safe = |c: char| c.is_ascii_alphanumeric() || "%_-./:=@+,".contains(c);
    if !word.is_empty() && word.chars().all(safe) {
        return Ok(word.to_owned());
    }
    Ok(format!("'{}'", word.replace('\'', "'\\''")))
}

/// Writes a file in one step, readable by its owner alone. The folder is made when it is missing.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    place(path, bytes, None)
}

/// The same for a file of the user's own, which keeps its rights.
fn replace_users(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let before = fs::metadata(path).ok();
    place(path, bytes, before.map(|before| before.permissions()))
}

fn place(path: &Path, bytes: &[u8], rights: Option<fs::Permissions>) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    make_private_folder(folder)?;
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    name.push(format!(".gangway-new-{}", std::process::id()));
    let new = folder.join(name);
    let written =
        create_private(&new).and_then(|mut file| super::keys::write_through(&mut file, bytes));
    let kept = written.and_then(|()| match rights {
        Some(rights) => fs::set_permissions(&new, rights),
        None => Ok(()),
    });
    let placed = kept.and_then(|()| fs::rename(&new, path));
    if placed.is_err() {
        let _ = fs::remove_file(&new);
    }
    placed
}

#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    // A leftover of a crash may have other rights.
    let _ = fs::remove_file(path);
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<fs::File> {
    fs::File::create(path)
}

#[cfg(unix)]
fn make_private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

#[cfg(not(unix))]
fn make_private_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> ConfigError + '_ {
    move |source| ConfigError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod in_a_folder;
#[cfg(test)]
mod tests {
    use super::*;

    fn part(entries: &[Entry]) -> Part<'_> {
        Part {
            profile: "local",
            entries,
            profiles: &[],
        }
    }

    fn entry() -> Entry {
        Entry {
            host: "*.gangway".to_owned(),
            user: "work".to_owned(),
            proxy_command: vec![
                "/opt/my apps/gangway".into(),
                "ssh-proxy".into(),
                "%n".into(),
            ],
            identity_file: Some("/home/a b/key".into()),
            known_hosts_file: "/home/a b/known_hosts".into(),
            host_key_alias: None,
        }
    }

    #[test]
    fn removal_gives_the_users_file_back_byte_for_byte() {
        for text in [
            &b"Host x\n  User y\n"[..],
            b"# no line end",
            b"\xff\xfe not utf-8\r\nHost *\r\n",
            b"\n\n",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let user = folder.path().join(".ssh/config");
            fs::create_dir(folder.path().join(".ssh")).unwrap();
            fs::write(&user, text).unwrap();
            let file = ConfigFile::new(&user, folder.path().join("state/ssh_config"));
            assert_eq!(file.status().unwrap(), Status::Absent);
            file.install(part(&[entry()])).unwrap();
            assert_eq!(file.status().unwrap(), Status::Installed);
            let once = fs::read(&user).unwrap();
            file.install(part(&[entry()])).unwrap();
            assert_eq!(
                fs::read(&user).unwrap(),
                once,
                "a second install changes nothing"
            );
            let copies = fs::read_dir(user.parent().unwrap())
                .unwrap()
                .flatten()
                .filter(|entry| {
                    entry
                        .file_name()
                        .to_string_lossy()
                        .contains("gangway-backup")
                })
                .map(|entry| fs::read(entry.path()).unwrap())
                .collect::<Vec<_>>();
            assert_eq!(copies, [text.to_vec()], "one dated copy of what was there");
            file.remove().unwrap();
            assert_eq!(fs::read(&user).unwrap(), text);
            assert!(!file.include_path().exists());
        }
    }

    #[test]
    fn a_file_that_was_not_there_is_not_there_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let user = folder.path().join(".ssh/config");
        let file = ConfigFile::new(&user, folder.path().join("ssh_config"));
        file.install(part(&[entry()])).unwrap();
        file.remove().unwrap();
        assert!(!user.exists());
        file.remove().unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_rights_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("dotfiles-config");
        fs::write(&real, "Host x\n").unwrap();
        let user = folder.path().join("config");
        std::os::unix::fs::symlink(&real, &user).unwrap();
        let file = ConfigFile::new(&user, folder.path().join("ssh_config"));
        file.install(part(&[entry()])).unwrap();
        assert!(fs::symlink_metadata(&user).unwrap().is_symlink());
        assert!(fs::read_to_string(&real).unwrap().ends_with("Host x\n"));
        let mode = fs::metadata(file.include_path())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn openssh_reads_what_we_write() {
        let folder = tempfile::tempdir().unwrap();
        let user = folder.path().join("config");
        fs::write(&user, "Host other\n    User somebody\n").unwrap();
        let file = ConfigFile::new(&user, folder.path().join("in clude"));
        file.install(part(&[entry()])).unwrap();
        let shown = |host: &str| {
            let output = std::process::Command::new("ssh")
                .args(["-G", "-F"])
                .arg(&user)
                .arg(host)
                .output()
                .expect("ssh runs");
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8(output.stdout).unwrap()
        };
        let ours = shown("train.gangway");
        assert!(
            ours.contains("\nproxycommand '/opt/my apps/gangway' ssh-proxy %n\n"),
            "{ours}"
        );
        assert!(ours.contains("\nuser work\n"), "{ours}");
        assert!(ours.contains("\nidentityfile /home/a b/key\n"), "{ours}");
        assert!(
            shown("other").contains("\nuser somebody\n"),
            "the user's own blocks still apply"
        );
    }

    #[test]
    fn values_that_would_add_lines_are_refused() {
        let mut bad = entry();
        bad.host = "x\nProxyCommand evil".to_owned();
        assert!(bad.text().is_err());
        let mut bad = entry();
        bad.proxy_command.push("a\nb".to_owned());
        assert!(bad.text().is_err());
    }
}

//! What lies in a new home before anyone works in it.

use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Component, Path, PathBuf},
};

use protocol::{
    runner::launch::{HOME, RunnerPlan, USER},
    service_port::SSHD_PORT,
};
use ssh::server::{KeyError, LoginKey};

const PROFILE: &str = r#"# Made for this session. Keeps the session's PATH, which /etc/profile may have replaced.
[ -n "$GANGWAY_PATH" ] && PATH="$GANGWAY_PATH" && export PATH
[ -n "$BASH_VERSION" ] && [ -f ~/.bashrc ] && . ~/.bashrc
"#;

const RC: &str = r#"# Made for this session.
case $- in *i*) ;; *) return ;; esac
HISTCONTROL=ignoreboth
HISTSIZE=10000
shopt -s histappend checkwinsize 2>/dev/null
PS1='\[\e[32m\]\u@${BACKENDAI_SESSION_NAME:-\h}\[\e[0m\]:\[\e[34m\]\w\[\e[0m\]\$ '
alias ls='ls --color=auto'
alias grep='grep --color=auto'
alias ll='ls -l'
"#;

/// The key with which the kernels of a session log in at each other, relative to the home.
const CLUSTER_KEY: &str = ".ssh/id_cluster";

/// What `ssh` has to know to use it.
const CLUSTER_SSH: &str = ".ssh/cluster";

/// The home could not be prepared.
#[derive(Debug, thiserror::Error)]
pub(super) enum HomeError {
    #[error("the home can't be written: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the file {0:?} would lie outside the home")]
    Outside(String),
}

/// Files that were put into the home, with size and time of change: unchanged ones are not the
/// user's work.
#[derive(Debug, Default)]
pub(super) struct Seeded(HashMap<PathBuf, (u64, i64)>);

impl Seeded {
    /// Whether a file is as it was put there.
    pub(super) fn is_untouched(&self, path: &Path, metadata: &fs::Metadata) -> bool {
        self.0.get(path) == Some(&(metadata.len(), metadata.mtime_nsec() ^ metadata.mtime()))
    }
}

/// Puts keys, dotfiles and shell start files into the home; what is there already stays.
pub(super) fn prepare(plan: &RunnerPlan, login: &LoginKey) -> Result<Seeded, HomeError> {
    let mut seeder = Seeder::default();
    let mut keys = login.public_line()?;
    let cluster = plan
        .cluster
        .as_ref()
        .map(|cluster| (cluster, LoginKey::from_seed(&cluster.key)));
    let others = cluster.as_ref().map(|(_, key)| key.public_line());
    for key in plan.authorized_keys.iter().chain(&others.transpose()?) {
        keys.push('\n');
        keys.push_str(key.trim());
    }
    keys.push('\n');
    seeder.directory(Path::new(".ssh"), 0o700)?;
    for file in &plan.dotfiles {
        let path = inside(&file.path).ok_or_else(|| HomeError::Outside(file.path.clone()))?;
        if let Some(parent) = path.parent() {
            seeder.directory(parent, 0o755)?;
        }
        seeder.file(&path, &file.data, file.mode & 0o777)?;
    }
    // With a folder mounted over it that has keys already, those decide, and ours are added.
    seeder.add_lines(Path::new(".ssh/authorized_keys"), &keys)?;
    seeder.file(Path::new("id_container"), &login.to_openssh()?, 0o600)?;
    if let Some((cluster, key)) = &cluster {
        seeder.file(Path::new(CLUSTER_KEY), &key.to_openssh()?, 0o600)?;
        seeder.file(Path::new(CLUSTER_SSH), &ssh_config(&cluster.hosts), 0o600)?;
        // Behind whatever the user's own file ends with.
        let include = format!("Match all\nInclude ~/{CLUSTER_SSH}\n");
        seeder.add_lines(Path::new(".ssh/config"), &include)?;
    }
    seeder.file(Path::new(".bash_profile"), PROFILE, 0o644)?;
    seeder.file(Path::new(".profile"), PROFILE, 0o644)?;
    seeder.file(Path::new(".bashrc"), RC, 0o644)?;
    Ok(seeder.0)
}

/// Lets the kernels of a session log in at each other without being asked anything. Their host keys
/// are made anew for each session, and the network between them is theirs alone.
fn ssh_config(hosts: &[String]) -> String {
    format!(
        "Host {}\n  User {USER}\n  Port {SSHD_PORT}\n  IdentityFile ~/{CLUSTER_KEY}\n  \
         StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n",
        hosts.join(" ")
    )
}

/// A path from outside, relative to the home; none when it would leave it.
pub(super) fn inside(path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let path = path.strip_prefix(HOME).unwrap_or(path);
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(clean)
}

#[derive(Default)]
struct Seeder(Seeded);

impl Seeder {
    fn directory(&self, path: &Path, mode: u32) -> io::Result<()> {
        let path = Path::new(HOME).join(path);
        if path.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
    }

    fn file(&mut self, path: &Path, text: &str, mode: u32) -> io::Result<()> {
        let full = Path::new(HOME).join(path);
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&full);
        match opened {
            Ok(mut file) => {
                file.write_all(text.as_bytes())?;
                self.remember(full)
            }
            // Also when a read-only folder is mounted there: it has what it has.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::AlreadyExists | io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn add_lines(&mut self, path: &Path, lines: &str) -> io::Result<()> {
        let full = Path::new(HOME).join(path);
        let present = fs::read_to_string(&full).unwrap_or_default();
        let missing: String = lines
            .lines()
            .filter(|line| !present.lines().any(|known| known == *line))
            .flat_map(|line| [line, "\n"])
            .collect();
        let opened = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&full);
        match opened {
            Ok(mut file) => {
                if !present.is_empty() && !present.ends_with('\n') {
                    file.write_all(b"\n")?;
                }
                file.write_all(missing.as_bytes())?;
                self.remember(full)
            }
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn remember(&mut self, full: PathBuf) -> io::Result<()> {
        let metadata = fs::metadata(&full)?;
        self.0.0.insert(
            full,
            (metadata.len(), metadata.mtime_nsec() ^ metadata.mtime()),
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_home() {
        assert_eq!(inside("a/./b"), Some(PathBuf::from("a/b")));
        assert_eq!(inside("/home/work/a"), Some(PathBuf::from("a")));
        assert_eq!(inside(""), Some(PathBuf::new()));
        assert_eq!(inside("../etc/passwd"), None);
        assert_eq!(inside("a/../../b"), None);
        assert_eq!(inside("/etc/passwd"), None);
    }
}

//! The file that is wholly ours: the sessions of all profiles, each under names of its own.
//!
//! One profile is brought up to date at a time, and only that one is known then: the blocks of the
//! others stay as they were written, until their turn comes or their profile is gone. Their names
//! are given out anew each time. Whoever comes first in the list of profiles has the plain name of
//! a session; in other profiles a session is called `session.profile` as well, and that alone when
//! its plain name is taken.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::io;

use super::{ConfigError, ConfigFile, Entry, failed, replace};

const HEAD: &str = "\
# Written by Gangway. Changes made here are lost.
# A session of another manager is also called session.profile, and only that when its name is
# taken by a session of this computer or of a manager further up.
";
const MARK: &str = "# session ";
const PROFILE: &str = ", profile ";

/// The sessions of one profile.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The profile. A name with line breaks can't stand in the file.
    pub profile: &'a str,
    /// Its sessions, by their plain names.
    pub entries: &'a [Entry],
    /// All profiles that there are; the first one's sessions have plain names alone.
    pub profiles: &'a [String],
}

/// A block of the file.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    session: String,
    profile: String,
    /// What follows the `Host` line.
    body: String,
}

impl ConfigFile {
    /// Writes our file alone, for sessions of a profile that came or went. What is written of
    /// other profiles stays as long as there are such profiles.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn write_include(&self, part: Part<'_>) -> Result<(), ConfigError> {
        let mut blocks = Vec::new();
        for entry in part.entries {
            blocks.push(Block::new(entry, part.profile)?);
        }
        // Two processes that read and then write must not do so crosswise.
        let lock = self.lock().map_err(failed(&self.include))?;
        let others = blocks_of(&self.include_text()?);
        let stays =
            |block: &Block| block.profile != part.profile && part.profiles.contains(&block.profile);
        blocks.extend(others.into_iter().filter(stays));
        let rank = |profile: &String| part.profiles.iter().position(|other| other == profile);
        blocks.sort_by_key(|block| rank(&block.profile).unwrap_or(usize::MAX));
        let text = text_of(&blocks, part.profiles.first().map(String::as_str));
        replace(&self.include, text.as_bytes()).map_err(failed(&self.include))?;
        drop(lock);
        Ok(())
    }

    /// What `ssh` knows the session of a host key as: the first of its names.
    ///
    /// # Errors
    /// When our file exists and can't be read.
    pub fn name_of(&self, host_key_alias: &str) -> Result<Option<String>, ConfigError> {
        let text = self.include_text()?;
        let wanted = format!("    HostKeyAlias {host_key_alias}");
        let mut name = None;
        for line in text.lines() {
            if let Some(names) = line.strip_prefix("Host ") {
                name = names.split(' ').next();
            } else if line == wanted {
                return Ok(name.map(str::to_owned));
            }
        }
        Ok(None)
    }

    fn include_text(&self) -> Result<String, ConfigError> {
        match fs::read_to_string(&self.include) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            // Not ours any more; written anew.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(String::new()),
            Err(error) => Err(failed(&self.include)(error)),
        }
    }

    fn lock(&self) -> io::Result<fs::File> {
        let folder = self.include.parent().ok_or(io::ErrorKind::InvalidInput)?;
        super::make_private_folder(folder)?;
        let file = fs::File::create(self.include.with_extension("lock"))?;
        file.lock()?;
        Ok(file)
    }
}

impl Block {
    fn new(entry: &Entry, profile: &str) -> Result<Self, ConfigError> {
        if profile.contains(char::is_control) {
            return Err(ConfigError::Value(profile.to_owned()));
        }
        let text = entry.text()?;
        let body = text.split_once('\n').map_or("", |(_, body)| body);
        Ok(Self {
            session: entry.host.clone(),
            profile: profile.to_owned(),
            body: body.to_owned(),
        })
    }

    /// The name that no other profile has.
    fn long_name(&self) -> String {
        let kept = |c: char| match c.is_alphanumeric() || "_-.".contains(c) {
            true => c,
            false => '-',
        };
        let profile: String = self.profile.chars().map(kept).collect();
        format!("{}.{profile}", self.session)
    }

    /// The name that no other session has.
    fn id(&self) -> Option<&str> {
        let mut lines = self.body.lines();
        lines.find_map(|line| line.strip_prefix("    HostKeyAlias "))
    }
}

/// What is written of all profiles. Earlier versions wrote no profiles: what they wrote is found
/// again when its profile has its turn.
fn blocks_of(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for line in text.lines() {
        if let Some(named) = line.strip_prefix(MARK) {
            let (session, profile) = named.split_once(PROFILE).unwrap_or((named, ""));
            blocks.push(Block {
                session: session.to_owned(),
                profile: profile.to_owned(),
                body: String::new(),
            });
        } else if let Some(block) = blocks.last_mut()
            && line.starts_with(' ')
        {
            block.body.push_str(line);
            block.body.push('\n');
        }
    }
    blocks
}

fn text_of(blocks: &[Block], first: Option<&str>) -> String {
    let mut taken = HashSet::new();
    let mut names: Vec<Vec<&str>> = blocks
        .iter()
        .map(|block| {
            let is_free = taken.insert(block.session.clone());
            Vec::from_iter(is_free.then_some(block.session.as_str()))
        })
        .collect();
    let long: Vec<String> = blocks.iter().map(Block::long_name).collect();
    for ((block, long), names) in blocks.iter().zip(&long).zip(&mut names) {
        let is_first = first == Some(&block.profile) && !names.is_empty();
        if !is_first && taken.insert(long.clone()) {
            names.push(long);
        }
        if names.is_empty() {
            names.extend(block.id());
        }
    }
    let mut text = String::from(HEAD);
    for (block, names) in blocks.iter().zip(names) {
        let Block {
            session,
            profile,
            body,
        } = block;
        if !names.is_empty() {
            let names = names.join(" ");
            let _ = write!(
                text,
                "\n{MARK}{session}{PROFILE}{profile}\nHost {names}\n{body}"
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(host: &str, id: &str) -> Entry {
        Entry {
            host: host.to_owned(),
            user: "work".to_owned(),
            proxy_command: vec!["gangway".to_owned(), "ssh-proxy".to_owned(), id.to_owned()],
            identity_file: None,
            known_hosts_file: "/known".into(),
            host_key_alias: Some(id.to_owned()),
        }
    }

    #[test]
    fn each_profile_keeps_its_sessions_and_every_session_has_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = ConfigFile::new(
            folder.path().join("user"),
            folder.path().join("ours/config"),
        );
        let all = ["local", "lab", "the cloud"].map(str::to_owned);
        let write = |profile: &str, entries: &[Entry], profiles: &[String]| {
            file.write_include(Part {
                profile,
                entries,
                profiles,
            })
            .unwrap();
        };
        let hosts = || -> Vec<String> {
            let text = fs::read_to_string(file.include_path()).unwrap();
            let hosts = text.lines().filter_map(|line| line.strip_prefix("Host "));
            hosts.map(str::to_owned).collect()
        };
        write("the cloud", &[entry("train", "3")], &all);
        assert_eq!(hosts(), ["train train.the-cloud"]);
        write("lab", &[entry("train", "2"), entry("only", "4")], &all);
        let both = ["train train.lab", "only only.lab", "train.the-cloud"];
        assert_eq!(hosts(), both);
        write(
            "local",
            &[entry("train", "1"), entry("train.lab", "5")],
            &all,
        );
        let three = [
            "train",
            "train.lab",
            "2",
            "only only.lab",
            "train.the-cloud",
        ];
        assert_eq!(hosts(), three);
        assert_eq!(
            file.name_of("3").unwrap().as_deref(),
            Some("train.the-cloud")
        );
        assert_eq!(file.name_of("2").unwrap().as_deref(), Some("2"));
        assert_eq!(file.name_of("9").unwrap(), None);
        // The session of this computer ends: its name is free.
        write("local", &[], &all);
        assert_eq!(hosts(), both);
        let text = fs::read_to_string(file.include_path()).unwrap();
        assert_eq!(
            text.matches("ProxyCommand gangway ssh-proxy 3\n").count(),
            1
        );
        // A profile is removed.
        write("local", &[], &all[..2]);
        assert_eq!(hosts(), both[..2]);
    }
}

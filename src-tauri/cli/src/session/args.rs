//! What `gangway session` is told, and how people write it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use commands::types::{Mount, SessionStatus};

use crate::output::parse_size;

#[derive(Debug, Subcommand)]
pub(crate) enum SessionVerb {
    /// Launch one and wait until it can be used
    Launch(Box<LaunchArgs>),
    /// List them
    Ls {
        /// Also those that have ended
        #[arg(long, short)]
        all: bool,
        /// Only those in this status
        #[arg(long, value_name = "STATUS", value_parser = status)]
        status: Vec<SessionStatus>,
    },
    /// Show one
    Show {
        /// Name or id of the session, or a start of one
        session: String,
    },
    /// Show its log
    Logs {
        /// Name or id of the session, or a start of one
        session: String,
        /// Go on with what is added to it
        #[arg(long, short)]
        follow: bool,
        /// Id of one of its kernels; the main one when absent
        #[arg(long, value_name = "ID", conflicts_with = "follow")]
        kernel: Option<uuid::Uuid>,
    },
    /// Start it again: its processes end, its home stays
    Restart {
        /// Name or id of the session, or a start of one
        session: String,
    },
    /// Interrupt what `exec` runs in it, as Ctrl-C does
    Interrupt {
        /// Name or id of the session, or a start of one
        session: String,
    },
    /// Give it another name
    Rename {
        /// Name or id of the session, or a start of one
        session: String,
        /// The new name
        name: String,
    },
    /// End it
    Rm {
        /// Name or id of the session, or a start of one
        #[arg(required = true)]
        sessions: Vec<String>,
        /// Do not wait for it to end in order
        #[arg(long)]
        force: bool,
        /// Return as soon as the manager has taken note
        #[arg(long)]
        no_wait: bool,
    },
    /// Copy what would be lost with it into a data folder; also after its end, while it is kept
    Save {
        /// Name or id of the session, or a start of one
        session: String,
        /// Data folder, and the directory in it when that is not to have the session's name
        #[arg(value_name = "FOLDER[:PATH]", value_parser = into_folder)]
        into: IntoFolder,
    },
    /// Run a command in it; ends with the command's exit status
    Exec {
        /// Name or id of the session, or a start of one
        session: String,
        /// The command
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Save it as an image; mounted folders and the home are not part of it
    Commit {
        /// Name or id of the session, or a start of one
        session: String,
        /// What to call the image
        name: String,
    },
    /// Show what it uses
    Stats {
        /// Name or id of the session, or a start of one
        session: String,
        /// Go on every two seconds
        #[arg(long, short)]
        follow: bool,
    },
    /// Wait until it has a status
    Wait {
        /// Name or id of the session, or a start of one
        session: String,
        /// The status
        #[arg(long = "for", value_name = "STATUS", value_parser = status)]
        status: SessionStatus,
        /// At most this long (`90s`, `10m`)
        #[arg(long, value_name = "DURATION", value_parser = seconds)]
        timeout: Option<u64>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct LaunchArgs {
    /// 4 to 64 characters; made up when absent
    pub(super) name: Option<String>,
    /// Environment; see `gangway image ls`
    #[arg(long, value_name = "REF")]
    pub(super) image: Option<String>,
    /// CPU cores
    #[arg(long, value_name = "N")]
    pub(super) cpu: Option<f64>,
    /// Memory (`4g`, `512m`)
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(super) mem: Option<u64>,
    /// Shared memory, part of the memory
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(super) shmem: Option<u64>,
    /// GPUs
    #[arg(long, value_name = "N")]
    pub(super) gpu: Option<f64>,
    /// Any other resource
    #[arg(long, value_name = "SLOT=AMOUNT", value_parser = assignment)]
    pub(super) resource: Vec<(String, String)>,
    /// Data folder to mount
    #[arg(long, value_name = "FOLDER[:PATH][:ro]", value_parser = mount)]
    pub(super) mount: Vec<Mount>,
    /// Environment variable
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub(super) env: Vec<(String, String)>,
    /// Python environment of this computer that the session may read
    #[arg(long, value_name = "PATH")]
    pub(super) environment: Vec<PathBuf>,
    /// Port to make reachable beyond those of the image
    #[arg(long, value_name = "PORT")]
    pub(super) preopen_port: Vec<u16>,
    /// Resource group
    #[arg(long, value_name = "NAME")]
    pub(super) resource_group: Option<String>,
    /// Project
    #[arg(long, value_name = "NAME")]
    pub(super) project: Option<String>,
    /// Containers
    #[arg(long, value_name = "N")]
    pub(super) cluster_size: Option<u32>,
    /// E-mail address of the owner, when you launch it for somebody else
    #[arg(long, value_name = "EMAIL")]
    pub(super) owner: Option<String>,
    /// Session that must succeed before this one begins
    #[arg(long, value_name = "SESSION")]
    pub(super) depends_on: Vec<String>,
    /// 0 to 100, higher goes first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=100))]
    pub(super) priority: Option<i32>,
    /// Address that is called when the status changes
    #[arg(long, value_name = "URL")]
    pub(super) callback_url: Option<String>,
    /// Launch so many, with a number at the end of their names
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(super) count: u32,
    /// Run this command and end
    #[arg(long, value_name = "COMMAND")]
    pub(super) batch: Option<String>,
    /// Not before this time (ISO 8601) or delay (`2h`); batch only
    #[arg(long, value_name = "TIME", requires = "batch")]
    pub(super) starts_at: Option<String>,
    /// End the command after this long; batch only
    #[arg(long, value_name = "DURATION", requires = "batch")]
    pub(super) timeout: Option<String>,
    /// Script that runs first
    #[arg(long, value_name = "FILE")]
    pub(super) bootstrap: Option<PathBuf>,
    /// Return as soon as the manager has taken note
    #[arg(long)]
    pub(super) no_wait: bool,
    /// Wait until the command has ended; ends with its exit status; batch only
    #[arg(long, requires = "batch", conflicts_with = "no_wait")]
    pub(super) wait_result: bool,
    /// Wait at most this long (`90s`, `10m`)
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    pub(super) wait_timeout: Option<u64>,
}

fn status(text: &str) -> Result<SessionStatus, String> {
    serde_json::from_value(text.to_ascii_uppercase().replace('-', "_").into())
        .map_err(|_| format!("\"{text}\" is not a status of a session"))
}

pub(crate) fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("write NAME=VALUE instead of \"{text}\""))?;
    if name.is_empty() {
        return Err(format!("\"{text}\" has no name before ="));
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn mount(text: &str) -> Result<Mount, String> {
    let (text, read_only) = match text.strip_suffix(":ro") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let (folder, path) = match text.split_once(':') {
        Some((folder, path)) => (folder, Some(path.to_owned())),
        None => (text, None),
    };
    if folder.is_empty() || path.as_deref() == Some("") {
        return Err(format!("write FOLDER[:PATH][:ro] instead of \"{text}\""));
    }
    Ok(Mount {
        folder: folder.to_owned(),
        path,
        read_only,
    })
}

/// Where `session save` copies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IntoFolder {
    pub(crate) folder: String,
    pub(crate) path: Option<String>,
}

fn into_folder(text: &str) -> Result<IntoFolder, String> {
    let (folder, path) = match text.split_once(':') {
        Some((folder, path)) => (folder, Some(path.to_owned())),
        None => (text, None),
    };
    if folder.is_empty() || path.as_deref() == Some("") {
        return Err(format!("write FOLDER[:PATH] instead of \"{text}\""));
    }
    Ok(IntoFolder {
        folder: folder.to_owned(),
        path,
    })
}

fn seconds(text: &str) -> Result<u64, String> {
    let (number, factor) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        Some((at, 'd')) => (&text[..at], 86400),
        _ => (text, 1),
    };
    let wrong = || format!("\"{text}\" is not a duration such as 90s, 10m or 2h");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_as_people_write_them() {
        let read = mount("data:/home/work/d:ro").expect("well formed");
        assert_eq!(
            (read.folder.as_str(), read.path.as_deref(), read.read_only),
            ("data", Some("/home/work/d"), true)
        );
        assert!(!mount("data").expect("well formed").read_only);
        assert!(mount(":ro").is_err() && mount("a:").is_err());
    }

    #[test]
    fn places_to_save_to_as_people_write_them() {
        let read = into_folder("data:a/b").expect("well formed");
        assert_eq!(
            (read.folder.as_str(), read.path.as_deref()),
            ("data", Some("a/b"))
        );
        assert_eq!(into_folder("data").expect("well formed").path, None);
        assert!(into_folder(":a").is_err() && into_folder("data:").is_err());
    }

    #[test]
    fn durations_as_people_write_them() {
        assert_eq!(seconds("90"), Ok(90));
        assert_eq!(seconds("2h"), Ok(7200));
        assert!(seconds("soon").is_err());
    }

    #[test]
    fn statuses_in_any_case() {
        assert_eq!(status("running"), Ok(SessionStatus::Running));
        assert_eq!(
            status("running-degraded"),
            Ok(SessionStatus::RunningDegraded)
        );
        assert!(status("asleep").is_err());
    }
}

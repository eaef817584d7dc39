//! What is kept on disk about a kernel, so that a later engine finds it again.
//!
//! ```text
//! <data>/kernels/<id>/kernel.json   this record
//!                     home/ tmp/    the session's own, owned by its host user
//!                     etc/          files shown over the session's /etc
//!                     log.0 log.1   its log, taking turns
//!                     area/         what it changed of its image
//!                     exit.json     how it ended
//!                     began         when it first took work, and the seeds of its keys
//!                     launch.log    complaints of launcher and runner
//! <run>/<id>.sock                   control socket
//! ```

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use protocol::runner::Notice;
use serde::{Deserialize, Serialize};

use crate::{
    Exit, KernelId, Limits,
    cgroup::Group,
    cluster::Subnet,
    process::{self, ProcessName},
};

/// Contents of `kernel.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// Of the computer's run in which it was started.
    pub(super) boot_id: String,
    pub(super) limits: Limits,
    /// UUIDs of its GPUs.
    #[serde(default)]
    pub(super) gpus: Vec<String>,
    pub(super) group: Group,
    /// Outermost process; absent until it runs.
    pub(super) supervisor: Option<ProcessName>,
    /// A process in its namespaces.
    #[serde(default)]
    pub(super) sandbox: Option<ProcessName>,
    /// The network between the kernels of its session.
    #[serde(default)]
    pub(super) cluster: Option<Subnet>,
    /// Its network's process.
    pub(super) pasta: Option<ProcessName>,
    /// Known since the start.
    pub(super) notices: Vec<Notice>,
    /// Directories of its image.
    #[serde(default)]
    pub(super) layers: Vec<PathBuf>,
}

/// Paths of one kernel.
#[derive(Clone, Debug)]
pub(super) struct Dir {
    pub(super) kernel: KernelId,
    pub(super) root: PathBuf,
    pub(super) socket: PathBuf,
}

impl Dir {
    pub(super) fn new(kernels: &Path, run_dir: &Path, kernel: KernelId) -> Self {
        Self {
            kernel,
            root: kernels.join(kernel.to_string()),
            socket: run_dir.join(format!("{}.sock", kernel.simple())),
        }
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(super) fn logs(&self) -> [PathBuf; 2] {
        [self.at("log.0"), self.at("log.1")]
    }

    pub(super) fn read(&self) -> Option<Record> {
        serde_json::from_slice(&fs::read(self.at("kernel.json")).ok()?).ok()
    }

    pub(super) fn write(&self, record: &Record) -> io::Result<()> {
        let next = self.at("kernel.json.next");
        fs::write(&next, serde_json::to_vec(record)?)?;
        fs::set_permissions(&next, fs::Permissions::from_mode(0o600))?;
        fs::rename(next, self.at("kernel.json"))
    }

    /// Forgets how the kernel ended, and what the next start makes anew.
    pub(super) fn forget_end(&self) -> io::Result<()> {
        let results = [
            fs::remove_file(self.at("exit.json")),
            fs::remove_file(&self.socket),
            fs::remove_dir_all(self.at("etc")),
            removal::remove(&self.at("root")),
        ];
        for result in results {
            match result {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// How an ended kernel ended.
    pub(super) fn exit(&self) -> Exit {
        let boot = self.read().map(|record| record.boot_id);
        process::exit(&self.at("exit.json"), boot.as_deref())
    }

    /// The last words of launcher and runner, for an error message.
    pub(super) fn last_words(&self) -> String {
        let text = fs::read_to_string(self.at("launch.log")).unwrap_or_default();
        let lines: Vec<&str> = text
            .lines()
            .rev()
            .filter(|line| !line.trim().is_empty())
            .take(3)
            .collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("; ")
    }
}

//! What is kept on disk about a container, so that a later engine finds it again.
//!
//! ```text
//! <data>/containers/<id>/container.json   this record
//!                        home/ tmp/       the session's own
//!                        etc/             files shown over the image's /etc
//!                        log.0 log.1      its log, taking turns
//!                        exit.json        how it ended
//!                        began            when it first took work, and the seeds of its keys
//! <run>/<id>.sock                         control socket
//! <run>/<id>.d/s                          the door, until it is told what to be
//! ```

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    Exit, KernelId, Limits,
    cgroup::Group,
    cluster::Subnet,
    process::{self, ProcessName},
};

/// Contents of `container.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// Of the computer's run in which it was started.
    pub(super) boot_id: String,
    pub(super) limits: Limits,
    /// UUIDs of its GPUs.
    #[serde(default)]
    pub(super) gpus: Vec<String>,
    /// Name of the container.
    pub(super) container: String,
    /// Name of the network between the kernels of its session.
    pub(super) network: Option<String>,
    pub(super) subnet: Option<Subnet>,
    /// First process of the container, seen from the host; absent until it runs.
    pub(super) process: Option<ProcessName>,
    /// Where the computer counts what it uses.
    pub(super) group: Group,
}

/// Paths of one kernel.
#[derive(Clone, Debug)]
pub(super) struct Dir {
    pub(super) root: PathBuf,
    pub(super) socket: PathBuf,
    /// Holds the door.
    pub(super) porch: PathBuf,
}

impl Dir {
    pub(super) fn new(kernels: &Path, run_dir: &Path, kernel: KernelId) -> Self {
        Self {
            root: kernels.join(kernel.to_string()),
            socket: run_dir.join(format!("{}.sock", kernel.simple())),
            porch: run_dir.join(format!("{}.d", kernel.simple())),
        }
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(super) fn logs(&self) -> [PathBuf; 2] {
        [self.at("log.0"), self.at("log.1")]
    }

    pub(super) fn read(&self) -> Option<Record> {
        serde_json::from_slice(&fs::read(self.at("container.json")).ok()?).ok()
    }

    pub(super) fn write(&self, record: &Record) -> io::Result<()> {
        let next = self.at("container.json.next");
        fs::write(&next, serde_json::to_vec(record)?)?;
        fs::set_permissions(&next, fs::Permissions::from_mode(0o600))?;
        fs::rename(next, self.at("container.json"))
    }

    pub(super) fn exit(&self) -> Exit {
        let boot = self.read().map(|record| record.boot_id);
        process::exit(&self.at("exit.json"), boot.as_deref())
    }

    /// Makes room for another start in the home that is there.
    pub(super) fn forget_end(&self) -> io::Result<()> {
        for outcome in [
            fs::remove_file(self.at("exit.json")),
            fs::remove_file(&self.socket),
            fs::remove_dir_all(&self.porch),
            fs::remove_dir_all(self.at("etc")),
        ] {
            match outcome {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes all of it.
    pub(super) fn remove(&self) -> io::Result<()> {
        for outcome in [
            fs::remove_file(&self.socket),
            fs::remove_dir_all(&self.porch),
            removal::remove(&self.root),
        ] {
            match outcome {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

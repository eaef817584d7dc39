//! Makes kernels exist: the [`Runtime`] trait and one module for each kind of runtime.
//!
//! It hides how a kernel is isolated, limited and found again: bubblewrap, pasta, cgroups, user ids,
//! the control channel to the runner, where logs lie. The engine sees a [`Kernel`] that it can ask
//! for a connected socket, a service, a file, and how it ended.

mod began;
mod cgroup;
mod cluster;
pub mod container;
mod control;
mod error;
mod etc;
pub mod gpu;
mod home;
mod identity;
pub mod ids;
pub mod image;
mod kernel;
mod logs;
mod metrics;
mod mounts;
mod oom;
mod plan;
mod process;
mod runtimes;
pub mod sandbox;
mod save;
mod spec;
mod trees;

use std::{os::fd::OwnedFd, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

pub use cluster::Cluster;
pub use container::{ContainerCommit, ContainerImage, ContainerImages};
pub use error::RuntimeError;
pub use gpu::Gpu;
pub use logs::LogFollower;
pub use protocol::runner::{
    AppPhase, AppState, ArgumentValue, Execute, ExecuteCode, Fault, FaultKind, FileEntry, FileKind,
    Metric, Notice, NoticeCode, OpenMode, Output, ServiceAnswer, ServiceOptions, SshInfo,
    StartProgress, Status, Unsaved, UnsavedFile,
};
pub use runtimes::Runtimes;
pub use spec::{Batch, Dotfile, ImageRoot, KernelId, KernelSpec, Limits, Mount};
pub use trees::Trees;

/// A place where kernels can run.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// The machines that it offers, with what they have. The sandbox has one: this computer.
    async fn nodes(&self) -> Result<Vec<Node>, RuntimeError>;

    /// The GPUs of this computer that sessions can have; none without a driver.
    fn gpus(&self) -> Vec<Gpu> {
        Vec::new()
    }

    /// What this runtime can't do on this computer (no network, advisory limits), found at start.
    fn notices(&self) -> Vec<Notice>;

    /// The host user that owns what sessions write, when it is not the engine's own: data folders
    /// must be given to it, or sessions can't write into them.
    fn owner(&self) -> Option<Owner>;

    /// Who owns the unpacked images that sessions are shown.
    fn trees(&self) -> Trees {
        self.owner().into()
    }

    /// Starts a kernel on the machine that the order names; returns when its runner takes work.
    /// Nothing is left behind on failure.
    async fn start(&self, spec: KernelSpec) -> Result<Arc<dyn Kernel>, RuntimeError>;

    /// Starts an ended kernel again, in the home that it left. What was running in it is gone. On
    /// failure the home stays.
    async fn restart(&self, spec: KernelSpec) -> Result<Arc<dyn Kernel>, RuntimeError> {
        Err(RuntimeError::Invalid(format!(
            "kernel {} runs where nothing can be started again",
            spec.kernel_id
        )))
    }

    /// The home that an ended kernel left; `None` when nothing is left of it.
    async fn home(&self, id: KernelId) -> Result<Option<Arc<dyn Home>>, RuntimeError> {
        let _ = id;
        Ok(None)
    }

    /// Finds a kernel that was started by an earlier process of the engine; `None` when it no
    /// longer runs (its log may still be there: [`Runtime::logs`], [`Runtime::exit`]).
    async fn adopt(&self, id: KernelId) -> Result<Option<Arc<dyn Kernel>>, RuntimeError>;

    /// How a kernel that no longer runs ended, as far as anything recorded it.
    async fn exit(&self, id: KernelId) -> Result<Option<Exit>, RuntimeError>;

    /// Log of a kernel, also after its end; the last `tail` bytes at most.
    async fn logs(&self, id: KernelId, tail: usize) -> Result<String, RuntimeError>;

    /// Follows the log of a kernel from its last `tail` bytes on, over restarts and to its end;
    /// `None` when there is no log yet, or none any more.
    async fn follow_log(
        &self,
        id: KernelId,
        tail: u64,
    ) -> Result<Option<LogFollower>, RuntimeError>;

    /// Removes what is left of an ended kernel: home, log, sockets. No error when nothing is.
    async fn remove(&self, id: KernelId) -> Result<(), RuntimeError>;

    /// Ends and removes every kernel that the engine does not know. Ended kernels that it knows are
    /// kept, so that their homes can still be saved.
    async fn sweep(&self, known: &[KernelId]) -> Result<Swept, RuntimeError>;

    /// The images of the container engine, where there is one: they need no unpacking.
    fn container_images(&self) -> Option<ContainerImages> {
        None
    }
}

/// A running kernel. Dropping the handle leaves the kernel alone.
#[async_trait]
pub trait Kernel: Send + Sync {
    /// Which one it is.
    fn id(&self) -> KernelId;

    /// Connects to a TCP port inside. The socket is the session's own, already connected: bytes
    /// pass through nobody else. [`FaultKind::Refused`] when nothing listens there.
    async fn connect(&self, port: u16) -> Result<TcpStream, RuntimeError>;

    /// Starts an app and waits until its port answers, for as long as the options say.
    async fn start_service(
        &self,
        name: &str,
        options: ServiceOptions,
    ) -> Result<ServiceAnswer, RuntimeError>;

    /// How far an app is that is being started, or was to no avail; nothing for one that runs, was
    /// never started, or in a session whose runner is too old to tell.
    async fn start_progress(&self, name: &str) -> Result<Option<StartProgress>, RuntimeError>;

    /// Ends an app, also one that is being started.
    async fn shutdown_service(&self, name: &str) -> Result<(), RuntimeError>;

    /// All apps with their states.
    async fn apps(&self) -> Result<Vec<AppState>, RuntimeError>;

    /// Host key and login name of the SSH server (service `sshd`).
    async fn ssh_info(&self) -> Result<SshInfo, RuntimeError>;

    /// Runs a command; the stream ends with [`Output::Finished`]. Dropping it kills the command.
    async fn execute(
        &self,
        execute: Execute,
    ) -> Result<BoxStream<'static, Result<Output, RuntimeError>>, RuntimeError>;

    /// Sends SIGINT to a run of [`Kernel::execute`], or to all of them.
    async fn interrupt(&self, run_id: Option<&str>) -> Result<(), RuntimeError>;

    /// The last `tail` bytes of the log.
    async fn logs(&self, tail: usize) -> Result<String, RuntimeError>;

    /// Metrics by name, in the form of the manager API's kernel `live_stat`.
    async fn stats(&self) -> Result<std::collections::BTreeMap<String, Metric>, RuntimeError>;

    /// What its owner should know, oldest first.
    async fn notices(&self) -> Result<Vec<Notice>, RuntimeError>;

    /// Lists a directory; paths are relative to `/home/work` and can't leave it.
    async fn list_files(&self, path: &str) -> Result<Vec<FileEntry>, RuntimeError>;

    /// Opens a regular file inside the home, with the session's own rights.
    async fn open_file(&self, path: &str, mode: OpenMode) -> Result<tokio::fs::File, RuntimeError>;

    /// Makes a directory with its parents.
    async fn make_directory(&self, path: &str) -> Result<(), RuntimeError>;

    /// Renames within the home.
    async fn rename_file(&self, from: &str, to: &str) -> Result<(), RuntimeError>;

    /// Removes a file or a whole directory.
    async fn remove_file(&self, path: &str) -> Result<(), RuntimeError>;

    /// Files of the home that are lost when the session ends; at most `limit` are counted.
    async fn unsaved(&self, limit: usize) -> Result<Unsaved, RuntimeError>;

    /// Copies the unsaved files into an open directory of the host, given to [`Runtime::owner`].
    async fn save_unsaved(&self, directory: OwnedFd) -> Result<Saved, RuntimeError>;

    /// Where what the session changed of its image's files lies.
    fn changes(&self) -> Changes {
        Changes::None
    }

    /// Installs an app, streaming what the installer prints.
    async fn install(
        &self,
        app: &str,
    ) -> Result<BoxStream<'static, Result<InstallEvent, RuntimeError>>, RuntimeError>;

    /// Waits until it has ended, for whatever reason. May be called by many at once.
    async fn wait(&self) -> Exit;

    /// Ends it: processes get SIGTERM and `grace`, then all are killed. Returns when it is gone.
    async fn terminate(&self, grace: Duration) -> Result<Exit, RuntimeError>;
}

/// Where what a session changed of its image's files lies, from which an image can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// It can't change them.
    None,
    /// In a directory, the upper one of an overlay ([`image::ImageStore::commit`]).
    Directory(PathBuf),
    /// In a container of this name ([`ContainerImages::commit`]).
    Container(String),
}

/// What an ended kernel left of its home: to be read and saved, not changed.
#[async_trait]
pub trait Home: Send + Sync {
    /// Lists a directory; paths are relative to `/home/work` and can't leave it.
    async fn list_files(&self, path: &str) -> Result<Vec<FileEntry>, RuntimeError>;

    /// Opens a regular file to read it. No link is followed.
    async fn open_file(&self, path: &str) -> Result<tokio::fs::File, RuntimeError>;

    /// Files that go with the home; at most `limit` are counted.
    async fn unsaved(&self, limit: usize) -> Result<Unsaved, RuntimeError>;

    /// Copies them into a directory of the host, given to [`Runtime::owner`].
    async fn save_unsaved(&self, directory: OwnedFd) -> Result<Saved, RuntimeError>;
}

/// What became of kernels that the engine does not know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// They are gone.
    pub ended: Vec<KernelId>,
    /// They could not be ended or removed now: another try is due.
    pub left: Vec<KernelId>,
}

impl Swept {
    pub(crate) fn note(&mut self, id: KernelId, outcome: Result<(), RuntimeError>) {
        match outcome {
            Ok(()) => self.ended.push(id),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(kernel = %id, error, "nobody knows it, and it stays for now");
                self.left.push(id);
            }
        }
    }
}

/// A machine that a runtime offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Host name.
    pub name: String,
    /// `x86_64`, `aarch64`.
    pub architecture: String,
    /// Cores.
    pub cpu: u32,
    /// Memory in bytes.
    pub mem: u64,
    /// How often cores and memory are given out.
    pub overcommit: Overcommit,
    /// Other resources by slot name (`cuda.device`), none without such devices.
    pub accelerators: std::collections::BTreeMap<String, f64>,
    /// Metrics of the machine as a whole, in the form of the agent's `live_stat.node`.
    pub live: std::collections::BTreeMap<String, Metric>,
}

/// How many times the same core, or the same byte of memory, may be promised to sessions: sessions
/// that mostly wait for their users leave a machine idle otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overcommit {
    /// Of cores; 1 is one session for each core.
    pub cpu: u32,
    /// Of memory; more than 1 risks sessions being killed for memory.
    pub mem: u32,
}

impl Default for Overcommit {
    fn default() -> Self {
        Self { cpu: 1, mem: 1 }
    }
}

/// A user and group of the host, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// How a kernel ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "kebab-case")]
pub enum Exit {
    /// The engine ended it.
    Terminated,
    /// Its batch job ended with this code (128 + n for signal n).
    BatchFinished {
        /// 0 is success.
        exit_code: i32,
    },
    /// Its batch job took longer than it may.
    BatchTimeout,
    /// The session ended by itself or was killed, other than by the engine.
    Lost {
        /// In words, as far as known.
        reason: String,
    },
    /// The computer was restarted.
    HostRestarted,
}

/// What [`Kernel::save_unsaved`] copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// How many files.
    pub files: u64,
    /// Their size together.
    pub bytes: u64,
}

/// Progress of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallEvent {
    /// A line that the installer printed.
    Line(String),
    /// Last one: its exit code.
    Done(i32),
}

//! What a kernel is to be: the order that the engine gives to a runtime.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use protocol::service_port::ServicePort;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Cluster, image::Dropped};

/// Names a kernel: the engine's primary key of it.
pub type KernelId = Uuid;

/// All that a runtime needs to know to make a kernel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KernelSpec {
    /// This kernel.
    pub kernel_id: KernelId,
    /// The session that it belongs to.
    pub session_id: Uuid,
    /// The session's name, for people.
    pub session_name: String,
    /// On which of the runtime's machines ([`crate::Node::name`]); on any when absent. The kernels
    /// of one session may be on several.
    #[serde(default)]
    pub node: Option<String>,
    /// Host name inside: `main1`, `sub1`, …
    pub hostname: String,
    /// What its root file system is made of.
    pub image: ImageRoot,
    /// Limits.
    pub limits: Limits,
    /// UUIDs of the GPUs that it may use, and no other kernel.
    #[serde(default)]
    pub gpus: Vec<String>,
    /// Environment that the user and the engine ask for (`BACKENDAI_*` included). The runner
    /// adds `HOME`, `PATH`, `LANG` and the like.
    pub environ: BTreeMap<String, String>,
    /// Folders to show inside.
    pub mounts: Vec<Mount>,
    /// Ports of the image's apps and preopened ports; `sshd` and `ttyd` are added by the runner.
    pub service_ports: Vec<ServicePort>,
    /// Script that runs once before the session takes work.
    pub bootstrap_script: Option<String>,
    /// Public keys that may log in, besides the one made for the session (`id_container`).
    pub authorized_keys: Vec<String>,
    /// Files that the user wants in every home (path relative to the home, text, mode).
    pub dotfiles: Vec<Dotfile>,
    /// A job to run to its end; without it the session is interactive.
    pub batch: Option<Batch>,
    /// Directories of programs added in front of `PATH` (environments mounted by consent).
    pub path_prefix: Vec<PathBuf>,
    /// The other kernels of its session; absent when it is the only one.
    pub cluster: Option<Cluster>,
}

impl KernelSpec {
    /// The smallest kernel: the host image, one core, 1 GiB, nothing mounted.
    #[must_use]
    pub fn minimal(kernel_id: KernelId, session_name: &str) -> Self {
        Self {
            kernel_id,
            session_id: kernel_id,
            session_name: session_name.to_owned(),
            node: None,
            hostname: "main1".to_owned(),
            image: ImageRoot::Host,
            limits: Limits {
                cpu: 1,
                mem: 1 << 30,
                shmem: 64 << 20,
                pids: 4096,
            },
            gpus: Vec::new(),
            environ: BTreeMap::new(),
            mounts: Vec::new(),
            service_ports: Vec::new(),
            bootstrap_script: None,
            authorized_keys: Vec::new(),
            dotfiles: Vec::new(),
            batch: None,
            path_prefix: Vec::new(),
            cluster: None,
        }
    }
}

/// Root file system of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageRoot {
    /// This computer's own programs, read-only, with its private parts hidden.
    Host,
    /// An unpacked image, shown read-only.
    Directory(PathBuf),
    /// The unpacked layers of an image, lowest first. What the session changes is its own, where
    /// this computer can put an overlay over them; else they are shown read-only.
    Layers {
        /// Where they lie.
        directories: Vec<PathBuf>,
        /// What was left out when they were unpacked.
        dropped: Dropped,
    },
    /// An image of the container engine, by its name there.
    Container(String),
}

/// Limits of a kernel, for all its processes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Cores.
    pub cpu: u32,
    /// Memory in bytes.
    pub mem: u64,
    /// Size of `/dev/shm` in bytes; counts as memory.
    pub shmem: u64,
    /// Processes and threads.
    pub pids: u32,
}

/// A folder of the host shown inside a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// On the host. Must be a directory or a file; a last component that is a link is refused.
    pub source: PathBuf,
    /// Inside: absolute, normally `/home/work/<name>`.
    pub target: PathBuf,
    /// Whether writing is refused.
    pub read_only: bool,
}

/// A file put into the home when it is not there yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dotfile {
    /// Relative to the home.
    pub path: String,
    /// Text.
    pub data: String,
    /// Permission bits.
    pub mode: u32,
}

/// The job of a batch session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Shell text.
    pub command: String,
    /// Ends the job with [`crate::Exit::BatchTimeout`] when it takes longer.
    pub timeout: Option<Duration>,
}

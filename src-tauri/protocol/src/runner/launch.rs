//! How the engine tells the launcher what sandbox to make, and the launcher the runner what to be.
//!
//! Both travel through pipes and memory files, never through arguments: the environment of a
//! session may hold secrets, and every user of a computer can read everyone's arguments.

use std::{collections::BTreeMap, net::Ipv4Addr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::ids::IdPlan;
use crate::service_port::ServicePort;

/// Socket inside a container at which its runner is told what to be.
pub const DOOR_PATH: &str = "/run/gangway/door/s";
/// Where the runner lies inside every session.
pub const RUNNER_PATH: &str = "/run/gangway/runner";
/// Home of the session's user.
pub const HOME: &str = "/home/work";
/// Name of the session's user.
pub const USER: &str = "work";
/// User and group id of the session's user, as seen inside.
pub const INNER_ID: u32 = 1000;

/// A sandbox to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LaunchPlan {
    /// Host user and group to become before anything else; absent when the engine is no root.
    pub become_user: Option<(u32, u32)>,
    /// The ids inside, where files of several owners are shown; absent where there is one owner.
    #[serde(default)]
    pub ids: Option<IdPlan>,
    /// Files that take the process into its control groups (`cgroup.procs` or `tasks`).
    pub cgroups: Vec<PathBuf>,
    /// File that takes the supervisor out of the engine's own control group, so that a service
    /// manager that ends the engine leaves the session alone.
    #[serde(default)]
    pub supervisor_cgroup: Option<PathBuf>,
    /// The bubblewrap program.
    pub bubblewrap: PathBuf,
    /// Whether it takes sources as open descriptors (`--bind-fd`), so that nobody can put a link in
    /// their place at the last moment.
    #[serde(default)]
    pub bind_fd: bool,
    /// Network of the session.
    pub network: Network,
    /// What the session's file system is made of, in this order.
    pub layout: Vec<Layer>,
    /// Host name inside.
    pub hostname: String,
    /// Compiled system call filters, all of them in force.
    pub seccomp: Vec<PathBuf>,
    /// Socket on which the runner is to answer the engine.
    pub control_socket: PathBuf,
    /// The two files of the log.
    pub logs: [PathBuf; 2],
    /// Where the runner notes how it ended.
    pub exit_file: PathBuf,
    /// Processes and threads of the session, when no control group says it.
    pub process_limit: Option<u64>,
    /// For the runner.
    pub runner: RunnerPlan,
    /// The network between the kernels of its session.
    #[serde(default)]
    pub cluster: Option<ClusterLink>,
}

/// A kernel's place in the network between the kernels of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterLink {
    /// Its address there; the network has 24 bits.
    pub address: Ipv4Addr,
    /// From 0; 0 is the main kernel, whose network namespace holds the bridge.
    pub rank: u32,
    /// A process in the main kernel's namespaces, seen from the host; absent for the main kernel
    /// itself.
    pub main: Option<u32>,
}

/// Network of a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// Only the session itself.
    None,
    /// Outbound, through pasta.
    Pasta {
        /// The program.
        program: PathBuf,
        /// What its process is called in the list of processes, by which it is found when
        /// everything else of the session was killed. Has to hold `pasta`.
        mark: String,
        /// Whether a tun device that the session's user may open has to be made first (root only).
        make_tun: bool,
        /// Address at which the session finds a resolver that only the host itself can reach.
        dns_forward: Option<String>,
        /// The host's `resolv.conf`, when it is not at its usual place (root only).
        resolv_conf: Option<PathBuf>,
    },
}

/// One step of building the file system of a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// Shows a file or directory of the host.
    Bind {
        /// On the host.
        source: PathBuf,
        /// Inside.
        target: PathBuf,
        /// Whether writing is refused.
        read_only: bool,
        /// It may lie where only the engine can look, and must not be a link.
        private: bool,
    },
    /// Shows a device node of the host, to be used.
    Device {
        /// On the host.
        source: PathBuf,
        /// Inside.
        target: PathBuf,
    },
    /// Directories on top of each other, and on top of them one that takes what is changed.
    Overlay {
        /// On the host, lowest first.
        lower: Vec<PathBuf>,
        /// On the host: holds `upper`, `work` and `merged`.
        area: PathBuf,
        /// Inside.
        target: PathBuf,
    },
    /// An empty file system in memory.
    Tmpfs {
        /// Inside.
        target: PathBuf,
        /// Bytes; the kernel's default when absent.
        size: Option<u64>,
        /// Permission bits.
        mode: u32,
    },
    /// An empty directory.
    Directory {
        /// Inside.
        target: PathBuf,
    },
    /// A symbolic link.
    Link {
        /// Where it leads.
        to: PathBuf,
        /// Inside.
        target: PathBuf,
    },
    /// Processes of the session.
    Proc {
        /// Inside.
        target: PathBuf,
    },
    /// Harmless devices.
    Dev {
        /// Inside.
        target: PathBuf,
    },
    /// No more writing to what was made so far at this place.
    ReadOnly {
        /// Inside.
        target: PathBuf,
    },
}

/// What the runner needs to know of its session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RunnerPlan {
    /// Environment that the user and the engine ask for.
    pub environ: BTreeMap<String, String>,
    /// Directories in front of `PATH`.
    pub path_prefix: Vec<PathBuf>,
    /// Apps of the image, preopened ports.
    pub service_ports: Vec<ServicePort>,
    /// Runs once, before the session takes work.
    pub bootstrap_script: Option<String>,
    /// Public keys that may log in.
    pub authorized_keys: Vec<String>,
    /// Files for the home.
    pub dotfiles: Vec<PlannedFile>,
    /// Job to run to its end.
    pub batch: Option<PlannedJob>,
    /// Where folders are mounted: what lies there outlives the session.
    pub mounted: Vec<PathBuf>,
    /// Cores of the session, for programs that ask how many threads to start.
    pub cpu: u32,
    /// Random bytes for the host key and the login key.
    pub seeds: [[u8; 32]; 2],
    /// Bytes that each of the two log files may take.
    pub log_limit: u64,
    /// The other kernels of its session.
    #[serde(default)]
    pub cluster: Option<PlannedCluster>,
}

/// How a kernel reaches the others of its session, and they it.
#[derive(Clone, Serialize, Deserialize)]
pub struct PlannedCluster {
    /// Where the SSH server listens besides loopback.
    pub address: Ipv4Addr,
    /// Names of all kernels: `main1`, `sub1`, …
    pub hosts: Vec<String>,
    /// Makes the key with which they log in at each other.
    pub key: [u8; 32],
}

impl std::fmt::Debug for PlannedCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlannedCluster")
            .field("address", &self.address)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

/// A file to put into the home when it is not there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlannedFile {
    /// Relative to the home.
    pub path: String,
    /// Text.
    pub data: String,
    /// Permission bits.
    pub mode: u32,
}

/// The job of a batch session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlannedJob {
    /// Shell text.
    pub command: String,
    /// It is ended after so long.
    pub timeout: Option<Duration>,
}

/// What the launcher says on its standard output, one JSON text on each line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum LaunchEvent {
    /// The control socket listens.
    Listening,
    /// The sandbox was started.
    Started {
        /// Process id of bubblewrap, or of what holds its namespaces, seen from the host.
        sandbox_pid: u32,
    },
    /// The session's network is as good as it will be.
    Network {
        /// Process id of pasta; absent without network.
        pid: Option<u32>,
        /// Why there is none, when there should be one.
        failure: Option<String>,
    },
    /// It won't work.
    Failed {
        /// In words.
        reason: String,
    },
}

/// How a session ended, as its runner or its launcher wrote it down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "kebab-case")]
pub enum ExitNote {
    /// The engine asked for it.
    Terminated,
    /// The batch job ended.
    BatchFinished {
        /// 128 + n for signal n.
        exit_code: i32,
    },
    /// The batch job took too long.
    BatchTimeout,
    /// Neither: the runner itself ended or was killed.
    Lost {
        /// In words.
        reason: String,
    },
}

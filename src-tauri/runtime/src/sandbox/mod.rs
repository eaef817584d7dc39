//! Kernels without any container engine: bubblewrap for isolation, pasta for the network, control
//! groups for limits. Each kernel is a tree of processes below one supervisor (see the runner's
//! `launch` module) that does not depend on the engine.

mod config;
mod layout;
mod network;
mod overlay;
mod probe;
mod record;
mod seccomp;
mod several;
mod start;
mod watch;

use std::{
    collections::BTreeMap,
    fs, io,
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use protocol::runner::{Notice, NoticeCode, Request};
use protocol::slots::CUDA_DEVICE;

use crate::{
    Exit, Gpu, Home, Kernel, KernelId, KernelSpec, LogFollower, Node, Owner, Runtime, RuntimeError,
    Swept, Trees,
    cgroup::Hierarchy,
    control::{self, Channel},
    gpu::GpuHistory,
    home::KeptHome,
    identity,
    kernel::{Found, RunnerKernel},
    logs,
    metrics::{self, NodeHistory},
    process,
};
use network::Reach;
use record::Dir;

pub use config::SandboxConfig;
pub use probe::{Host, probe};

/// How long what is left of a kernel may take to go away.
const SWEEP_LIMIT: Duration = Duration::from_secs(5);

/// The sandbox runtime: makes kernels on this computer.
pub struct Sandbox {
    config: SandboxConfig,
    kernels: PathBuf,
    owner: Option<Owner>,
    trees: Trees,
    bubblewrap: PathBuf,
    bind_fd: bool,
    hierarchy: Hierarchy,
    reach: Reach,
    filters: Vec<PathBuf>,
    notices: Vec<Notice>,
    node_history: Mutex<NodeHistory>,
    gpu_history: Mutex<GpuHistory>,
    /// Whether an overlay can be had, once somebody asked.
    overlay: OnceLock<Result<(), String>>,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Looks what this computer can do, and prepares the directories.
    ///
    /// # Errors
    /// [`RuntimeError::MissingProgram`] without bubblewrap or the runner; [`RuntimeError::Io`]
    /// when the directories can't be made.
    pub fn open(mut config: SandboxConfig) -> Result<Self, RuntimeError> {
        let bubblewrap = find_program("bwrap").ok_or(RuntimeError::MissingProgram {
            program: "bwrap",
            package: "bubblewrap",
        })?;
        if !config.runner.is_file() {
            return Err(RuntimeError::MissingProgram {
                program: "gangway-runner",
                package: "gangway",
            });
        }
        let kernels = config.data_dir.join("kernels");
        for directory in [&kernels, &config.run_dir] {
            fs::create_dir_all(directory)
                .map_err(RuntimeError::io("make the sessions' directories"))?;
        }
        // The launcher follows no links, so that none can be put in its way; those that the owner
        // of the computer has made are followed here, once.
        for path in [
            &mut config.data_dir,
            &mut config.run_dir,
            &mut config.runner,
        ] {
            *path = path
                .canonicalize()
                .map_err(RuntimeError::io("find the sandbox's places"))?;
        }
        let kernels = config.data_dir.join("kernels");
        fs::set_permissions(&config.run_dir, fs::Permissions::from_mode(0o700))
            .map_err(RuntimeError::io("protect the sessions' sockets"))?;
        let owner = identity::owner(&config.data_dir)?;
        let filters = seccomp::write(&config.data_dir)
            .map_err(RuntimeError::io("write the system call filter"))?;
        let hierarchy = Hierarchy::find("gangway");
        let reach = if config.network {
            network::reach(owner.is_some())
        } else {
            Reach::Nothing("the network is switched off for sessions".to_owned())
        };
        let mut sandbox = Self {
            notices: notices(&hierarchy, &reach),
            config,
            kernels,
            // As root, sources are bound by descriptor before bubblewrap starts.
            bind_fd: owner.is_none() && probe::takes_descriptors(&bubblewrap),
            owner,
            bubblewrap,
            hierarchy,
            reach,
            filters,
            node_history: Mutex::default(),
            gpu_history: Mutex::default(),
            overlay: OnceLock::new(),
            trees: owner.into(),
        };
        sandbox.trees = several::trees(&sandbox);
        Ok(sandbox)
    }

    fn dir(&self, kernel: KernelId) -> Dir {
        Dir::new(&self.kernels, &self.config.run_dir, kernel)
    }

    fn kernel(
        &self,
        id: KernelId,
        dir: &Dir,
        record: record::Record,
        outermost: Arc<OwnedFd>,
        ended: tokio::sync::watch::Receiver<Option<Exit>>,
    ) -> RunnerKernel {
        RunnerKernel::new(Found {
            id,
            socket: dir.socket.clone(),
            logs: dir.logs(),
            limits: record.limits,
            gpus: record.gpus,
            all_gpus: Arc::clone(&self.config.gpus),
            group: record.group,
            notices: record.notices,
            changes: overlay::changes(dir),
            owner: self.owner,
            outermost,
            ended,
        })
    }

    /// Ends what may be left of a kernel that nobody knows.
    async fn kill(&self, kernel: KernelId, dir: &Dir) -> Result<(), RuntimeError> {
        let reached = control::reach(&dir.socket).await;
        if let Some(stream) = reached.map_err(RuntimeError::io("look for the session"))? {
            let supervisor = watch::supervisor_of(&stream);
            let channel = Channel::new(kernel, &dir.socket);
            // Kindly first; a runner that does not answer is killed below.
            let _ = channel
                .within(Duration::from_secs(1), Request::Terminate { grace_ms: 0 })
                .await;
            if let Ok(supervisor) = supervisor {
                let _ =
                    tokio::time::timeout(Duration::from_secs(1), process::until_ended(&supervisor))
                        .await;
                let _ =
                    rustix::process::pidfd_send_signal(&supervisor, rustix::process::Signal::KILL);
                let _ = tokio::time::timeout(SWEEP_LIMIT, process::until_ended(&supervisor)).await;
            }
        }
        match dir.read() {
            Some(record) => watch::clean(dir, &record).await,
            // A start that was cut off before anything was written down.
            None => watch::end_network(dir),
        }
        Ok(())
    }
}

fn notices(hierarchy: &Hierarchy, reach: &Reach) -> Vec<Notice> {
    let now = jiff::Timestamp::now().to_string();
    let mut notices = Vec::new();
    let missing = hierarchy.missing();
    if !missing.is_empty() {
        notices.push(Notice {
            code: NoticeCode::LimitsAdvisory,
            message: format!(
                "limits on {} are advisory: this computer lets us use no control group for them",
                missing.join(", ")
            ),
            at: now.clone(),
        });
    }
    if let Reach::Nothing(reason) = reach {
        notices.push(Notice {
            code: NoticeCode::NoNetwork,
            message: format!("sessions have no network: {reason}"),
            at: now,
        });
    }
    notices
}

/// Finds a program where packages put programs.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|path| path.is_absolute() && path.is_file())
}

#[async_trait]
impl Runtime for Sandbox {
    async fn nodes(&self) -> Result<Vec<Node>, RuntimeError> {
        let cpu =
            std::thread::available_parallelism().map_err(RuntimeError::io("count the cores"))?;
        let gpus = self.gpus();
        let mut live = self
            .node_history
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .metrics(Instant::now());
        live.extend(
            self.gpu_history
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .metrics(&gpus),
        );
        let mut accelerators = BTreeMap::new();
        if !gpus.is_empty() {
            let count = u32::try_from(gpus.len()).unwrap_or(u32::MAX);
            accelerators.insert(CUDA_DEVICE.to_owned(), f64::from(count));
        }
        Ok(vec![Node {
            name: hostname(),
            architecture: std::env::consts::ARCH.to_owned(),
            cpu: u32::try_from(cpu.get()).unwrap_or(u32::MAX),
            mem: metrics::memory().0,
            overcommit: self.config.overcommit,
            accelerators,
            live,
        }])
    }

    fn gpus(&self) -> Vec<Gpu> {
        self.config.gpus.list()
    }

    fn notices(&self) -> Vec<Notice> {
        self.notices.clone()
    }

    fn owner(&self) -> Option<Owner> {
        self.owner
    }

    fn trees(&self) -> Trees {
        self.trees.clone()
    }

    async fn start(&self, spec: KernelSpec) -> Result<Arc<dyn Kernel>, RuntimeError> {
        let dir = self.dir(spec.kernel_id);
        if dir.root.exists() {
            return Err(RuntimeError::Invalid(format!(
                "kernel {} was started before",
                spec.kernel_id
            )));
        }
        match start::start(self, &spec, &dir).await {
            Ok(kernel) => Ok(Arc::new(kernel)),
            Err(error) => {
                self.kill(spec.kernel_id, &dir).await?;
                self.remove(spec.kernel_id).await?;
                Err(error)
            }
        }
    }

    async fn restart(&self, spec: KernelSpec) -> Result<Arc<dyn Kernel>, RuntimeError> {
        let dir = self.dir(spec.kernel_id);
        if !dir.at("home").is_dir() {
            return Err(RuntimeError::Gone(spec.kernel_id));
        }
        self.kill(spec.kernel_id, &dir).await?;
        dir.forget_end()
            .map_err(RuntimeError::io("tidy up after the session"))?;
        match start::start(self, &spec, &dir).await {
            Ok(kernel) => Ok(Arc::new(kernel)),
            Err(error) => {
                self.kill(spec.kernel_id, &dir).await?;
                Err(error)
            }
        }
    }

    async fn home(&self, id: KernelId) -> Result<Option<Arc<dyn Home>>, RuntimeError> {
        Ok(KeptHome::of(&self.dir(id).root, self.owner))
    }

    async fn adopt(&self, id: KernelId) -> Result<Option<Arc<dyn Kernel>>, RuntimeError> {
        let dir = self.dir(id);
        let reached = control::reach(&dir.socket).await;
        let Some(stream) = reached.map_err(RuntimeError::io("look for the session"))? else {
            match dir.read() {
                Some(record) => watch::clean(&dir, &record).await,
                None => watch::end_network(&dir),
            }
            return Ok(None);
        };
        let supervisor = Arc::new(
            watch::supervisor_of(&stream)
                .map_err(RuntimeError::io("find the session's process"))?,
        );
        drop(stream);
        let Some(record) = dir.read() else {
            return Ok(None);
        };
        let ended = watch::watch(dir.clone(), record.clone(), supervisor.clone(), None);
        let kernel = self.kernel(id, &dir, record, supervisor, ended);
        Ok(Some(Arc::new(kernel)))
    }

    async fn exit(&self, id: KernelId) -> Result<Option<Exit>, RuntimeError> {
        let dir = self.dir(id);
        Ok(dir.root.exists().then(|| dir.exit()))
    }

    async fn logs(&self, id: KernelId, tail: usize) -> Result<String, RuntimeError> {
        logs::tail(&self.dir(id).logs(), tail).map_err(RuntimeError::io("read the session's log"))
    }

    async fn follow_log(
        &self,
        id: KernelId,
        tail: u64,
    ) -> Result<Option<LogFollower>, RuntimeError> {
        LogFollower::begin(&self.dir(id).logs(), tail)
            .map_err(RuntimeError::io("read the session's log"))
    }

    async fn remove(&self, id: KernelId) -> Result<(), RuntimeError> {
        let (dir, trees) = (self.dir(id), self.trees());
        let removed = tokio::task::spawn_blocking(move || {
            watch::end_network(&dir);
            absent_is_fine(fs::remove_file(&dir.socket))?;
            absent_is_fine(trees.remove(&dir.root))
        });
        match removed.await {
            Ok(result) => result.map_err(RuntimeError::io("remove what is left of a session")),
            Err(error) => Err(RuntimeError::Io {
                doing: "remove what is left of a session".to_owned(),
                source: io::Error::other(error),
            }),
        }
    }

    async fn sweep(&self, known: &[KernelId]) -> Result<Swept, RuntimeError> {
        let entries = fs::read_dir(&self.kernels).map_err(RuntimeError::io("look for sessions"))?;
        let mut swept = Swept::default();
        for entry in entries.flatten() {
            let Some(id) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            if !known.contains(&id) {
                let gone = match self.kill(id, &self.dir(id)).await {
                    Ok(()) => self.remove(id).await,
                    Err(error) => Err(error),
                };
                swept.note(id, gone);
            }
        }
        Ok(swept)
    }
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// What this computer is called: the name of the one node.
pub(crate) fn hostname() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_session_can_use_is_handed_on() {
        let host = [
            ("https_proxy", "http://proxy.example:3128"),
            ("HTTP_PROXY", "http://user:pw@127.0.0.1:3128"),
            ("no_proxy", "localhost,127.0.0.1"),
            ("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"),
            ("PIP_CERT", "/root/ca.pem"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
        ];
        let kept = SandboxConfig::host_environ(
            host.map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let names: Vec<&str> = kept.keys().map(String::as_str).collect();
        assert_eq!(names, ["SSL_CERT_FILE", "https_proxy", "no_proxy"]);
    }
}

//! Kernels as containers of Docker or Podman, through the API socket of one that runs on this
//! computer. The runner is shown inside as the first process; the engine's channel to it, its log
//! and its exit note are handed over at its start, so everything but isolation, limits and images
//! is as in the sandbox. No port is published on the host.

mod api;
mod commit;
mod door;
mod images;
mod network;
mod pull;
mod record;
mod start;
mod stray;
mod watch;

use std::{
    collections::BTreeMap,
    fs, io,
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    Changes, Exit, Home, Kernel, KernelId, KernelSpec, LogFollower, Owner, RuntimeError, Swept,
    control,
    gpu::Gpus,
    home::KeptHome,
    identity,
    kernel::{Found, RunnerKernel},
    logs, process,
};
use api::Api;
pub use images::{ContainerCommit, ContainerImage, ContainerImages};
use record::{Dir, Record};

/// Where the container runtime keeps things, and what it uses.
#[derive(Clone, Debug)]
pub struct ContainerConfig {
    /// The engine's data directory; kernels go below it.
    pub data_dir: PathBuf,
    /// Directory for sockets, for the engine's user alone, with a short path.
    pub run_dir: PathBuf,
    /// The program `gangway-runner`, without dependencies of its own.
    pub runner: PathBuf,
    /// API socket of Docker or Podman.
    pub socket: PathBuf,
    /// Variables for every session, under those that the image and the session ask for.
    pub environ: BTreeMap<String, String>,
    /// The GPUs that sessions can have.
    pub gpus: Arc<dyn Gpus>,
}

/// The container runtime: makes kernels through a container engine.
#[derive(Debug)]
pub struct Containers {
    config: ContainerConfig,
    kernels: PathBuf,
    owner: Option<Owner>,
    api: Api,
    images: ContainerImages,
}

impl Containers {
    /// Prepares the directories. The container engine is asked when it is needed: it may be
    /// started later, and it may be away while its containers run.
    ///
    /// # Errors
    /// [`RuntimeError::Io`] when the directories can't be made.
    pub fn open(mut config: ContainerConfig) -> Result<Self, RuntimeError> {
        let doing = || RuntimeError::io("make the containers' directories");
        for directory in [&config.data_dir.join("containers"), &config.run_dir] {
            fs::create_dir_all(directory).map_err(doing())?;
        }
        for path in [
            &mut config.data_dir,
            &mut config.run_dir,
            &mut config.runner,
        ] {
            *path = path.canonicalize().map_err(doing())?;
        }
        fs::set_permissions(&config.run_dir, fs::Permissions::from_mode(0o700)).map_err(doing())?;
        let api = Api::new(&config.socket, &config.data_dir);
        Ok(Self {
            kernels: config.data_dir.join("containers"),
            owner: identity::owner(&config.data_dir)?,
            images: ContainerImages::new(api.clone()),
            api,
            config,
        })
    }

    /// The API socket of a container engine on this computer: the one that the usual variables
    /// name, else where packages put it. Only sockets that we may use count.
    #[must_use]
    pub fn find_socket() -> Option<PathBuf> {
        let named = ["CONTAINER_HOST", "DOCKER_HOST"]
            .iter()
            .filter_map(|name| std::env::var(name).ok());
        let named = named.filter_map(|text| text.strip_prefix("unix://").map(PathBuf::from));
        let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let own = own
            .into_iter()
            .flat_map(|dir| ["podman/podman.sock", "docker.sock"].map(|name| dir.join(name)));
        let common = ["/run/podman/podman.sock", "/run/docker.sock"].map(PathBuf::from);
        named
            .chain(own)
            .chain(common)
            .find(|path| std::os::unix::net::UnixStream::connect(path).is_ok())
    }

    /// Whether a kernel is, or was, one of ours.
    #[must_use]
    pub fn has(&self, id: KernelId) -> bool {
        self.dir(id).root.exists()
    }

    fn dir(&self, kernel: KernelId) -> Dir {
        Dir::new(&self.kernels, &self.config.run_dir, kernel)
    }

    fn kernel(
        &self,
        id: KernelId,
        dir: &Dir,
        record: Record,
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
            notices: Vec::new(),
            changes: Changes::Container(record.container),
            owner: self.owner,
            outermost,
            ended,
        })
    }

    /// Starts a kernel; returns when its runner takes work. Nothing is left behind on failure.
    ///
    /// # Errors
    /// [`RuntimeError::Container`] with the engine's words, [`RuntimeError::Start`] with the
    /// container's.
    pub async fn start(&self, spec: &KernelSpec) -> Result<Arc<dyn Kernel>, RuntimeError> {
        let dir = self.dir(spec.kernel_id);
        if dir.root.exists() {
            return Err(RuntimeError::Invalid(format!(
                "kernel {} was started before",
                spec.kernel_id
            )));
        }
        match start::start(self, spec, &dir).await {
            Ok(kernel) => Ok(Arc::new(kernel)),
            Err(error) => {
                self.remove(spec.kernel_id).await?;
                Err(error)
            }
        }
    }

    /// Starts an ended kernel again: in a new container of its image, in the home that it left. On
    /// failure the home stays.
    ///
    /// # Errors
    /// [`RuntimeError::Gone`] when nothing is left of it, else as [`Containers::start`].
    pub async fn restart(&self, spec: &KernelSpec) -> Result<Arc<dyn Kernel>, RuntimeError> {
        let dir = self.dir(spec.kernel_id);
        if !dir.at("home").is_dir() {
            return Err(RuntimeError::Gone(spec.kernel_id));
        }
        self.clear(&dir).await?;
        dir.forget_end()
            .map_err(RuntimeError::io("tidy up after the session"))?;
        match start::start(self, spec, &dir).await {
            Ok(kernel) => Ok(Arc::new(kernel)),
            Err(error) => {
                self.clear(&dir).await?;
                Err(error)
            }
        }
    }

    /// Removes what the container engine has of a kernel.
    async fn clear(&self, dir: &Dir) -> Result<(), RuntimeError> {
        if let Some(record) = dir.read() {
            self.api.remove_container(&record.container).await?;
            if let Some(network) = &record.network {
                self.api.remove_network(network).await?;
            }
        }
        Ok(())
    }

    /// Finds a kernel again. It needs no answer of the container engine.
    ///
    /// # Errors
    /// [`RuntimeError::Io`] when its process can't be watched.
    pub async fn adopt(&self, id: KernelId) -> Result<Option<Arc<dyn Kernel>>, RuntimeError> {
        let dir = self.dir(id);
        let reached = control::reach(&dir.socket).await;
        let alive = reached.map_err(RuntimeError::io("look for the session"))?;
        let alive = alive.is_some();
        let running = dir
            .read()
            .and_then(|record| Some((record.process.filter(|it| it.is_alive())?, record)));
        let Some((main, record)) = running.filter(|_| alive) else {
            if let Some(record) = dir.read() {
                watch::finish(&self.api, &dir, &record).await;
            }
            return Ok(None);
        };
        let outermost = process::descriptor_of(main.pid)
            .map_err(RuntimeError::io("find the session's process"))?;
        let outermost = Arc::new(outermost);
        let ended = watch::watch(
            self.api.clone(),
            dir.clone(),
            record.clone(),
            outermost.clone(),
        );
        Ok(Some(Arc::new(
            self.kernel(id, &dir, record, outermost, ended),
        )))
    }

    /// The home that an ended kernel left.
    #[must_use]
    pub fn home(&self, id: KernelId) -> Option<Arc<dyn Home>> {
        KeptHome::of(&self.dir(id).root, self.owner)
    }

    /// How a kernel that no longer runs ended.
    #[must_use]
    pub fn exit(&self, id: KernelId) -> Option<Exit> {
        let dir = self.dir(id);
        dir.root.exists().then(|| dir.exit())
    }

    /// Log of a kernel, also after its end.
    ///
    /// # Errors
    /// [`RuntimeError::Io`].
    pub fn logs(&self, id: KernelId, tail: usize) -> Result<String, RuntimeError> {
        logs::tail(&self.dir(id).logs(), tail).map_err(RuntimeError::io("read the session's log"))
    }

    /// Follows the log of a kernel from its last `tail` bytes on.
    ///
    /// # Errors
    /// [`RuntimeError::Io`].
    pub fn follow_log(&self, id: KernelId, tail: u64) -> Result<Option<LogFollower>, RuntimeError> {
        LogFollower::begin(&self.dir(id).logs(), tail)
            .map_err(RuntimeError::io("read the session's log"))
    }

    /// Removes what is left of a kernel: container, network, home, log, sockets.
    ///
    /// # Errors
    /// When the container engine is away while it may hold a container of ours.
    pub async fn remove(&self, id: KernelId) -> Result<(), RuntimeError> {
        let dir = self.dir(id);
        self.clear(&dir).await?;
        let removed = tokio::task::spawn_blocking(move || dir.remove()).await;
        removed
            .map_err(io::Error::other)
            .flatten()
            .map_err(RuntimeError::io("remove what is left of a session"))
    }

    /// Ends and removes every kernel, container and network of ours that the engine does not know.
    ///
    /// # Errors
    /// When there is no telling which kernels there are.
    pub async fn sweep(&self, known: &[KernelId]) -> Result<Swept, RuntimeError> {
        let entries = fs::read_dir(&self.kernels).map_err(RuntimeError::io("look for sessions"))?;
        let unknown = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|id| !known.contains(id));
        let mut swept = Swept::default();
        for id in unknown {
            swept.note(id, self.remove(id).await);
        }
        // What has no directory any more. Without the container engine nothing is to be seen, and
        // its next start comes with ours or later.
        match self.api.strangers(known).await {
            Ok(strangers) => swept.ended.extend(strangers),
            Err(error) => tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the container engine is not asked for strangers"
            ),
        }
        Ok(swept)
    }

    /// The images that the container engine has.
    #[must_use]
    pub fn images(&self) -> ContainerImages {
        self.images.clone()
    }
}

/// `uid:gid` for the first process of a container.
fn user_of(owner: Option<Owner>) -> (u32, u32) {
    match owner {
        Some(owner) => (owner.uid, owner.gid),
        None => (
            nix::unistd::geteuid().as_raw(),
            nix::unistd::getegid().as_raw(),
        ),
    }
}

fn text_of(path: &Path) -> Result<&str, RuntimeError> {
    // In the engine's words a colon ends a path.
    path.to_str()
        .filter(|text| !text.contains(':'))
        .ok_or_else(|| {
            RuntimeError::Invalid(format!(
                "{} can't be shown in a container: its name has a colon or is no UTF-8",
                path.display()
            ))
        })
}

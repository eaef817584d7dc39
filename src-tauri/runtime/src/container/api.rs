//! The container engine's API, as far as it is needed here.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bollard::{
    API_DEFAULT_VERSION, Docker,
    errors::Error,
    models::{ContainerCreateBody, ContainerState},
    query_parameters::{
        CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
        ListNetworksOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
        StartContainerOptions,
    },
};
use futures_util::StreamExt;
use tokio::sync::Mutex;

use super::stray;
use crate::{KernelId, RuntimeError};

/// Seconds that an answer may take. Pulls stream and are not meant.
const PATIENCE: u64 = 120;
/// How often it is asked again while it is between two states, and how soon.
const MOMENTS: u32 = 100;
const MOMENT: Duration = Duration::from_millis(50);
/// How often a container is removed before that counts as failed.
const REMOVALS: u32 = 5;
/// Label with the name of the engine that a container or network belongs to.
const ENGINE: &str = "ai.gangway.engine";
/// Label with the kernel; of a network, the main kernel.
const KERNEL: &str = "ai.backend.kernel-id";
/// Label with the session.
const SESSION: &str = "ai.backend.session-id";
/// All of them.
pub(super) const LABELS: [&str; 3] = [ENGINE, KERNEL, SESSION];
/// Label of an image with the name of the engine that made it of a session.
const COMMIT: &str = "ai.gangway.commit";

/// Reaches the container engine.
#[derive(Clone, Debug)]
pub(super) struct Api {
    socket: PathBuf,
    /// Keeps the containers of several engines of ours apart.
    name: String,
    connected: Arc<Mutex<Option<Connected>>>,
}

/// A container engine that answered.
#[derive(Clone, Debug)]
pub(super) struct Connected {
    pub(super) docker: Docker,
    /// It runs as an ordinary user: its containers' users are mapped.
    pub(super) rootless: bool,
    /// It is Podman, which asks for devices in other words than Docker.
    pub(super) podman: bool,
}

impl Api {
    pub(super) fn new(socket: &Path, data_dir: &Path) -> Self {
        let mut hasher = DefaultHasher::new();
        data_dir.hash(&mut hasher);
        Self {
            socket: socket.to_owned(),
            name: format!("{:016x}", hasher.finish()),
            connected: Arc::default(),
        }
    }

    /// Where it listens.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Labels of an image that is made of a session.
    pub(super) fn commit_labels(&self) -> [(String, String); 1] {
        [(COMMIT.to_owned(), self.name.clone())]
    }

    /// The same, as a filter.
    pub(super) fn commit_label(&self) -> String {
        format!("{COMMIT}={}", self.name)
    }

    /// Asks which version it speaks, once.
    pub(super) async fn connect(&self) -> Result<Connected, RuntimeError> {
        let mut connected = self.connected.lock().await;
        if let Some(connected) = &*connected {
            return Ok(connected.clone());
        }
        let attempt = async {
            let socket = self.socket.to_string_lossy();
            let docker = Docker::connect_with_unix(&socket, PATIENCE, API_DEFAULT_VERSION)?;
            let docker = docker.negotiate_version().await?;
            let info = docker.info().await?;
            let parts = docker.version().await?.components.unwrap_or_default();
            Ok(Connected {
                podman: parts.iter().any(|part| part.name.contains("Podman")),
                docker,
                rootless: info
                    .security_options
                    .unwrap_or_default()
                    .iter()
                    .any(|option| option.contains("rootless")),
            })
        };
        let found = attempt
            .await
            .map_err(failed(format!("be reached at {}", self.socket.display())))?;
        Ok(connected.insert(found).clone())
    }

    /// Labels of a container or network.
    pub(super) fn labels(&self, kernel: KernelId, session: uuid::Uuid) -> HashMap<String, String> {
        [
            (ENGINE, self.name.clone()),
            (KERNEL, kernel.to_string()),
            (SESSION, session.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    pub(super) async fn create(
        &self,
        name: &str,
        body: ContainerCreateBody,
    ) -> Result<(), RuntimeError> {
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let docker = self.connect().await?.docker;
        docker
            .create_container(Some(options), body)
            .await
            .map_err(failed("make the container"))?;
        Ok(())
    }

    /// Starts it; gives the number of its first process, seen from the host.
    pub(super) async fn run(&self, name: &str) -> Result<u32, RuntimeError> {
        let docker = self.connect().await?.docker;
        docker
            .start_container(name, None::<StartContainerOptions>)
            .await
            .map_err(failed("start the container"))?;
        let state = self.state(name).await?.unwrap_or_default();
        state
            .pid
            .and_then(|pid| u32::try_from(pid).ok())
            .filter(|pid| *pid > 0)
            .ok_or_else(|| RuntimeError::Start {
                reason: format!(
                    "the container ended with code {}",
                    state.exit_code.unwrap_or_default()
                ),
            })
    }

    /// None when there is no such container.
    pub(super) async fn state(&self, name: &str) -> Result<Option<ContainerState>, RuntimeError> {
        let docker = self.connect().await?.docker;
        let found = settled(|| docker.inspect_container(name, None::<InspectContainerOptions>));
        match found.await {
            Ok(found) => Ok(Some(found.state.unwrap_or_default())),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(failed("describe a container")(error)),
        }
    }

    /// What it printed last, for an error message.
    pub(super) async fn last_words(&self, name: &str) -> String {
        let Ok(connected) = self.connect().await else {
            return String::new();
        };
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .tail("3")
            .build();
        let lines: Vec<String> = connected
            .docker
            .logs(name, Some(options))
            .filter_map(|line| std::future::ready(line.ok()))
            .map(|line| {
                String::from_utf8_lossy(&line.into_bytes())
                    .trim()
                    .to_owned()
            })
            .collect()
            .await;
        lines.join("; ")
    }

    /// Ends and removes a container; none is as good.
    pub(super) async fn remove_container(&self, name: &str) -> Result<(), RuntimeError> {
        if let Some(id) = self.idle(name).await? {
            stray::end(&id);
        }
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        let docker = self.connect().await?.docker;
        let mut tries = 1;
        loop {
            match docker.remove_container(name, Some(options.clone())).await {
                // Podman trips over its own tidying up after a container that has just begun or
                // ended.
                Err(Error::DockerResponseServerError {
                    status_code: 500.., ..
                }) if tries < REMOVALS => {
                    tries += 1;
                    tokio::time::sleep(MOMENT * 4).await;
                }
                Err(error) if !is_missing(&error) => {
                    return Err(failed("remove a container")(error));
                }
                _ => return Ok(()),
            }
        }
    }

    /// The full id of a container that does not run; none where it runs, or is not there.
    async fn idle(&self, name: &str) -> Result<Option<String>, RuntimeError> {
        let docker = self.connect().await?.docker;
        let found = settled(|| docker.inspect_container(name, None::<InspectContainerOptions>));
        match found.await {
            Ok(found) => {
                let runs = found.state.and_then(|state| state.running) == Some(true);
                Ok(found.id.filter(|_| !runs))
            }
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(failed("describe a container")(error)),
        }
    }

    /// Removes a network, unless there are still containers in it; none is as good.
    pub(super) async fn remove_network(&self, name: &str) -> Result<(), RuntimeError> {
        let docker = self.connect().await?.docker;
        match docker.remove_network(name).await {
            Ok(()) => Ok(()),
            Err(error) if is_missing(&error) || is_in_use(&error) => Ok(()),
            Err(error) => Err(failed("remove a network")(error)),
        }
    }

    /// Removes containers and networks of ours whose kernels are not known.
    pub(super) async fn strangers(
        &self,
        known: &[KernelId],
    ) -> Result<Vec<KernelId>, RuntimeError> {
        let docker = self.connect().await?.docker;
        let filters = HashMap::from([("label", vec![format!("{ENGINE}={}", self.name)])]);
        let unknown = |labels: Option<&HashMap<String, String>>| {
            let id: KernelId = labels?.get(KERNEL)?.parse().ok()?;
            (!known.contains(&id)).then_some(id)
        };
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let containers = settled(|| docker.list_containers(Some(options.clone())))
            .await
            .map_err(failed("list its containers"))?;
        let mut swept = Vec::new();
        for container in containers {
            if let (Some(id), Some(name)) = (unknown(container.labels.as_ref()), container.id) {
                self.remove_container(&name).await?;
                swept.push(id);
            }
        }
        let options = ListNetworksOptionsBuilder::default()
            .filters(&filters)
            .build();
        let networks = docker
            .list_networks(Some(options))
            .await
            .map_err(failed("list its networks"))?;
        for network in networks {
            if let (Some(_), Some(name)) = (unknown(network.labels.as_ref()), network.name) {
                self.remove_network(&name).await?;
            }
        }
        Ok(swept)
    }
}

/// Asks again while the answer has a word that Docker does not know: Podman has states of its own
/// for the moments between two of Docker's.
async fn settled<T, F>(ask: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    for _ in 0..MOMENTS {
        match ask().await {
            Err(Error::JsonDataError { .. }) => tokio::time::sleep(MOMENT).await,
            other => return other,
        }
    }
    ask().await
}

/// What the container engine could not do, and why.
pub(super) fn failed(doing: impl Into<String>) -> impl FnOnce(Error) -> RuntimeError {
    let doing = doing.into();
    move |error| {
        let source: Box<dyn std::error::Error + Send + Sync> = match error {
            // Its own words, without the library's around them.
            Error::DockerResponseServerError { message, .. } => message.trim().into(),
            other => other.into(),
        };
        RuntimeError::Container { doing, source }
    }
}

pub(super) fn is_missing(error: &Error) -> bool {
    matches!(
        error,
        Error::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}

/// Docker says 403, Podman 409 or 500, all with words.
fn is_in_use(error: &Error) -> bool {
    match error {
        Error::DockerResponseServerError {
            status_code,
            message,
        } => {
            let words = ["in use", "being used", "active endpoints"];
            *status_code == 409 || words.iter().any(|word| message.contains(word))
        }
        _ => false,
    }
}

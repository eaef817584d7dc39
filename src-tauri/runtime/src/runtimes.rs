//! All the runtimes of this computer behind one [`Runtime`]: the sandbox, and containers where
//! there is a container engine. They share the computer, so it is one node.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    Exit, Gpu, Home, ImageRoot, Kernel, KernelId, KernelSpec, Node, Notice, Owner, Runtime,
    RuntimeError, Trees,
    container::{ContainerImage, Containers},
    sandbox::Sandbox,
};

/// The sandbox, and containers where there is a container engine.
#[derive(Debug)]
pub struct Runtimes {
    sandbox: Sandbox,
    containers: Option<Containers>,
}

impl Runtimes {
    /// Both at once; containers are only for images of the container engine.
    #[must_use]
    pub fn new(sandbox: Sandbox, containers: Option<Containers>) -> Self {
        Self {
            sandbox,
            containers,
        }
    }

    /// The container runtime, if a kernel is one of its.
    fn containers_of(&self, id: KernelId) -> Option<&Containers> {
        self.containers
            .as_ref()
            .filter(|containers| containers.has(id))
    }
}

#[async_trait]
impl Runtime for Runtimes {
    async fn nodes(&self) -> Result<Vec<Node>, RuntimeError> {
        self.sandbox.nodes().await
    }

    fn gpus(&self) -> Vec<Gpu> {
        self.sandbox.gpus()
    }

    fn notices(&self) -> Vec<Notice> {
        self.sandbox.notices()
    }

    fn owner(&self) -> Option<Owner> {
        self.sandbox.owner()
    }

    fn trees(&self) -> Trees {
        self.sandbox.trees()
    }

    async fn start(&self, spec: KernelSpec) -> Result<Arc<dyn Kernel>, RuntimeError> {
        match (&spec.image, &self.containers) {
            (ImageRoot::Container(_), Some(containers)) => containers.start(&spec).await,
            (ImageRoot::Container(_), None) => Err(RuntimeError::Container {
                doing: "be found".to_owned(),
                source: "neither Docker nor Podman answers on this computer".into(),
            }),
            _ => self.sandbox.start(spec).await,
        }
    }

    async fn restart(&self, spec: KernelSpec) -> Result<Arc<dyn Kernel>, RuntimeError> {
        match self.containers_of(spec.kernel_id) {
            Some(containers) => containers.restart(&spec).await,
            None => self.sandbox.restart(spec).await,
        }
    }

    async fn home(&self, id: KernelId) -> Result<Option<Arc<dyn Home>>, RuntimeError> {
        match self.containers_of(id) {
            Some(_) => Ok(None),
            None => self.sandbox.home(id).await,
        }
    }

    async fn adopt(&self, id: KernelId) -> Result<Option<Arc<dyn Kernel>>, RuntimeError> {
        match self.containers_of(id) {
            Some(containers) => containers.adopt(id).await,
            None => self.sandbox.adopt(id).await,
        }
    }

    async fn exit(&self, id: KernelId) -> Result<Option<Exit>, RuntimeError> {
        match self.containers_of(id) {
            Some(containers) => Ok(containers.exit(id)),
            None => self.sandbox.exit(id).await,
        }
    }

    async fn logs(&self, id: KernelId, tail: usize) -> Result<String, RuntimeError> {
        match self.containers_of(id) {
            Some(containers) => containers.logs(id, tail),
            None => self.sandbox.logs(id, tail).await,
        }
    }

    async fn remove(&self, id: KernelId) -> Result<(), RuntimeError> {
        match self.containers_of(id) {
            Some(containers) => containers.remove(id).await,
            None => self.sandbox.remove(id).await,
        }
    }

    async fn sweep(&self, known: &[KernelId]) -> Result<Vec<KernelId>, RuntimeError> {
        let mut swept = self.sandbox.sweep(known).await?;
        if let Some(containers) = &self.containers {
            swept.extend(containers.sweep(known).await?);
        }
        Ok(swept)
    }

    async fn container_images(&self) -> Result<Vec<ContainerImage>, RuntimeError> {
        match &self.containers {
            Some(containers) => containers.images().await,
            None => Ok(Vec::new()),
        }
    }
}

//! All the runtimes of this computer behind one [`Runtime`]: the sandbox, and containers where
//! there is a container engine. They share the computer, so it is one node.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    Exit, Gpu, Home, ImageRoot, Kernel, KernelId, KernelSpec, LogFollower, Node, Notice, Owner,
    Runtime, RuntimeError, Swept, Trees,
    container::{ContainerImages, Containers},
    sandbox::{Sandbox, hostname},
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
        let here = hostname();
        if let Some(node) = spec.node.as_ref().filter(|node| **node != here) {
            return Err(RuntimeError::Invalid(format!(
                "a kernel is to run on {node}, and this computer is {here}"
            )));
        }
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
            Some(containers) => Ok(containers.home(id)),
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

    async fn follow_log(
        &self,
        id: KernelId,
        tail: u64,
    ) -> Result<Option<LogFollower>, RuntimeError> {
        match self.containers_of(id) {
            Some(containers) => containers.follow_log(id, tail),
            None => self.sandbox.follow_log(id, tail).await,
        }
    }

    async fn remove(&self, id: KernelId) -> Result<(), RuntimeError> {
        match self.containers_of(id) {
            Some(containers) => containers.remove(id).await,
            None => self.sandbox.remove(id).await,
        }
    }

    async fn sweep(&self, known: &[KernelId]) -> Result<Swept, RuntimeError> {
        let mut swept = self.sandbox.sweep(known).await?;
        if let Some(containers) = &self.containers {
            let more = containers.sweep(known).await?;
            swept.ended.extend(more.ended);
            swept.left.extend(more.left);
        }
        Ok(swept)
    }

    fn container_images(&self) -> Option<ContainerImages> {
        self.containers.as_ref().map(Containers::images)
    }
}

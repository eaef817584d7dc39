//! A computer whose kernels do as they are told: to see what the engine makes of it.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use runtime::{
    AppState, Changes, Execute, Exit, FileEntry, Gpu, InstallEvent, Kernel, KernelId, KernelSpec,
    LogFollower, Metric, Node, Notice, OpenMode, Output, Owner, Runtime, RuntimeError, Saved,
    ServiceAnswer, ServiceOptions, SshInfo, StartProgress, Swept, Trees, Unsaved,
};
use tokio::net::TcpStream;
use tokio::sync::watch;

type Answer<T> = Result<T, RuntimeError>;

/// What happens on it.
#[derive(Default)]
pub(crate) struct Scripted {
    /// Starts that fail before one succeeds.
    pub(crate) failing_starts: AtomicU32,
    /// Starts that were asked for.
    pub(crate) starts: AtomicU32,
    /// A second computer that is at hand.
    pub(crate) second: Mutex<Option<&'static str>>,
    /// On which computers kernels were asked for.
    pub(crate) places: Mutex<Vec<Option<String>>>,
    /// How often it is not known whether a kernel runs.
    pub(crate) unknown: AtomicU32,
    /// Whether kernels go on when they are to end.
    pub(crate) holds_on: watch::Sender<bool>,
    /// Where kernels keep what they changed of their images.
    pub(crate) changes: Mutex<Option<PathBuf>>,
    /// Kernels that run.
    pub(crate) running: Mutex<HashMap<KernelId, Arc<Puppet>>>,
}

pub(crate) struct Puppet {
    id: KernelId,
    ended: watch::Sender<bool>,
    holds_on: watch::Receiver<bool>,
    changes: Option<PathBuf>,
}

/// One less, unless there is none left.
fn takes_one(count: &AtomicU32) -> bool {
    count
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| {
            count.checked_sub(1)
        })
        .is_ok()
}

#[async_trait]
impl Runtime for Scripted {
    async fn nodes(&self) -> Answer<Vec<Node>> {
        let node = |name: &str| Node {
            name: name.into(),
            architecture: "x86_64".into(),
            cpu: 4,
            mem: 8 << 30,
            overcommit: Default::default(),
            accelerators: BTreeMap::from([("cuda.device".to_owned(), 1.0)]),
            live: Default::default(),
        };
        let second = *self.second.lock().unwrap();
        Ok(["here"].into_iter().chain(second).map(node).collect())
    }

    fn trees(&self) -> Trees {
        Trees::new(crate::support::runner(), None, None)
    }

    fn gpus(&self) -> Vec<Gpu> {
        vec![Gpu {
            uuid: "GPU-0".to_owned(),
            index: 0,
            minor: 0,
            model: "Made up".to_owned(),
            memory: 8 << 30,
            used: 0,
            utilization: 0,
        }]
    }

    fn notices(&self) -> Vec<Notice> {
        Vec::new()
    }

    fn owner(&self) -> Option<Owner> {
        None
    }

    async fn start(&self, spec: KernelSpec) -> Answer<Arc<dyn Kernel>> {
        self.starts.fetch_add(1, Ordering::SeqCst);
        self.places.lock().unwrap().push(spec.node.clone());
        if takes_one(&self.failing_starts) {
            return Err(RuntimeError::Start {
                reason: "not just now".into(),
            });
        }
        let kernel = Arc::new(Puppet {
            id: spec.kernel_id,
            ended: watch::Sender::new(false),
            holds_on: self.holds_on.subscribe(),
            changes: self.changes.lock().unwrap().clone(),
        });
        self.running
            .lock()
            .unwrap()
            .insert(spec.kernel_id, kernel.clone());
        Ok(kernel)
    }

    async fn adopt(&self, id: KernelId) -> Answer<Option<Arc<dyn Kernel>>> {
        if takes_one(&self.unknown) {
            return Err(RuntimeError::Io {
                doing: "look for the session".into(),
                source: std::io::Error::other("too many open files"),
            });
        }
        let running = self.running.lock().unwrap().get(&id).cloned();
        let alive = running.filter(|kernel| !*kernel.ended.borrow());
        Ok(alive.map(|kernel| kernel as Arc<dyn Kernel>))
    }

    async fn exit(&self, _: KernelId) -> Answer<Option<Exit>> {
        Ok(None)
    }

    async fn logs(&self, _: KernelId, _: usize) -> Answer<String> {
        Ok(String::new())
    }

    async fn follow_log(&self, _: KernelId, _: u64) -> Answer<Option<LogFollower>> {
        Ok(None)
    }

    async fn remove(&self, id: KernelId) -> Answer<()> {
        self.running.lock().unwrap().remove(&id);
        Ok(())
    }

    async fn sweep(&self, _: &[KernelId]) -> Answer<Swept> {
        Ok(Swept::default())
    }
}

fn no<T>() -> Answer<T> {
    Err(RuntimeError::Invalid("nothing is done here".into()))
}

#[async_trait]
impl Kernel for Puppet {
    fn id(&self) -> KernelId {
        self.id
    }

    fn changes(&self) -> Changes {
        let changes = self.changes.clone();
        changes.map_or(Changes::None, Changes::Directory)
    }

    async fn wait(&self) -> Exit {
        let mut ended = self.ended.subscribe();
        let _ = ended.wait_for(|ended| *ended).await;
        Exit::Terminated
    }

    async fn terminate(&self, _: Duration) -> Answer<Exit> {
        let mut holds_on = self.holds_on.clone();
        let _ = holds_on.wait_for(|holds_on| !*holds_on).await;
        self.ended.send_replace(true);
        Ok(Exit::Terminated)
    }

    async fn logs(&self, _: usize) -> Answer<String> {
        Ok("it runs".into())
    }

    async fn notices(&self) -> Answer<Vec<Notice>> {
        Ok(Vec::new())
    }

    async fn stats(&self) -> Answer<BTreeMap<String, Metric>> {
        Ok(BTreeMap::new())
    }

    async fn connect(&self, _: u16) -> Answer<TcpStream> {
        no()
    }

    async fn start_service(&self, _: &str, _: ServiceOptions) -> Answer<ServiceAnswer> {
        no()
    }

    async fn start_progress(&self, _: &str) -> Answer<Option<StartProgress>> {
        no()
    }

    async fn shutdown_service(&self, _: &str) -> Answer<()> {
        no()
    }

    async fn apps(&self) -> Answer<Vec<AppState>> {
        no()
    }

    async fn ssh_info(&self) -> Answer<SshInfo> {
        no()
    }

    async fn execute(&self, _: Execute) -> Answer<BoxStream<'static, Answer<Output>>> {
        no()
    }

    async fn interrupt(&self, _: Option<&str>) -> Answer<()> {
        no()
    }

    async fn list_files(&self, _: &str) -> Answer<Vec<FileEntry>> {
        no()
    }

    async fn open_file(&self, _: &str, _: OpenMode) -> Answer<tokio::fs::File> {
        no()
    }

    async fn make_directory(&self, _: &str) -> Answer<()> {
        no()
    }

    async fn rename_file(&self, _: &str, _: &str) -> Answer<()> {
        no()
    }

    async fn remove_file(&self, _: &str) -> Answer<()> {
        no()
    }

    async fn unsaved(&self, _: usize) -> Answer<Unsaved> {
        no()
    }

    async fn save_unsaved(&self, _: OwnedFd) -> Answer<Saved> {
        no()
    }

    async fn install(&self, _: &str) -> Answer<BoxStream<'static, Answer<InstallEvent>>> {
        no()
    }
}

//! A running kernel with a runner inside, whatever isolates it from the computer.

use std::{
    collections::BTreeMap,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use protocol::runner::{Answer, LONGEST_START, Request};
use rustix::{
    net::{AddressFamily, SocketType, sockopt},
    process::{Signal, pidfd_send_signal},
};
use tokio::{net::TcpStream, sync::watch};

use crate::{
    AppState, Changes, Execute, Exit, FaultKind, FileEntry, InstallEvent, Kernel, KernelId, Limits,
    Metric, Notice, OpenMode, Output, Owner, RuntimeError, Saved, ServiceAnswer, ServiceOptions,
    SshInfo, StartProgress, Unsaved,
    cgroup::Group,
    control::{Channel, Conversation, fault, unexpected},
    gpu::{self, GpuHistory, Gpus},
    logs,
    metrics::{Counters, History},
    oom, save,
};

/// How long the start of an app may take: the runner gives up after 30 s.
const SERVICE_LIMIT: Duration = Duration::from_secs(45);
/// So much longer the runner may take that was given a limit.
const SERVICE_MARGIN: Duration = Duration::from_secs(15);
/// How long a killed session may take to disappear.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// Files that are looked for when a session's work is saved.
const MOST_SAVED: usize = 1_000_000;

/// What a runtime knows of a kernel that it started or found.
pub(crate) struct Found {
    pub(crate) id: KernelId,
    /// Control socket of its runner.
    pub(crate) socket: PathBuf,
    /// The two files of its log.
    pub(crate) logs: [PathBuf; 2],
    pub(crate) limits: Limits,
    /// What the computer counts of it.
    pub(crate) group: Group,
    /// UUIDs of its GPUs.
    pub(crate) gpus: Vec<String>,
    /// Where they are looked at.
    pub(crate) all_gpus: Arc<dyn Gpus>,
    /// Known since the start.
    pub(crate) notices: Vec<Notice>,
    /// Where what it changed of its image lies.
    pub(crate) changes: Changes,
    /// The host's user that owns what it writes.
    pub(crate) owner: Option<Owner>,
    /// The process with which everything inside ends; signalling it can't hit another.
    pub(crate) outermost: Arc<OwnedFd>,
    /// Learns how it ended, after everything is tidy.
    pub(crate) ended: watch::Receiver<Option<Exit>>,
}

pub(crate) struct RunnerKernel {
    found: Found,
    channel: Channel,
    history: Mutex<History>,
    gpu_history: Mutex<GpuHistory>,
    kills: oom::Watch,
}

impl RunnerKernel {
    pub(crate) fn new(found: Found) -> Self {
        Self {
            channel: Channel::new(found.id, &found.socket),
            kills: oom::Watch::new(found.group.clone()),
            found,
            history: Mutex::default(),
            gpu_history: Mutex::default(),
        }
    }

    async fn done(&self, request: Request) -> Result<(), RuntimeError> {
        match self.channel.quick(request).await? {
            Answer::Done => Ok(()),
            _ => Err(unexpected()),
        }
    }

    /// What its GPUs do; nothing where one of them is gone.
    fn gpu_metrics(&self) -> BTreeMap<String, Metric> {
        if self.found.gpus.is_empty() {
            return BTreeMap::new();
        }
        match gpu::chosen(&self.found.all_gpus.list(), &self.found.gpus) {
            Ok(own) => {
                let history = self.gpu_history.lock();
                history
                    .unwrap_or_else(PoisonError::into_inner)
                    .metrics(&own)
            }
            Err(error) => {
                tracing::warn!(%error, "statistics");
                BTreeMap::new()
            }
        }
    }

    /// Counts from inside the session, CPU and memory by the kernel where it counts them.
    async fn counters(&self) -> Result<(Counters, BTreeMap<String, Metric>), RuntimeError> {
        let Answer::Stats { metrics } = self.channel.quick(Request::Stats).await? else {
            return Err(unexpected());
        };
        let value = |name: &str| {
            metrics
                .get(name)
                .and_then(|metric| metric.current.parse().ok())
                .unwrap_or(0)
        };
        let group = &self.found.group;
        let counters = Counters {
            cpu_ms: group.cpu_ms().unwrap_or_else(|| value("cpu_used")),
            memory: group.memory().unwrap_or_else(|| value("mem")),
            read: value("io_read"),
            written: value("io_write"),
            received: value("net_rx"),
            sent: value("net_tx"),
        };
        Ok((counters, metrics))
    }
}

#[async_trait]
impl Kernel for RunnerKernel {
    fn id(&self) -> KernelId {
        self.found.id
    }

    async fn connect(&self, port: u16) -> Result<TcpStream, RuntimeError> {
        let socket = self.channel.descriptor(Request::Connect { port }).await?;
        // What a session hands over is used as a stream of bytes; anything else is not taken.
        let family = sockopt::socket_domain(&socket).map_err(|_| unexpected())?;
        let kind = sockopt::socket_type(&socket).map_err(|_| unexpected())?;
        if !matches!(family, AddressFamily::INET | AddressFamily::INET6)
            || kind != SocketType::STREAM
        {
            return Err(unexpected());
        }
        let stream = std::net::TcpStream::from(socket);
        stream
            .set_nonblocking(true)
            .map_err(RuntimeError::io("use the session's socket"))?;
        TcpStream::from_std(stream).map_err(RuntimeError::io("use the session's socket"))
    }

    async fn start_service(
        &self,
        name: &str,
        options: ServiceOptions,
    ) -> Result<ServiceAnswer, RuntimeError> {
        let wanted = options.limit_s.map(|seconds| {
            let wanted = Duration::from_secs(seconds.into()).min(LONGEST_START);
            wanted + SERVICE_MARGIN
        });
        let request = Request::StartService {
            name: name.to_owned(),
            options,
        };
        let limit = wanted.map_or(SERVICE_LIMIT, |wanted| wanted.max(SERVICE_LIMIT));
        match self.channel.within(limit, request).await? {
            Answer::Service(answer) => Ok(answer),
            _ => Err(unexpected()),
        }
    }

    async fn start_progress(&self, name: &str) -> Result<Option<StartProgress>, RuntimeError> {
        let request = Request::StartProgress {
            name: name.to_owned(),
        };
        match self.channel.quick(request).await {
            Ok(Answer::StartProgress { progress }) => Ok(progress),
            Ok(_) => Err(unexpected()),
            // A runner from before an update: everything but this goes on.
            Err(error) if error.fault() == Some(FaultKind::Unsupported) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn shutdown_service(&self, name: &str) -> Result<(), RuntimeError> {
        self.done(Request::ShutdownService {
            name: name.to_owned(),
        })
        .await
    }

    async fn apps(&self) -> Result<Vec<AppState>, RuntimeError> {
        match self.channel.quick(Request::Apps).await? {
            Answer::Apps { apps } => Ok(apps),
            _ => Err(unexpected()),
        }
    }

    async fn ssh_info(&self) -> Result<SshInfo, RuntimeError> {
        match self.channel.quick(Request::Ssh).await? {
            Answer::Ssh(info) => Ok(info),
            _ => Err(unexpected()),
        }
    }

    async fn execute(
        &self,
        execute: Execute,
    ) -> Result<BoxStream<'static, Result<Output, RuntimeError>>, RuntimeError> {
        let conversation = self.channel.ask(Request::Execute(execute)).await?;
        Ok(answers(conversation, |answer| match answer {
            Answer::Output(output) => {
                let last = matches!(output, Output::Finished { .. });
                Some((output, last))
            }
            _ => None,
        }))
    }

    async fn interrupt(&self, run_id: Option<&str>) -> Result<(), RuntimeError> {
        self.done(Request::Interrupt {
            run_id: run_id.map(str::to_owned),
        })
        .await
    }

    async fn logs(&self, tail: usize) -> Result<String, RuntimeError> {
        logs::tail(&self.found.logs, tail).map_err(RuntimeError::io("read the session's log"))
    }

    async fn stats(&self) -> Result<BTreeMap<String, Metric>, RuntimeError> {
        let (counters, inside) = self.counters().await?;
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let mut metrics = history.metrics(Instant::now(), counters, self.found.limits.mem);
        drop(history);
        metrics.extend(inside.into_iter().filter(|(name, _)| name == "processes"));
        metrics.extend(self.gpu_metrics());
        Ok(metrics)
    }

    async fn notices(&self) -> Result<Vec<Notice>, RuntimeError> {
        let mut notices = self.found.notices.clone();
        if let Answer::Notices { notices: inside } = self.channel.quick(Request::Notices).await? {
            notices.extend(inside);
        }
        notices.extend(self.kills.look());
        Ok(notices)
    }

    async fn list_files(&self, path: &str) -> Result<Vec<FileEntry>, RuntimeError> {
        match self
            .channel
            .quick(Request::ListFiles {
                path: path.to_owned(),
            })
            .await?
        {
            Answer::Files { entries } => Ok(entries),
            _ => Err(unexpected()),
        }
    }

    async fn open_file(&self, path: &str, mode: OpenMode) -> Result<tokio::fs::File, RuntimeError> {
        let request = Request::OpenFile {
            path: path.to_owned(),
            mode,
        };
        let file = std::fs::File::from(self.channel.descriptor(request).await?);
        // A pipe or a device would stop whoever reads it.
        if !file
            .metadata()
            .map_err(RuntimeError::io("look at the session's file"))?
            .is_file()
        {
            return Err(unexpected());
        }
        Ok(tokio::fs::File::from_std(file))
    }

    async fn make_directory(&self, path: &str) -> Result<(), RuntimeError> {
        self.done(Request::MakeDirectory {
            path: path.to_owned(),
        })
        .await
    }

    async fn rename_file(&self, from: &str, to: &str) -> Result<(), RuntimeError> {
        self.done(Request::RenameFile {
            from: from.to_owned(),
            to: to.to_owned(),
        })
        .await
    }

    async fn remove_file(&self, path: &str) -> Result<(), RuntimeError> {
        self.done(Request::RemoveFile {
            path: path.to_owned(),
        })
        .await
    }

    async fn unsaved(&self, limit: usize) -> Result<Unsaved, RuntimeError> {
        match self.channel.quick(Request::Unsaved { limit }).await? {
            Answer::Unsaved(unsaved) => Ok(unsaved),
            _ => Err(unexpected()),
        }
    }

    async fn save_unsaved(&self, directory: OwnedFd) -> Result<Saved, RuntimeError> {
        let directory = Arc::new(directory);
        let unsaved = self.unsaved(MOST_SAVED).await?;
        let mut saved = Saved::default();
        for file in unsaved.listed {
            let source = match self.open_file(&file.path, OpenMode::Read).await {
                Ok(source) => source.into_std().await,
                // It went away since it was listed.
                Err(RuntimeError::Fault(fault)) if fault.kind == FaultKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let (directory, owner) = (Arc::clone(&directory), self.found.owner);
            let copied = tokio::task::spawn_blocking(move || {
                save::copy(&source, &directory, &file.path, owner)
            })
            .await
            .map_err(|error| fault(FaultKind::Other, &error.to_string()))?;
            saved.bytes += copied.map_err(RuntimeError::io("save the session's files"))?;
            saved.files += 1;
        }
        Ok(saved)
    }

    fn changes(&self) -> Changes {
        self.found.changes.clone()
    }

    async fn install(
        &self,
        app: &str,
    ) -> Result<BoxStream<'static, Result<InstallEvent, RuntimeError>>, RuntimeError> {
        let conversation = self
            .channel
            .ask(Request::Install {
                app: app.to_owned(),
            })
            .await?;
        Ok(answers(conversation, |answer| match answer {
            Answer::Line { text } => Some((InstallEvent::Line(text), false)),
            Answer::Installed { exit_code } => Some((InstallEvent::Done(exit_code), true)),
            _ => None,
        }))
    }

    async fn wait(&self) -> Exit {
        let mut ended = self.found.ended.clone();
        match ended.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(exit)) => exit.clone(),
            _ => Exit::Lost {
                reason: "nobody watches the session any more".to_owned(),
            },
        }
    }

    async fn terminate(&self, grace: Duration) -> Result<Exit, RuntimeError> {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let asked = self.done(Request::Terminate { grace_ms }).await;
        if asked.is_ok()
            && let Ok(exit) = tokio::time::timeout(grace + KILL_LIMIT / 4, self.wait()).await
        {
            return Ok(exit);
        }
        // The runner does not listen.
        let _ = pidfd_send_signal(&self.found.outermost, Signal::KILL);
        match tokio::time::timeout(KILL_LIMIT, self.wait()).await {
            Ok(Exit::Lost { .. }) => Ok(Exit::Terminated),
            Ok(exit) => Ok(exit),
            Err(_) => Err(fault(FaultKind::Other, "the session can't be killed")),
        }
    }
}

/// Answers as a stream, until `pick` says that one is the last.
fn answers<T: Send + 'static>(
    conversation: Conversation,
    pick: fn(Answer) -> Option<(T, bool)>,
) -> BoxStream<'static, Result<T, RuntimeError>> {
    stream::unfold(Some(conversation), move |conversation| async move {
        let mut conversation = conversation?;
        match conversation.next().await {
            Ok((answer, _)) => match pick(answer) {
                Some((item, false)) => Some((Ok(item), Some(conversation))),
                Some((item, true)) => Some((Ok(item), None)),
                None => Some((Err(unexpected()), None)),
            },
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

//! Makes the kernels of sessions that have their places.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use db::rusqlite::Connection;
use protocol::api::image::LABEL_SERVICE_PORTS;
use protocol::service_port::ServicePort;
use protocol::session::{Event, SessionStatus};
use protocol::slots::{CPU, MEM};
use runtime::{
    Batch, Cluster, Dotfile, ImageRoot, Kernel, KernelSpec, Limits, Mount, RuntimeError,
};
use serde_json::Value;

use super::failure::{failed, forget};
use super::{IDLE, InHand, Work, image, insist, restart, watch};
use crate::app;
use crate::app::transition::advance;
use crate::app::{image_container, session_environment};
use crate::error::Problem;
use crate::lock;
use crate::state::App;
use crate::store;
use crate::store::kernel::Kernel as KernelRow;
use crate::store::session::Session;
use crate::store::user::User;

/// Processes and threads of one kernel. Enough for builds and data loaders, too few for an accident
/// to take the computer down.
const MAX_PROCESSES: u32 = 8192;

pub(super) async fn step(work: &Work) -> Result<Duration, Problem> {
    let scheduled = work
        .app
        .store
        .read(|db| -> Result<_, Problem> {
            let statuses = [SessionStatus::Scheduled, SessionStatus::Restarting];
            Ok(store::session::in_status(db, &statuses)?)
        })
        .await?;
    for session in scheduled {
        let Some(in_hand) = work.take(session.id) else {
            continue;
        };
        if session.status == SessionStatus::Restarting {
            work.tasks
                .spawn(restart::again(work.clone(), session, in_hand));
        } else {
            work.tasks.spawn(start(work.clone(), session, in_hand));
        }
    }
    Ok(IDLE)
}

async fn start(work: Work, session: Session, in_hand: InHand) {
    let app = &work.app;
    let events = match image::bring(app, &session).await {
        Ok(events) => events,
        Err(image::Missing::Ended) => return drop(in_hand),
        Err(image::Missing::Failed(why)) => {
            failed(&work, &session, why).await;
            return drop(in_hand);
        }
    };
    let id = session.id;
    let creating = insist(app, |app| async move {
        let boot_id = lock::boot_id();
        let edit = move |session: &mut Session, kernels: &mut [KernelRow]| {
            image::forget_pull(session);
            for kernel in kernels {
                kernel.boot_id = Some(boot_id.clone());
                kernel.container_id = Some(kernel.id.simple().to_string());
            }
        };
        advance(&app, id, events, "", edit).await
    })
    .await;
    // Ended in the meantime: there is nothing to start any more.
    if let Some(Some((session, rows))) = creating {
        match make(app, &session, &rows).await {
            Ok(kernels) => ready(&work, &session, kernels).await,
            Err(error) => failed(&work, &session, error.into()).await,
        }
    }
    drop(in_hand);
}

async fn make(
    app: &App,
    session: &Session,
    rows: &[KernelRow],
) -> Result<Vec<Arc<dyn Kernel>>, RuntimeError> {
    let specs = specs(app, session, rows).await?;
    together(specs, |spec| app.runtime.start(spec)).await
}

/// Starts the main kernel, and then the others, which join its network.
pub(super) async fn together<F>(
    specs: Vec<KernelSpec>,
    start: impl Fn(KernelSpec) -> F,
) -> Result<Vec<Arc<dyn Kernel>>, RuntimeError>
where
    F: Future<Output = Result<Arc<dyn Kernel>, RuntimeError>>,
{
    let mut failed = None;
    let mut specs = specs.into_iter();
    let main = specs
        .next()
        .ok_or_else(|| RuntimeError::Invalid("the session has no kernel".to_owned()))?;
    let mut kernels = vec![start(main).await?];
    // Each to its end, also when another failed: one that is cut off is nobody's.
    for started in futures_util::future::join_all(specs.map(start)).await {
        match started {
            Ok(kernel) => kernels.push(kernel),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    match failed {
        None => Ok(kernels),
        Some(error) => Err(error),
    }
}

/// The orders for all kernels of a session.
pub(super) async fn specs(
    app: &App,
    session: &Session,
    rows: &[KernelRow],
) -> Result<Vec<KernelSpec>, RuntimeError> {
    let wanted = session.clone();
    let own = app
        .store
        .read(move |db| Own::of(db, &wanted))
        .await
        .unwrap_or_default();
    // Made anew with all of the session's kernels: none is ever started alone.
    let key = rand::random();
    let wants_container = image_container::is_wanted(app, session).await;
    let mut specs = Vec::with_capacity(rows.len());
    for row in rows {
        let mut spec = spec(app, session, row, rows, &own)?;
        if wants_container {
            image::put_container(app, session, &mut spec).await;
        } else {
            image::put_into(app, session, &mut spec).await?;
        }
        spec.cluster = cluster(rows, row, key);
        specs.push(spec);
    }
    Ok(specs)
}

fn cluster(rows: &[KernelRow], row: &KernelRow, key: [u8; 32]) -> Option<Cluster> {
    let main = rows.first().filter(|_| rows.len() > 1)?;
    Some(Cluster {
        main: main.id,
        rank: row.local_rank,
        hosts: rows.iter().map(|row| row.hostname.clone()).collect(),
        key,
    })
}

/// All kernels answer: the session runs, unless it was ended while they started.
pub(super) async fn ready(work: &Work, session: &Session, kernels: Vec<Arc<dyn Kernel>>) {
    let app = &work.app;
    for kernel in &kernels {
        app.kernels.insert(Arc::clone(kernel));
    }
    let id = session.id;
    let running = insist(app, |app| async move {
        advance(&app, id, &[Event::Started], "", forget).await
    })
    .await;
    if let Some(Some(_)) = running {
        app.activity.touch(session.id);
        app.nudge.idle.notify_one();
        for kernel in kernels {
            watch::attach(work, session.id, kernel);
        }
    }
}

/// What a session has from its owner and its image.
#[derive(Default)]
struct Own {
    user: Option<User>,
    ssh_public_key: Option<String>,
    dotfiles: Vec<Dotfile>,
    /// The image's own words.
    service_ports: String,
}

impl Own {
    fn of(db: &Connection, session: &Session) -> Result<Self, Problem> {
        let keypair = store::keypair::get(db, &session.access_key)?;
        let image = store::image::by_name(db, &session.image, &session.architecture)?;
        let files =
            app::dotfile::of_session(db, &session.domain, session.project, &session.access_key)?;
        Ok(Self {
            user: store::user::get(db, session.user)?,
            service_ports: image
                .and_then(|mut image| image.labels.remove(LABEL_SERVICE_PORTS))
                .unwrap_or_default(),
            ssh_public_key: keypair.and_then(|keypair| keypair.ssh_public_key),
            dotfiles: files
                .into_iter()
                .map(|file| Dotfile {
                    mode: u32::from_str_radix(&file.permission, 8).unwrap_or(0o644),
                    path: file.path,
                    data: file.data,
                })
                .collect(),
        })
    }
}

/// The order for one kernel.
fn spec(
    app: &App,
    session: &Session,
    row: &KernelRow,
    rows: &[KernelRow],
    own: &Own,
) -> Result<KernelSpec, RuntimeError> {
    let built_in = ServicePort::built_in().map(|service| service.name);
    let shmem = session.resource_opts.get("shmem").and_then(Value::as_str);
    let batch = session
        .startup_command
        .as_ref()
        .filter(|_| row.local_rank == 0);
    let (environments, path_prefix) = session_environment::mounts(&session.environments)
        .map_err(|refused| RuntimeError::Invalid(refused.to_string()))?;
    let mut mounts = mounts(app, session)?;
    mounts.extend(environments);
    Ok(KernelSpec {
        kernel_id: row.id,
        session_id: session.id,
        session_name: session.name.clone(),
        node: row.agent.clone(),
        hostname: row.hostname.clone(),
        image: ImageRoot::Host,
        limits: Limits {
            cpu: u32::try_from(session.requested_slots.get(CPU).floor()).unwrap_or(u32::MAX),
            mem: session.requested_slots.get(MEM).floor(),
            shmem: shmem.and_then(|text| text.parse().ok()).unwrap_or(64 << 20),
            pids: MAX_PROCESSES,
        },
        gpus: row.gpus.clone(),
        environ: environ(session, row, rows, own),
        mounts,
        service_ports: row
            .service_ports
            .iter()
            .filter(|service| !built_in.contains(&service.name))
            .cloned()
            .collect(),
        bootstrap_script: session.bootstrap_script.clone(),
        authorized_keys: own.ssh_public_key.iter().cloned().collect(),
        dotfiles: own.dotfiles.clone(),
        batch: batch.map(|command| Batch {
            command: command.clone(),
            timeout: session
                .batch_timeout
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        }),
        path_prefix,
        cluster: None,
    })
}

fn mounts(app: &App, session: &Session) -> Result<Vec<Mount>, RuntimeError> {
    session
        .mounts
        .iter()
        .map(|mount| {
            let root = app.storage.volume.files_path(mount.folder);
            let problem = |path: PathBuf| move |source| RuntimeError::Mount { path, source };
            // A link inside the folder may lead anywhere: only what really lies in it is mounted.
            let root = root
                .canonicalize()
                .map_err(problem(PathBuf::from(&mount.name)))?;
            let wanted = PathBuf::from(&mount.name).join(&mount.subpath);
            let source = root
                .join(&mount.subpath)
                .canonicalize()
                .map_err(problem(wanted.clone()))?;
            if !source.starts_with(&root) {
                return Err(problem(wanted)(std::io::Error::other(
                    "it leads out of the folder",
                )));
            }
            Ok(Mount {
                source,
                target: (&mount.target).into(),
                read_only: mount.read_only,
            })
        })
        .collect()
}

/// The variables of the protocol page "Kernel runner" §6; the user's own can't replace them.
fn environ(
    session: &Session,
    row: &KernelRow,
    rows: &[KernelRow],
    own: &Own,
) -> BTreeMap<String, String> {
    let join = |parts: Vec<String>| parts.join(",");
    let cores = session.requested_slots.get(CPU).floor().to_string();
    let subs = rows.iter().filter(|row| row.role == "sub").count();
    let mut replicas = vec!["main:1".to_owned()];
    if subs > 0 {
        replicas.push(format!("sub:{subs}"));
    }
    let mut environ = BTreeMap::new();
    for variable in ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NPROC"] {
        environ.insert(variable.to_owned(), cores.clone());
    }
    environ.extend(session.environ.clone());
    let mut set = |name: &str, value: String| {
        environ.insert(name.to_owned(), value);
    };
    if let Some(owner) = &own.user {
        set("BACKENDAI_USER_UUID", owner.id.to_string());
        set("BACKENDAI_USER_EMAIL", owner.email.clone());
        set("BACKENDAI_USER_NAME", owner.username.clone());
    }
    set("BACKENDAI_ACCESS_KEY", session.access_key.clone());
    set("BACKENDAI_SESSION_ID", session.id.to_string());
    set("BACKENDAI_SESSION_NAME", session.name.clone());
    set("BACKENDAI_CLUSTER_SIZE", rows.len().to_string());
    set("BACKENDAI_CLUSTER_REPLICAS", join(replicas));
    set(
        "BACKENDAI_CLUSTER_HOSTS",
        join(rows.iter().map(|row| row.hostname.clone()).collect()),
    );
    set("BACKENDAI_CLUSTER_HOST", row.hostname.clone());
    set("BACKENDAI_CLUSTER_ROLE", row.role.clone());
    set("BACKENDAI_CLUSTER_IDX", row.idx.to_string());
    set("BACKENDAI_CLUSTER_LOCAL_RANK", row.local_rank.to_string());
    set("BACKENDAI_KERNEL_ID", row.id.to_string());
    set("BACKENDAI_KERNEL_IMAGE", session.image.clone());
    set(
        "BACKENDAI_PREOPEN_PORTS",
        join(session.preopen_ports.iter().map(u16::to_string).collect()),
    );
    set("BACKENDAI_SERVICE_PORTS", own.service_ports.clone());
    let targets: Vec<_> = session
        .mounts
        .iter()
        .map(|mount| mount.target.as_str())
        .collect();
    set("BACKENDAI_PERSISTENT_PATHS", targets.join(":"));
    environ
}

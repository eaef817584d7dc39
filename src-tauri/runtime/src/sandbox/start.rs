//! Starts a kernel.

use std::{fs, io, os::unix::fs::PermissionsExt, process::Stdio, sync::Arc, time::Duration};

use protocol::runner::{
    Answer, Notice, NoticeCode, Request,
    launch::{ClusterLink, INNER_ID, LaunchEvent, LaunchPlan, RunnerPlan},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::{
    Reach, Sandbox,
    layout::{self, Places},
    network,
    overlay::{self, Base},
    record::{Dir, Record},
    several, watch,
};
use crate::{
    ImageRoot, KernelSpec, RuntimeError, began,
    cluster::Subnet,
    control::{Channel, unexpected},
    etc, gpu, identity,
    kernel::RunnerKernel,
    plan,
    process::{self, ProcessName},
};

/// How long a session may take to be ready, without a bootstrap script of its own.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// How long it may take with one.
const BOOTSTRAP_LIMIT: Duration = Duration::from_secs(600);

/// Starts it and waits until it takes work. On failure the caller tidies up.
pub(super) async fn start(
    sandbox: &Sandbox,
    spec: &KernelSpec,
    dir: &Dir,
) -> Result<RunnerKernel, RuntimeError> {
    plan::check(spec)?;
    let resolver = match sandbox.reach {
        Reach::Outbound { .. } => network::resolver(&sandbox.config.resolv_conf),
        Reach::Nothing(_) => network::Resolver::default(),
    };
    let place = place(sandbox, spec)?;
    let began = began::seeds(&dir.root);
    let seeds = match began {
        Some(seeds) => seeds,
        None => plan::seeds()?,
    };
    let mut notices = sandbox.notices.clone();
    let plan = prepare(
        sandbox,
        spec,
        dir,
        &resolver,
        seeds,
        &mut notices,
        place.as_ref(),
    )?;
    let group = sandbox
        .hierarchy
        .make(spec.kernel_id, &spec.limits)
        .map_err(RuntimeError::io("limit the session"))?;
    let mut record = Record {
        boot_id: process::boot_id(),
        limits: spec.limits,
        gpus: spec.gpus.clone(),
        group,
        supervisor: None,
        sandbox: None,
        cluster: place.map(|place| place.subnet),
        pasta: None,
        notices,
        layers: match &spec.image {
            ImageRoot::Layers { directories, .. } => directories.clone(),
            _ => Vec::new(),
        },
    };
    // Before anything runs: an engine that dies now must find what to tidy up.
    dir.write(&record)
        .map_err(RuntimeError::io("write the session's record"))?;
    let plan = LaunchPlan {
        cgroups: record.group.entrances(),
        supervisor_cgroup: sandbox.hierarchy.supervisors(),
        process_limit: (!record.group.limits_processes()).then_some(u64::from(spec.limits.pids)),
        ..plan
    };
    let mut launched = launch(sandbox, dir, &plan).await?;
    record.supervisor = launched.child.id().and_then(ProcessName::of);
    let limit = if spec.bootstrap_script.is_some() {
        BOOTSTRAP_LIMIT
    } else {
        READY_LIMIT
    };
    let ready = tokio::time::timeout(limit, await_ready(spec, dir, &mut launched)).await;
    let network = match ready.unwrap_or_else(|_| Err(failed(dir, "it was not ready in time"))) {
        Ok(network) => network,
        Err(error) => {
            // With the launcher everything that it made so far ends.
            let _ = launched.child.kill().await;
            return Err(error);
        }
    };
    record.pasta = network.pid.and_then(ProcessName::of);
    record.sandbox = network.sandbox.and_then(ProcessName::of);
    if let Some(reason) = network.failure {
        record.notices.push(Notice {
            code: NoticeCode::NoNetwork,
            message: format!("the session has no network: {reason}"),
            at: jiff::Timestamp::now().to_string(),
        });
    }
    dir.write(&record)
        .map_err(RuntimeError::io("write the session's record"))?;
    if began.is_none() {
        began::note(&dir.root, &seeds).map_err(RuntimeError::io("write the session's record"))?;
    }
    let supervisor = launched.child.id().unwrap_or_default();
    let supervisor =
        process::descriptor_of(supervisor).map_err(RuntimeError::io("watch the session"))?;
    let supervisor = Arc::new(supervisor);
    let ended = watch::watch(
        dir.clone(),
        record.clone(),
        supervisor.clone(),
        Some(launched.child),
    );
    Ok(sandbox.kernel(spec.kernel_id, dir, record, supervisor, ended))
}

/// Where a kernel is in the network between the kernels of its session.
#[derive(Clone, Copy)]
struct Place {
    subnet: Subnet,
    link: ClusterLink,
}

fn place(sandbox: &Sandbox, spec: &KernelSpec) -> Result<Option<Place>, RuntimeError> {
    let Some(cluster) = &spec.cluster else {
        return Ok(None);
    };
    cluster.check()?;
    let (subnet, main) = if cluster.rank == 0 {
        // The network is in namespaces of its own: only what the session reaches outside counts.
        let subnet = Subnet::free(0).next().ok_or_else(|| RuntimeError::Start {
            reason: "this computer has routes into all networks that a cluster could use"
                .to_owned(),
        })?;
        (subnet, None)
    } else {
        let found = sandbox.dir(cluster.main).read().and_then(|record| {
            let main = record.sandbox.filter(|process| process.is_alive())?;
            Some((record.cluster?, main.pid))
        });
        let (subnet, main) = found.ok_or(RuntimeError::Gone(cluster.main))?;
        (subnet, Some(main))
    };
    let link = ClusterLink {
        address: subnet.address(cluster.rank),
        rank: cluster.rank,
        main,
    };
    Ok(Some(Place { subnet, link }))
}

/// Makes the kernel's directory, or what is missing of it, and the plan for its launcher.
fn prepare(
    sandbox: &Sandbox,
    spec: &KernelSpec,
    dir: &Dir,
    resolver: &network::Resolver,
    seeds: [[u8; 32]; 2],
    notices: &mut Vec<Notice>,
    place: Option<&Place>,
) -> Result<LaunchPlan, RuntimeError> {
    let hosts = match (&spec.cluster, place) {
        (Some(cluster), Some(place)) => cluster.host_lines(place.subnet),
        _ => String::new(),
    };
    let doing = || RuntimeError::io("make the session's directories");
    let (home, tmp, etc) = (dir.at("home"), dir.at("tmp"), dir.at("etc"));
    for (path, mode) in [(&dir.root, 0o755), (&home, 0o700), (&tmp, 0o1777)] {
        match fs::create_dir(path) {
            // Of a kernel that ran before, and belongs to whom it did.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            other => other.map_err(doing())?,
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(doing())?;
        if *path != dir.root {
            identity::give(path, sandbox.owner).map_err(doing())?;
        }
    }
    let base = match &spec.image {
        ImageRoot::Layers { directories, .. } => Base::of(directories),
        _ => Base {
            has_bash: true,
            ..Base::default()
        },
    };
    let shell = if base.has_bash {
        "/bin/bash"
    } else {
        "/bin/sh"
    };
    let etc_files = etc::write(
        &etc,
        &etc::Machine {
            kernel: spec.kernel_id,
            hostname: &spec.hostname,
            shell,
            user: (INNER_ID, INNER_ID),
            resolver: &resolver.text,
            hosts: &hosts,
            others: (&base.passwd, &base.group),
        },
    )
    .map_err(doing())?;
    let root = match &spec.image {
        ImageRoot::Layers {
            directories,
            dropped,
        } => {
            let (root, reason) = overlay::root(sandbox, dir, directories, &etc_files)?;
            notices.extend(overlay::notices(*dropped, reason));
            Some(root)
        }
        _ => None,
    };
    let mut environ = sandbox.config.environ.clone();
    // The host's certificates are not in an image.
    environ.retain(|name, _| {
        spec.image == ImageRoot::Host || name.to_ascii_lowercase().ends_with("_proxy")
    });
    let gpus = if spec.gpus.is_empty() {
        Vec::new()
    } else {
        gpu::chosen(&sandbox.config.gpus.list(), &spec.gpus)?
    };
    let gpus = gpu::layers(&gpus, &sandbox.config.devices);
    let layout = layout::layers(
        spec,
        &Places {
            home: &home,
            tmp: &tmp,
            etc: &etc,
            etc_files: &etc_files,
            runner: &sandbox.config.runner,
            root,
            gpus,
        },
    )?;
    Ok(LaunchPlan {
        become_user: sandbox.owner.map(|owner| (owner.uid, owner.gid)),
        ids: several::ids(sandbox, spec),
        cgroups: Vec::new(),
        supervisor_cgroup: None,
        bubblewrap: sandbox.bubblewrap.clone(),
        bind_fd: sandbox.bind_fd,
        network: sandbox
            .reach
            .network(spec.kernel_id, resolver, &sandbox.config.resolv_conf),
        layout,
        hostname: spec.hostname.clone(),
        seccomp: sandbox.filters.clone(),
        control_socket: dir.socket.clone(),
        logs: dir.logs(),
        exit_file: dir.at("exit.json"),
        process_limit: None,
        runner: RunnerPlan {
            cluster: spec
                .cluster
                .as_ref()
                .zip(place)
                .map(|(cluster, place)| cluster.planned(place.subnet)),
            ..plan::runner(spec, environ, seeds)
        },
        cluster: place.map(|place| place.link),
    })
}

struct Launched {
    child: Child,
    events: Lines<BufReader<ChildStdout>>,
}

async fn launch(sandbox: &Sandbox, dir: &Dir, plan: &LaunchPlan) -> Result<Launched, RuntimeError> {
    let complaints =
        fs::File::create(dir.at("launch.log")).map_err(RuntimeError::io("make the launch log"))?;
    let mut child = Command::new(&sandbox.config.runner)
        .arg("launch")
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(complaints)
        .kill_on_drop(false)
        .spawn()
        .map_err(RuntimeError::io("start gangway-runner"))?;
    let text = serde_json::to_vec(plan).map_err(RuntimeError::Garbled)?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(failed(dir, "its streams are missing"));
    };
    if let Err(error) = stdin.write_all(&text).await {
        return Err(failed(dir, &error.to_string()));
    }
    drop(stdin);
    Ok(Launched {
        child,
        events: BufReader::new(stdout).lines(),
    })
}

#[derive(Default)]
struct NetworkOutcome {
    pid: Option<u32>,
    sandbox: Option<u32>,
    failure: Option<String>,
}

/// Waits for the runner's first answer and for the network, which come up side by side.
async fn await_ready(
    spec: &KernelSpec,
    dir: &Dir,
    launched: &mut Launched,
) -> Result<NetworkOutcome, RuntimeError> {
    match next_event(dir, launched).await? {
        LaunchEvent::Listening => {}
        _ => return Err(failed(dir, "the launcher said something unexpected")),
    }
    let channel = Channel::new(spec.kernel_id, &dir.socket);
    let ready = async {
        match channel.ask(Request::Status).await?.next().await? {
            (Answer::Status(_), _) => Ok(()),
            _ => Err(unexpected()),
        }
    };
    let network = async {
        let mut sandbox = None;
        loop {
            match next_event(dir, launched).await? {
                LaunchEvent::Started { sandbox_pid } => sandbox = Some(sandbox_pid),
                LaunchEvent::Network { pid, failure } => {
                    return Ok(NetworkOutcome {
                        pid,
                        sandbox,
                        failure,
                    });
                }
                _ => {}
            }
        }
    };
    tokio::pin!(ready, network);
    tokio::select! {
        outcome = &mut network => {
            let outcome = outcome?;
            ready.await.map_err(|error| started_badly(dir, error))?;
            Ok(outcome)
        }
        answered = &mut ready => {
            answered.map_err(|error| started_badly(dir, error))?;
            network.await
        }
    }
}

/// A runner that went away has said why in the launch log.
fn started_badly(dir: &Dir, error: RuntimeError) -> RuntimeError {
    match error {
        RuntimeError::Gone(_) => failed(dir, "the runner ended"),
        other => other,
    }
}

async fn next_event(dir: &Dir, launched: &mut Launched) -> Result<LaunchEvent, RuntimeError> {
    let line = launched
        .events
        .next_line()
        .await
        .map_err(RuntimeError::io("listen to the launcher"))?;
    let Some(line) = line else {
        return Err(failed(dir, "the launcher ended"));
    };
    match serde_json::from_str(&line).map_err(RuntimeError::Garbled)? {
        LaunchEvent::Failed { reason } => Err(RuntimeError::Start { reason }),
        event => Ok(event),
    }
}

fn failed(dir: &Dir, what: &str) -> RuntimeError {
    let words = dir.last_words();
    let reason = if words.is_empty() {
        what.to_owned()
    } else {
        format!("{what} ({words})")
    };
    RuntimeError::Start { reason }
}

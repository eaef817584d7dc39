//! Starts a container.

use std::{
    collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration,
};

use bollard::models::{ContainerCreateBody, DeviceRequest, HealthConfig, HostConfig};
use protocol::runner::{
    Answer, Request,
    launch::{DOOR_PATH, HOME, RUNNER_PATH, RunnerPlan},
};

use super::{
    Containers,
    api::Connected,
    door::{self, Door},
    images, network,
    record::{Dir, Record},
    text_of, user_of, watch,
};
use crate::{
    ImageRoot, KernelSpec, Mount, RuntimeError, began,
    cgroup::{self, Group},
    control::{Channel, unexpected},
    etc, gpu, identity,
    kernel::RunnerKernel,
    mounts, plan,
    process::{self, ProcessName},
};

/// How long the runner may take to come to the door.
const DOOR_LIMIT: Duration = Duration::from_secs(30);
/// How long a session may take to be ready, without a bootstrap script of its own.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// How long it may take with one.
const BOOTSTRAP_LIMIT: Duration = Duration::from_secs(600);

/// Files of `/etc` that we show; names and addresses of a lone container are its engine's matter.
const OWN_ETC: &[&str] = &["passwd", "group", "machine-id"];

/// Starts it and waits until it takes work. On failure the caller tidies up.
pub(super) async fn start(
    containers: &Containers,
    spec: &KernelSpec,
    dir: &Dir,
) -> Result<RunnerKernel, RuntimeError> {
    plan::check(spec)?;
    let ImageRoot::Container(image) = &spec.image else {
        return Err(RuntimeError::Invalid(
            "this image is none of the container engine's".to_owned(),
        ));
    };
    let mounts = mounts::sorted(&spec.mounts)?;
    let began = began::seeds(&dir.root);
    let seeds = match began {
        Some(seeds) => seeds,
        None => plan::seeds()?,
    };
    let mut environ: BTreeMap<String, String> = containers.config.environ.clone();
    environ.extend(images::environ(&containers.api, image).await?);
    make_directories(containers, dir)?;
    let mut record = Record {
        boot_id: process::boot_id(),
        limits: spec.limits,
        gpus: spec.gpus.clone(),
        container: format!("gangway-{}", spec.kernel_id),
        network: spec.cluster.as_ref().map(|_| network::Place::name(spec)),
        subnet: None,
        process: None,
        group: Group::None,
    };
    let write = |record: &Record| {
        dir.write(record)
            .map_err(RuntimeError::io("write the session's record"))
    };
    // Before anything runs: an engine that dies now must find what to tidy up.
    write(&record)?;
    let place = network::place(containers, spec).await?;
    record.subnet = place.as_ref().map(|place| place.subnet);
    write(&record)?;
    let door = Door::make(dir).map_err(RuntimeError::io("wait for the container"))?;
    let binds = binds(containers, spec, dir, place.as_ref(), &mounts)?;
    let connected = containers.api.connect().await?;
    let body = body(containers, spec, image, binds, place.as_ref(), &connected);
    containers.api.create(&record.container, body).await?;
    let pid = containers.api.run(&record.container).await?;
    record.process = ProcessName::of(pid);
    record.group = cgroup::group_of(pid);
    write(&record)?;

    let outermost =
        process::descriptor_of(pid).map_err(RuntimeError::io("find the session's process"))?;
    let outermost = Arc::new(outermost);
    let plan = RunnerPlan {
        cluster: spec
            .cluster
            .as_ref()
            .zip(place.as_ref())
            .map(|(cluster, place)| cluster.planned(place.subnet)),
        ..plan::runner(spec, environ, seeds)
    };
    let begun = async {
        let visitor = tokio::select! {
            visitor = tokio::time::timeout(DOOR_LIMIT, door.opened_by(pid)) => visitor,
            () = process::until_ended(&outermost) => return Err(silent("it ended")),
        };
        let visitor = visitor
            .map_err(|_| silent("its runner did not ask what to do"))?
            .map_err(RuntimeError::io("meet the container's runner"))?;
        for mount in &mounts {
            compare(pid, mount)?;
        }
        door::hand_over(&visitor, dir, &plan)
            .map_err(RuntimeError::io("tell the container's runner what to do"))?;
        ready(spec, dir).await
    };
    if let Err(error) = begun.await {
        return Err(match error {
            RuntimeError::Start { reason } => {
                let words = containers.api.last_words(&record.container).await;
                RuntimeError::Start {
                    reason: format!("{reason} ({words})"),
                }
            }
            other => other,
        });
    }
    if began.is_none() {
        began::note(&dir.root, &seeds).map_err(RuntimeError::io("write the session's record"))?;
    }
    drop(door);
    // The door has been opened once; nobody else is to find it.
    let _ = fs::remove_file(dir.porch.join("s"));
    let ended = watch::watch(
        containers.api.clone(),
        dir.clone(),
        record.clone(),
        outermost.clone(),
    );
    Ok(containers.kernel(spec.kernel_id, dir, record, outermost, ended))
}

fn silent(what: &str) -> RuntimeError {
    RuntimeError::Start {
        reason: format!("the container came up, but {what}"),
    }
}

fn make_directories(containers: &Containers, dir: &Dir) -> Result<(), RuntimeError> {
    let doing = || RuntimeError::io("make the session's directories");
    let (home, tmp) = (dir.at("home"), dir.at("tmp"));
    for (path, mode) in [(&dir.root, 0o755), (&home, 0o700), (&tmp, 0o1777)] {
        // They are there when it is started again.
        fs::create_dir_all(path).map_err(doing())?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(doing())?;
    }
    for path in [&home, &tmp] {
        identity::give(path, containers.owner).map_err(doing())?;
    }
    Ok(())
}

fn binds(
    containers: &Containers,
    spec: &KernelSpec,
    dir: &Dir,
    place: Option<&network::Place>,
    mounts: &[&Mount],
) -> Result<Vec<String>, RuntimeError> {
    let hosts = match (&spec.cluster, place) {
        (Some(cluster), Some(place)) => cluster.host_lines(place.subnet),
        _ => String::new(),
    };
    let machine = etc::Machine {
        kernel: spec.kernel_id,
        hostname: &spec.hostname,
        shell: "/bin/sh",
        user: user_of(containers.owner),
        resolver: "",
        hosts: &hosts,
        others: ("", ""),
    };
    let etc = dir.at("etc");
    etc::write(&etc, &machine).map_err(RuntimeError::io("make the session's directories"))?;
    let door = Path::new(DOOR_PATH).parent().unwrap_or(Path::new("/run"));
    let mut binds = vec![
        bind(&containers.config.runner, Path::new(RUNNER_PATH), true)?,
        bind(&dir.porch, door, true)?,
        bind(&dir.at("home"), Path::new(HOME), false)?,
        bind(&dir.at("tmp"), Path::new("/tmp"), false)?,
    ];
    let own = OWN_ETC.iter().chain(place.map(|_| &"hosts"));
    for name in own {
        binds.push(bind(&etc.join(name), &Path::new("/etc").join(name), true)?);
    }
    for mount in mounts {
        binds.push(bind(&mount.source, &mount.target, mount.read_only)?);
    }
    Ok(binds)
}

fn bind(source: &Path, target: &Path, read_only: bool) -> Result<String, RuntimeError> {
    let mode = if read_only { "ro" } else { "rw" };
    Ok(format!("{}:{}:{mode}", text_of(source)?, text_of(target)?))
}

fn body(
    containers: &Containers,
    spec: &KernelSpec,
    image: &str,
    binds: Vec<String>,
    place: Option<&network::Place>,
    connected: &Connected,
) -> ContainerCreateBody {
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let rank = spec.cluster.as_ref().map_or(0, |cluster| cluster.rank);
    let (uid, gid) = user_of(containers.owner);
    ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec![RUNNER_PATH.to_owned(), "container".to_owned()]),
        cmd: Some(Vec::new()),
        hostname: Some(spec.hostname.clone()),
        user: Some(format!("{uid}:{gid}")),
        working_dir: Some(HOME.to_owned()),
        env: Some(gpu_environ(&spec.gpus)),
        labels: Some(containers.api.labels(spec.kernel_id, spec.session_id)),
        // The image's own check would run in a session that knows nothing of it.
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        }),
        networking_config: place.map(|place| place.endpoint(spec, rank)),
        host_config: Some(HostConfig {
            binds: Some(binds),
            memory: Some(signed(spec.limits.mem)),
            // Both together: no swap.
            memory_swap: Some(signed(spec.limits.mem)),
            nano_cpus: Some(i64::from(spec.limits.cpu.max(1)) * 1_000_000_000),
            pids_limit: Some(i64::from(spec.limits.pids)),
            shm_size: Some(signed(spec.limits.shmem.max(1 << 20))),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            network_mode: place.map(|place| place.network.clone()),
            // The engine's user outside is the session's user inside.
            userns_mode: connected.rootless.then(|| "keep-id".to_owned()),
            init: Some(false),
            device_requests: gpu_requests(&spec.gpus, connected.podman),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// Asks for GPUs in the words of Docker's driver or, for Podman, of CDI.
fn gpu_requests(uuids: &[String], podman: bool) -> Option<Vec<DeviceRequest>> {
    if uuids.is_empty() {
        return None;
    }
    let request = if podman {
        let names = uuids.iter().map(|uuid| format!("nvidia.com/gpu={uuid}"));
        DeviceRequest {
            driver: Some("cdi".to_owned()),
            device_ids: Some(names.collect()),
            ..DeviceRequest::default()
        }
    } else {
        let needed = ["utility", "compute", "video", "graphics", "display"];
        DeviceRequest {
            driver: Some("nvidia".to_owned()),
            device_ids: Some(uuids.to_vec()),
            capabilities: Some(vec![needed.map(str::to_owned).to_vec()]),
            ..DeviceRequest::default()
        }
    };
    Some(vec![request])
}

/// For the hook that the driver may have put into the container engine: many images say that they
/// want all GPUs, and get them from it unless they are told otherwise.
fn gpu_environ(uuids: &[String]) -> Vec<String> {
    if uuids.is_empty() {
        return vec![format!("{}=void", gpu::VISIBLE)];
    }
    let pairs = gpu::environ(uuids).into_iter();
    pairs
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

/// The container engine follows links on its way to a folder; what it shows must be what was meant.
fn compare(pid: u32, mount: &Mount) -> Result<(), RuntimeError> {
    let problem = |source| RuntimeError::Mount {
        path: mount.source.clone(),
        source,
    };
    let meant = door::Place::of(&mount.source).map_err(problem)?;
    let shown = door::Place::shown(pid, mount).map_err(problem)?;
    if meant == shown {
        Ok(())
    } else {
        Err(problem(std::io::Error::other(
            "the container shows something else in its place",
        )))
    }
}

/// Waits for the runner's first answer.
async fn ready(spec: &KernelSpec, dir: &Dir) -> Result<(), RuntimeError> {
    let limit = if spec.bootstrap_script.is_some() {
        BOOTSTRAP_LIMIT
    } else {
        READY_LIMIT
    };
    let channel = Channel::new(spec.kernel_id, &dir.socket);
    let answer = async { channel.ask(Request::Status).await?.next().await };
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok((Answer::Status(_), _))) => Ok(()),
        Ok(Ok(_)) => Err(unexpected()),
        Ok(Err(RuntimeError::Gone(_))) => Err(silent("its runner ended")),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(silent("it was not ready in time")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_asked_for_in_the_words_of_each_engine() {
        let own = ["GPU-a".to_owned(), "GPU-b".to_owned()];
        let docker = gpu_requests(&own, false).unwrap().remove(0);
        assert_eq!(docker.driver.as_deref(), Some("nvidia"));
        assert_eq!(docker.device_ids.as_deref(), Some(&own[..]));
        assert!(docker.capabilities.unwrap()[0].contains(&"compute".to_owned()));
        let podman = gpu_requests(&own, true).unwrap().remove(0);
        assert_eq!(podman.driver.as_deref(), Some("cdi"));
        let named = ["nvidia.com/gpu=GPU-a", "nvidia.com/gpu=GPU-b"];
        assert_eq!(podman.device_ids.unwrap(), named);
        assert!(gpu_requests(&[], true).is_none());
        assert_eq!(gpu_environ(&[]), ["NVIDIA_VISIBLE_DEVICES=void"]);
        assert!(gpu_environ(&own).contains(&"NVIDIA_VISIBLE_DEVICES=GPU-a,GPU-b".to_owned()));
    }
}

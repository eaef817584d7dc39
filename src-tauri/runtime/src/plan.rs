//! What a runner is told of its session, whatever it runs in.

use std::{collections::BTreeMap, io};

use protocol::runner::launch::{HOME, PlannedFile, PlannedJob, RunnerPlan};

use crate::{KernelSpec, RuntimeError, gpu};

/// Size of each of the two log files (protocol page "Kernel runner" §7: 10M in all).
const LOG_LIMIT: u64 = 5 << 20;

/// Refuses an order that makes no sense.
pub(crate) fn check(spec: &KernelSpec) -> Result<(), RuntimeError> {
    let invalid = |text: &str| Err(RuntimeError::Invalid(text.to_owned()));
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if spec.hostname.is_empty() || spec.hostname.len() > 63 || !spec.hostname.chars().all(letters) {
        return invalid("the host name may hold letters, digits and dashes, 63 at most");
    }
    if spec.limits.mem < 16 << 20 {
        return invalid("a session needs 16 MiB of memory at least");
    }
    if spec
        .environ
        .iter()
        .any(|(name, value)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0'))
    {
        return invalid("an environment variable has an impossible name or value");
    }
    Ok(())
}

/// The plan, without the cluster; `environ` are variables under those of the session, and `seeds`
/// make its keys.
pub(crate) fn runner(
    spec: &KernelSpec,
    mut environ: BTreeMap<String, String>,
    seeds: [[u8; 32]; 2],
) -> RunnerPlan {
    environ.extend(spec.environ.clone());
    // A session can't name itself others than its own.
    environ.extend(gpu::environ(&spec.gpus));
    RunnerPlan {
        environ,
        path_prefix: spec.path_prefix.clone(),
        service_ports: spec.service_ports.clone(),
        bootstrap_script: spec.bootstrap_script.clone(),
        authorized_keys: spec.authorized_keys.clone(),
        dotfiles: spec
            .dotfiles
            .iter()
            .map(|file| PlannedFile {
                path: file.path.clone(),
                data: file.data.clone(),
                mode: file.mode,
            })
            .collect(),
        batch: spec.batch.as_ref().map(|batch| PlannedJob {
            command: batch.command.clone(),
            timeout: batch.timeout,
        }),
        mounted: spec
            .mounts
            .iter()
            .map(|mount| mount.target.clone())
            .filter(|target| target.starts_with(HOME))
            .collect(),
        cpu: spec.limits.cpu,
        seeds,
        log_limit: LOG_LIMIT,
        cluster: None,
    }
}

/// Seeds of a new kernel's keys.
pub(crate) fn seeds() -> Result<[[u8; 32]; 2], RuntimeError> {
    Ok([seed()?, seed()?])
}

fn seed() -> Result<[u8; 32], RuntimeError> {
    let mut seed = [0; 32];
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())
        .map_err(io::Error::from)
        .map_err(RuntimeError::io("make the session's keys"))?;
    Ok(seed)
}

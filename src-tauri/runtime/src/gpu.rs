//! The NVIDIA GPUs of this computer: which there are, what they do, and what a session needs to use
//! some of them.
//!
//! Whole GPUs are given, by UUID: numbers may change when the computer starts again. Which kernel
//! has which is the engine's matter.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    path::{Path, PathBuf},
    sync::Arc,
};

use nvml_wrapper::{Device, Nvml, error::NvmlError};
use protocol::runner::{Metric, launch::Layer};

use crate::{
    RuntimeError,
    metrics::{decimal, float, metric},
};

/// What programs use besides the GPU itself, in `/dev`.
const SHARED: [&str; 3] = ["nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"];

/// A GPU, as it is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// `GPU-…`: its name for good.
    pub uuid: String,
    /// NVML's number of it.
    pub index: u32,
    /// Of `/dev/nvidia<minor>`.
    pub minor: u32,
    /// `NVIDIA H100 80GB HBM3`.
    pub model: String,
    /// Memory in bytes.
    pub memory: u64,
    /// Memory in use, in bytes, whoever uses it.
    pub used: u64,
    /// Percent of the last moments in which something ran on it.
    pub utilization: u32,
}

/// Knows the GPUs of a computer.
pub trait Gpus: Debug + Send + Sync {
    /// Those that can be used now; none where there is no driver. May take some milliseconds.
    fn list(&self) -> Vec<Gpu>;
}

/// The GPUs of this computer. The driver's library (NVML) is looked for once, while the program
/// runs: without it, or without a GPU, there is none, and that is no error.
#[must_use]
pub fn here() -> Arc<dyn Gpus> {
    match Nvml::init() {
        Ok(nvml) => Arc::new(Driver(nvml)),
        Err(error) => {
            tracing::debug!(%error, "no GPUs");
            Arc::new(Nothing)
        }
    }
}

#[derive(Debug)]
struct Nothing;

impl Gpus for Nothing {
    fn list(&self) -> Vec<Gpu> {
        Vec::new()
    }
}

#[derive(Debug)]
struct Driver(Nvml);

impl Gpus for Driver {
    fn list(&self) -> Vec<Gpu> {
        let count = match self.0.device_count() {
            Ok(count) => count,
            Err(error) => {
                tracing::warn!(%error, "the GPUs can't be counted");
                return Vec::new();
            }
        };
        let look = |index| {
            let found = self.0.device_by_index(index);
            match found.and_then(|device| describe(index, &device)) {
                Ok(gpu) => Some(gpu),
                // One that fell off the bus is of no use; the others are.
                Err(error) => {
                    tracing::warn!(index, %error, "a GPU can't be used");
                    None
                }
            }
        };
        (0..count).filter_map(look).collect()
    }
}

fn describe(index: u32, device: &Device<'_>) -> Result<Gpu, NvmlError> {
    let memory = device.memory_info()?;
    Ok(Gpu {
        uuid: device.uuid()?,
        index,
        minor: device.minor_number()?,
        model: device.name()?,
        memory: memory.total,
        used: memory.used,
        // Not every GPU counts it.
        utilization: device.utilization_rates().map_or(0, |rates| rates.gpu),
    })
}

/// Those of `all` that a kernel was given.
///
/// # Errors
/// [`RuntimeError::Invalid`] when one of them is not there any more.
pub(crate) fn chosen(all: &[Gpu], uuids: &[String]) -> Result<Vec<Gpu>, RuntimeError> {
    let find = |uuid: &String| {
        let found = all.iter().find(|gpu| gpu.uuid == *uuid).cloned();
        found.ok_or_else(|| {
            RuntimeError::Invalid(format!(
                "the session was given the GPU {uuid}, which this computer does not have any more"
            ))
        })
    };
    uuids.iter().map(find).collect()
}

/// The device nodes that a sandbox shows for GPUs, as far as they exist in `devices` (`/dev`).
pub(crate) fn layers(gpus: &[Gpu], devices: &Path) -> Vec<Layer> {
    if gpus.is_empty() {
        return Vec::new();
    }
    let own = gpus.iter().map(|gpu| format!("nvidia{}", gpu.minor));
    own.chain(SHARED.map(str::to_owned))
        .map(|name| Layer::Device {
            source: devices.join(&name),
            target: PathBuf::from("/dev").join(name),
        })
        .filter(|layer| matches!(layer, Layer::Device { source, .. } if source.exists()))
        .collect()
}

/// Names the GPUs of a session to the programs in it, and to tools of the driver.
pub(crate) const VISIBLE: &str = "NVIDIA_VISIBLE_DEVICES";

/// Variables of a session with these GPUs.
pub(crate) fn environ(uuids: &[String]) -> Vec<(String, String)> {
    if uuids.is_empty() {
        return Vec::new();
    }
    vec![
        (VISIBLE.to_owned(), uuids.join(",")),
        ("NVIDIA_DRIVER_CAPABILITIES".to_owned(), "all".to_owned()),
    ]
}

/// Makes metrics of what GPUs do: the most and the average are of all that was seen.
#[derive(Debug, Default)]
pub(crate) struct GpuHistory {
    most_used: u64,
    most_utilization: u32,
    sum: f64,
    samples: f64,
}

impl GpuHistory {
    /// `cuda_mem` and `cuda_util` of some GPUs together; nothing of none.
    pub(crate) fn metrics(&mut self, gpus: &[Gpu]) -> BTreeMap<String, Metric> {
        if gpus.is_empty() {
            return BTreeMap::new();
        }
        let used = gpus.iter().map(|gpu| gpu.used).sum();
        let total: u64 = gpus.iter().map(|gpu| gpu.memory).sum();
        let utilization = gpus.iter().map(|gpu| gpu.utilization).sum();
        self.most_used = self.most_used.max(used);
        self.most_utilization = self.most_utilization.max(utilization);
        self.sum += f64::from(utilization);
        self.samples += 1.0;
        let mut memory = metric(float(used), Some(float(total)), "bytes");
        memory.max = Some(self.most_used.to_string());
        let capacity = 100.0 * gpus.iter().map(|_| 1.0).sum::<f64>();
        let mut busy = metric(f64::from(utilization), Some(capacity), "percent");
        busy.max = Some(self.most_utilization.to_string());
        busy.avg = Some(decimal(self.sum / self.samples, 3));
        BTreeMap::from([
            ("cuda_mem".to_owned(), memory),
            ("cuda_util".to_owned(), busy),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(minor: u32) -> Gpu {
        Gpu {
            uuid: format!("GPU-{minor}"),
            index: minor,
            minor,
            model: "Test".to_owned(),
            memory: 1 << 30,
            used: 1 << 28,
            utilization: 30,
        }
    }

    #[test]
    fn only_the_own_gpus_are_shown() {
        let dev = tempfile::tempdir().unwrap();
        for name in ["nvidia0", "nvidia1", "nvidia2", "nvidiactl", "nvidia-uvm"] {
            std::fs::write(dev.path().join(name), "").unwrap();
        }
        let shown: Vec<PathBuf> = layers(&[gpu(2), gpu(0)], dev.path())
            .into_iter()
            .filter_map(|layer| match layer {
                Layer::Device { target, .. } => Some(target),
                _ => None,
            })
            .collect();
        let wanted = [
            "/dev/nvidia2",
            "/dev/nvidia0",
            "/dev/nvidiactl",
            "/dev/nvidia-uvm",
        ];
        assert_eq!(shown, wanted.map(PathBuf::from));
        assert!(layers(&[], dev.path()).is_empty());
    }

    #[test]
    fn metrics_are_sums_over_the_own_gpus() {
        let mut history = GpuHistory::default();
        let first = history.metrics(&[gpu(0), gpu(1)]);
        assert_eq!(first["cuda_mem"].current, "536870912");
        assert_eq!(first["cuda_mem"].capacity.as_deref(), Some("2147483648"));
        assert_eq!(
            (&*first["cuda_mem"].pct, &*first["cuda_mem"].unit_hint),
            ("25.00", "bytes")
        );
        assert_eq!(first["cuda_util"].current, "60");
        assert_eq!(first["cuda_util"].capacity.as_deref(), Some("200"));
        let idle = |minor| Gpu {
            utilization: 0,
            used: 0,
            ..gpu(minor)
        };
        let then = history.metrics(&[idle(0), idle(1)]);
        assert_eq!(then["cuda_util"].max.as_deref(), Some("60"));
        assert_eq!(then["cuda_util"].avg.as_deref(), Some("30"));
        assert_eq!(then["cuda_mem"].max.as_deref(), Some("536870912"));
        assert!(history.metrics(&[]).is_empty());
    }

    #[test]
    fn a_gpu_that_is_gone_is_said() {
        let all = [gpu(0), gpu(1)];
        let found = chosen(&all, &["GPU-1".to_owned()]).unwrap();
        assert_eq!(found, [gpu(1)]);
        let missing = chosen(&all, &["GPU-7".to_owned()]).unwrap_err();
        assert!(missing.to_string().contains("GPU-7"), "{missing}");
    }
}

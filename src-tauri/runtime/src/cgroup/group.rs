//! The group of one kernel: its limits, what it uses, and its end.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::Controller;
use crate::Limits;

/// Microseconds over which CPU time is shared out.
const PERIOD: u64 = 100_000;

/// The group of one kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Group {
    /// A directory for each controller.
    V1(Vec<(Controller, PathBuf)>),
    /// One directory.
    V2(PathBuf, Vec<Controller>),
    /// None: limits are advisory.
    #[default]
    None,
}

impl Group {
    pub(super) fn create(&self, limits: &Limits) -> io::Result<()> {
        let quota = PERIOD * u64::from(limits.cpu.max(1));
        match self {
            Self::None => {}
            Self::V1(directories) => {
                for (controller, directory) in directories {
                    fs::create_dir_all(directory)?;
                    match controller {
                        Controller::Memory => {
                            fs::write(
                                directory.join("memory.limit_in_bytes"),
                                limits.mem.to_string(),
                            )?;
                            // Kernels without swap accounting lack it; then there is nothing to limit.
                            let swap = directory.join("memory.memsw.limit_in_bytes");
                            if swap.exists() {
                                fs::write(swap, limits.mem.to_string())?;
                            }
                        }
                        Controller::Cpu => {
                            fs::write(directory.join("cpu.cfs_period_us"), PERIOD.to_string())?;
                            fs::write(directory.join("cpu.cfs_quota_us"), quota.to_string())?;
                        }
                        Controller::Pids => {
                            fs::write(directory.join("pids.max"), limits.pids.to_string())?
                        }
                        Controller::Cpuacct | Controller::Blkio => {}
                    }
                }
            }
            Self::V2(directory, controllers) => {
                fs::create_dir_all(directory)?;
                for controller in controllers {
                    match controller {
                        Controller::Memory => {
                            fs::write(directory.join("memory.max"), limits.mem.to_string())?;
                            let swap = directory.join("memory.swap.max");
                            if swap.exists() {
                                fs::write(swap, "0")?;
                            }
                        }
                        Controller::Cpu => {
                            fs::write(directory.join("cpu.max"), format!("{quota} {PERIOD}"))?
                        }
                        Controller::Pids => {
                            fs::write(directory.join("pids.max"), limits.pids.to_string())?
                        }
                        Controller::Cpuacct | Controller::Blkio => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// Files that take a process into the group.
    pub(crate) fn entrances(&self) -> Vec<PathBuf> {
        self.directories()
            .map(|directory| directory.join("cgroup.procs"))
            .collect()
    }

    fn directories(&self) -> impl Iterator<Item = &Path> {
        let (many, one) = match self {
            Self::V1(directories) => (directories.as_slice(), None),
            Self::V2(directory, _) => (&[][..], Some(directory.as_path())),
            Self::None => (&[][..], None),
        };
        many.iter()
            .map(|(_, directory)| directory.as_path())
            .chain(one)
    }

    /// Whether the number of processes is limited.
    pub(crate) fn limits_processes(&self) -> bool {
        match self {
            Self::V1(directories) => directories
                .iter()
                .any(|(controller, _)| *controller == Controller::Pids),
            Self::V2(_, controllers) => controllers.contains(&Controller::Pids),
            Self::None => false,
        }
    }

    fn v1(&self, wanted: Controller, file: &str) -> Option<String> {
        let Self::V1(directories) = self else {
            return None;
        };
        let (_, directory) = directories
            .iter()
            .find(|(controller, _)| *controller == wanted)?;
        fs::read_to_string(directory.join(file)).ok()
    }

    fn v2(&self, file: &str) -> Option<String> {
        let Self::V2(directory, _) = self else {
            return None;
        };
        fs::read_to_string(directory.join(file)).ok()
    }

    /// Bytes in use, without file contents that can be dropped at any time.
    pub(crate) fn memory(&self) -> Option<u64> {
        let (usage, stat, name) = match self {
            Self::V1(_) => (
                self.v1(Controller::Memory, "memory.usage_in_bytes")?,
                self.v1(Controller::Memory, "memory.stat")?,
                "total_inactive_file",
            ),
            _ => (
                self.v2("memory.current")?,
                self.v2("memory.stat")?,
                "inactive_file",
            ),
        };
        let usage: u64 = usage.trim().parse().ok()?;
        Some(usage.saturating_sub(field(&stat, name).unwrap_or(0)))
    }

    /// CPU time used so far, in milliseconds.
    pub(crate) fn cpu_ms(&self) -> Option<u64> {
        match self {
            Self::V1(_) => {
                let nanoseconds: u64 = self
                    .v1(Controller::Cpuacct, "cpuacct.usage")?
                    .trim()
                    .parse()
                    .ok()?;
                Some(nanoseconds / 1_000_000)
            }
            _ => Some(field(&self.v2("cpu.stat")?, "usage_usec")? / 1000),
        }
    }

    /// Processes killed so far because memory ran out.
    pub(crate) fn memory_kills(&self) -> Option<u64> {
        match self {
            Self::V1(_) => field(
                &self.v1(Controller::Memory, "memory.oom_control")?,
                "oom_kill",
            ),
            _ => field(&self.v2("memory.events")?, "oom_kill"),
        }
    }

    /// The path by which the kernel's log names the group that ran out of memory.
    pub(crate) fn memory_directory(&self) -> Option<&Path> {
        match self {
            Self::V1(directories) => directories
                .iter()
                .find(|(controller, _)| *controller == Controller::Memory)
                .map(|(_, directory)| directory.as_path()),
            Self::V2(directory, _) => Some(directory),
            Self::None => None,
        }
    }

    /// Removes the group; false while there are still processes in it.
    pub(crate) fn remove(&self) -> bool {
        let remaining = self
            .directories()
            .filter(|directory| directory.exists() && fs::remove_dir(directory).is_err());
        remaining.count() == 0
    }
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        line.strip_prefix(name)?
            .strip_prefix(' ')?
            .trim()
            .parse()
            .ok()
    })
}

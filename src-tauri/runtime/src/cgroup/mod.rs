//! Limits for all processes of a kernel together, by whatever control groups we may use.
//!
//! cgroup v2 where some ancestor of our own group lets us make groups with the controllers on, v1
//! where a controller's directory is ours, and nothing elsewhere: then limits are advisory.

mod group;
mod hierarchy;

use serde::{Deserialize, Serialize};

pub(crate) use group::Group;
pub(crate) use hierarchy::{Hierarchy, group_of};

/// What can be limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Controller {
    Memory,
    Cpu,
    Pids,
    /// Counts CPU time (v1 has a controller of its own for it).
    Cpuacct,
    /// Counts input and output.
    Blkio,
}

impl Controller {
    const V1: [Self; 5] = [
        Self::Memory,
        Self::Cpu,
        Self::Pids,
        Self::Cpuacct,
        Self::Blkio,
    ];

    fn v1_name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
            Self::Cpuacct => "cpuacct",
            Self::Blkio => "blkio",
        }
    }

    fn v2_name(self) -> Option<&'static str> {
        match self {
            Self::Memory => Some("memory"),
            Self::Cpu => Some("cpu"),
            Self::Pids => Some("pids"),
            Self::Blkio => Some("io"),
            Self::Cpuacct => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::{KernelId, Limits};

    const LIMITS: Limits = Limits {
        cpu: 2,
        mem: 1 << 30,
        shmem: 0,
        pids: 100,
    };

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn v2_limits_are_written_beside_our_own_group() {
        let tree = tempfile::tempdir().unwrap();
        let slice = tree.path().join("user.slice/app.slice");
        fs::create_dir_all(slice.join("engine.scope")).unwrap();
        fs::write(slice.join("cgroup.subtree_control"), "cpu memory pids\n").unwrap();
        let mounts = format!("cgroup2 {} cgroup2 rw,nosuid 0 0\n", tree.path().display());
        let found = Hierarchy::find_in(
            &mounts,
            "0::/user.slice/app.slice/engine.scope\n",
            "gangway",
        );
        let root = slice.join("gangway");
        assert_eq!(
            read(&root.join("cgroup.subtree_control")),
            "+memory +cpu +pids"
        );
        assert!(found.missing().is_empty());
        assert_eq!(
            found.supervisors(),
            Some(root.join("supervisors/cgroup.procs"))
        );

        let kernel = KernelId::new_v4();
        let group = found.make(kernel, &LIMITS).unwrap();
        let directory = root.join(kernel.to_string());
        assert_eq!(read(&directory.join("memory.max")), "1073741824");
        assert_eq!(read(&directory.join("cpu.max")), "200000 100000");
        assert_eq!(read(&directory.join("pids.max")), "100");
        assert_eq!(group.entrances(), [directory.join("cgroup.procs")]);

        fs::write(directory.join("memory.current"), "5000\n").unwrap();
        fs::write(
            directory.join("memory.stat"),
            "anon 1\ninactive_file 1000\n",
        )
        .unwrap();
        fs::write(directory.join("memory.events"), "oom 1\noom_kill 3\n").unwrap();
        fs::write(directory.join("cpu.stat"), "usage_usec 2500000\n").unwrap();
        assert_eq!(group.memory(), Some(4000));
        assert_eq!(group.memory_kills(), Some(3));
        assert_eq!(group.cpu_ms(), Some(2500));
    }

    #[test]
    fn v2_without_the_memory_controller_is_no_use() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("a")).unwrap();
        fs::write(tree.path().join("cgroup.subtree_control"), "hugetlb\n").unwrap();
        let mounts = format!("cgroup2 {} cgroup2 rw 0 0\n", tree.path().display());
        let found = Hierarchy::find_in(&mounts, "0::/a\n", "gangway");
        assert_eq!(found, Hierarchy::None);
        assert_eq!(found.missing(), ["memory", "CPU", "process count"]);
    }

    #[test]
    fn the_groups_of_others_are_found_by_their_processes() {
        let tree = tempfile::tempdir().unwrap();
        let group = tree.path().join("memory/libpod_parent/libpod-1");
        fs::create_dir_all(&group).unwrap();
        fs::write(group.join("memory.oom_control"), "oom_kill 2\n").unwrap();
        let mounts = format!(
            "cgroup {} cgroup rw,memory 0 0\n",
            tree.path().join("memory").display()
        );
        let found = super::hierarchy::group_in(&mounts, "8:memory:/libpod_parent/libpod-1\n0::/\n");
        assert_eq!(found.memory_kills(), Some(2));
        assert_eq!(found.memory_directory(), Some(group.as_path()));

        let mounts = format!("cgroup2 {} cgroup2 rw 0 0\n", tree.path().display());
        let found = super::hierarchy::group_in(&mounts, "0::/memory/libpod_parent/libpod-1\n");
        assert_eq!(found.memory_directory(), Some(group.as_path()));
    }

    #[test]
    fn v1_uses_each_controller_that_is_ours() {
        let tree = tempfile::tempdir().unwrap();
        let memory = tree.path().join("memory");
        let cpu = tree.path().join("cpu");
        fs::create_dir_all(memory.join("own/group")).unwrap();
        fs::create_dir_all(&cpu).unwrap();
        let mounts = format!(
            "cgroup {} cgroup rw,memory 0 0\ncgroup {} cgroup rw,cpu 0 0\n",
            memory.display(),
            cpu.display()
        );
        let found = Hierarchy::find_in(&mounts, "4:memory:/own/group\n1:cpu:/\n", "gangway");
        assert_eq!(found.missing(), ["process count"]);
        let kernel = KernelId::new_v4();
        found.make(kernel, &LIMITS).unwrap();
        let directory = memory.join("own/group/gangway").join(kernel.to_string());
        assert_eq!(read(&directory.join("memory.limit_in_bytes")), "1073741824");
        let directory = cpu.join("gangway").join(kernel.to_string());
        assert_eq!(read(&directory.join("cpu.cfs_quota_us")), "200000");
    }
}

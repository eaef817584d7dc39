//! The environment of the session's programs, and where programs are found in it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use protocol::runner::launch::{HOME, RunnerPlan, USER};

/// In front of what the user asks for, most wanted first (protocol page "Kernel runner" §4.3).
const FIRST: &[&str] = &[
    "/home/work/.local/bin",
    "/home/linuxbrew/.linuxbrew/bin",
    "/usr/local/nvidia/bin",
    "/usr/local/cuda/bin",
];
const STANDARD: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables by name, `PATH` complete.
#[derive(Clone, Debug)]
pub(super) struct Environ(BTreeMap<String, String>);

impl Environ {
    pub(super) fn new(plan: &RunnerPlan) -> Self {
        let mut all = BTreeMap::new();
        let mut set = |name: &str, value: &str| all.insert(name.to_owned(), value.to_owned());
        set("HOME", HOME);
        set("USER", USER);
        set("LOGNAME", USER);
        set("LANG", "C.UTF-8");
        set("TERM", "xterm");
        set("SHELL", &shell().to_string_lossy());
        // The session's own pip packages live in the home, whatever the distribution thinks of
        // packages beside its own (PEP 668).
        set("PIP_USER", "1");
        set("PIP_BREAK_SYSTEM_PACKAGES", "1");
        let cores = plan.cpu.max(1).to_string();
        for name in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC"] {
            set(name, &cores);
        }
        all.extend(plan.environ.clone());
        let path = search_path(plan, all.get("PATH").map_or(STANDARD, String::as_str));
        // Login shells on many distributions set PATH anew; our profile puts this one back.
        all.insert("GANGWAY_PATH".to_owned(), path.clone());
        all.insert("PATH".to_owned(), path);
        Self(all)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Finds a program as a shell would.
    pub(super) fn find(&self, program: &str) -> Option<PathBuf> {
        if program.contains('/') {
            return Some(PathBuf::from(program)).filter(|path| is_executable(path));
        }
        std::env::split_paths(self.get("PATH").unwrap_or(STANDARD))
            .map(|directory| directory.join(program))
            .find(|path| is_executable(path))
    }
}

fn search_path(plan: &RunnerPlan, rest: &str) -> String {
    let mut directories: Vec<String> = Vec::new();
    let first = FIRST.iter().take(1).map(|text| (*text).to_owned());
    let environments = plan
        .path_prefix
        .iter()
        .map(|path| path.to_string_lossy().into_owned());
    let more = FIRST
        .iter()
        .skip(1)
        .filter(|path| Path::new(path).is_dir())
        .map(|text| (*text).to_owned());
    for directory in first
        .chain(environments)
        .chain(more)
        .chain(rest.split(':').map(str::to_owned))
    {
        if !directory.is_empty() && !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    directories.join(":")
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// The best shell that the session has.
pub(super) fn shell() -> PathBuf {
    ["/bin/bash", "/usr/bin/bash", "/bin/ash", "/bin/sh"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| is_executable(path))
        .unwrap_or_else(|| PathBuf::from("/bin/sh"))
}

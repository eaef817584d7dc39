//! Where on this computer groups can be made.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Controller, Group};
use crate::{KernelId, Limits};

/// Where groups can be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hierarchy {
    /// One directory for each controller.
    V1(Vec<(Controller, PathBuf)>),
    /// One directory for all.
    V2(PathBuf, Vec<Controller>),
    /// Nowhere.
    #[default]
    None,
}

impl Hierarchy {
    /// Looks where groups can be made on this computer. `name` keeps engines apart.
    pub(crate) fn find(name: &str) -> Self {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::find_in(&mounts, &own, name)
    }

    pub(crate) fn find_in(mounts: &str, own: &str, name: &str) -> Self {
        let v1 = find_v1(mounts, own, name);
        let has = |wanted| v1.iter().any(|(controller, _)| *controller == wanted);
        if has(Controller::Memory) {
            return Self::V1(v1);
        }
        match find_v2(mounts, own, name) {
            Some((root, controllers)) if !controllers.is_empty() => Self::V2(root, controllers),
            _ if !v1.is_empty() => Self::V1(v1),
            _ => Self::None,
        }
    }

    /// The version of the control groups that are used here.
    pub(crate) fn version(&self) -> Option<&'static str> {
        match self {
            Self::V1(_) => Some("v1"),
            Self::V2(..) => Some("v2"),
            Self::None => None,
        }
    }

    /// What of memory, CPU and process count is not limited here.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let present: Vec<Controller> = match self {
            Self::V1(directories) => directories
                .iter()
                .map(|(controller, _)| *controller)
                .collect(),
            Self::V2(_, controllers) => controllers.clone(),
            Self::None => Vec::new(),
        };
        [
            (Controller::Memory, "memory"),
            (Controller::Cpu, "CPU"),
            (Controller::Pids, "process count"),
        ]
        .into_iter()
        .filter(|(controller, _)| !present.contains(controller))
        .map(|(_, name)| name)
        .collect()
    }

    /// The way into a group for supervisors, which are not limited with their sessions. Only v2
    /// needs one: there the engine's own group is the one that a service manager ends.
    pub(crate) fn supervisors(&self) -> Option<PathBuf> {
        let Self::V2(root, _) = self else {
            return None;
        };
        let directory = root.join("supervisors");
        fs::create_dir_all(&directory).ok()?;
        Some(directory.join("cgroup.procs"))
    }

    /// Makes the group of a kernel with its limits set, still empty.
    pub(crate) fn make(&self, kernel: KernelId, limits: &Limits) -> io::Result<Group> {
        let group = match self {
            Self::None => Group::None,
            Self::V1(roots) => Group::V1(
                roots
                    .iter()
                    .map(|(controller, root)| (*controller, root.join(kernel.to_string())))
                    .collect(),
            ),
            Self::V2(root, controllers) => {
                Group::V2(root.join(kernel.to_string()), controllers.clone())
            }
        };
        if let Err(error) = group.create(limits) {
            group.remove();
            return Err(error);
        }
        Ok(group)
    }
}

/// The groups that a process is in, made by somebody else: for looking only.
pub(crate) fn group_of(pid: u32) -> Group {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let own = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    group_in(&mounts, &own)
}

pub(super) fn group_in(mounts: &str, own: &str) -> Group {
    let inside = |mount: PathBuf, path: &str| mount.join(path.trim_start_matches('/'));
    let v1: Vec<_> = Controller::V1
        .into_iter()
        .filter_map(|controller| {
            let mount = mount_of(mounts, "cgroup", controller.v1_name())?;
            Some((
                controller,
                inside(mount, own_path(own, controller.v1_name())),
            ))
        })
        .filter(|(_, directory)| directory.is_dir())
        .collect();
    if v1
        .iter()
        .any(|(controller, _)| *controller == Controller::Memory)
    {
        return Group::V1(v1);
    }
    let path = own.lines().find_map(|line| line.strip_prefix("0::"));
    match (mount_of(mounts, "cgroup2", ""), path) {
        (Some(mount), Some(path)) => Group::V2(inside(mount, path), Vec::new()),
        _ => Group::None,
    }
}

fn find_v1(mounts: &str, own: &str, name: &str) -> Vec<(Controller, PathBuf)> {
    let mut found = Vec::new();
    for controller in Controller::V1 {
        let Some(mount) = mount_of(mounts, "cgroup", controller.v1_name()) else {
            continue;
        };
        let own = own_path(own, controller.v1_name());
        // Below our own group first: whoever limited the engine limits its sessions with it.
        let places = [mount.join(own.trim_start_matches('/')), mount];
        if let Some(root) = places.iter().find_map(|place| usable(&place.join(name))) {
            found.push((controller, root));
        }
    }
    found
}

fn find_v2(mounts: &str, own: &str, name: &str) -> Option<(PathBuf, Vec<Controller>)> {
    let mount = mount_of(mounts, "cgroup2", "")?;
    let own = own
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .unwrap_or("/");
    let here = mount.join(own.trim_start_matches('/'));
    // A group with processes can't share its controllers out, so ours goes beside our own, or
    // further up.
    for place in here
        .ancestors()
        .skip(1)
        .take_while(|place| place.starts_with(&mount))
    {
        let shared = fs::read_to_string(place.join("cgroup.subtree_control")).unwrap_or_default();
        let controllers: Vec<Controller> = Controller::V1
            .into_iter()
            .filter(|controller| {
                controller
                    .v2_name()
                    .is_some_and(|name| shared.split_whitespace().any(|word| word == name))
            })
            .collect();
        if !controllers.contains(&Controller::Memory) {
            continue;
        }
        let Some(root) = usable(&place.join(name)) else {
            continue;
        };
        let words: Vec<String> = controllers
            .iter()
            .filter_map(|controller| Some(format!("+{}", controller.v2_name()?)))
            .collect();
        if fs::write(root.join("cgroup.subtree_control"), words.join(" ")).is_ok() {
            return Some((root, controllers));
        }
    }
    None
}

/// Mount point of a hierarchy; `option` must be among the mount's options when it is not empty.
fn mount_of(mounts: &str, kind: &str, option: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (place, found, options) = (words.next()?, words.next()?, words.next()?);
        let fits =
            found == kind && (option.is_empty() || options.split(',').any(|word| word == option));
        fits.then(|| PathBuf::from(place))
    })
}

fn own_path<'a>(own: &'a str, controller: &str) -> &'a str {
    own.lines()
        .find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let names = parts.next()?;
            let path = parts.next()?;
            names
                .split(',')
                .any(|name| name == controller)
                .then_some(path)
        })
        .unwrap_or("/")
}

/// The directory, made when missing, if groups can be made in it.
fn usable(root: &Path) -> Option<PathBuf> {
    if !root.is_dir() {
        fs::create_dir(root).ok()?;
    }
    let probe = root.join(format!("probe-{}", std::process::id()));
    fs::create_dir(&probe).ok()?;
    fs::remove_dir(&probe).ok()?;
    Some(root.to_owned())
}

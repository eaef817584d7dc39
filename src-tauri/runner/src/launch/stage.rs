//! As root: gathers what the sandbox shows in a place that the session's user can reach.
//!
//! Session homes and data folders lie in directories that only root may enter. Each is opened by
//! root without following links, then bound into a small file system in a mount namespace of our
//! own, which the sandbox takes them from.

use std::{
    fs::{self, File},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::stat::{Mode, SFlag, makedev, mknod},
};
use protocol::runner::launch::{LaunchPlan, Layer, Network};

use super::{Doing, LaunchError, source};

/// Where things are gathered; what the host has there is not needed to build a sandbox.
const STAGE: &str = "/tmp";

/// Gathers, and gives the layout with the new sources.
pub(super) fn collect(plan: &LaunchPlan) -> Result<Vec<Layer>, LaunchError> {
    unshare(CloneFlags::CLONE_NEWNS).doing("make a mount namespace")?;
    let none: Option<&Path> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)
        .doing("separate the mounts")?;
    // In the new namespace, since only its own mounts can be bound; and before the staging area
    // hides what lies below it.
    let opened = plan
        .layout
        .iter()
        .map(source::open_all)
        .collect::<Result<Vec<_>, _>>()?;
    let resolvers = match &plan.network {
        Network::Pasta {
            resolv_conf: Some(path),
            ..
        } => Some(source::open(path)?),
        _ => None,
    };
    mount(
        Some("tmpfs"),
        STAGE,
        Some("tmpfs"),
        MsFlags::MS_NOSUID,
        Some("mode=0755"),
    )
    .doing("make a staging area")?;
    if let Network::Pasta { make_tun: true, .. } = plan.network {
        make_tun()?;
    }
    if let Some(file) = &resolvers {
        let from = format!("/proc/self/fd/{}", file.as_raw_fd());
        let target = Path::new("/etc/resolv.conf");
        mount(Some(from.as_str()), target, none, MsFlags::MS_BIND, none)
            .doing("show the resolvers")?;
    }
    let mut layout = plan.layout.clone();
    let mut number = 0..;
    for (layer, files) in layout.iter_mut().zip(&opened) {
        let sources: Vec<&mut PathBuf> = match layer {
            Layer::Bind { source, .. } => vec![source],
            Layer::Overlay { lower, area, .. } => lower.iter_mut().chain([area]).collect(),
            _ => continue,
        };
        for ((source, file), number) in sources.into_iter().zip(files).zip(&mut number) {
            *source = bind(number, file, source)?;
        }
    }
    Ok(layout)
}

fn bind(number: u32, file: &File, source: &Path) -> Result<PathBuf, LaunchError> {
    let doing = || format!("gather {}", source.display());
    let place = Path::new(STAGE).join(number.to_string());
    if file.metadata().doing(doing())?.is_dir() {
        fs::create_dir(&place).doing(doing())?;
    } else {
        File::create(&place).doing(doing())?;
    }
    let from = format!("/proc/self/fd/{}", file.as_raw_fd());
    let none: Option<&Path> = None;
    mount(
        Some(from.as_str()),
        &place,
        none,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        none,
    )
    .doing(doing())?;
    Ok(place)
}

/// The network needs a tun device that the session's user may open; many hosts keep it for root.
fn make_tun() -> Result<(), LaunchError> {
    let place = Path::new(STAGE).join("tun");
    let mode = Mode::from_bits_truncate(0o666);
    mknod(&place, SFlag::S_IFCHR, mode, makedev(10, 200)).doing("make a tun device")?;
    fs::set_permissions(&place, std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .doing("open the tun device up")?;
    let none: Option<&Path> = None;
    mount(
        Some(&place),
        Path::new("/dev/net/tun"),
        none,
        MsFlags::MS_BIND,
        none,
    )
    .doing("show the tun device")
}

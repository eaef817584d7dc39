//! Looks whether this computer can run sandboxes, for `gangway doctor`: what is missing, and what to
//! do about it in words. Nothing is changed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use protocol::probe::{Finding, Grade, ProbeAnswer, ProbeOrder};
use tokio::{io::AsyncWriteExt, process::Command};

use super::{find_program, network};
use crate::{Owner, cgroup::Hierarchy, identity};

/// How long a program may take to answer; a computer that is busy is no broken one.
const PATIENCE: Duration = Duration::from_secs(20);
/// Below this much free disk sessions soon fail to write.
const LITTLE: u64 = 5 << 30;
/// Below this much nothing works.
const NOTHING: u64 = 256 << 20;

/// What of this computer is looked at; other places in a test.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its `/proc`.
    pub proc: PathBuf,
    /// Its tun device.
    pub tun: PathBuf,
    /// The program `bwrap`.
    pub bubblewrap: Option<PathBuf>,
    /// The program `pasta`.
    pub pasta: Option<PathBuf>,
    /// The program `gangway-runner`.
    pub runner: PathBuf,
    /// The engine's data directory, or where it will be.
    pub data_dir: PathBuf,
    /// Who runs the sandboxes when that is not who asks.
    pub owner: Option<Owner>,
    /// Why files of images can't have several owners, when they can't.
    pub several: Result<(), String>,
}

impl Host {
    /// This computer as it is.
    #[must_use]
    pub fn this(data_dir: &Path, runner: &Path) -> Self {
        let owner = identity::would_be(data_dir);
        Self {
            proc: PathBuf::from("/proc"),
            tun: PathBuf::from(network::TUN),
            bubblewrap: find_program("bwrap"),
            pasta: find_program("pasta"),
            runner: runner.to_owned(),
            data_dir: data_dir.to_owned(),
            several: identity::ids_would_be(data_dir, owner).map(drop),
            owner,
        }
    }

    fn setting(&self, name: &str) -> Option<String> {
        let text = fs::read_to_string(self.proc.join("sys").join(name)).ok()?;
        Some(text.trim().to_owned())
    }

    fn who(&self) -> String {
        match self.owner {
            Some(owner) => format!("user id {}, which sessions run as,", owner.uid),
            None => "this user".to_owned(),
        }
    }
}

/// Looks at everything that sandboxes need, in the order in which it matters.
pub async fn probe(host: &Host) -> Vec<Finding> {
    vec![
        bubblewrap(host).await,
        namespaces(host).await,
        pasta(host).await,
        tun(host),
        route(host),
        limits(host),
        owners(host),
        disk(host),
    ]
}

fn ok(name: &str, detail: impl Into<String>) -> Finding {
    finding(name, Grade::Ok, detail, None)
}

fn finding(name: &str, grade: Grade, detail: impl Into<String>, fix: Option<&str>) -> Finding {
    Finding {
        name: name.to_owned(),
        grade,
        detail: detail.into(),
        fix: fix.map(str::to_owned),
    }
}

/// First line of what `program --version` says.
async fn version(program: &Path) -> String {
    let asked = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let said = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).into_owned(),
        _ => String::new(),
    };
    said.lines().next().unwrap_or_default().trim().to_owned()
}

/// Whether this bubblewrap binds sources by descriptor (0.10, and the security updates of older
/// ones).
pub(super) fn takes_descriptors(bubblewrap: &Path) -> bool {
    std::process::Command::new(bubblewrap)
        .arg("--help")
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| {
            [output.stdout, output.stderr]
                .iter()
                .any(|text| String::from_utf8_lossy(text).contains("--bind-fd"))
        })
}

async fn bubblewrap(host: &Host) -> Finding {
    const NAME: &str = "bubblewrap";
    let Some(program) = &host.bubblewrap else {
        return finding(
            NAME,
            Grade::Failed,
            "the program bwrap is missing, without which there are no sessions",
            Some("install the package bubblewrap"),
        );
    };
    let detail = format!("{}, {}", program.display(), version(program).await);
    if host.owner.is_none() && !takes_descriptors(program) {
        return finding(
            NAME,
            Grade::Warning,
            format!("{detail}; it lacks the option --bind-fd (CVE-2024-42472)"),
            Some("install the security updates of bubblewrap, or version 0.10 or newer"),
        );
    }
    ok(NAME, detail)
}

async fn namespaces(host: &Host) -> Finding {
    const NAME: &str = "namespaces";
    let Some(bubblewrap) = &host.bubblewrap else {
        return finding(
            NAME,
            Grade::Warning,
            "not tried without bubblewrap",
            Some("install the package bubblewrap, then look again"),
        );
    };
    let order = ProbeOrder {
        become_user: host.owner.map(|owner| (owner.uid, owner.gid)),
        bubblewrap: bubblewrap.clone(),
    };
    let answer = match ask_runner(&host.runner, &order).await {
        Ok(answer) => answer,
        Err(reason) => {
            return finding(
                NAME,
                Grade::Failed,
                format!("gangway-runner could not try: {reason}"),
                Some("install Gangway again"),
            );
        }
    };
    match (answer.namespaces, answer.bubblewrap) {
        (None, None) => ok(
            NAME,
            format!("{} may make sandboxes; one was made", host.who()),
        ),
        (Some(reason), _) | (None, Some(reason)) => finding(
            NAME,
            Grade::Failed,
            format!("{} may not make sandboxes: {reason}", host.who()),
            Some(&allow_namespaces(host)),
        ),
    }
}

async fn ask_runner(runner: &Path, order: &ProbeOrder) -> Result<ProbeAnswer, String> {
    let mut child = Command::new(runner)
        .arg("probe")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| error.to_string())?;
    let text = serde_json::to_vec(order).map_err(|error| error.to_string())?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(&text).await {
            // One that ended before it has read all says why itself.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                return Err(error.to_string());
            }
            _ => {}
        }
    }
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output())
        .await
        .map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("it ended with {} ({})", output.status, said.trim())
    })
}

/// What forbids namespaces here, as far as the system says, and how to allow them.
fn allow_namespaces(host: &Host) -> String {
    let set = |name: &str, wanted: &str| {
        let dotted = name.replace('/', ".");
        format!(
            "sudo sysctl -w {dotted}={wanted} \
             (and write \"{dotted}={wanted}\" to /etc/sysctl.d/60-gangway.conf to keep it)"
        )
    };
    let is = |name: &str, value: &str| host.setting(name).as_deref() == Some(value);
    let apparmor = "kernel/apparmor_restrict_unprivileged_userns";
    if is(apparmor, "1") {
        return format!(
            "AppArmor keeps ordinary programs from making user namespaces (as Ubuntu does since \
             24.04). Allow them to Gangway alone: write the line\n\
             abi <abi/4.0>, profile gangway-runner {} flags=(unconfined) {{ userns, }}\n\
             to /etc/apparmor.d/gangway-runner and run: sudo apparmor_parser -r \
             /etc/apparmor.d/gangway-runner\n\
             Or allow them to all programs: {}",
            host.runner.display(),
            set(apparmor, "0")
        );
    }
    if is("kernel/unprivileged_userns_clone", "0") {
        return format!(
            "the kernel keeps user namespaces to root; allow them: {}",
            set("kernel/unprivileged_userns_clone", "1")
        );
    }
    if is("user/max_user_namespaces", "0") {
        return format!(
            "the kernel allows no user namespaces; allow some: {}",
            set("user/max_user_namespaces", "15000")
        );
    }
    "something forbids user namespaces: inside a container, allow them in its system call filter \
     and its masked paths (Docker: --security-opt seccomp=unconfined --security-opt \
     systempaths=unconfined); on SELinux, look for denials with `ausearch -m avc`"
        .to_owned()
}

async fn pasta(host: &Host) -> Finding {
    const NAME: &str = "pasta";
    match &host.pasta {
        Some(program) => ok(
            NAME,
            format!("{}, {}", program.display(), version(program).await),
        ),
        None => finding(
            NAME,
            Grade::Warning,
            "the program pasta is missing: sessions have no network",
            Some("install the package passt"),
        ),
    }
}

fn tun(host: &Host) -> Finding {
    const NAME: &str = "tun";
    let place = host.tun.display();
    match network::open_tun(&host.tun) {
        Ok(()) => ok(NAME, format!("{place} can be used")),
        Err(error) => {
            let fix = match error.kind() {
                std::io::ErrorKind::PermissionDenied => {
                    "let ordinary users open it, as most systems do: sudo chmod 0666 /dev/net/tun \
                     (and keep that in a rule of udev: KERNEL==\"tun\", MODE=\"0666\")"
                }
                std::io::ErrorKind::NotFound => {
                    "load the kernel's module: sudo modprobe tun (and write \"tun\" to \
                     /etc/modules-load.d/tun.conf to keep it); in a container, pass the device in \
                     (Docker: --device /dev/net/tun)"
                }
                _ => {
                    "load the kernel's module: sudo modprobe tun; in a container, pass the device \
                     in (Docker: --device /dev/net/tun)"
                }
            };
            finding(
                NAME,
                Grade::Warning,
                format!("{place} can't be used ({error}): sessions have no network"),
                Some(fix),
            )
        }
    }
}

fn route(host: &Host) -> Finding {
    const NAME: &str = "route";
    if network::has_default_route(&host.proc) {
        return ok(NAME, "this computer has a way to other networks");
    }
    finding(
        NAME,
        Grade::Warning,
        "this computer has no default route: sessions have no network",
        Some("connect it to a network; `ip route` has to show a line that begins with \"default\""),
    )
}

fn limits(host: &Host) -> Finding {
    const NAME: &str = "limits";
    let read = |name: &str| fs::read_to_string(host.proc.join("self").join(name));
    let mounts = read("mounts").unwrap_or_default();
    let hierarchy = Hierarchy::find_in(&mounts, &read("cgroup").unwrap_or_default(), "gangway");
    let missing = hierarchy.missing();
    let version = hierarchy.version();
    if missing.is_empty() {
        let detail = format!(
            "memory, CPU and process count are limited by control groups {}",
            version.unwrap_or_default()
        );
        return ok(NAME, detail);
    }
    let there = match version {
        Some(version) => format!("control groups {version}"),
        None if mounts.contains(" cgroup2 ") => {
            "control groups v2, of which none is ours to use".to_owned()
        }
        None => "no control groups that are ours to use".to_owned(),
    };
    finding(
        NAME,
        Grade::Warning,
        format!(
            "limits on {} are advisory: this computer has {there}",
            missing.join(", ")
        ),
        Some(
            "let the system hand control groups to your user: sudo mkdir -p \
             /etc/systemd/system/user@.service.d && printf              '[Service]\\nDelegate=cpu memory pids\\n' | sudo tee \
             /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload, \
             log in anew, and start the engine with: systemd-run --user --scope -p Delegate=yes \
             gangway engine start",
        ),
    )
}

fn owners(host: &Host) -> Finding {
    const NAME: &str = "owners";
    match &host.several {
        Ok(()) => ok(NAME, "files of images keep their owners in sessions"),
        Err(reason) => finding(
            NAME,
            Grade::Warning,
            format!("all files of an image belong to its session's user: {reason}"),
            Some(
                "install the package uidmap; set ids aside that nobody has: sudo usermod \
                 --add-subuids 100000-165535 --add-subgids 100000-165535 \"$USER\"; then start the \
                 engine anew, and import images again",
            ),
        ),
    }
}

fn disk(host: &Host) -> Finding {
    const NAME: &str = "disk";
    // The directory may not be there yet.
    let place = host.data_dir.ancestors().find(|place| place.is_dir());
    let place = place.unwrap_or(Path::new("/"));
    let free = match rustix::fs::statvfs(place) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => {
            let detail = format!("{}: {error}", place.display());
            return finding(NAME, Grade::Failed, detail, Some("look after this disk"));
        }
    };
    let detail = format!(
        "{:.1} GiB are free where sessions and folders are kept ({})",
        crate::metrics::float(free) / f64::from(1 << 30),
        host.data_dir.display()
    );
    let fix = "remove what is no longer needed, or move Gangway to another disk with GANGWAY_HOME";
    match free {
        0..NOTHING => finding(NAME, Grade::Failed, detail, Some(fix)),
        NOTHING..LITTLE => finding(NAME, Grade::Warning, detail, Some(fix)),
        _ => ok(NAME, detail),
    }
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;

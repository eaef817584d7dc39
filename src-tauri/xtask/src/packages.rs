//! The one list of system packages, and how they get installed.

use std::process::Stdio;

use anyhow::{Result, bail};

use crate::run::{command, has, shown};

/// To compile and link.
const BUILD: &[&str] = &[
    "build-essential",
    "file",
    "libayatana-appindicator3-dev",
    "librsvg2-dev",
    "libwebkit2gtk-4.1-dev",
    "musl-tools",
    "pkg-config",
];

/// To start sessions on this computer and to reach them.
const USE: &[&str] = &["bubblewrap", "openssh-client", "passt", "uidmap"];

/// To show the app where there is no display.
const DISPLAY: &[&str] = &["imagemagick", "xauth", "xvfb"];

/// To play the main job through the app.
const DRIVE: &[&str] = &["dbus", "gnome-keyring", "webkit2gtk-driver"];

/// What the tests compare us with, or what they run in a session.
const TEST: &[&str] = &[
    "apache2-utils",
    "busybox-static",
    "chromium",
    "chromium-driver",
    "curl",
    "docker-registry",
    "dropbear-bin",
    "fcitx5",
    "fcitx5-anthy",
    "fcitx5-frontend-gtk3",
    "fcitx5-hangul",
    "gdb",
    "git",
    "iptables",
    "libfaketime",
    "libsecret-tools",
    "netavark",
    "openssh-server",
    "openssh-sftp-server",
    "podman",
    "python3-pip",
    "python3-venv",
    "rpm",
    "rsync",
    "runc",
];

/// What the long tests compile in a session (code-server's own parts), what the pictures of every
/// page in Korean and Japanese are drawn with, and one more peer of the benches.
const FULL: &[&str] = &[
    "fonts-noto-cjk",
    "libkrb5-dev",
    "libsecret-1-dev",
    "libx11-dev",
    "libxkbfile-dev",
    "rclone",
];

/// How much of the list is wanted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    App,
    Drive,
    Test,
    Full,
}

/// Installs the packages that are missing, and says so first.
pub(crate) fn install(need: Need, display: bool) -> Result<()> {
    let mut wanted: Vec<&str> = [BUILD, USE].concat();
    if !display || need >= Need::Drive {
        wanted.extend(DISPLAY);
    }
    if need >= Need::Drive {
        wanted.extend(DRIVE);
    }
    if need >= Need::Test {
        wanted.extend(TEST);
    }
    if need >= Need::Full {
        wanted.extend(FULL);
    }
    if !has("dpkg-query") || !has("apt-get") {
        return without_apt(&wanted);
    }
    let missing: Vec<&str> = wanted
        .into_iter()
        .filter(|package| !installed(package))
        .collect();
    if missing.is_empty() {
        println!("System packages: all there.");
        return Ok(());
    }
    let root = std::fs::metadata("/proc/self")
        .is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0);
    let sudo = if root { "" } else { "sudo " };
    let line = format!(
        "{sudo}apt-get install -y --no-install-recommends {}",
        missing.join(" ")
    );
    if !root && !has("sudo") {
        bail!("these packages are missing, and there is no sudo; as root, run\n  {line}");
    }
    println!("System packages that are missing will be installed now:\n  {line}");
    if missing.iter().any(|package| !known(package)) {
        println!(
            "The package lists of this computer do not know all of them, so first:\n  {sudo}apt-get update"
        );
        apt(root, &["update"])?;
    }
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(&missing);
    if apt(root, &arguments).is_err() {
        println!("That failed. Once more, with new package lists:\n  {sudo}apt-get update");
        apt(root, &["update"])?;
        apt(root, &arguments)?;
    }
    Ok(())
}

fn apt(root: bool, arguments: &[&str]) -> Result<()> {
    let mut apt = if root {
        command("apt-get")
    } else {
        let mut sudo = command("sudo");
        sudo.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        sudo
    };
    shown(apt.env("DEBIAN_FRONTEND", "noninteractive").args(arguments))
}

fn installed(package: &str) -> bool {
    command("dpkg-query")
        .args(["-W", "-f=${Status}", package])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|output| output.stdout.ends_with(b" installed"))
}

fn known(package: &str) -> bool {
    command("apt-cache")
        .args(["show", "--no-all-versions", package])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// On other systems we say what is wanted, by its Debian name, and go on when the parts that
/// everything needs can be found.
fn without_apt(wanted: &[&str]) -> Result<()> {
    println!(
        "This is not a Debian system, so nothing was installed. Gangway needs what Debian calls\n  {}",
        wanted.join(" ")
    );
    let programs = ["cc", "pkg-config", "musl-gcc", "bwrap", "pasta", "ssh"];
    let mut missing: Vec<&str> = programs
        .into_iter()
        .filter(|program| !has(program))
        .collect();
    let webkit = command("pkg-config")
        .args(["--exists", "webkit2gtk-4.1"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !webkit {
        missing.push("webkit2gtk-4.1 (headers)");
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!("not found on this computer: {}", missing.join(", "));
}

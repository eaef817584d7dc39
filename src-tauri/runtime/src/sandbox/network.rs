//! Whether and how sessions reach the network of this computer.

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use protocol::runner::launch::Network;

use crate::KernelId;

/// Address inside a session at which pasta answers for a resolver that only this computer can
/// reach. Link-local, so that it can't be anybody's real address.
const FORWARD_ADDRESS: &str = "169.254.53.53";
/// Where systemd keeps the real resolvers behind its local one.
const SYSTEMD_RESOLVERS: &str = "/run/systemd/resolve/resolv.conf";

/// The device that pasta needs.
pub(super) const TUN: &str = "/dev/net/tun";
/// Where pasta, like everything else, looks for the host's resolvers.
pub(super) const RESOLV_CONF: &str = "/etc/resolv.conf";

/// A session's `resolv.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resolver {
    pub(super) text: String,
    /// Set when the host's only resolvers are on its loopback.
    pub(super) forward: Option<String>,
}

/// What is there for a session's network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Outbound.
    Outbound { program: PathBuf, make_tun: bool },
    /// None, for this reason.
    Nothing(String),
}

/// Looks what this computer offers.
pub(super) fn reach(is_root: bool) -> Reach {
    let Some(program) = super::find_program("pasta") else {
        return Reach::Nothing("the program pasta (package passt) is not installed".to_owned());
    };
    if !has_default_route(Path::new("/proc")) {
        return Reach::Nothing("this computer has no default route".to_owned());
    }
    match open_tun(Path::new(TUN)) {
        // Root makes one for the session's user: many hosts keep theirs to root.
        Ok(()) => Reach::Outbound {
            program,
            make_tun: is_root,
        },
        Err(error) => Reach::Nothing(format!("{TUN} can't be used: {error}")),
    }
}

/// Whether this user may open the tun device.
pub(super) fn open_tun(device: &Path) -> io::Result<()> {
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(device)
        .map(drop)
}

impl Reach {
    /// For the launcher.
    pub(super) fn network(
        &self,
        kernel: KernelId,
        resolver: &Resolver,
        resolv_conf: &Path,
    ) -> Network {
        match self {
            Self::Nothing(_) => Network::None,
            Self::Outbound { program, make_tun } => Network::Pasta {
                program: program.clone(),
                mark: mark(kernel),
                make_tun: *make_tun,
                dns_forward: resolver.forward.clone(),
                resolv_conf: (*make_tun && resolv_conf != Path::new(RESOLV_CONF))
                    .then(|| resolv_conf.to_owned()),
            },
        }
    }
}

/// What a session's pasta is called in the list of processes. It leaves the session's user and
/// namespaces alone and does not end with its parent, so this is all that it can be known by when
/// launcher and engine died before they wrote its number down.
fn mark(kernel: KernelId) -> String {
    format!("gangway-pasta-{kernel}")
}

/// Processes that carry the mark of a kernel.
pub(super) fn strays(kernel: KernelId) -> Vec<u32> {
    let mark = mark(kernel);
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            let line = fs::read(process.path().join("cmdline")).ok()?;
            let name = line.split(|byte| *byte == 0).next()?;
            (name == mark.as_bytes()).then_some(pid)
        })
        .collect()
}

/// Whether the host whose `/proc` this is knows a way to other networks.
pub(super) fn has_default_route(proc: &Path) -> bool {
    let ipv4 = fs::read_to_string(proc.join("net/route")).unwrap_or_default();
    let ipv6 = fs::read_to_string(proc.join("net/ipv6_route")).unwrap_or_default();
    let nowhere = "0".repeat(32);
    ipv4.lines()
        .skip(1)
        .any(|line| line.split_whitespace().nth(1) == Some("00000000"))
        || ipv6.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some(nowhere.as_str())
                && words.next() == Some("00")
                && !line.ends_with(" lo")
        })
}

/// Makes a session's `resolv.conf` of the host's.
pub(super) fn resolver(host: &Path) -> Resolver {
    let text = fs::read_to_string(host).unwrap_or_default();
    let behind = fs::read_to_string(SYSTEMD_RESOLVERS).unwrap_or_default();
    resolver_of(&text, &behind)
}

fn resolver_of(host: &str, behind: &str) -> Resolver {
    for text in [host, behind] {
        let kept: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| match server_of(line) {
                Some(address) => !address.is_loopback(),
                None => line.starts_with("search ") || line.starts_with("options "),
            })
            .collect();
        if kept.iter().any(|line| server_of(line).is_some()) {
            return Resolver {
                text: format!("{}\n", kept.join("\n")),
                forward: None,
            };
        }
    }
    if host.lines().any(|line| server_of(line.trim()).is_some()) {
        return Resolver {
            text: format!("nameserver {FORWARD_ADDRESS}\n"),
            forward: Some(FORWARD_ADDRESS.to_owned()),
        };
    }
    Resolver::default()
}

fn server_of(line: &str) -> Option<IpAddr> {
    let address = line.strip_prefix("nameserver")?.trim();
    // An IPv6 address may name the interface that it is valid on.
    address.split('%').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_on_the_hosts_loopback_are_not_handed_on() {
        let plain = resolver_of("# x\nnameserver 10.0.0.1\nsearch example.org\n", "");
        assert_eq!(plain.text, "nameserver 10.0.0.1\nsearch example.org\n");
        assert_eq!(plain.forward, None);

        let behind = resolver_of("nameserver 127.0.0.53\n", "nameserver 9.9.9.9\n");
        assert_eq!(behind.text, "nameserver 9.9.9.9\n");

        let local = resolver_of("nameserver 127.0.0.53\noptions edns0\n", "");
        assert_eq!(local.forward.as_deref(), Some(FORWARD_ADDRESS));
        assert_eq!(local.text, "nameserver 169.254.53.53\n");

        assert_eq!(
            resolver_of("nameserver fe80::1%eth0\n", "").text,
            "nameserver fe80::1%eth0\n"
        );
        assert_eq!(resolver_of("", ""), Resolver::default());
    }
}

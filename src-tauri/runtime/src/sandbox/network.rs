//! Whether and how sessions reach the network of this computer.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use protocol::runner::launch::Network;

/// Address inside a session at which pasta answers for a resolver that only this computer can
/// reach. Link-local, so that it can't be anybody's real address.
const FORWARD_ADDRESS: &str = "169.254.53.53";
/// Where systemd keeps the real resolvers behind its local one.
const SYSTEMD_RESOLVERS: &str = "/run/systemd/resolve/resolv.conf";

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
    if !has_default_route() {
        return Reach::Nothing("this computer has no default route".to_owned());
    }
    if is_root {
        return Reach::Outbound {
            program,
            make_tun: true,
        };
    }
    match fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
    {
        Ok(_) => Reach::Outbound {
            program,
            make_tun: false,
        },
        Err(error) => Reach::Nothing(format!("/dev/net/tun can't be used: {error}")),
    }
}

impl Reach {
    /// For the launcher.
    pub(super) fn network(&self, resolver: &Resolver, resolv_conf: &Path) -> Network {
        match self {
            Self::Nothing(_) => Network::None,
            Self::Outbound { program, make_tun } => Network::Pasta {
                program: program.clone(),
                make_tun: *make_tun,
                dns_forward: resolver.forward.clone(),
                resolv_conf: (*make_tun && resolv_conf != Path::new(RESOLV_CONF))
                    .then(|| resolv_conf.to_owned()),
            },
        }
    }
}

/// The process whose session a network of ours is for, by the network's command line (see the
/// runner's `launch::network`).
pub(super) fn sandbox_of(command: &[u8]) -> Option<u32> {
    let words: Vec<&str> = command
        .split(|byte| *byte == 0)
        .map(|word| std::str::from_utf8(word).unwrap_or_default())
        .filter(|word| !word.is_empty())
        .collect();
    let (program, rest) = words.split_first()?;
    let ours = ["--no-map-gw", "--pid", "/dev/stdout"];
    let is_pasta = Path::new(program)
        .file_name()?
        .to_str()?
        .starts_with("pasta");
    if !is_pasta || !ours.iter().all(|word| rest.contains(word)) {
        return None;
    }
    rest.last()?.parse().ok()
}

fn has_default_route() -> bool {
    let ipv4 = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let ipv6 = fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
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
    fn networks_name_their_sessions() {
        let ours = b"/usr/bin/pasta\0--foreground\0--no-map-gw\0--pid\0/dev/stdout\012345\0";
        assert_eq!(sandbox_of(ours), Some(12345));
        assert_eq!(
            sandbox_of(b"/usr/bin/pasta\0--config-net\0--\0bash\0"),
            None
        );
        assert_eq!(
            sandbox_of(b"grep\0--no-map-gw\0--pid\0/dev/stdout\01\0"),
            None
        );
        assert_eq!(sandbox_of(b""), None);
    }

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

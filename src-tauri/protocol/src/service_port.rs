//! Service ports: what a session offers by name (protocol page "Kernel runner" §5).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Container ports that the session itself needs: the two of the runner, ssh and the web terminal.
pub const RESERVED_PORTS: [u16; 4] = [2000, 2001, SSHD_PORT, TTYD_PORT];
/// The port of the session's SSH server, service `sshd`.
pub const SSHD_PORT: u16 = 2200;
/// The port of the session's web terminal, service `ttyd`.
pub const TTYD_PORT: u16 = 7681;

/// How a service port is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceProtocol {
    /// A web page: opened in a browser.
    Http,
    /// Bytes.
    Tcp,
    /// Whatever the session's own program makes of it; never started by the runner.
    Preopen,
    /// A remote desktop.
    Vnc,
    /// A remote desktop.
    Rdp,
}

impl ServiceProtocol {
    /// As on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Preopen => "preopen",
            Self::Vnc => "vnc",
            Self::Rdp => "rdp",
        }
    }
}

impl fmt::Display for ServiceProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ServiceProtocol {
    type Err = InvalidServicePorts;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Http, Self::Tcp, Self::Preopen, Self::Vnc, Self::Rdp]
            .into_iter()
            .find(|protocol| protocol.as_str() == text)
            .ok_or_else(|| InvalidServicePorts::Protocol(text.to_owned()))
    }
}

/// One service of a session, as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePort {
    /// The service: `sshd`, `jupyterlab`, or a preopened port's number as text.
    pub name: String,
    /// How it is spoken to.
    pub protocol: ServiceProtocol,
    /// Ports inside the session, the first one is the usual one.
    #[serde(alias = "container_ports")]
    pub ports: Vec<u16>,
    /// How a page's address is made, when not the plain one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_template: Option<String>,
    /// Arguments that a caller may give when it starts the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_arguments: Option<Vec<String>>,
    /// Variables that a caller may give when it starts the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_envs: Option<Vec<String>>,
}

impl ServicePort {
    /// A service with one port and nothing special.
    pub fn new(name: impl Into<String>, protocol: ServiceProtocol, port: u16) -> Self {
        Self {
            name: name.into(),
            protocol,
            ports: vec![port],
            url_template: None,
            allowed_arguments: None,
            allowed_envs: None,
        }
    }

    /// The two that every session has: `sshd` and `ttyd`.
    pub fn built_in() -> [Self; 2] {
        [
            Self::new("sshd", ServiceProtocol::Tcp, SSHD_PORT),
            Self::new("ttyd", ServiceProtocol::Http, TTYD_PORT),
        ]
    }

    /// A preopened port: named by its number.
    pub fn preopen(port: u16) -> Self {
        Self::new(port.to_string(), ServiceProtocol::Preopen, port)
    }
}

/// Why a label `ai.backend.service-ports` was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidServicePorts {
    /// Not http, tcp, preopen, vnc or rdp.
    #[error("unknown service port protocol \"{0}\"")]
    Protocol(String),
    /// A number that is no port, or outside 1025..=65534.
    #[error("\"{0}\" is not a port between 1025 and 65534")]
    Port(String),
    /// 2000 to 2003, 2200 and 7681 belong to the session.
    #[error("port {0} is used by the session itself")]
    Reserved(u16),
    /// Twice the same port.
    #[error("port {0} is named twice")]
    Twice(u16),
    /// The text has another form.
    #[error("invalid service ports \"{0}\": write name:protocol:port, separated by commas")]
    Format(String),
}

/// Reads a label: `jupyter:http:8080,grid:tcp:[5901,5902]`. Entries of the protocol `pty` are
/// left out, as the manager does.
pub fn parse_label(label: &str) -> Result<Vec<ServicePort>, InvalidServicePorts> {
    let mut services = Vec::new();
    let mut used = BTreeSet::new();
    for item in split_items(label) {
        let format = || InvalidServicePorts::Format(item.to_owned());
        let mut parts = item.splitn(3, ':');
        let (Some(name), Some(protocol), Some(ports)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(format());
        };
        if name.is_empty()
            || !name
                .chars()
                .all(|c| c.is_alphanumeric() || c == '_' || c == '-')
        {
            return Err(format());
        }
        if protocol == "pty" {
            continue;
        }
        let list = ports
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(ports);
        let ports = list
            .split(',')
            .map(|text| service_port(text.trim()))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(twice) = ports.iter().find(|port| !used.insert(**port)) {
            return Err(InvalidServicePorts::Twice(*twice));
        }
        services.push(ServicePort {
            ports,
            ..ServicePort::new(name, protocol.parse()?, 0)
        });
    }
    Ok(services)
}

/// Splits at commas outside brackets.
fn split_items(label: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    label
        .split(move |c: char| {
            match c {
                '[' => inside = true,
                ']' => inside = false,
                _ => {}
            }
            c == ',' && !inside
        })
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

fn service_port(text: &str) -> Result<u16, InvalidServicePorts> {
    let port: u16 = text
        .parse()
        .map_err(|_| InvalidServicePorts::Port(text.to_owned()))?;
    match port {
        2000..=2003 | SSHD_PORT | TTYD_PORT => Err(InvalidServicePorts::Reserved(port)),
        1025..=65534 => Ok(port),
        _ => Err(InvalidServicePorts::Port(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_labels() {
        let services = parse_label("jupyter:http:8080, grid:tcp:[5901,5902],sh:pty:3000").unwrap();
        assert_eq!(services.len(), 2);
        assert_eq!(
            services[0],
            ServicePort::new("jupyter", ServiceProtocol::Http, 8080)
        );
        assert_eq!(services[1].ports, [5901, 5902]);
        assert_eq!(parse_label(""), Ok(vec![]));
    }

    #[test]
    fn refuses_with_the_reason() {
        use InvalidServicePorts as E;
        for (label, error) in [
            ("a:http:2200", E::Reserved(2200)),
            ("a:http:80", E::Port("80".into())),
            ("a:http:x", E::Port("x".into())),
            ("a:smtp:8080", E::Protocol("smtp".into())),
            ("a:http:8080,b:tcp:8080", E::Twice(8080)),
            ("a:http", E::Format("a:http".into())),
            ("a b:http:8080", E::Format("a b:http:8080".into())),
        ] {
            assert_eq!(parse_label(label), Err(error), "{label}");
        }
    }
}

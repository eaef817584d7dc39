//! What a tunnel is, as its owner asks for it and looks at it.

use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::dial::{DialError, Target};
use crate::guard::Secret;
use crate::hash;
use crate::port::{self, LocalPort};
use crate::public::Public;

/// What goes through a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1 and WebSocket: requests are checked for where they come from, and failures are
    /// shown as a page.
    Http,
    /// Any bytes: nothing is looked at and nothing is ever added.
    Tcp,
}

/// What is wanted of a tunnel. It can be stored and opened again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its id, for one that has been open before; a new one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where it leads.
    pub target: Target,
    /// What goes through it.
    pub protocol: Protocol,
    /// Where it listens.
    pub local_port: LocalPort,
    /// It is opened again when the program starts again.
    pub keep: bool,
    /// Who else than this computer may connect; nobody when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<Public>,
    /// What a browser must know to be served, for an HTTP app that the desktop opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
}

impl Request {
    /// A tunnel for this computer alone, on its stable port, forgotten at the end.
    #[must_use]
    pub fn new(target: Target, protocol: Protocol) -> Self {
        Self {
            id: None,
            target,
            protocol,
            local_port: LocalPort::Stable,
            keep: false,
            public: None,
            secret: None,
        }
    }
}

/// How a tunnel is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It listens, and nothing is known against it.
    Open,
    /// A connection is being made.
    Connecting,
    /// The far end is out of reach for the moment; connections are held and tried again.
    Waiting,
    /// The last connection failed for a reason that waiting does not cure. It listens still, and
    /// the next connection tries again.
    Failed,
    /// Its port is taken by another program; it listens as soon as the port is free.
    PortTaken,
    /// It listens no more.
    Closed,
}

/// A look at one tunnel.
#[derive(Debug, Clone)]
pub struct Tunnel {
    /// Its id, unique over time.
    pub id: String,
    /// Where it leads.
    pub target: Target,
    /// What goes through it.
    pub protocol: Protocol,
    /// The port on 127.0.0.1 (and ::1 where there is one).
    pub local_port: u16,
    /// How it is doing.
    pub state: State,
    /// Connections open now.
    pub connections: u64,
    /// Bytes sent into the session since it was opened.
    pub bytes_up: u64,
    /// Bytes that came out of the session since it was opened.
    pub bytes_down: u64,
    /// Bytes each second into the session, of late.
    pub rate_up: u64,
    /// Bytes each second out of the session, of late.
    pub rate_down: u64,
    /// How long it took to reach the session's service the last time.
    pub latency: Option<Duration>,
    /// The last failure; gone after the next success.
    pub last_error: Option<DialError>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// Whether it comes back when the program starts again.
    pub keep: bool,
    /// Who else than this computer may connect.
    pub public: Option<Public>,
    /// What a browser must know.
    pub secret: Option<Secret>,
}

impl Tunnel {
    /// The address for a browser; none for a tunnel that is not HTTP.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        match self.protocol {
            Protocol::Http => Some(format!("http://127.0.0.1:{}/", self.local_port)),
            Protocol::Tcp => None,
        }
    }

    /// The address by a name of its own (RFC 6761 §6.3), which keeps its cookies apart from those
    /// of other tunnels; browsers find such names by themselves, other programs may not.
    #[must_use]
    pub fn named_url(&self) -> Option<String> {
        self.url()
            .map(|_| format!("http://{}:{}/", self.host(), self.local_port))
    }

    /// The name that this target alone has: of the app, the session, and the profile unless that is
    /// the bundled engine's.
    fn host(&self) -> String {
        let Target {
            profile,
            session_name,
            service,
            ..
        } = &self.target;
        let mut host = format!("{}.{}", label(&service.label()), label(session_name));
        if profile != BUNDLED {
            host = format!("{host}.{}", label(profile));
        }
        format!("{host}.localhost")
    }

    /// What is to be stored so that [`crate::Tunnels::restore`] opens it on the same port.
    #[must_use]
    pub fn request(&self) -> Request {
        Request {
            id: Some(self.id.clone()),
            target: self.target.clone(),
            protocol: self.protocol,
            local_port: LocalPort::Preferred(self.local_port),
            keep: self.keep,
            public: self.public.clone(),
            secret: self.secret.clone(),
        }
    }
}

/// The profile of the engine on this computer.
const BUNDLED: &str = "local";

/// One label of a host name: letters, digits and hyphens, at most 63 of them. What can't stand
/// there is told apart by a few digits.
fn label(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() => c.to_ascii_lowercase(),
            _ => '-',
        })
        .take(56)
        .collect();
    let digits = hash::of(&[text]) & 0xff_ffff;
    match plain.trim_matches('-') {
        "" => format!("x-{digits:06x}"),
        same if same == text => plain,
        near => format!("{near}-{digits:06x}"),
    }
}

/// Why a tunnel could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another program has the port.
    #[error("port {port} is in use{}", holder.as_ref().map(|name| format!(" by {name}")).unwrap_or_default())]
    PortInUse {
        /// The port.
        port: u16,
        /// The program that has it, where the system tells.
        holder: Option<String>,
    },
    /// No user may ask for such a port.
    #[error("port {0} can't be chosen: ports go from 1025 to 65534")]
    PortRange(u16),
    /// The system does not let us listen there (ports below 1024, no free port).
    #[error("can't listen on port {port}")]
    Listen {
        /// The port; 0 stands for any.
        port: u16,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The tunnels are being closed or handed over.
    #[error("the proxy is closing")]
    Closing,
}

/// Something about a tunnel changed: opened, closed, or another [`State`]. Counters change
/// without notice; look with [`crate::Tunnels::list`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub id: String,
}

/// A try to reach the service that came to nothing, or a connection that broke.
#[derive(Debug, Clone)]
pub struct FailedTry {
    /// What all of a tunnel have in common between which nobody got through.
    pub launch: String,
    /// When it failed.
    pub at: Timestamp,
    /// How long it took until then.
    pub took: Duration,
    /// Why.
    pub error: DialError,
}

/// How tunnels behave.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where stable ports come from; [`crate::Tunnels::set_pool`] changes it.
    pub pool: Vec<RangeInclusive<u16>>,
    /// How long a connection is held while the far end is out of reach.
    pub patience: Duration,
    /// How long a browser waits for a page of the app before it is shown how far that is.
    pub soon: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pool: vec![port::POOL],
            patience: Duration::from_secs(10),
            soon: Duration::from_millis(1500),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_become_labels() {
        assert_eq!(label("session-1"), "session-1");
        let long = "x".repeat(100);
        let others = [
            "My_Session.1",
            "my-session-1",
            "한국어",
            "日本語",
            &long,
            "",
        ];
        let labels: HashSet<String> = others.iter().map(|text| label(text)).collect();
        assert_eq!(labels.len(), others.len());
        for label in labels {
            assert!((1..=63).contains(&label.len()), "{label}");
            assert!(!label.starts_with('-') && !label.ends_with('-'), "{label}");
            assert!(
                label
                    .bytes()
                    .all(|it| it.is_ascii_alphanumeric() || it == b'-')
            );
        }
    }
}

//! Tunnels: a port of this computer that leads into a session.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{Failure, FailureCode};

/// How a tunnel is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum TunnelState {
    /// Listening; connections get through.
    Open,
    /// A first connection is being made.
    Connecting,
    /// Listening; the session or the manager is away.
    Waiting,
    /// The last connection failed, and waiting would not have helped.
    Failed,
    /// Its port is taken by another program; it listens as soon as the port is free.
    PortTaken,
    /// Closed by the user.
    Closed,
}

/// A tunnel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Tunnel {
    /// Its id.
    pub id: String,
    /// The profile whose manager knows the session.
    pub profile: String,
    /// Id of the session.
    pub session: String,
    /// Name of the session when it was opened.
    pub session_name: String,
    /// App that it leads to.
    pub app: String,
    /// Port inside the session, where an app has several.
    pub remote_port: Option<u16>,
    /// Port on this computer (127.0.0.1).
    pub local_port: u16,
    /// Address for a browser, for apps with pages.
    pub url: Option<String>,
    /// The same by a name of its own, which keeps cookies apart; browsers know such names, other
    /// programs may not.
    pub named_url: Option<String>,
    /// How it is doing.
    pub state: TunnelState,
    /// Connections open now.
    pub connections: u32,
    /// Bytes sent into the session.
    pub bytes_up: u64,
    /// Bytes that came out of it.
    pub bytes_down: u64,
    /// Bytes each second into the session, of late.
    pub rate_up: u64,
    /// Bytes each second out of it, of late.
    pub rate_down: u64,
    /// Milliseconds that it took to reach the app the last time.
    pub latency_ms: Option<u32>,
    /// Why the last connection broke.
    pub last_error: Option<Failure>,
    /// When it was opened.
    #[ts(type = "string")]
    pub created_at: Timestamp,
    /// Whether it comes back after a restart.
    pub keep: bool,
    /// Networks whose computers may use it too; empty: everybody who can reach this computer.
    /// `None`: this computer alone.
    pub public: Option<Vec<String>>,
    /// Whether a browser has to be sent by us to be served.
    pub guarded: bool,
}

/// All tunnels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct TunnelList {
    /// Oldest first.
    pub tunnels: Vec<Tunnel>,
}

/// Opens a tunnel: to an app, or to a port of the session.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct TunnelOpen {
    /// The session.
    pub session: String,
    /// Name of the app; one of `app` and `remote_port` is needed.
    #[serde(default)]
    pub app: Option<String>,
    /// Port inside the session.
    #[serde(default)]
    pub remote_port: Option<u16>,
    /// Port on this computer; any free one when absent.
    #[serde(default)]
    pub local_port: Option<u16>,
    /// Bring it back after a restart.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub keep: bool,
    /// What goes through it; as the app says, or anything, when absent.
    #[serde(default)]
    pub protocol: Option<TunnelProtocol>,
    /// Let others on the network use it.
    #[serde(default)]
    pub public: Option<TunnelPublic>,
    /// What `tunnel.address` names is for the browser that opens it alone. Only for web pages.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub guarded: bool,
}

/// What goes through a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum TunnelProtocol {
    /// Web pages: requests are checked for where they come from, failures are shown as a page.
    Http,
    /// Anything.
    Tcp,
}

/// Who else than this computer may use a tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct TunnelPublic {
    /// Networks (`192.168.1.0/24`) or addresses; none: everybody who can reach this computer.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub allow: Vec<String>,
    /// The user was told that others get in and wants it; without it the call is refused.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub understood: bool,
}

/// Whether a tunnel comes back after a restart.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct TunnelKeep {
    /// The tunnel.
    pub id: String,
    /// Whether it does.
    pub keep: bool,
}

/// What a browser opens to use a tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct TunnelAddress {
    /// By a name of its own, and with a ticket where the tunnel has a secret. Good for once.
    pub url: String,
}

/// What is known of a tunnel's failures, to be given to somebody who can help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct TunnelReport {
    /// Hops, times and codes, without secrets.
    pub text: String,
}

/// A launch of an app, or a connection through a tunnel, that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct FailedLaunch {
    /// Its id, as for `tunnel.report`.
    pub id: String,
    /// The profile in which it was tried.
    pub profile: String,
    /// The session's id, or what it was called where it was not found.
    pub session: String,
    /// Name of the session.
    pub session_name: String,
    /// The app, or the port.
    pub app: String,
    /// The tunnel through which it was tried.
    pub tunnel_id: Option<String>,
    /// When it failed for the last time.
    #[ts(type = "string")]
    pub failed_at: Timestamp,
    /// Which hop failed: `local`, `network`, `login`, `manager`, `session`, `app`.
    pub hop: String,
    /// Why.
    pub code: FailureCode,
    /// The same in one English sentence.
    pub message: String,
    /// Hops, times and codes, without secrets: to be given to somebody who can help.
    pub text: String,
}

/// Failed launches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct FailedLaunchList {
    /// The newest first.
    pub launches: Vec<FailedLaunch>,
}

/// A port on which something listens inside a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SessionPort {
    /// The port.
    pub port: u16,
    /// The app that it belongs to, where the session names one.
    pub app: Option<String>,
    /// Program that listens, as far as it may be seen.
    pub program: Option<String>,
    /// The tunnel that leads there already.
    pub tunnel_id: Option<String>,
}

/// Ports on which something listens inside a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SessionPortList {
    /// By number.
    pub ports: Vec<SessionPort>,
}

/// Names one tunnel.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct TunnelRef {
    /// The tunnel.
    pub id: String,
}

/// Whether tunnels come back when the user logs in to this computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct TunnelsAtLogin {
    /// Whether this system can do it.
    pub supported: bool,
    /// What the user has said; absent before that, which is a no.
    pub wanted: Option<bool>,
    /// The file that does it, which is there while there are tunnels.
    pub entry: String,
    /// What lies at that place.
    pub state: AtLoginState,
}

/// What lies where the file belongs that brings tunnels back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum AtLoginState {
    /// Nothing.
    Absent,
    /// Our file.
    Ours,
    /// Our file, which the desktop's own settings have switched off.
    SwitchedOff,
    /// Somebody else's file, which stays.
    Foreign,
}

/// Brings tunnels back when the user logs in to this computer, or no more.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct SetTunnelsAtLogin {
    /// Whether they are to come back.
    pub wanted: bool,
}

/// The process that owns tunnels and transfers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ProxyStatus {
    /// Whether there is one.
    pub running: bool,
    /// Its process.
    pub pid: Option<u32>,
    /// `app` or `daemon`.
    pub holder: Option<String>,
    /// Since when.
    #[ts(type = "string | null")]
    pub since: Option<Timestamp>,
}

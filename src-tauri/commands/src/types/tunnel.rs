//! Tunnels: a port of this computer that leads into a session.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::Failure;

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
    /// Can't listen.
    Failed,
    /// Closed by the user.
    Closed,
}

/// A tunnel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Tunnel {
    /// Its id.
    pub id: String,
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
    /// How it is doing.
    pub state: TunnelState,
    /// Connections open now.
    pub connections: u32,
    /// Bytes sent into the session.
    pub bytes_up: u64,
    /// Bytes that came out of it.
    pub bytes_down: u64,
    /// Why the last connection broke.
    pub last_error: Option<Failure>,
    /// When it was opened.
    #[ts(type = "string")]
    pub created_at: Timestamp,
    /// Whether it comes back after a restart.
    pub keep: bool,
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
}

/// Names one tunnel.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct TunnelRef {
    /// The tunnel.
    pub id: String,
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

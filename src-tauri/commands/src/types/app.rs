//! Apps of a session, and opening them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// How an app speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum AppProtocol {
    /// A web page.
    Http,
    /// Anything over TCP.
    Tcp,
    /// A port that the user asked for at launch.
    Preopen,
    /// A remote desktop (RFB).
    Vnc,
    /// A remote desktop (RDP).
    Rdp,
}

/// A port that an app of a session listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ServicePort {
    /// Name of the app.
    pub name: String,
    /// How it speaks.
    pub protocol: AppProtocol,
    /// Its ports inside the session.
    pub ports: Vec<u16>,
}

/// Whether an app can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum AppRunState {
    /// It runs.
    Running,
    /// It starts when opened.
    Ready,
    /// Its program is not there.
    Missing,
}

/// An app of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct AppState {
    /// Name, as for `app.open`.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// How it speaks.
    pub protocol: AppProtocol,
    /// Its ports inside the session.
    pub ports: Vec<u16>,
    /// Whether it can be opened.
    pub state: AppRunState,
    /// Whether the engine can install it into the session.
    pub installable: bool,
    /// Program without which it can't be installed, when this computer lacks that one.
    pub needs: Option<String>,
    /// Whether others may be let in at the cluster's app proxy, where it has one.
    pub shareable: bool,
}

/// The apps of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct AppList {
    /// In the manager's order.
    pub apps: Vec<AppState>,
}

/// Opens an app through the local proxy.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct AppOpen {
    /// The session.
    pub session: String,
    /// Name of the app.
    pub app: String,
    /// Local port to use when it is free.
    #[serde(default)]
    pub port: Option<u16>,
    /// Arguments for the app's start.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub arguments: BTreeMap<String, String>,
    /// Environment for the app's start.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub envs: BTreeMap<String, String>,
    /// A web page is for the browser that opens [`OpenedApp::browser_url`] alone; other programs and
    /// users of this computer get nothing.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub guarded: bool,
}

/// What an app waits for that is being opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum AppStage {
    /// The manager's answer.
    Manager,
    /// The steps before its process.
    Starting,
    /// Its port, which does not answer yet.
    Port,
    /// The connection to it.
    Connecting,
}

/// How far an app is that is being opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AppProgress {
    /// On its way.
    Stage {
        /// What it waits for.
        stage: AppStage,
        /// Milliseconds so far.
        elapsed_ms: u64,
        /// Milliseconds that it may take.
        limit_ms: u64,
        /// The last lines that it printed, where the manager tells.
        lines: Vec<String>,
    },
    /// It can be reached; the last message.
    Opened(OpenedApp),
}

/// Opens an app and tells how far that is.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct AppLaunch {
    /// As for `app.open`.
    #[serde(flatten)]
    #[ts(flatten)]
    pub open: AppOpen,
    /// Seconds that the app may take until it answers; as the settings say when absent.
    #[serde(default)]
    pub limit_s: Option<u32>,
}

/// Names one app.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct AppRef {
    /// The session.
    pub session: String,
    /// Name of the app.
    pub app: String,
}

/// An app that can be reached now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct OpenedApp {
    /// Address on this computer.
    pub url: String,
    /// The address that a browser is to open: by a name of its own, and with a ticket where the
    /// app has a secret. Good for once. `None` for what is no web page.
    pub browser_url: Option<String>,
    /// Name of the app.
    pub app: String,
    /// Port on this computer.
    pub local_port: u16,
    /// Id of the session.
    pub session: String,
    /// The tunnel that carries it.
    pub tunnel_id: String,
}

/// Shares a web app with others, at the cluster's app proxy, until its session ends.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct AppShare {
    /// The session.
    pub session: String,
    /// Name of the app.
    pub app: String,
    /// Addresses (`10.1.2.3`) and networks (`10.1.0.0/16`) that may come; all when there are none.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub allowed: Vec<String>,
    /// The name before the app proxy's domain, where it gives apps names.
    #[serde(default)]
    pub subdomain: Option<String>,
}

/// An app that others can reach now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SharedApp {
    /// Its address at the cluster's app proxy.
    pub url: String,
    /// Name of the app.
    pub app: String,
    /// Id of the session.
    pub session: String,
}

/// Installs an app into a session.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct AppInstall {
    /// The session.
    pub session: String,
    /// Name of the app.
    pub app: String,
}

/// Progress of an installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum InstallProgress {
    /// A line that the installer wrote.
    Line {
        /// The line.
        text: String,
    },
    /// The end.
    Done {
        /// Whether the app is there now.
        ok: bool,
        /// Exit code of the installer.
        exit_code: Option<i32>,
    },
}

/// A line of a log, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct LogText {
    /// Text with terminal colours.
    pub text: String,
}

/// Writes a session's log into a file of this computer.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct SaveLog {
    /// The session.
    pub session: String,
    /// Which file; the user is asked when it is absent.
    #[serde(default)]
    pub path: Option<String>,
}

/// Where a log was saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SavedLog {
    /// The file; none when the user thought better of it.
    pub path: Option<String>,
    /// Bytes written.
    pub bytes: u64,
}

/// Opens a terminal in a session.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct TerminalOpen {
    /// The session.
    pub session: String,
    /// Height in lines.
    pub rows: u16,
    /// Width in columns.
    pub cols: u16,
    /// Takes up a terminal that is still open.
    #[serde(default)]
    pub terminal_id: Option<String>,
}

/// First message of a terminal stream; what follows is binary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct TerminalOpened {
    /// Names the terminal.
    pub terminal_id: String,
}

/// Keys for a terminal.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct TerminalWrite {
    /// The terminal.
    pub terminal_id: String,
    /// Bytes in base64.
    pub data: String,
}

/// A terminal's new size.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct TerminalResize {
    /// The terminal.
    pub terminal_id: String,
    /// Height in lines.
    pub rows: u16,
    /// Width in columns.
    pub cols: u16,
}

/// A terminal that a session has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct TerminalInfo {
    /// Names it.
    pub terminal_id: String,
    /// When its shell was started.
    #[ts(type = "string | null")]
    pub started_at: Option<Timestamp>,
    /// The program in its foreground, where that is known.
    pub running: Option<String>,
    /// Whether somebody looks at it now.
    pub shown: bool,
}

/// The terminals of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct TerminalList {
    /// The oldest first.
    pub terminals: Vec<TerminalInfo>,
    /// Whether they outlive this program.
    pub kept: bool,
}

/// Names one terminal.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct TerminalRef {
    /// The session.
    pub session: String,
    /// The terminal.
    pub terminal_id: String,
}

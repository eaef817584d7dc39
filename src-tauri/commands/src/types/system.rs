//! This computer: the program, its paths, the engine, checks, settings, events.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{KeychainKind, Place};

/// What this program is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct AppInfo {
    /// Version of the product.
    pub version: String,
    /// Newest version of the manager API that it speaks.
    pub api_version: String,
    /// Operating system and architecture.
    pub platform: String,
}

/// Where things are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct PathsShown {
    /// Configuration file.
    pub config: String,
    /// Database, logs and keys of the desktop side.
    pub state: String,
    /// Logs.
    pub logs: String,
    /// The engine's data.
    pub engine: String,
    /// Sockets.
    pub runtime: String,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// Good.
    Ok,
    /// Works, but not fully.
    Warning,
    /// Does not work.
    Failed,
}

/// One check of `doctor.run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Check {
    /// Key (`engine`, `keychain`, …).
    pub name: String,
    /// How it went.
    pub state: CheckState,
    /// One sentence.
    pub detail: String,
    /// What to do about it.
    pub fix: Option<String>,
}

/// All checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct CheckList {
    /// In the order of the main job.
    pub checks: Vec<Check>,
}

/// The bundled engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct EngineStatus {
    /// Whether it runs.
    pub running: bool,
    /// Its process.
    pub pid: Option<u32>,
    /// Its address.
    pub endpoint: Option<String>,
    /// Its data.
    pub data_dir: String,
    /// Its version.
    pub version: Option<String>,
    /// Live sessions.
    pub sessions: Option<u32>,
}

/// Language of the user interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// As the system.
    #[default]
    System,
    /// English.
    En,
    /// Korean.
    Ko,
    /// Japanese.
    Ja,
}

/// Light or dark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// As the system.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// How much room things take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Density {
    /// Air between the lines.
    #[default]
    Comfortable,
    /// More lines.
    Compact,
}

/// Where the pages of session apps are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum AppsIn {
    /// In a tab of the user's browser.
    #[default]
    Browser,
    /// In a window of the desktop app for each app.
    Window,
}

/// What the user has chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(default)]
pub struct Settings {
    /// Language.
    pub language: Language,
    /// Light or dark.
    pub theme: Theme,
    /// How much room things take.
    pub density: Density,
    /// Where the pages of session apps are shown.
    pub apps_in: AppsIn,
    /// Program that opens text files.
    pub editor: Option<String>,
    /// Local port for SSH, tried first.
    pub preferred_ssh_port: Option<u16>,
    /// Local ports that tunnels may take (`20000-29999, 31000`); the usual ones when absent.
    pub port_pool: Option<String>,
    /// Proxy through which other managers are reached (`http://proxy:3128`,
    /// `socks5h://proxy:1080`); as the system says when absent. A password in it goes into the
    /// keychain when this is set, and is never shown.
    pub proxy: Option<String>,
    /// Where the proxy's password is kept, if it has one. Found out by itself.
    pub proxy_keychain: Option<KeychainKind>,
    /// Hosts that are reached without the proxy (`lab.example, 10.0.0.0/8`); as `NO_PROXY` says
    /// when absent.
    pub no_proxy: Option<String>,
    /// File of certificates (PEM) that are trusted beside the system's.
    pub ca_file: Option<String>,
    /// Seconds that an app may take to start, by its name; the others take at most 60.
    pub start_limits: BTreeMap<String, u32>,
    /// Certificates of managers that are trusted although nobody vouches for them.
    pub trusted_certificates: Vec<TrustedCertificate>,
    /// Look for a newer version by itself.
    pub check_updates: bool,
    /// Places that the file panes offer.
    pub bookmarks: Vec<Place>,
}

/// A certificate that the user trusts for one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct TrustedCertificate {
    /// Name or address of the host, as it stands in the manager's address.
    pub host: String,
    /// SHA-256 of the certificate (`AB:CD:…`).
    pub fingerprint: String,
}

/// Whose certificate is to be looked at.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct CertificateOf {
    /// Address of a manager; `https://` may be left out.
    pub endpoint: String,
}

/// A certificate as its host shows it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct CertificateShown {
    /// Name or address of the host.
    pub host: String,
    /// SHA-256 of the certificate (`AB:CD:…`).
    pub fingerprint: String,
    /// Why this computer does not trust it by itself; `None` when it does.
    pub problem: Option<String>,
    /// The one that the user trusts for this host, if there is one.
    pub kept: Option<String>,
}

/// Whether a manager can be reached in a way that is not a setting yet.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct NetworkTest {
    /// Address of the manager; the current profile's when absent.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// As in the settings.
    #[serde(default)]
    pub proxy: Option<String>,
    /// As in the settings.
    #[serde(default)]
    pub no_proxy: Option<String>,
    /// As in the settings.
    #[serde(default)]
    pub ca_file: Option<String>,
}

/// The manager answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct NetworkTested {
    /// Address of the manager.
    pub endpoint: String,
    /// Its version.
    pub manager: String,
    /// Milliseconds that the answer took.
    pub took_ms: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            language: Language::default(),
            theme: Theme::default(),
            density: Density::default(),
            apps_in: AppsIn::default(),
            editor: None,
            preferred_ssh_port: None,
            port_pool: None,
            proxy: None,
            proxy_keychain: None,
            no_proxy: None,
            ca_file: None,
            start_limits: BTreeMap::new(),
            trusted_certificates: Vec::new(),
            check_updates: true,
            bookmarks: Vec::new(),
        }
    }
}

/// Whether there is a newer version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum UpdateState {
    /// This is the newest.
    None,
    /// There is a newer one.
    Available,
    /// This copy can't update itself.
    Unsupported,
}

/// Whether there is a newer version, and what is new in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct UpdateStatus {
    /// Whether there is one.
    pub state: UpdateState,
    /// This version.
    pub current: String,
    /// The newer one.
    pub version: Option<String>,
    /// What is new, in Markdown.
    pub notes: Option<String>,
    /// When it came out.
    #[ts(type = "string | null")]
    pub date: Option<Timestamp>,
}

/// Opens an address in the user's browser.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct OpenUrl {
    /// An `http` or `https` address.
    pub url: String,
}

/// Shows a file in the file manager.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct RevealPath {
    /// Absolute path.
    pub path: String,
}

/// What has changed, as the tag under which the user interface caches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Tag {
    /// Sessions.
    Session,
    /// Transfers.
    Transfer,
    /// Tunnels.
    Tunnel,
    /// Data folders.
    Folder,
    /// Recent launches.
    History,
    /// The bundled engine.
    Engine,
    /// Profiles and accounts.
    Profile,
    /// Settings.
    Settings,
    /// Files in the panes, and those that are open in an editor.
    File,
}

/// Something has changed; whoever shows it reads it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Changed {
    /// What kind of thing.
    pub tag: Tag,
    /// Which one; `None`: any of them.
    pub id: Option<String>,
}

//! What a tunnel leads to, and how the far end is reached. This crate knows no manager: whoever
//! owns the tunnels brings a [`Dial`].

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

/// A connected byte stream to a service inside a session.
///
/// `shutdown` says that nothing more will be written; bytes of the other direction may still come
/// where the transport can do that.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A [`Stream`] of any kind.
pub type BoxStream = Box<dyn Stream>;

/// A stream that is ready before anybody needs it: the far end connects to the service when the
/// stream begins, and waits again after both directions have ended.
pub trait Held: Stream {
    /// Has the far end connect; what is written before goes with it.
    fn begin(&mut self);
    /// Asks the far end whether it is there, before it begins; one round trip. A link that is gone
    /// without a word gives no answer at all.
    fn is_there(&mut self) -> BoxFuture<'_, bool>;
    /// Makes it ready for another connection; `false`: it is of no more use.
    fn again(&mut self) -> bool;
}

/// A [`Held`] of any kind.
pub type BoxHeld = Box<dyn Held>;

/// Opens one stream to a target. Called once for every accepted connection, possibly many times
/// at once.
pub trait Dial: Send + Sync + 'static {
    /// Reaches `target`, or says which stage failed and whether trying again soon may help.
    fn dial<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<BoxStream, DialError>>;

    /// The same for a stream that is not connected yet, where the far end can do that; `None`
    /// where it can't.
    fn hold<'a>(
        &'a self,
        _target: &'a Target,
    ) -> BoxFuture<'a, Result<Option<BoxHeld>, DialError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// How far the service is on its way up, where the far end tells; asked while a dial lasts.
    fn progress<'a>(&'a self, _target: &'a Target) -> BoxFuture<'a, Option<Progress>> {
        Box::pin(std::future::ready(None))
    }
}

/// What a service waits for that is being started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// The manager has not answered yet.
    Manager,
    /// The steps before its process.
    Preparation,
    /// Its process runs; its port does not answer yet.
    Port,
    /// Its port answers; the connection is being made.
    Connection,
}

/// How far a service is on its way up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What it waits for.
    pub waits: Waits,
    /// How long it has been on its way.
    pub elapsed: Duration,
    /// How long it may take, by the user's own choice; afterwards the user is asked.
    pub limit: Duration,
    /// The last lines that it printed. No secrets of ours.
    pub lines: Vec<String>,
}

impl Progress {
    /// Whether it has taken longer than it may.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.elapsed > self.limit
    }
}

/// What a tunnel leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The profile (site and account) whose manager knows the session.
    pub profile: String,
    /// The session's id.
    pub session: String,
    /// The session's name. A tunnel keeps its local port for a name, so that a session launched
    /// again under the same name is found at the same place.
    pub session_name: String,
    /// What is reached inside the session.
    pub service: Service,
}

impl Target {
    /// Whether both lead to the same service of a session of the same name: a session that was
    /// launched again has its tunnels already.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        self.profile == other.profile
            && self.session_name == other.session_name
            && self.service == other.service
    }
}

/// What is reached inside a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Service {
    /// A service port that the session announces, started by the dialler when it does not run.
    App {
        /// The name, as in `jupyterlab`, `ttyd`, `sshd`.
        name: String,
        /// Which of the service's container ports; the first when absent.
        #[serde(default)]
        port: Option<u16>,
        /// Arguments of the service definition.
        #[serde(default)]
        arguments: BTreeMap<String, String>,
        /// Environment variables of the service.
        #[serde(default)]
        envs: BTreeMap<String, String>,
    },
    /// A TCP port inside the session.
    Port {
        /// The port number.
        port: u16,
    },
}

/// Shorter values than this are words that stand anywhere: `on`, `1`.
const SHORTEST_SECRET: usize = 4;
/// Stands where a value stood.
const CONCEALED: &str = "•••";

impl Service {
    /// An app by its name alone.
    #[must_use]
    pub fn app(name: impl Into<String>) -> Self {
        Self::App {
            name: name.into(),
            port: None,
            arguments: BTreeMap::new(),
            envs: BTreeMap::new(),
        }
    }

    /// `text` without the values that the user gave to the app: a failing hop may repeat them.
    #[must_use]
    pub fn conceal(&self, text: &str) -> String {
        let Self::App {
            arguments, envs, ..
        } = self
        else {
            return text.to_owned();
        };
        let mut values: Vec<&String> = arguments.values().chain(envs.values()).collect();
        // A value that is a part of another one must not keep that from being found.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values
            .into_iter()
            .filter(|value| value.len() >= SHORTEST_SECRET)
            .fold(text.to_owned(), |text, value| {
                text.replace(value.as_str(), CONCEALED)
            })
    }

    /// A short name for people: the app's name, or the port number.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::App { name, .. } => name.clone(),
            Self::Port { port } => port.to_string(),
        }
    }
}

/// Which hop failed, from this computer outwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// This computer: the local port is taken.
    Local,
    /// The manager can't be reached.
    Network,
    /// The manager does not accept the login.
    Login,
    /// The manager answered with an error of its own.
    Manager,
    /// The session is not running, or is unknown.
    Session,
    /// The service inside the session does not answer.
    App,
}

impl Stage {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Network => "network",
            Self::Login => "login",
            Self::Manager => "manager",
            Self::Session => "session",
            Self::App => "app",
        }
    }
}

/// Why a target could not be reached.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct DialError {
    /// Which hop failed.
    pub stage: Stage,
    /// The dialler's own failure code; opaque here, handed on with the tunnel's state.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// What the failing hop said, for copying into a report. No secrets.
    pub detail: Option<String>,
    /// The link is down or the service is starting: trying again within seconds may work.
    pub retry: bool,
}

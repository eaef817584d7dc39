//! Why a manager did not do what it was asked.

use std::path::PathBuf;

use protocol::problem::Problem;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of the manager is not one.
    #[error("\"{address}\" is not the address of a manager")]
    Address {
        /// What was given.
        address: String,
    },
    /// No connection, or it broke.
    #[error("the manager at {endpoint} can't be reached")]
    Unreachable {
        /// Its address.
        endpoint: String,
        /// What the network said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It has taken the request and says nothing.
    #[error("the manager at {endpoint} has not answered for {seconds} s")]
    Silent {
        /// Its address.
        endpoint: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The manager's certificate is not trusted.
    #[error("the certificate of {endpoint} is not trusted")]
    Certificate {
        /// Its address.
        endpoint: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What answers is no manager.
    #[error("{endpoint} is not a manager: {found}")]
    NotManager {
        /// Its address.
        endpoint: String,
        /// What it is instead.
        found: Found,
    },
    /// The address says `https` where there is no TLS, or `http` where there is.
    #[error("{endpoint} answers by {speaks} only")]
    WrongScheme {
        /// Its address, as it was given.
        endpoint: String,
        /// What has to stand before `://`.
        speaks: &'static str,
    },
    /// The login through the web server is over.
    #[error("the login at {endpoint} has expired")]
    LoginExpired {
        /// Its address.
        endpoint: String,
    },
    /// The account needs a one-time password.
    #[error("this account needs a one-time password")]
    OtpNeeded,
    /// The account has to set up one-time passwords before anything else.
    #[error("this account has to set up one-time passwords in the web page of the manager first")]
    OtpNotSetUp,
    /// The manager said no, in its own words.
    #[error("{}", problem.text())]
    Manager {
        /// HTTP status.
        status: u16,
        /// What it said.
        problem: Box<Problem>,
    },
    /// The manager answered something that can't be understood.
    #[error("the manager's answer to {what} can't be understood: {reason}")]
    Answer {
        /// What was asked.
        what: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The manager does not offer this.
    #[error("this manager does not offer {what}")]
    Unsupported {
        /// What it lacks.
        what: &'static str,
    },
    /// What is to be the way to managers can't be one.
    #[error("the proxy's address can't be used: {0}")]
    Proxy(String),
    /// The request can't be signed or sent.
    #[error("the request can't be made: {0}")]
    Request(String),
    /// One path of several was refused.
    #[error("{path}: {reason}")]
    Refused {
        /// Path in the folder.
        path: String,
        /// What the manager said.
        reason: String,
    },
    /// The storage has another idea of how much has arrived.
    #[error("the upload of {path} was disturbed by another one")]
    UploadDisturbed {
        /// Path in the folder.
        path: String,
    },
    /// The bundled engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// What was found instead of a manager.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Found {
    /// A web page: some other site, or the login page of this network.
    #[error("it answers with a web page")]
    Page,
    /// A redirection to another host: the login page of this network, or the address has moved.
    #[error("it redirects to {host}")]
    Redirect {
        /// Where to.
        host: String,
    },
    /// Something else that speaks HTTP.
    #[error("it answers with status {status}")]
    Other {
        /// HTTP status.
        status: u16,
    },
}

/// Why the bundled engine is not at hand.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It does not run.
    #[error("the engine of this computer does not run")]
    NotRunning,
    /// Its program could not be started.
    #[error("{} could not be started", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It ended before it was ready.
    #[error("the engine ended while it started: {said}")]
    Ended {
        /// The last of what it wrote.
        said: String,
    },
    /// It did not get ready in time.
    #[error("the engine was not ready after {seconds} s; its log is {}", log.display())]
    Slow {
        /// How long it was waited for.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },
    /// Its socket did not answer.
    #[error("the engine's socket {} does not answer", socket.display())]
    Socket {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Its files can't be used.
    #[error("can't use {}", path.display())]
    Files {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// The slug of what the manager said (`session-already-exists`), if it said something.
    #[must_use]
    pub fn slug(&self) -> Option<&str> {
        match self {
            Self::Manager { problem, .. } => Some(problem.slug()),
            _ => None,
        }
    }

    /// HTTP status of the manager's answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Manager { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the manager knows no such thing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether the same request may succeed a moment later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Silent { .. } => true,
            Self::Manager { status, .. } => matches!(status, 429 | 502 | 503 | 504),
            _ => false,
        }
    }

    pub(crate) fn answer(what: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Answer {
            what: what.into(),
            reason: reason.to_string(),
        }
    }
}

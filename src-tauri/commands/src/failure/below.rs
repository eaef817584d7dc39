//! What the errors of the crates below mean: one exhaustive match for each.

use protocol::name::InvalidName;
use serde_json::json;

use super::io;
use crate::types::{Failure, FailureCode as Code};

impl From<keychain::Error> for Failure {
    fn from(error: keychain::Error) -> Self {
        use keychain::Error as E;
        let code = match &error {
            E::Locked => Code::KeychainLocked,
            E::Absent { .. } => Code::KeychainAbsent,
            E::Failed(_) | E::Damaged { .. } => Code::KeychainFailed,
            E::PassphraseNeeded => Code::PassphraseNeeded,
            E::PassphraseWrong { .. } => Code::PassphraseWrong,
            E::Io { .. } => Code::FileFailed,
        };
        Self::caused(code, &error)
    }
}

impl From<settings::Error> for Failure {
    fn from(error: settings::Error) -> Self {
        use settings::Error as E;
        let code = match &error {
            E::NoHome | E::NotPrivate { .. } | E::Syntax { .. } | E::Value { .. } => {
                Code::BadConfig
            }
            E::Io { path, source } => return io(source, &path.display()),
            E::ProgramMissing { .. } => Code::ProgramMissing,
        };
        Self::new(code, &error)
    }
}

impl From<::ssh::client::Error> for Failure {
    fn from(error: ::ssh::client::Error) -> Self {
        use ::ssh::client::Error as E;
        let code = match &error {
            E::HostKeyChanged { .. } => Code::HostKeyMismatch,
            E::Refused { .. } | E::Unsupported { .. } | E::Closed | E::Protocol(_) => {
                Code::SshFailed
            }
            E::KnownHosts(_) => Code::FileFailed,
        };
        Self::caused(code, &error)
    }
}

impl From<::ssh::client::sftp::SftpError> for Failure {
    fn from(error: ::ssh::client::sftp::SftpError) -> Self {
        use ::ssh::client::sftp::{SftpError as E, StatusCode as S};
        let code = match &error {
            E::Status {
                code: S::NoSuchFile,
                ..
            } => Code::FileNotFound,
            E::Status {
                code: S::PermissionDenied,
                ..
            } => Code::FileForbidden,
            E::Status { message, .. } if message.contains("No space") => Code::DiskFull,
            E::Status { message, .. } if message.contains("exists") => Code::FileExists,
            E::Status { .. } | E::Malformed => Code::FileFailed,
            E::Closed => Code::SshFailed,
            E::Name(_) => Code::BadPath,
        };
        Self::new(code, &error)
    }
}

impl From<::ssh::client::KeyError> for Failure {
    fn from(error: ::ssh::client::KeyError) -> Self {
        use ::ssh::client::KeyError as E;
        let code = match &error {
            E::Malformed(_) | E::MalformedPublic(_) => Code::BadAnswer,
            E::Write(_) => Code::FileFailed,
        };
        Self::caused(code, &error)
    }
}

impl From<::ssh::client::KnownHostsError> for Failure {
    fn from(error: ::ssh::client::KnownHostsError) -> Self {
        Self::caused(Code::FileFailed, &error)
    }
}

impl From<::ssh::client::config::ConfigError> for Failure {
    fn from(error: ::ssh::client::config::ConfigError) -> Self {
        use ::ssh::client::config::ConfigError as E;
        match error {
            E::File { path, source } => io(&source, &path.display()),
            E::Value(_) => Self::new(Code::InvalidInput, &error),
        }
    }
}

impl From<::history::HistoryError> for Failure {
    fn from(error: ::history::HistoryError) -> Self {
        use ::history::HistoryError as E;
        let code = match &error {
            E::Unknown(_) => Code::LaunchNotFound,
            E::Db(_) => Code::DatabaseFailed,
        };
        Self::caused(code, &error)
    }
}

impl From<transfer::QueueError> for Failure {
    fn from(error: transfer::QueueError) -> Self {
        use transfer::QueueError as E;
        match error {
            E::Unknown(_) => Self::new(Code::TransferNotFound, &error),
            E::WrongState { .. } => Self::new(Code::TransferState, &error),
            E::Invalid(_) => Self::new(Code::InvalidInput, &error),
            E::Store(error) => Self {
                retryable: error.retry,
                ..Self::new(stored(error.code), &error)
            },
            E::Db(_) => Self::caused(Code::DatabaseFailed, &error),
            E::Closing => Self::new(Code::ProxyFailed, &error),
        }
    }
}

impl From<transfer::Failure> for Failure {
    fn from(failure: transfer::Failure) -> Self {
        Self {
            code: stored(failure.code),
            message: match &failure.path {
                // Which of the files it was.
                Some(path) if !path.is_empty() && !failure.message.contains(path.as_str()) => {
                    format!("{path}: {}", failure.message)
                }
                _ => failure.message,
            },
            hint: None,
            details: failure.path.map(|path| json!({ "path": path })),
            retryable: failure.retryable,
        }
    }
}

fn stored(code: transfer::FailureCode) -> Code {
    use transfer::FailureCode as E;
    match code {
        E::NotFound => Code::FileNotFound,
        E::PermissionDenied => Code::FileForbidden,
        E::NoSpace => Code::DiskFull,
        E::QuotaExceeded => Code::QuotaExceeded,
        E::AlreadyExists => Code::FileExists,
        E::NotADirectory | E::IsADirectory | E::UnsafeName => Code::BadPath,
        E::SizeMismatch | E::ChecksumMismatch => Code::ChecksumMismatch,
        E::SourceChanged | E::Io | E::Protocol => Code::FileFailed,
        E::Gone => Code::SessionEnded,
        E::Unreachable => Code::TunnelFailed,
        E::NotLoggedIn => Code::NotLoggedIn,
        E::LoginExpired => Code::LoginExpired,
        E::Unsupported => Code::Unsupported,
    }
}

impl From<Failure> for transfer::StoreError {
    fn from(failure: Failure) -> Self {
        use transfer::FailureCode as E;
        let code = match failure.code {
            Code::FileNotFound | Code::FolderNotFound | Code::SessionNotFound | Code::NotFound => {
                E::NotFound
            }
            Code::FileForbidden | Code::Forbidden => E::PermissionDenied,
            Code::DiskFull => E::NoSpace,
            Code::QuotaExceeded => E::QuotaExceeded,
            Code::FileExists => E::AlreadyExists,
            Code::BadPath => E::UnsafeName,
            code if code.waits_for_login() => return Self::login_expired(failure.message),
            Code::Unsupported => E::Unsupported,
            Code::SessionEnded => E::Gone,
            Code::ManagerUnreachable
            | Code::EngineNotRunning
            | Code::SessionNotReady
            | Code::SshFailed
            | Code::TunnelFailed => E::Unreachable,
            _ => E::Io,
        };
        Self {
            code,
            message: failure.message,
            retry: failure.retryable,
        }
    }
}

impl From<tunnel::OpenError> for Failure {
    fn from(error: tunnel::OpenError) -> Self {
        use tunnel::OpenError as E;
        match &error {
            E::PortInUse { .. } => Self::new(Code::PortBusy, &error)
                .hint("choose another port, or none: then a free one is found"),
            E::PortRange(_) => Self::new(Code::InvalidInput, &error),
            E::Listen { .. } => Self::caused(Code::TunnelFailed, &error),
            E::Closing => Self::new(Code::ProxyFailed, &error),
        }
    }
}

impl From<tunnel::DialError> for Failure {
    fn from(error: tunnel::DialError) -> Self {
        // We gave the code ourselves when we dialled.
        let code = serde_json::from_value(error.code.clone().into()).unwrap_or(Code::TunnelFailed);
        Self {
            details: error
                .detail
                .as_ref()
                .map(|detail| json!({ "detail": detail })),
            retryable: error.retry,
            ..Self::new(code, &error)
        }
    }
}

impl From<Failure> for tunnel::DialError {
    fn from(failure: Failure) -> Self {
        use tunnel::Stage;
        let stage = match failure.code {
            Code::ManagerUnreachable | Code::EngineNotRunning | Code::CertificateUntrusted => {
                Stage::Network
            }
            Code::PortBusy | Code::InvalidInput => Stage::Local,
            Code::NotLoggedIn
            | Code::LoginExpired
            | Code::LoggedInElsewhere
            | Code::PasswordExpired
            | Code::PasswordWeak
            | Code::OtpNeeded
            | Code::OtpNotSetUp
            | Code::BadCredentials
            | Code::Forbidden
            | Code::ClockSkew => Stage::Login,
            Code::SessionNotFound
            | Code::SessionAmbiguous
            | Code::SessionNotReady
            | Code::SessionTimeout
            | Code::SessionEnded => Stage::Session,
            Code::AppNotFound | Code::AppMissing | Code::AppFailed | Code::AppTimeout => Stage::App,
            _ => Stage::Manager,
        };
        Self {
            stage,
            code: failure.code.key(),
            detail: failure.details.as_ref().and_then(said_by_manager),
            // The tunnel goes on as soon as somebody has logged in again.
            retry: failure.retryable || failure.code.waits_for_login(),
            message: failure.message,
        }
    }
}

/// Status, kind and words of a manager's refusal, on one line.
fn said_by_manager(details: &serde_json::Value) -> Option<String> {
    let text = |key: &str| details.get(key).and_then(serde_json::Value::as_str);
    let status = details.get("status").and_then(serde_json::Value::as_u64);
    let parts = [
        status.map(|status| format!("status {status}")),
        text("error_code").map(str::to_owned),
        text("msg").map(str::to_owned),
        text("detail").map(str::to_owned),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

impl From<proxy::StartError> for Failure {
    fn from(error: proxy::StartError) -> Self {
        use proxy::StartError as E;
        let code = match &error {
            E::Held(_) => Code::ProxyFailed,
            E::Lock(_) => Code::FileFailed,
            E::Settings(_) => Code::BadConfig,
            E::History(_) | E::Queue(_) => Code::DatabaseFailed,
        };
        Self::caused(code, &error)
    }
}

impl From<proxy::autostart::Error> for Failure {
    fn from(error: proxy::autostart::Error) -> Self {
        use proxy::autostart::Error as E;
        match error {
            E::Unsupported => Self::new(Code::Unsupported, error),
            E::Foreign { .. } => Self::new(Code::FileExists, error)
                .hint("move that file away, then switch it on again"),
            E::Unspeakable { .. } => Self::new(Code::BadPath, error)
                .hint("move the program to a path without line breaks and without \"=\""),
            E::Io { path, source } => io(&source, &path.display()),
            E::Settings(error) => error.into(),
            E::History(error) => error.into(),
        }
    }
}

impl From<InvalidName> for Failure {
    fn from(error: InvalidName) -> Self {
        Self::new(Code::InvalidInput, error)
    }
}

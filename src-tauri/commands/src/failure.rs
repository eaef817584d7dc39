//! What every error of the crates below means to a user: one exhaustive match for each.

mod below;
mod manager;

use crate::types::{Failure, FailureCode as Code};

impl Failure {
    /// A failure with nothing beyond its sentence but what helps with its kind as a rule.
    #[must_use]
    pub fn new(code: Code, message: impl ToString) -> Self {
        Self {
            code,
            message: message.to_string(),
            hint: code.usual_hint().map(str::to_owned),
            details: None,
            retryable: code.is_retryable(),
        }
    }

    /// The same with what the user can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with what is known beyond that.
    #[must_use]
    pub fn details(mut self, details: serde_json::Value) -> Self {
        self.details = Some(details);
        self
    }

    /// For an error with sources: the sentence ends with the innermost one.
    fn caused(code: Code, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::new(code, chain(error))
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl Code {
    /// Its key, as it stands in `failure.<key>`.
    #[must_use]
    pub fn key(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    /// Exit status of the terminal program.
    #[must_use]
    pub fn exit_status(self) -> u8 {
        match self {
            Self::InvalidInput | Self::UnknownCommand | Self::BadPath | Self::PasswordWeak => 2,
            Self::ProfileNotFound
            | Self::SessionNotFound
            | Self::AppNotFound
            | Self::ImageNotFound
            | Self::FolderNotFound
            | Self::FileNotFound
            | Self::NotFound
            | Self::TunnelNotFound
            | Self::TransferNotFound
            | Self::LaunchNotFound => 3,
            Self::NotLoggedIn
            | Self::BadCredentials
            | Self::LoginExpired
            | Self::OtpNeeded
            | Self::OtpNotSetUp
            | Self::OtpWrong
            | Self::PasswordExpired
            | Self::ClockSkew
            | Self::Forbidden
            | Self::FileForbidden
            | Self::NotAllowedHere
            | Self::ConfirmationNeeded
            | Self::KeychainLocked
            | Self::KeychainAbsent
            | Self::PassphraseWrong
            | Self::PassphraseNeeded => 4,
            Self::ManagerUnreachable
            | Self::NotAManager
            | Self::WrongScheme
            | Self::CertificateUntrusted
            | Self::EngineNotRunning
            | Self::SessionNotReady
            | Self::SessionEnded
            | Self::SessionTimeout
            | Self::AppTimeout
            | Self::TunnelFailed
            | Self::SshFailed
            | Self::ProxyFailed => 5,
            Self::SessionNameTaken
            | Self::SessionAmbiguous
            | Self::FolderNameTaken
            | Self::FolderBusy
            | Self::FileExists
            | Self::Conflict
            | Self::LoggedInElsewhere
            | Self::ResourceLimit
            | Self::QuotaExceeded
            | Self::RateLimited
            | Self::DiskFull
            | Self::PortBusy => 6,
            Self::Cancelled
            | Self::AppMissing
            | Self::AppFailed
            | Self::FileFailed
            | Self::ManagerRejected
            | Self::ManagerFailed
            | Self::Unsupported
            | Self::BadAnswer
            | Self::EngineFailed
            | Self::ProgramMissing
            | Self::KeychainFailed
            | Self::TransferState
            | Self::ChecksumMismatch
            | Self::HostKeyMismatch
            | Self::BadConfig
            | Self::UpdateFailed
            | Self::DatabaseFailed
            | Self::Internal => 1,
        }
    }

    /// Whether all that it takes is that somebody logs in again.
    pub(crate) fn waits_for_login(self) -> bool {
        matches!(
            self,
            Self::NotLoggedIn | Self::BadCredentials | Self::LoginExpired
        )
    }

    fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::ManagerUnreachable
                | Self::ManagerFailed
                | Self::RateLimited
                | Self::EngineNotRunning
                | Self::SessionTimeout
                | Self::AppTimeout
                | Self::SessionNotReady
                | Self::TunnelFailed
                | Self::SshFailed
                | Self::ProxyFailed
                | Self::PortBusy
                | Self::Cancelled
        )
    }

    /// What the user can do about it, where that is always the same.
    fn usual_hint(self) -> Option<&'static str> {
        Some(match self {
            Self::NotLoggedIn => "log in: `gangway login`",
            Self::EngineNotRunning => "start it: `gangway engine start`",
            Self::ClockSkew => "set the clock of this computer",
            Self::BadCredentials | Self::LoginExpired => "log in again: `gangway login`",
            Self::PasswordExpired => {
                "give a new one: `gangway login` asks for it on a terminal, or takes it as the \
                 second line with --new-password-stdin"
            }
            Self::KeychainLocked => {
                "unlock it, or choose the encrypted file: `gangway login --keychain file`"
            }
            Self::KeychainAbsent => {
                "choose the encrypted file: `gangway login --keychain file`, or keep nothing: \
                 `--keychain memory`"
            }
            Self::PassphraseNeeded => {
                "run it on a terminal, or name a file that holds the passphrase in \
                 GANGWAY_PASSPHRASE_FILE"
            }
            Self::ProgramMissing => "install Gangway again, with all of its programs",
            Self::SessionNotFound => "see `gangway session ls`",
            Self::FolderNotFound => "see `gangway folder ls`",
            Self::ImageNotFound => "see `gangway image ls`",
            Self::AppNotFound => "see `gangway app ls`",
            Self::TransferNotFound => "see `gangway transfer ls`",
            Self::ManagerUnreachable => {
                "check the address and the network, and whether the manager runs"
            }
            Self::SessionNameTaken => "choose another name, or terminate that session first",
            Self::FolderNameTaken => "choose another name; `gangway folder ls` shows those in use",
            _ => return None,
        })
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}

/// What the operating system says about `what`, a path as a rule.
pub(crate) fn io(error: &std::io::Error, what: &dyn std::fmt::Display) -> Failure {
    use std::io::ErrorKind as K;
    let code = match error.kind() {
        K::NotFound => Code::FileNotFound,
        K::PermissionDenied => Code::FileForbidden,
        K::AlreadyExists => Code::FileExists,
        K::StorageFull | K::QuotaExceeded => Code::DiskFull,
        K::ConnectionRefused | K::ConnectionReset | K::BrokenPipe | K::TimedOut => {
            Code::TunnelFailed
        }
        K::AddrInUse => Code::PortBusy,
        K::InvalidInput | K::InvalidFilename | K::NotADirectory | K::IsADirectory => Code::BadPath,
        _ => Code::FileFailed,
    };
    Failure::new(code, format!("{what}: {error}"))
}

pub(crate) fn not_logged_in(profile: &str) -> Failure {
    Failure::new(
        Code::NotLoggedIn,
        format!("nobody is logged in with the profile \"{profile}\""),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_contract() {
        for (code, status) in [
            (Code::SessionNotFound, 3),
            (Code::NotLoggedIn, 4),
            (Code::EngineNotRunning, 5),
            (Code::SessionNameTaken, 6),
            (Code::InvalidInput, 2),
            (Code::Internal, 1),
        ] {
            assert_eq!(code.exit_status(), status);
        }
    }
}

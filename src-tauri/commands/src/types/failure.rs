//! How a command fails, for every surface.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What went wrong, as the key of its text: `failure.<code>` in the user interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The caller went away or pressed cancel.
    Cancelled,
    /// A parameter is missing or makes no sense.
    InvalidInput,
    /// There is no such command.
    UnknownCommand,
    /// The command may not be called from here (surface).
    NotAllowedHere,
    /// The command changes this computer and was not confirmed.
    ConfirmationNeeded,
    /// Nobody is logged in with this profile.
    NotLoggedIn,
    /// The manager refused the key or the password.
    BadCredentials,
    /// The login at the manager's web server is over.
    LoginExpired,
    /// The account needs a one-time password.
    OtpNeeded,
    /// The one-time password is not the one of this moment.
    OtpWrong,
    /// The account has to set up one-time passwords first.
    OtpNotSetUp,
    /// The password has expired.
    PasswordExpired,
    /// The new password does not keep to the rule.
    PasswordWeak,
    /// The account is logged in elsewhere, and no more often allowed.
    LoggedInElsewhere,
    /// The clock of this computer is off by more than the manager takes.
    ClockSkew,
    /// The account may not do this.
    Forbidden,
    /// There is no such profile.
    ProfileNotFound,
    /// The manager knows no such session.
    SessionNotFound,
    /// The start of a name or id fits several sessions.
    SessionAmbiguous,
    /// The session is not in a state that allows this.
    SessionNotReady,
    /// The session ended before it could be used.
    SessionEnded,
    /// The session did not get ready within the time given.
    SessionTimeout,
    /// A live session has this name.
    SessionNameTaken,
    /// The session has no such app.
    AppNotFound,
    /// The app's program is not in this session.
    AppMissing,
    /// The app did not start.
    AppFailed,
    /// The app has taken longer to start than it may.
    AppTimeout,
    /// The manager knows no such image.
    ImageNotFound,
    /// There is no such data folder.
    FolderNotFound,
    /// A data folder has this name.
    FolderNameTaken,
    /// The data folder is in use or in the wrong state.
    FolderBusy,
    /// There is no such file or directory.
    FileNotFound,
    /// A file is in the way.
    FileExists,
    /// The operating system refuses access to a file.
    FileForbidden,
    /// A path leaves its root or can't be used.
    BadPath,
    /// The disk is full.
    DiskFull,
    /// A file could not be read or written.
    FileFailed,
    /// Nothing else on the manager has this name or id.
    NotFound,
    /// The state on the manager does not allow this.
    Conflict,
    /// More resources than allowed or than there are.
    ResourceLimit,
    /// A quota or a count limit is reached.
    QuotaExceeded,
    /// Too many requests.
    RateLimited,
    /// The manager does not understand the request.
    ManagerRejected,
    /// The manager failed.
    ManagerFailed,
    /// The manager can't be reached.
    ManagerUnreachable,
    /// The manager can't do this: it is another version or another product.
    Unsupported,
    /// What answers at the address is no manager.
    NotAManager,
    /// `http` where `https` is spoken, or the other way round.
    WrongScheme,
    /// The manager's certificate is not trusted.
    CertificateUntrusted,
    /// The manager answered in a way that can't be understood.
    BadAnswer,
    /// The engine of this computer does not run.
    EngineNotRunning,
    /// The engine could not be started.
    EngineFailed,
    /// A program that belongs to the product is missing.
    ProgramMissing,
    /// The keychain is locked.
    KeychainLocked,
    /// There is no keychain here.
    KeychainAbsent,
    /// The keychain failed.
    KeychainFailed,
    /// The passphrase is wrong or was not given.
    PassphraseWrong,
    /// The passphrase is needed.
    PassphraseNeeded,
    /// The local port is taken.
    PortBusy,
    /// There is no such tunnel.
    TunnelNotFound,
    /// The tunnel to the session broke.
    TunnelFailed,
    /// There is no such transfer.
    TransferNotFound,
    /// The transfer can't do this in its state.
    TransferState,
    /// What arrived differs from what was sent.
    ChecksumMismatch,
    /// The session's SSH server refused or failed.
    SshFailed,
    /// The session's host key is not the one that the manager names.
    HostKeyMismatch,
    /// There is no such launch in the history.
    LaunchNotFound,
    /// The process that owns tunnels and transfers could not be reached.
    ProxyFailed,
    /// The configuration file can't be read.
    BadConfig,
    /// The newer version could not be found, fetched or installed.
    UpdateFailed,
    /// The local database failed.
    DatabaseFailed,
    /// Something that should not happen; see the log.
    Internal,
}

/// How a command fails. `details` keeps what the manager said: `{status, type, title,
/// error_code, msg}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Failure {
    /// What went wrong.
    pub code: FailureCode,
    /// One sentence in English; the window shows its own text for `code` and this below it.
    pub message: String,
    /// What the user can do about it.
    pub hint: Option<String>,
    /// What is known beyond that.
    #[ts(type = "unknown")]
    pub details: Option<serde_json::Value>,
    /// Whether the same call may succeed later without a change.
    pub retryable: bool,
}

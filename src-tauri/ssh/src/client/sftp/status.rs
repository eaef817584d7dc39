//! What servers answer when they refuse, and every other way to fail.

/// Why an SFTP operation failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SftpError {
    /// The server answered with an error.
    #[error("{message}")]
    Status {
        /// Which.
        code: StatusCode,
        /// What the server wrote, or the code in words.
        message: String,
    },
    /// The connection is gone; the operation may or may not have been done.
    #[error("the SSH connection ended")]
    Closed,
    /// The server does not keep to the protocol.
    #[error("the server's answer can't be understood")]
    Malformed,
    /// A file's name is not UTF-8.
    #[error("the name {0} is not UTF-8")]
    Name(String),
}

/// SSH_FX_* of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusCode {
    /// Done.
    Ok,
    /// No more data or names.
    Eof,
    /// It does not exist.
    NoSuchFile,
    /// Not allowed.
    PermissionDenied,
    /// Anything else; version 3 has no code for a full disk, so the text is all there is.
    Failure,
    /// The server did not understand.
    BadMessage,
    /// The connection is not there.
    NoConnection,
    /// The connection is lost.
    ConnectionLost,
    /// The server can't do that.
    Unsupported,
    /// A code of later versions.
    Other(u32),
}

impl From<u32> for StatusCode {
    fn from(code: u32) -> Self {
        match code {
            0 => Self::Ok,
            1 => Self::Eof,
            2 => Self::NoSuchFile,
            3 => Self::PermissionDenied,
            4 => Self::Failure,
            5 => Self::BadMessage,
            6 => Self::NoConnection,
            7 => Self::ConnectionLost,
            8 => Self::Unsupported,
            other => Self::Other(other),
        }
    }
}

//! The storage's failures in the words of the manager API and its storage proxy (protocol page
//! "Errors").

use axum::http::StatusCode;

use crate::error::Problem;
use crate::storage::{StorageError, TokenError};

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        use StorageError as E;
        let text = error.to_string();
        let (status, slug, title, code) = match &error {
            E::Path(_) | E::Escapes => (
                StatusCode::BAD_REQUEST,
                "storage/subpath/invalid",
                "Invalid Subpath",
                "vfolder_access_invalid-parameters",
            ),
            E::Gone => (
                StatusCode::NOT_FOUND,
                "storage/vfolder/not-found",
                "VFolder Not Found",
                "vfolder_read_not-found",
            ),
            E::NotFound(_) => (
                StatusCode::NOT_FOUND,
                "storage/file-not-found",
                "File not found",
                "vfolder_read_not-found",
            ),
            E::UnknownUpload => (
                StatusCode::NOT_FOUND,
                "storage/upload-not-found",
                "Upload session not found",
                "storage-proxy_read_not-found",
            ),
            E::Exists(_) | E::WrongKind(..) | E::NeedsRecursive(_) => (
                StatusCode::BAD_REQUEST,
                "vfolder-operation-failed",
                "Virtual folder operation has failed due to bad request.",
                "vfolder_generic_bad-request",
            ),
            E::Full | E::TooLarge { .. } => (
                StatusCode::INSUFFICIENT_STORAGE,
                "storage/no-space",
                "There is no space left on the storage.",
                "storage-proxy_create_unavailable",
            ),
            E::Denied(_) => (
                StatusCode::FORBIDDEN,
                "storage/permission-denied",
                "The files' own permissions forbid it.",
                "vfolder_access_forbidden",
            ),
            E::Offset { .. } => (
                StatusCode::CONFLICT,
                "storage/upload-offset-mismatch",
                "Upload Offset Mismatch",
                "storage-proxy_update_conflict",
            ),
            E::Overflow(_) | E::CutOff => (
                StatusCode::BAD_REQUEST,
                "storage/data/invalid-length",
                "Invalid Data Length",
                "storage-proxy_request_invalid-parameters",
            ),
            E::Io(source) => {
                tracing::warn!(%source, "storage");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "storage/generic",
                    "Storage Proxy Error",
                    "storage-proxy_generic_internal-error",
                )
            }
        };
        let text = match &error {
            E::Io(source) => format!("{text}: {source}"),
            _ => text,
        };
        Self::new(status, slug, title, code).msg(text)
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Invalid | TokenError::Expired => storage_params(error.to_string()),
            TokenError::Unmade => Self::internal(error.to_string()),
        }
    }
}

/// 400 as the storage proxy says it.
pub(crate) fn storage_params(msg: impl Into<String>) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "storage/invalid-api-params",
        "Invalid API parameters",
        "storage-proxy_request_invalid-parameters",
    )
    .msg(msg)
}

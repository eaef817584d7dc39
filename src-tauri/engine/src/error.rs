//! What a failed request answers: the manager API's own problem bodies.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use db::DbError;
use protocol::problem;
use serde_json::Value;

/// A failure in the words of the manager API, with the HTTP status that it is answered with.
///
/// Clients tell failures apart by `type` and `error_code`; people read `title` and `msg`.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    body: Box<problem::Problem>,
}

impl Problem {
    /// A problem of the table in the protocol's list of errors; `slug` is the last part of `type`.
    pub(crate) fn new(
        status: StatusCode,
        slug: &str,
        title: impl Into<String>,
        error_code: &str,
    ) -> Self {
        Self {
            status,
            body: Box::new(problem::Problem::new(slug, title).code(error_code)),
        }
    }

    /// The text that is particular to this failure.
    pub(crate) fn msg(mut self, msg: impl Into<String>) -> Self {
        self.body.msg = Some(msg.into());
        self
    }

    /// Machine-readable particulars.
    pub(crate) fn data(mut self, data: Value) -> Self {
        self.body.data = Some(data);
        self
    }

    /// What the runtime said, in the place where a manager passes on what an agent said.
    pub(crate) fn agent(mut self, exception: impl Into<String>) -> Self {
        self.body.agent_details = Some(serde_json::json!({
            "type": "https://api.backend.ai/probs/agent-failure",
            "title": "Agent-side exception occurred.",
            "exception": exception.into(),
        }));
        self
    }

    /// The particular text, or the title where there is none. For GraphQL errors and logs.
    pub(crate) fn text(&self) -> &str {
        self.body.text()
    }

    /// Whether what was asked for can't be done, rather than that it could not be done now.
    pub(crate) fn is_askers(&self) -> bool {
        self.status.is_client_error()
    }

    /// `<domain>_<operation>_<detail>`.
    pub(crate) fn code(&self) -> &str {
        self.body.error_code.as_deref().unwrap_or_default()
    }

    /// 404 "No such <object>."
    pub(crate) fn not_found(object: &str, error_code: &str) -> Self {
        let title = format!("No such {object}.");
        Self::new(StatusCode::NOT_FOUND, "object-not-found", title, error_code)
    }

    /// 404 for a session that is not there, or not the caller's.
    pub(crate) fn no_session() -> Self {
        Self::not_found("session", "session_read_not-found")
    }

    /// 400: parameters that were understood, but can't be right.
    pub(crate) fn invalid_params(msg: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid-api-params",
            "Missing or invalid API parameters.",
            "api_generic_invalid-parameters",
        )
        .msg(msg)
    }

    /// 400: a body or query that does not have the expected form.
    pub(crate) fn unparsable(msg: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "generic-bad-request",
            "Invalid or Missing API Parameters.",
            "api_parsing_invalid-parameters",
        )
        .msg(msg)
    }

    /// 400: no body, or not JSON.
    pub(crate) fn malformed_body() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "generic-bad-request",
            "Malformed request body.",
            "api_parsing_bad-request",
        )
    }

    /// 400: any other bad request.
    pub(crate) fn bad_request(msg: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "generic-bad-request",
            "Bad request.",
            "api_generic_bad-request",
        )
        .msg(msg)
    }

    /// 401: nobody, or not who they say.
    pub(crate) fn auth_failed(msg: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "auth-failed",
            "Credential/signature mismatch.",
            "user_auth_unauthorized",
        )
        .msg(msg)
    }

    /// 400: the authorization headers are incomplete or out of time.
    pub(crate) fn invalid_auth_params(msg: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid-auth-params",
            "Missing or invalid authorization parameters.",
            "user_auth_invalid-parameters",
        )
        .msg(msg)
    }

    /// 403: known, but lacking the role.
    pub(crate) fn forbidden(msg: impl Into<String>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "generic-forbidden",
            "Forbidden operation.",
            "backendai_generic_forbidden",
        )
        .msg(msg)
    }

    /// 403: somebody else's.
    pub(crate) fn insufficient_privilege(msg: impl Into<String>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "insufficient-privilege",
            "Insufficient privilege.",
            "user_auth_forbidden",
        )
        .msg(msg)
    }

    /// 501: the API knows the call, this manager does not do it.
    pub(crate) fn not_implemented(msg: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            "not-implemented",
            "This API is not implemented.",
            "api_generic_not-implemented",
        )
        .msg(msg)
    }

    /// 500. `msg` is read by people: no secrets, no internals.
    pub(crate) fn internal(msg: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal-server-error",
            "Internal server error.",
            "backendai_generic_internal-error",
        )
        .msg(msg)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::warn!(code = self.code(), text = self.text(), "request failed");
        }
        let mut response = (self.status, Json(self.body)).into_response();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(problem::CONTENT_TYPE),
        );
        response
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "database");
        let full = matches!(
            &error,
            DbError::Sqlite(db::rusqlite::Error::SqliteFailure(failure, _))
                if failure.code == db::rusqlite::ErrorCode::DiskFull
        );
        if full {
            return Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "insufficient-storage",
                "The disk is full.",
                "backendai_generic_unavailable",
            )
            .msg("The disk that holds the engine's data is full.");
        }
        Self::internal("The engine's database refused the operation.")
    }
}

impl From<db::rusqlite::Error> for Problem {
    fn from(error: db::rusqlite::Error) -> Self {
        DbError::from(error).into()
    }
}

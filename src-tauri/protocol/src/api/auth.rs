//! Discovery and login (protocol page "Authentication" §3 and §4).

use serde::{Deserialize, Serialize};

use crate::version::ApiVersion;

/// What `GET /` answers, without login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The newest API version that the manager speaks.
    pub version: ApiVersion,
    /// The manager's own version: `26.8.0`.
    pub manager: String,
    /// What only our engine offers; absent from every other manager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gangway: Option<Extensions>,
}

/// The extensions of our engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extensions {
    /// The engine's version: `0.1.0`.
    pub version: String,
    /// Names of what it can do, never assumed, always looked up here.
    pub capabilities: Vec<String>,
}

/// The body of `POST /auth/authorize`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Authorize {
    /// Always `keypair`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The domain to log in to.
    pub domain: String,
    /// E-mail address or user name.
    pub username: String,
    /// In the clear, as the protocol wants it.
    pub password: String,
    /// The one-time password, where the account needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otp: Option<String>,
    /// Take over when too many are logged in.
    #[serde(default)]
    pub force: bool,
}

impl std::fmt::Debug for Authorize {
    /// Everything but the passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorize")
            .field("domain", &self.domain)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// What `POST /auth/authorize` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Authorized {
    /// The keypair and whose it is, or what is missing.
    pub data: LoginAnswer,
}

/// How a login goes on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LoginAnswer {
    /// It has succeeded.
    Keypair(Box<AuthorizedKeypair>),
    /// One more step is needed.
    Step {
        /// `REQUIRE_TWO_FACTOR_AUTH` or `REQUIRE_TWO_FACTOR_REGISTRATION`.
        response_type: String,
    },
}

/// The keypair of a login.
#[derive(Clone, Serialize, Deserialize)]
pub struct AuthorizedKeypair {
    /// `success`; absent in old managers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_type: Option<String>,
    /// The public half.
    pub access_key: String,
    /// The secret half.
    pub secret_key: String,
    /// `superadmin`, `admin`, `user` or `monitor`.
    pub role: String,
    /// `active`, or why not.
    pub status: String,
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<uuid::Uuid>,
    /// Always `keypair`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

impl std::fmt::Debug for AuthorizedKeypair {
    /// Everything but the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthorizedKeypair")
            .field("access_key", &self.access_key)
            .field("role", &self.role)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// The body of `POST /auth/update-password-no-auth`.
#[derive(Clone, Serialize, Deserialize)]
pub struct RenewPassword {
    /// The account's domain.
    pub domain: String,
    /// E-mail address or user name.
    pub username: String,
    /// The one that has expired.
    pub current_password: String,
    /// The one from now on.
    pub new_password: String,
}

impl std::fmt::Debug for RenewPassword {
    /// Everything but the passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RenewPassword")
            .field("domain", &self.domain)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// The body of `POST /server/login` at the web server (protocol page "Authentication" §5).
#[derive(Clone, Serialize)]
pub struct WebLogin {
    /// E-mail address or user name.
    pub username: String,
    /// In the clear, as the protocol wants it.
    pub password: String,
    /// The one-time password, where the account needs one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otp: Option<String>,
    /// Take over when too many are logged in.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

impl std::fmt::Debug for WebLogin {
    /// Everything but the passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebLogin")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// The body of `POST /server/update-password-no-auth` at the web server.
#[derive(Clone, Serialize)]
pub struct WebRenewPassword {
    /// E-mail address or user name.
    pub username: String,
    /// The one that has expired.
    pub current_password: String,
    /// The one from now on.
    pub new_password: String,
}

impl std::fmt::Debug for WebRenewPassword {
    /// Everything but the passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebRenewPassword")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// What `POST /server/update-password-no-auth` answers.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct WebRenewed {
    /// Why it was not changed.
    #[serde(default)]
    pub data: Option<WebLoginData>,
    /// When it was changed; absent when it was not.
    #[serde(default)]
    pub password_changed_at: Option<String>,
}

/// What `POST /server/login` answers; the id of the login is in a header.
#[derive(Debug, Clone, Deserialize)]
pub struct WebLoginAnswer {
    /// Whether it has succeeded.
    pub authenticated: bool,
    /// The account, or why not.
    #[serde(default)]
    pub data: Option<WebLoginData>,
}

/// The account of a login at the web server, or why there is none.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct WebLoginData {
    /// Public half of the account's keypair.
    #[serde(default)]
    pub access_key: Option<String>,
    /// `superadmin`, `admin`, `user` or `monitor`.
    #[serde(default)]
    pub role: Option<String>,
    /// Kind of the refusal, as in every error body.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Its title.
    #[serde(default)]
    pub title: Option<String>,
    /// Its reason.
    #[serde(default)]
    pub details: Option<String>,
}

/// What `POST /gangway/login` answers on the engine's owner-only socket.
#[derive(Clone, Serialize, Deserialize)]
pub struct LocalLogin {
    /// The public half.
    pub access_key: String,
    /// The secret half.
    pub secret_key: String,
    /// The account's e-mail address.
    pub email: String,
    /// The account's user name.
    pub username: String,
    /// `superadmin`, `admin`, `user` or `monitor`.
    pub role: String,
    /// The account's domain.
    pub domain: String,
    /// The account's first project.
    pub project: String,
    /// Where the manager API is served.
    pub endpoint: String,
}

impl std::fmt::Debug for LocalLogin {
    /// Everything but the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalLogin")
            .field("access_key", &self.access_key)
            .field("email", &self.email)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

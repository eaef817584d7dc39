//! Logging in: with a password at the manager or at its web server, or with a keypair.

use protocol::api::auth::{
    Authorize, Authorized, LoginAnswer, RenewPassword, WebLogin, WebLoginAnswer, WebLoginData,
    WebRenewPassword, WebRenewed,
};
use protocol::problem::Problem;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use crate::call::Call;
use crate::connection::SESSION_HEADER;
use crate::{Client, Doorway, Error};

/// Who wants to log in.
pub struct Login {
    /// The domain; only the manager itself asks for it.
    pub domain: String,
    /// E-mail address or user name.
    pub username: String,
    /// The password.
    pub password: SecretString,
    /// One-time password, where the account needs one.
    pub otp: Option<String>,
    /// Ends an older login of the account when there are too many.
    pub force: bool,
}

impl std::fmt::Debug for Login {
    /// Everything but the password and the one-time password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("domain", &self.domain)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// What signs requests.
#[derive(Clone)]
pub struct Keypair {
    /// Public half.
    pub access_key: String,
    /// Secret half.
    pub secret_key: SecretString,
}

impl std::fmt::Debug for Keypair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keypair")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

/// A login that the web server keeps, and signs for.
#[derive(Clone)]
pub struct WebSession {
    /// Public half of the account's keypair; the secret half never leaves the web server.
    pub access_key: String,
    /// Shows whose request it is, as a cookie would.
    pub id: SecretString,
}

impl std::fmt::Debug for WebSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebSession")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

/// How requests show whose they are.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// Each is signed.
    Keypair(Keypair),
    /// Each carries the id of a login.
    WebSession(WebSession),
}

/// A login that has succeeded.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// For the requests from now on.
    pub credentials: Credentials,
    /// `superadmin`, `admin`, `user` or `monitor`.
    pub role: String,
}

/// Whose account it is.
#[derive(Debug, Clone, Deserialize)]
pub struct Owner {
    /// E-mail address.
    pub email: String,
    /// User name.
    #[serde(default)]
    pub username: Option<String>,
    /// `superadmin`, `admin`, `user` or `monitor`.
    pub role: String,
    /// Domain.
    pub domain_name: String,
    /// Projects.
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Debug, Clone, Deserialize)]
struct Group {
    name: String,
}

impl Owner {
    /// The project in which new sessions start: the first that is for sessions.
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        // Every account may belong to the store of models, in which nothing can run.
        let is_store = |group: &&Group| group.name == "model-store";
        let mut usual = self.groups.iter().filter(|group| !is_store(group));
        usual.next().map(|group| group.name.as_str())
    }
}

impl Client {
    /// Trades a password for what later requests need: the keypair at the manager itself, a
    /// login at its web server.
    ///
    /// # Errors
    /// [`Error::Manager`] with 401 when the password is wrong or has expired, with 409 when the
    /// account is logged in too often; [`Error::OtpNeeded`] when one has to be given.
    pub async fn log_in(&self, login: &Login) -> Result<LoggedIn, Error> {
        match self.doorway() {
            Doorway::Manager => self.authorize(login).await,
            Doorway::WebServer => self.web_login(login).await,
        }
    }

    async fn authorize(&self, login: &Login) -> Result<LoggedIn, Error> {
        let body = Authorize {
            kind: "keypair".to_owned(),
            domain: login.domain.clone(),
            username: login.username.clone(),
            password: login.password.expose_secret().to_owned(),
            otp: login.otp.clone(),
            force: login.force,
        };
        let answer: Authorized = self
            .json(Call::post(&["auth", "authorize"]).anonymous().json(&body)?)
            .await?;
        match answer.data {
            LoginAnswer::Keypair(keypair) => Ok(LoggedIn {
                credentials: Credentials::Keypair(Keypair {
                    access_key: keypair.access_key,
                    secret_key: SecretString::from(keypair.secret_key),
                }),
                role: keypair.role,
            }),
            LoginAnswer::Step { response_type } => Err(match response_type.as_str() {
                "REQUIRE_TWO_FACTOR_AUTH" => Error::OtpNeeded,
                "REQUIRE_TWO_FACTOR_REGISTRATION" => Error::OtpNotSetUp,
                other => Error::answer("a login", format!("response type {other}")),
            }),
        }
    }

    async fn web_login(&self, login: &Login) -> Result<LoggedIn, Error> {
        let body = WebLogin {
            username: login.username.clone(),
            password: login.password.expose_secret().to_owned(),
            otp: login.otp.clone(),
            force: login.force,
        };
        let call = Call::post(&["server", "login"]).anonymous().json(&body)?;
        let sent = self.send_unchecked(&call).await?;
        let status = sent.status();
        let id = session_id(sent.headers());
        let bytes = self.whole(sent).await?;
        let Ok(answer) = serde_json::from_slice::<WebLoginAnswer>(&bytes) else {
            return Err(crate::answer::refused(status.as_u16(), &bytes));
        };
        if !answer.authenticated {
            return Err(web_refusal(status, answer.data.unwrap_or_default()));
        }
        let told = answer.data.unwrap_or_default();
        let (Some(id), Some(access_key)) = (id, told.access_key) else {
            return Err(Error::answer("a login", "no session in the answer"));
        };
        Ok(LoggedIn {
            credentials: Credentials::WebSession(WebSession { access_key, id }),
            role: told.role.unwrap_or_default(),
        })
    }

    /// Gives an account whose password has expired a new one; no login is made by that.
    ///
    /// # Errors
    /// [`Error::Manager`] with 401 when the old password is wrong, with 400 when the new one is not
    /// accepted, or the manager lets no password expire.
    pub async fn renew_password(&self, login: &Login, new: &SecretString) -> Result<(), Error> {
        let username = login.username.clone();
        let current_password = login.password.expose_secret().to_owned();
        let new_password = new.expose_secret().to_owned();
        let call = match self.doorway() {
            Doorway::Manager => {
                let body = RenewPassword {
                    domain: login.domain.clone(),
                    username,
                    current_password,
                    new_password,
                };
                let call = Call::post(&["auth", "update-password-no-auth"]).anonymous();
                return self.done(call.json(&body)?).await;
            }
            Doorway::WebServer => Call::post(&["server", "update-password-no-auth"])
                .anonymous()
                .json(&WebRenewPassword {
                    username,
                    current_password,
                    new_password,
                })?,
        };
        let sent = self.send_unchecked(&call).await?;
        let status = sent.status();
        let bytes = self.whole(sent).await?;
        match serde_json::from_slice::<WebRenewed>(&bytes) {
            Ok(answer) if answer.password_changed_at.is_some() => Ok(()),
            Ok(WebRenewed {
                data: Some(told), ..
            }) => Err(web_refusal(status, told)),
            _ => Err(crate::answer::refused(status.as_u16(), &bytes)),
        }
    }

    /// Ends the login at the web server; a keypair has none to end.
    ///
    /// # Errors
    /// When the web server can't be reached.
    pub async fn log_out(&self) -> Result<(), Error> {
        match self.doorway() {
            Doorway::Manager => Ok(()),
            Doorway::WebServer => self.done(Call::post(&["server", "logout"])).await,
        }
    }

    /// Asks whose account it is; a good test of the credentials too.
    ///
    /// # Errors
    /// [`Error::Manager`] with 401 when they are not accepted.
    pub async fn owner(&self) -> Result<Owner, Error> {
        #[derive(Deserialize)]
        struct Data {
            user: Option<Owner>,
        }
        let data: Data = self
            .query(
                "query { user { email username role domain_name groups { name } } }",
                json!({}),
            )
            .await?;
        data.user
            .ok_or_else(|| Error::answer("a question for the account", "no user"))
    }

    /// Asks whether the keypair is accepted.
    ///
    /// # Errors
    /// [`Error::Manager`] with 401 when it is not.
    pub async fn check_login(&self) -> Result<(), Error> {
        self.done(Call::get(&["auth"])).await
    }
}

/// The web server says it in a header of its own; older ones only in the cookie.
fn session_id(headers: &http::HeaderMap) -> Option<SecretString> {
    if let Some(id) = headers.get(SESSION_HEADER) {
        return id.to_str().ok().map(SecretString::from);
    }
    headers
        .get_all(http::header::SET_COOKIE)
        .iter()
        .filter_map(|cookie| cookie.to_str().ok())
        .filter_map(|cookie| cookie.split(';').next()?.strip_prefix("AIOHTTP_SESSION="))
        .map(|id| SecretString::from(id.trim_matches('"')))
        .next_back()
}

/// A refusal is told in the body; 23.09 answers it with the status 200.
fn web_refusal(status: http::StatusCode, told: WebLoginData) -> Error {
    let kind = told.kind.unwrap_or_default();
    match kind.rsplit('/').next() {
        Some("require-totp-authentication") => return Error::OtpNeeded,
        Some("require-totp-registration") => return Error::OtpNotSetUp,
        _ => {}
    }
    let mut problem = Problem::new("auth-failed", told.title.unwrap_or_default());
    if !kind.is_empty() {
        problem.kind = kind;
    }
    problem.msg = told.details;
    Error::Manager {
        status: match status.is_success() {
            true => 401,
            false => status.as_u16(),
        },
        problem: Box::new(problem),
    }
}

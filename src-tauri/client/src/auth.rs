//! Logging in with a password.

use protocol::api::auth::{Authorize, Authorized, AuthorizedKeypair};
use secrecy::{ExposeSecret, SecretString};

use crate::connection::Call;
use crate::{Client, Error};

/// Who wants to log in.
pub struct Login {
    /// The domain.
    pub domain: String,
    /// E-mail address or user name.
    pub username: String,
    /// The password.
    pub password: SecretString,
    /// One-time password, where the account needs one.
    pub otp: Option<String>,
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

impl Client {
    /// Trades a password for the user's keypair.
    ///
    /// # Errors
    /// [`Error::Manager`] with 401 when the password is wrong.
    pub async fn authorize(&self, login: &Login) -> Result<AuthorizedKeypair, Error> {
        let body = Authorize {
            kind: "keypair".to_owned(),
            domain: login.domain.clone(),
            username: login.username.clone(),
            password: login.password.expose_secret().to_owned(),
            otp: login.otp.clone(),
            force: false,
        };
        let answer: Authorized = self
            .json(Call::post(&["auth", "authorize"]).anonymous().json(&body)?)
            .await?;
        Ok(answer.data)
    }

    /// Asks whether the keypair is accepted.
    ///
    /// # Errors
    /// [`Error::Manager`] with 401 when it is not.
    pub async fn check_login(&self) -> Result<(), Error> {
        self.done(Call::get(&["auth"])).await
    }
}

//! The SSH key pair of an account, which the manager puts into every new session.

use http::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::{Client, Error};

const PATH: [&str; 2] = ["auth", "ssh-keypair"];

#[derive(Deserialize)]
struct Kept {
    #[serde(default)]
    ssh_public_key: String,
}

#[derive(Serialize)]
struct Given<'a> {
    pubkey: &'a str,
    privkey: &'a str,
}

impl Client {
    /// The public half; `None` when the account has no pair of its own.
    ///
    /// # Errors
    /// When the manager can't be reached or does not know this.
    pub async fn ssh_public_key(&self) -> Result<Option<String>, Error> {
        let kept: Kept = self.json(Call::get(&PATH)).await?;
        Ok(Some(kept.ssh_public_key).filter(|key| !key.trim().is_empty()))
    }

    /// Has the manager make a new pair; the public half. Sessions that run keep the old one.
    ///
    /// # Errors
    /// As [`Self::ssh_public_key`].
    pub async fn new_ssh_keypair(&self) -> Result<String, Error> {
        let kept: Kept = self.json(Call::new(Method::PATCH, &PATH)).await?;
        Ok(kept.ssh_public_key)
    }

    /// Gives the manager a pair to use. Sessions that run keep the old one.
    ///
    /// # Errors
    /// [`Error::Manager`] when the halves do not belong together.
    pub async fn set_ssh_keypair(
        &self,
        public: &str,
        private: &SecretString,
    ) -> Result<String, Error> {
        let given = Given {
            pubkey: public,
            privkey: private.expose_secret(),
        };
        let kept: Kept = self.json(Call::post(&PATH).json(&given)?).await?;
        Ok(kept.ssh_public_key)
    }
}

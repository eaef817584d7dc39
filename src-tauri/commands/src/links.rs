//! SSH connections into sessions, for files and terminals. One for each session, made at first
//! use and kept as long as it holds.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ::ssh::client::{Connection, HostKey, KnownHosts, Login, PrivateKey, PublicKey};
use client::protocol::api::gangway::capability;
use client::{Client, StartOptions};
use uuid::Uuid;

use crate::context::Context;
use crate::types::{Failure, FailureCode};

/// The service that every session has.
pub(crate) const SSH_SERVICE: &str = "sshd";
/// Where a session keeps the private key of its user.
const KEY_FILE: &str = "id_container";
/// The user inside a session.
const USER: &str = "work";

#[derive(Default)]
pub(crate) struct Links {
    open: Mutex<HashMap<Uuid, Connection>>,
}

impl Links {
    /// A connection to a running session.
    pub(crate) async fn connect(
        &self,
        context: &Context,
        client: &Client,
        session: Uuid,
    ) -> Result<Connection, Failure> {
        if let Some(known) = self.lock().get(&session)
            && !known.is_closed()
        {
            return Ok(known.clone());
        }
        let login = login(context, client, session).await?;
        let stream = client
            .connect_service(&session.to_string(), SSH_SERVICE, &StartOptions::default())
            .await?;
        let made = Connection::connect(stream, &login).await?;
        self.lock().insert(session, made.clone());
        Ok(made)
    }

    pub(crate) fn forget(&self, session: Uuid) {
        self.lock().remove(&session);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Connection>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whom to log in as and what to believe, from the manager.
pub(crate) async fn login(
    context: &Context,
    client: &Client,
    session: Uuid,
) -> Result<Login, Failure> {
    let key = private_key(client, session).await?;
    let id = session.to_string();
    if client.has(capability::SSH_INFO).await? {
        let info = client.ssh_info(&id).await?;
        let host_key = HostKey::Exactly(PublicKey::parse(&info.host_key)?);
        return Ok(Login {
            user: info.user,
            key,
            host_key,
        });
    }
    // Other managers do not tell: the first key seen is the one.
    let file = KnownHosts::new(known_hosts_file(context));
    Ok(Login {
        user: USER.to_owned(),
        key,
        host_key: HostKey::Known { file, name: id },
    })
}

pub(crate) async fn private_key(client: &Client, session: Uuid) -> Result<PrivateKey, Failure> {
    let bytes = client.session_file(&session.to_string(), KEY_FILE).await?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::new(FailureCode::BadAnswer, "the session's SSH key is not text"))?;
    Ok(PrivateKey::parse(&text)?)
}

pub(crate) fn known_hosts_file(context: &Context) -> std::path::PathBuf {
    context.paths().ssh_dir().join("known_hosts")
}

//! One client connection: logs in, opens channels.

use std::{collections::HashMap, sync::Arc};

use russh::{
    Channel, ChannelId, ChannelOpenFailure, Pty,
    server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey},
};

use super::{Host, Order, PtySize, agent::Agent, channel, forward, inbox::Backlogs, keys, sftp};

pub(super) struct Connection {
    host: Arc<dyn Host>,
    /// Session channels that were opened and have not been told what to do yet.
    waiting: HashMap<ChannelId, Waiting>,
    forwards: forward::Listeners,
    backlogs: Backlogs,
    /// The client's own keys, if it lends them.
    agent: Option<Agent>,
}

struct Waiting {
    channel: Channel<Msg>,
    order: Order,
}

impl Connection {
    pub(super) fn new(host: Arc<dyn Host>) -> Self {
        Self {
            host,
            waiting: HashMap::new(),
            forwards: forward::Listeners::default(),
            backlogs: Backlogs::default(),
            agent: None,
        }
    }

    fn start(
        &mut self,
        id: ChannelId,
        command: Option<String>,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Some(Waiting { channel, mut order }) = self.waiting.remove(&id) else {
            return session.channel_failure(id);
        };
        order.command = command;
        if let Some(agent) = &self.agent {
            let path = agent.path().display().to_string();
            order.environ.push(("SSH_AUTH_SOCK".to_owned(), path));
        }
        session.channel_success(id)?;
        let (inbox, writer) = self.backlogs.split(channel);
        tokio::spawn(channel::run(self.host.clone(), inbox, writer, order));
        Ok(())
    }

    async fn judge(&self, key: &russh::keys::PublicKey) -> Auth {
        if keys::is_authorized(&self.host.authorized_keys().await, key) {
            Auth::Accept
        } else {
            Auth::reject()
        }
    }
}

fn size(columns: u32, rows: u32) -> PtySize {
    let clamp = |value: u32, default: u16| match u16::try_from(value) {
        Ok(0) | Err(_) => default,
        Ok(value) => value,
    };
    PtySize {
        columns: clamp(columns, 80),
        rows: clamp(rows, 24),
    }
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        _user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.judge(offer.public_key).await)
    }

    async fn auth_publickey(
        &mut self,
        _user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.judge(key.public_key).await)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.waiting.insert(
            channel.id(),
            Waiting {
                channel,
                order: Order::default(),
            },
        );
        reply.accept().await;
        Ok(())
    }

    async fn channel_close(
        &mut self,
        id: ChannelId,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.waiting.remove(&id);
        self.backlogs.forget(id);
        Ok(())
    }

    async fn data(
        &mut self,
        id: ChannelId,
        data: &[u8],
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.backlogs.arrived(id, data.len()).await;
        Ok(())
    }

    async fn extended_data(
        &mut self,
        id: ChannelId,
        _code: u32,
        data: &[u8],
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.backlogs.arrived(id, data.len()).await;
        Ok(())
    }

    fn adjust_window(&mut self, _id: ChannelId, _current: u32) -> u32 {
        self.backlogs.window()
    }

    async fn agent_request(
        &mut self,
        _id: ChannelId,
        session: &mut Session,
    ) -> Result<bool, Self::Error> {
        if self.agent.is_none() {
            let folder = self.host.sockets();
            match Agent::listen(&folder, session.handle(), self.backlogs.clone()) {
                Ok(agent) => self.agent = Some(agent),
                Err(error) => tracing::warn!(%error, "the client's agent can't be reached"),
            }
        }
        Ok(self.agent.is_some())
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.waiting.get_mut(&id) {
            Some(waiting) => {
                waiting.order.pty = Some((term.to_owned(), size(columns, rows)));
                session.channel_success(id)
            }
            None => session.channel_failure(id),
        }
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.waiting.get_mut(&id) {
            Some(waiting) if is_harmless(name) => {
                waiting
                    .order
                    .environ
                    .push((name.to_owned(), value.to_owned()));
                session.channel_success(id)
            }
            _ => session.channel_failure(id),
        }
    }

    async fn shell_request(
        &mut self,
        id: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.start(id, None, session)
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let command = String::from_utf8_lossy(command).into_owned();
        self.start(id, Some(command), session)
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if name != "sftp" {
            return session.channel_failure(id);
        }
        let Some(Waiting { channel, .. }) = self.waiting.remove(&id) else {
            return session.channel_failure(id);
        };
        session.channel_success(id)?;
        let (inbox, writer) = self.backlogs.split(channel);
        tokio::spawn(sftp::run(inbox, writer, self.host.home()));
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Ok(port) = u16::try_from(port) else {
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            return Ok(());
        };
        // Connecting may take long; the other channels of this connection must not wait for it.
        let channel = self.backlogs.split(channel);
        tokio::spawn(forward::direct_tcp(channel, host.to_owned(), port, reply));
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let channel = self.backlogs.split(channel);
        tokio::spawn(forward::direct_unix(channel, path.to_owned(), reply));
        Ok(())
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        session: &mut Session,
    ) -> Result<bool, Self::Error> {
        let (handle, backlogs) = (session.handle(), self.backlogs.clone());
        Ok(self.forwards.open(address, port, handle, backlogs).await)
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        Ok(self.forwards.close(address, port))
    }
}

/// Variables that a client may set: those that change how programs speak, not what they load.
fn is_harmless(name: &str) -> bool {
    matches!(
        name,
        "LANG" | "LANGUAGE" | "TZ" | "COLORTERM" | "NO_COLOR" | "EDITOR" | "TERM_PROGRAM"
    ) || name.starts_with("LC_")
        || name.starts_with("GIT_AUTHOR_")
        || name.starts_with("GIT_COMMITTER_")
}

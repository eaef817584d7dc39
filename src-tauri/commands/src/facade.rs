//! The one thing that programs hold: calls and streams by name.
//!
//! Futures leave this file boxed: the compiler makes the code of a future where it is first polled
//! or boxed, and every program would compile the whole table anew.

use std::sync::Arc;

use ::proxy::Holder;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, Stream, StreamExt};
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::context::Context;
use crate::host::Host;
use crate::table::{self, Place, Surface};
use crate::types::{Failure, FailureCode};
use crate::{
    app, app_launch, browser, events, file, folder, image_store, seat, session, socket, terminal,
};

/// A message of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A value.
    Json(Value),
    /// Bytes of a terminal.
    Binary(Bytes),
}

/// Messages until the stream ends.
pub type MessageStream = BoxStream<'static, Result<Message, Failure>>;

/// Work that somebody would miss when the program ended now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LiveWork {
    /// Tunnels that are open.
    pub tunnels: usize,
    /// Transfers that are not over.
    pub transfers: usize,
    /// Files that are open in an editor of the user's.
    pub files: usize,
    /// Of these: what was saved is on its way, and arrives without the user.
    pub arriving: usize,
}

impl LiveWork {
    /// Whether there is none.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// How a table is opened.
pub struct Options {
    /// Which program it is for.
    pub surface: Surface,
    /// What only that program can do.
    pub host: Arc<dyn Host>,
    /// The profile to use instead of the last one.
    pub profile: Option<String>,
}

/// Every command, ready to be called. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Table {
    pub(crate) context: Context,
}

impl Table {
    /// Opens the table for a program with its own window.
    ///
    /// # Errors
    /// When the home directory is not known or the passphrase file can't be read.
    pub async fn open(surface: Surface, host: Arc<dyn Host>) -> Result<Self, Failure> {
        let table = Self::with(Options {
            surface,
            host,
            profile: None,
        })
        .await?;
        table.own_proxy().await?;
        let context = table.context.clone();
        tokio::spawn(async move { file::drag::sweep(&context).await });
        Ok(table)
    }

    /// Becomes the owner of tunnels and transfers, unless another window is, and serves other
    /// programs of the user.
    ///
    /// # Errors
    /// When the state directory or its databases can't be used.
    pub fn own_proxy(&self) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            if let Some(proxy) = seat::sit_for_window(&self.context).await? {
                let context = self.context.clone();
                tokio::spawn(async move {
                    if let Err(failure) =
                        socket::serve(context, proxy, || {}, std::future::pending()).await
                    {
                        tracing::warn!(%failure, "the terminal can't reach this window's tunnels");
                    }
                });
            }
            Ok(())
        }
        .boxed()
    }

    /// Opens the table.
    ///
    /// # Errors
    /// When the home directory is not known or the passphrase file can't be read.
    pub async fn with(options: Options) -> Result<Self, Failure> {
        let context = Context::new(options.surface, options.host, options.profile)?;
        Ok(Self { context })
    }

    /// Remembers the passphrase of the encrypted file for this process.
    pub fn unlock(&self, passphrase: SecretString) {
        self.context.keychain().unlock(passphrase);
    }

    /// Runs a command. Dropping the future cancels it.
    ///
    /// # Errors
    /// With the command's own failure; [`FailureCode::UnknownCommand`] or
    /// [`FailureCode::NotAllowedHere`] when it can't be called.
    pub fn call<'a>(
        &'a self,
        surface: Surface,
        name: &'a str,
        payload: Value,
    ) -> BoxFuture<'a, Result<Value, Failure>> {
        async move {
            let command = table::command(name).ok_or_else(|| table::unknown(name))?;
            if !command.surfaces.has(surface) {
                return Err(elsewhere(name));
            }
            let elsewhere =
                command.place == Place::ProxyHost && self.context.seat().host().is_none();
            let answer = if elsewhere {
                socket::forward(&self.context, name, payload).await
            } else {
                table::run(&self.context, name, payload).await
            };
            if let Err(failure) = &answer {
                tracing::debug!(
                    name,
                    code = failure.code.key(),
                    message = failure.message,
                    "call"
                );
            }
            answer
        }
        .boxed()
    }

    /// The same with types, for programs that know what they ask.
    ///
    /// # Errors
    /// As [`Table::call`].
    pub async fn ask<T: DeserializeOwned>(
        &self,
        name: &str,
        request: &(impl Serialize + Sync),
    ) -> Result<T, Failure> {
        let payload = table::encode(request)?;
        let answer = self.call(self.context.surface(), name, payload).await?;
        serde_json::from_value(answer).map_err(|error| Failure::new(FailureCode::Internal, error))
    }

    /// Opens a stream. Dropping it ends it.
    ///
    /// # Errors
    /// As [`Table::call`]; failures after the first message come in the stream.
    pub fn stream<'a>(
        &'a self,
        surface: Surface,
        name: &'a str,
        payload: Value,
    ) -> BoxFuture<'a, Result<MessageStream, Failure>> {
        async move {
            let stream = table::stream(name).ok_or_else(|| table::unknown(name))?;
            if !stream.surfaces.has(surface) {
                return Err(elsewhere(name));
            }
            let context = &self.context;
            match name {
                "events" => Ok(json(
                    events::stream(context, table::parse(name, payload)?).await?,
                )),
                "session.log_follow" => Ok(json(
                    session::follow_log(context, table::parse(name, payload)?).await?,
                )),
                "file.search" => Ok(json(
                    file::search::search(context, table::parse(name, payload)?).await?,
                )),
                "app.install" => Ok(json(
                    app::install(context, table::parse(name, payload)?).await?,
                )),
                "app.launch" => Ok(json(
                    app_launch::launch(context, table::parse(name, payload)?).await?,
                )),
                "image.pull" => Ok(json(
                    image_store::pull(context, table::parse(name, payload)?).await?,
                )),
                "image.import" => Ok(json(
                    image_store::import(context, table::parse(name, payload)?).await?,
                )),
                "image.rescan" => Ok(json(
                    image_store::rescan(context, table::parse(name, payload)?).await?,
                )),
                "session.commit" => Ok(json(
                    image_store::commit(context, table::parse(name, payload)?).await?,
                )),
                "folder.clone" => Ok(json(
                    folder::clone(context, table::parse(name, payload)?).await?,
                )),
                "terminal.open" => {
                    let (opened, bytes) =
                        terminal::open(context, table::parse(name, payload)?).await?;
                    let first = Message::Json(table::encode(&opened)?);
                    let rest = bytes.map(|bytes| bytes.map(Message::Binary));
                    Ok(futures_util::stream::iter([Ok(first)]).chain(rest).boxed())
                }
                other => Err(table::unknown(other)),
            }
        }
        .boxed()
    }

    /// The system's `ssh` with all that it needs to reach a session, ready for more arguments.
    ///
    /// # Errors
    /// When the session is not running or can't be reached.
    pub fn ssh_command<'a>(
        &'a self,
        session: &'a str,
    ) -> BoxFuture<'a, Result<Vec<String>, Failure>> {
        async move { crate::ssh::command(&self.context, session).await }.boxed()
    }

    /// Bytes to and from a session's SSH server, straight through the manager.
    ///
    /// # Errors
    /// When the session is not running or can't be reached.
    pub fn ssh_stream<'a>(
        &'a self,
        session: &'a str,
    ) -> BoxFuture<'a, Result<client::ServiceStream, Failure>> {
        async move { crate::ssh::stream(&self.context, session).await }.boxed()
    }

    /// Becomes the owner of tunnels and transfers and serves other programs of the user, until it
    /// is told to end or has had nothing to do for a while. `ready` is called when it serves.
    ///
    /// # Errors
    /// [`FailureCode::ProxyFailed`] when another process is the owner.
    pub fn run_proxy(&self, ready: Box<dyn FnOnce() + Send>) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            let proxy = seat::sit(&self.context, Holder::Daemon).await?;
            socket::serve(self.context.clone(), proxy, ready, socket::terminated())
                .await
                .map(drop)
        }
        .boxed()
    }

    /// Ends the process that owns tunnels and transfers; only kept tunnels and unfinished
    /// transfers come back.
    ///
    /// # Errors
    /// [`FailureCode::ProxyFailed`] when it is the desktop app.
    pub fn stop_proxy(&self) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            match ::proxy::held_by(self.context.paths()) {
                Some(held) if held.holder == Holder::App => {
                    let message = "the desktop app owns tunnels and transfers";
                    Err(Failure::new(FailureCode::ProxyFailed, message)
                        .hint("quit the app instead"))
                }
                Some(_) => self.ask_proxy_to_leave().await,
                None => Ok(()),
            }
        }
        .boxed()
    }

    /// One that is on its way out already can't be asked, and need not be.
    async fn ask_proxy_to_leave(&self) -> Result<(), Failure> {
        let end = tokio::time::Instant::now() + seat::PATIENCE;
        loop {
            match socket::ask_to_leave(&self.context, false).await {
                Err(failure) if tokio::time::Instant::now() >= end => return Err(failure),
                Err(_) if ::proxy::held_by(self.context.paths()).is_some() => {
                    tokio::time::sleep(seat::MOMENT).await;
                }
                _ => return Ok(()),
            }
        }
    }

    /// What would be missed if this program ended now.
    #[must_use]
    pub fn live_work(&self) -> LiveWork {
        let host = self.context.seat().host();
        let live = host.map(|host| host.live()).unwrap_or_default();
        let open = self.context.open_files();
        LiveWork {
            tunnels: live.tunnels,
            transfers: live.transfers,
            files: open.watched,
            arriving: open.arriving,
        }
    }

    /// Hands tunnels and transfers over to a process of their own, so that this one may end.
    ///
    /// # Errors
    /// When that process does not start; everything is stopped then and goes on at the next start.
    pub fn hand_over(&self) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            let Some(proxy) = self.context.seat().leave() else {
                return Ok(());
            };
            proxy.hand_over().await;
            seat::start_daemon().await
        }
        .boxed()
    }

    /// Stops what this process owns, in order. Unfinished transfers go on at the next start.
    pub fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            if let Some(proxy) = self.context.seat().leave() {
                // While the lock is still ours: afterwards the socket may be that of the next host.
                let _ = std::fs::remove_file(self.context.paths().proxy_socket());
                proxy.stop().await;
            }
        }
        .boxed()
    }

    /// Opens an address of this computer in the user's browser.
    ///
    /// # Errors
    /// When there is no browser.
    pub fn open_url(&self, url: &str) -> Result<(), Failure> {
        browser::open(&self.context, url)
    }

    /// Where things are kept.
    #[must_use]
    pub fn paths(&self) -> &settings::Paths {
        self.context.paths()
    }
}

fn elsewhere(name: &str) -> Failure {
    let message = format!("the command \"{name}\" can't be called from here");
    Failure::new(FailureCode::NotAllowedHere, message)
}

fn json<T: Serialize + 'static>(
    messages: impl Stream<Item = Result<T, Failure>> + Send + 'static,
) -> MessageStream {
    messages
        .map(|message| message.and_then(|m| table::encode(&m).map(Message::Json)))
        .boxed()
}

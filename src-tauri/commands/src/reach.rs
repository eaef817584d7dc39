//! How tunnels and transfers reach sessions and data folders: through the client of whatever
//! profile they belong to. They themselves know no manager.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::ssh::client::Connection;
use client::protocol::api::gangway::{StartStage, capability};
use client::{Doorway, SessionRow, StartOptions};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use transfer::{Place, Places, SftpStore, Store, StoreError};
use tunnel::{BoxHeld, BoxStream, Dial, DialError, Progress, Service, Target, Waits};
use uuid::Uuid;

use crate::app_launch::limit_of;
use crate::context::Context;
use crate::folder_store::FolderStore;
use crate::links;
use crate::mounts;
use crate::session::find_running;
use crate::types::{Failure, FailureCode};
use crate::waiting::Waiting;
use crate::web_apps::WebApps;

/// Reaches what a user's profiles can reach.
pub(crate) struct Reach {
    context: Context,
    /// Sessions that were launched again under their names, by profile and old id: nobody asks
    /// for the old one first.
    moved: Mutex<HashMap<(String, String), String>>,
    web_apps: WebApps,
}

impl Reach {
    pub(crate) fn new(context: Context) -> Self {
        Self {
            context,
            moved: Mutex::default(),
            web_apps: WebApps::default(),
        }
    }
}

impl Dial for Reach {
    fn dial<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<BoxStream, DialError>> {
        self.asked(&target.profile, self.stream(target))
            .map(|stream| stream.map_err(|failure| told(target, failure)))
            .boxed()
    }

    fn hold<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Option<BoxHeld>, DialError>> {
        self.asked(&target.profile, self.held(target))
            .map(|held| held.map_err(|failure| told(target, failure)))
            .boxed()
    }

    fn progress<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Option<Progress>> {
        async move {
            let asked = self.start_progress(target);
            tokio::time::timeout(PROGRESS_PATIENCE, asked)
                .await
                .ok()?
                .unwrap_or_default()
        }
        .boxed()
    }
}

/// A manager that takes longer to say how far an app is says nothing.
const PROGRESS_PATIENCE: Duration = Duration::from_secs(3);

/// Why a target could not be reached, without what the user gave to the service: it is shown on
/// pages and stored.
fn told(target: &Target, failure: Failure) -> DialError {
    let error = DialError::from(failure);
    DialError {
        message: target.service.conceal(&error.message),
        detail: error.detail.map(|text| target.service.conceal(&text)),
        ..error
    }
}

impl Reach {
    /// Does what asks the manager, unless it has just refused the same login: who waits for another
    /// does not ask again and again.
    async fn asked<T>(
        &self,
        profile: &str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        if let Some(refused) = self.context.refused_login(profile) {
            return Err(refused);
        }
        let done = work.await;
        if let Err(failure) = &done {
            self.context.note_refusal(profile, failure);
        }
        done
    }

    async fn stream(&self, target: &Target) -> Result<BoxStream, Failure> {
        let client = self.context.client_of(&target.profile).await?;
        let (name, options) = self.service(&target.service)?;
        let ours = client.is_ours().await?;
        if let Service::Port { port } = target.service
            && !client.has(capability::ANY_PORT).await?
        {
            // Other managers reach only what a session announces; its SSH server reaches all.
            let row = self.session(target).await?;
            return self.through_ssh(&client, row.session_id, port).await;
        }
        // A web server does not tell that a service has closed its side; SSH does.
        if !ours && name != links::SSH_SERVICE && client.doorway() == Doorway::WebServer {
            return self.app_through_ssh(&client, target, &name, &options).await;
        }
        let connect = |session: String| {
            let (client, name, options) = (client.clone(), &name, &options);
            async move { client.connect_service(&session, name, options).await }
        };
        match self.wherever(target, connect).await {
            Err(_) if !ours && name != links::SSH_SERVICE && client.is_past_manager() => {
                self.app_past_manager(&client, target, &name, &options)
                    .await
            }
            reached => Ok(Box::new(reached?)),
        }
    }

    /// Connects to a port as seen from inside. The connection is the tunnel's own: one that nobody
    /// reads holds up nothing else.
    async fn through_ssh(
        &self,
        client: &client::Client,
        session: Uuid,
        port: u16,
    ) -> Result<BoxStream, Failure> {
        let login = links::login(&self.context, client, session).await?;
        let options = StartOptions::default();
        let stream = client
            .connect_service(&session.to_string(), links::SSH_SERVICE, &options)
            .await?;
        let link = Connection::connect(stream, &login).await?;
        Ok(Box::new(link.direct_tcpip("127.0.0.1", port).await?))
    }

    /// The same for an app, which is started when nothing answers on its port.
    async fn app_through_ssh(
        &self,
        client: &client::Client,
        target: &Target,
        name: &str,
        options: &StartOptions,
    ) -> Result<BoxStream, Failure> {
        let row = self.session(target).await?;
        let announced = row.service_ports.iter().find(|port| port.name == name);
        let port = options
            .port
            .or_else(|| announced?.ports.first().copied())
            .ok_or_else(|| {
                let message = format!("the session {} has no app \"{name}\"", row.name);
                Failure::new(FailureCode::AppNotFound, message)
            })?;
        if let Ok(stream) = self.through_ssh(client, row.session_id, port).await {
            return Ok(stream);
        }
        let session = row.session_id.to_string();
        if client.is_past_manager() {
            client.start_service(&session, name, options).await?;
        } else {
            // A stream starts what it leads to; this one is not used.
            drop(client.connect_service(&session, name, options).await?);
        }
        self.through_ssh(client, row.session_id, port).await
    }

    /// The same where the manager has no streams: an app proxy may pass nothing but web pages.
    async fn app_past_manager(
        &self,
        client: &client::Client,
        target: &Target,
        name: &str,
        options: &StartOptions,
    ) -> Result<BoxStream, Failure> {
        let at_app_proxy = async || {
            let row = self.session(target).await?;
            let whose = (target.profile.as_str(), client);
            self.web_apps.connect(whose, &row, (name, options)).await
        };
        if self.web_apps.is_only_way(&target.profile)
            && let Ok(Some(stream)) = at_app_proxy().await
        {
            return Ok(stream);
        }
        match self.app_through_ssh(client, target, name, options).await {
            Err(failure) => match at_app_proxy().await {
                Ok(Some(stream)) => Ok(stream),
                Ok(None) => Err(failure),
                Err(second) => {
                    tracing::info!(message = second.message, "no way at the app proxy");
                    Err(failure)
                }
            },
            reached => reached,
        }
    }

    async fn start_progress(&self, target: &Target) -> Result<Option<Progress>, Failure> {
        let Service::App { name, .. } = &target.service else {
            return Ok(None);
        };
        let client = self.context.client_of(&target.profile).await?;
        let key = (target.profile.clone(), target.session.clone());
        let session = self.moved().get(&key).cloned();
        let session = session.as_ref().unwrap_or(&target.session);
        let Some(found) = client.start_progress(session, name).await? else {
            return Ok(None);
        };
        let waits = match found.stage {
            StartStage::Preparing => Waits::Preparation,
            StartStage::Waiting => Waits::Port,
            // Why, the dial says.
            StartStage::Failed => return Ok(None),
        };
        Ok(Some(Progress {
            waits,
            elapsed: Duration::from_millis(found.elapsed_ms),
            limit: limit_of(&self.context, name)?,
            lines: found.lines,
        }))
    }

    /// The service as the manager's address of the stream has it, with the time that it may take.
    fn service(&self, service: &Service) -> Result<(String, StartOptions), Failure> {
        Ok(match service {
            Service::App {
                name,
                port,
                arguments,
                envs,
            } => {
                let options = StartOptions {
                    port: *port,
                    envs: envs.clone(),
                    arguments: arguments.clone(),
                    limit: Some(limit_of(&self.context, name)?),
                };
                (name.clone(), options)
            }
            Service::Port { port } => (port.to_string(), StartOptions::default()),
        })
    }

    async fn held(&self, target: &Target) -> Result<Option<BoxHeld>, Failure> {
        let client = self.context.client_of(&target.profile).await?;
        if !client.has(capability::STREAM_HOLD).await? {
            return Ok(None);
        }
        let (name, options) = self.service(&target.service)?;
        let (name, options) = (&name, &options);
        let connect = |session: String| {
            let client = client.clone();
            async move { client.hold_service(&session, name, options).await }
        };
        let stream = self.wherever(target, connect).await?;
        Ok(stream.map(|stream| Box::new(Waiting::from(stream)) as BoxHeld))
    }

    /// Connects to the session that a tunnel was made for, else to the one that was launched again
    /// under its name.
    async fn wherever<T, F>(
        &self,
        target: &Target,
        connect: impl Fn(String) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, client::Error>>,
    {
        let key = (target.profile.clone(), target.session.clone());
        let known = self.moved().get(&key).cloned();
        let session = known.unwrap_or_else(|| target.session.clone());
        match connect(session.clone()).await {
            Ok(stream) => Ok(stream),
            Err(error) if error.is_temporary() => Err(error.into()),
            Err(error) => {
                let id = self.session(target).await?.session_id.to_string();
                if id == session {
                    return Err(error.into());
                }
                let stream = connect(id.clone()).await?;
                self.moved().insert(key, id);
                Ok(stream)
            }
        }
    }

    fn moved(&self) -> MutexGuard<'_, HashMap<(String, String), String>> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session that a tunnel was made for, else the live one of the same name.
    async fn session(&self, target: &Target) -> Result<SessionRow, Failure> {
        let client = self.context.client_of(&target.profile).await?;
        match find_running(&client, &target.session).await {
            Err(failure)
                if matches!(
                    failure.code,
                    FailureCode::SessionNotFound | FailureCode::SessionEnded
                ) =>
            {
                // What ended stays ended: only a session with the very name takes its place.
                match find_running(&client, &target.session_name).await {
                    Ok(row) if row.name == target.session_name => Ok(row),
                    _ => Err(failure),
                }
            }
            found => found,
        }
    }
}

impl Places for Reach {
    fn open<'a>(
        &'a self,
        profile: &'a str,
        place: &'a Place,
    ) -> BoxFuture<'a, Result<Arc<dyn Store>, StoreError>> {
        async move {
            let opened = self.asked(profile, self.place(profile, place)).await;
            opened.map_err(StoreError::from)?
        }
        .boxed()
    }

    fn elsewhere<'a>(
        &'a self,
        profile: &'a str,
        location: &'a transfer::Location,
    ) -> BoxFuture<'a, Option<transfer::Location>> {
        async move {
            let transfer::Location::Session { session, path } = location else {
                return None;
            };
            match self.in_folder(profile, session, path).await {
                Ok(found) => found,
                // Without it a transfer only has no second way.
                Err(failure) => {
                    tracing::info!(message = failure.message, "mounts not known");
                    None
                }
            }
        }
        .boxed()
    }
}

impl Reach {
    /// What the manager says first, and then what the place itself says.
    async fn place(
        &self,
        profile: &str,
        place: &Place,
    ) -> Result<Result<Arc<dyn Store>, StoreError>, Failure> {
        let client = self.context.client_of(profile).await?;
        match place {
            Place::Local => Ok(Err(StoreError::unsupported(
                "this computer needs no opening",
            ))),
            Place::Folder(folder) => {
                // Asked for, so that one that is not there is found out now.
                client.folder(folder).await?;
                Ok(Ok(FolderStore::open(client, folder)))
            }
            Place::Session(session) => {
                let row = find_running(&client, session).await?;
                let store = self.sftp(&client, row.session_id).await;
                Ok(store.map(|store| Arc::new(store) as Arc<dyn Store>))
            }
        }
    }

    /// The data folder that holds a session's file, and where in it.
    async fn in_folder(
        &self,
        profile: &str,
        session: &str,
        path: &str,
    ) -> Result<Option<transfer::Location>, Failure> {
        let client = self.context.client_of(profile).await?;
        let row = find_running(&client, session).await?;
        if row.mounts.is_empty() {
            return Ok(None);
        }
        let link = self
            .context
            .links()
            .connect(&self.context, &client, row.session_id)
            .await?;
        let sftp = link.sftp().await?;
        let table = mounts::read(&sftp).await?;
        // Through a link the file may lie somewhere else; what is not there yet lies in its folder.
        let real = sftp.real_path(path).await?;
        let mut folders = client.folders().await?;
        // What a session says about itself can't lead to a folder that it was not given.
        folders.retain(|folder| row.mounts.contains(&folder.name));
        let ids: Vec<&str> = folders.iter().map(|folder| folder.id.as_str()).collect();
        Ok(mounts::locate(&table, &ids, &real).map(|(index, path)| {
            let name = &folders[index].name;
            // Somebody else's may have the same name.
            let others = folders.iter().filter(|folder| folder.name == *name);
            let folder = if others.count() == 1 {
                name.clone()
            } else {
                folders[index].id.clone()
            };
            transfer::Location::Folder { folder, path }
        }))
    }

    /// A connection of its own: bulk bytes do not wait for a terminal's, nor the other way round.
    async fn sftp(&self, client: &client::Client, session: Uuid) -> Result<SftpStore, StoreError> {
        let login = links::login(&self.context, client, session)
            .await
            .map_err(StoreError::from)?;
        let (client, session) = (client.clone(), session.to_string());
        let dial: transfer::Dial = Arc::new(move || {
            let (client, session) = (client.clone(), session.clone());
            async move {
                let options = StartOptions::default();
                let stream = client
                    .connect_service(&session, links::SSH_SERVICE, &options)
                    .await
                    .map_err(|error| StoreError::from(Failure::from(error)))?;
                Ok(Box::new(stream) as transfer::ByteStream)
            }
            .boxed()
        });
        SftpStore::reach(dial, login).await
    }
}

//! How tunnels and transfers reach sessions and data folders: through the client of whatever
//! profile they belong to. They themselves know no manager.

use std::sync::Arc;

use client::{SessionRow, StartOptions};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use transfer::{Place, Places, SftpStore, Store, StoreError};
use tunnel::{BoxStream, Dial, DialError, Service, Target};
use uuid::Uuid;

use crate::context::Context;
use crate::folder_store::FolderStore;
use crate::links;
use crate::mounts;
use crate::session::find_running;
use crate::types::{Failure, FailureCode};

/// Reaches what a user's profiles can reach.
pub(crate) struct Reach(pub(crate) Context);

impl Dial for Reach {
    fn dial<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<BoxStream, DialError>> {
        self.stream(target)
            .map(|stream| stream.map_err(DialError::from))
            .boxed()
    }
}

impl Reach {
    async fn stream(&self, target: &Target) -> Result<BoxStream, Failure> {
        let client = self.0.client_of(&target.profile).await?;
        let session = &target.session;
        let (name, options) = match &target.service {
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
                };
                (name, options)
            }
            Service::Port { port } => {
                let row = self.session(target).await?;
                let link = self
                    .0
                    .links()
                    .connect(&self.0, &client, row.session_id)
                    .await?;
                return Ok(Box::new(link.direct_tcpip("127.0.0.1", *port).await?));
            }
        };
        match client.connect_service(session, name, &options).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) if error.is_temporary() => Err(error.into()),
            // The session may have ended, and been launched again under its name.
            Err(error) => {
                let id = self.session(target).await?.session_id.to_string();
                if id == *session {
                    return Err(error.into());
                }
                Ok(Box::new(client.connect_service(&id, name, &options).await?))
            }
        }
    }

    /// The session that a tunnel was made for, else the live one of the same name.
    async fn session(&self, target: &Target) -> Result<SessionRow, Failure> {
        let client = self.0.client_of(&target.profile).await?;
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
            let client = self.0.client_of(profile).await.map_err(StoreError::from)?;
            match place {
                Place::Local => Err(StoreError::unsupported("this computer needs no opening")),
                Place::Folder(folder) => FolderStore::open(client, folder).await,
                Place::Session(session) => {
                    let row = find_running(&client, session)
                        .await
                        .map_err(StoreError::from)?;
                    let store = self.sftp(&client, row.session_id).await?;
                    Ok(Arc::new(store) as Arc<dyn Store>)
                }
            }
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
    /// The data folder that holds a session's file, and where in it.
    async fn in_folder(
        &self,
        profile: &str,
        session: &str,
        path: &str,
    ) -> Result<Option<transfer::Location>, Failure> {
        let client = self.0.client_of(profile).await?;
        let row = find_running(&client, session).await?;
        if row.mounts.is_empty() {
            return Ok(None);
        }
        let link = self
            .0
            .links()
            .connect(&self.0, &client, row.session_id)
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
        let login = links::login(&self.0, client, session)
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

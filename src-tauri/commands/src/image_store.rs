//! Getting images, saving sessions as images, and the registries that images come from.

use std::pin::Pin;

use client::protocol::api::gangway::ImageImport as WireImport;
use client::protocol::api::image::{Registry as WireRegistry, RegistryAdd as WireAdd};
use client::{Client, TaskNews};
use futures_util::{Stream, StreamExt};
use uuid::Uuid;

use crate::context::Context;
use crate::session::find_running;
use crate::types::{
    Failure, FailureCode, ImageAlias, ImageImport, ImageRef, ImageRescan, Nothing, Registry,
    RegistryAdd, RegistryList, RegistryRef, SessionCommit, TaskProgress,
};

/// Progress until the end.
pub(crate) type Progress = Pin<Box<dyn Stream<Item = Result<TaskProgress, Failure>> + Send>>;

/// What a task tells, to its end.
pub(crate) async fn follow(client: &Client, task: Uuid) -> Result<Progress, Failure> {
    let news = client.follow_task(task).await?;
    Ok(news
        .map(|news| match news? {
            TaskNews::Updated {
                message,
                current,
                total,
            } => Ok(TaskProgress::Step {
                message,
                current,
                total,
            }),
            TaskNews::Done { message } => Ok(TaskProgress::Done { message }),
            TaskNews::Failed { message } => {
                Err(Failure::new(FailureCode::ManagerRejected, message))
            }
        })
        .boxed())
}

pub(crate) async fn pull(context: &Context, request: ImageRef) -> Result<Progress, Failure> {
    let client = context.client().await?;
    let task = client.pull_image(&request.image).await?;
    follow(&client, task).await
}

pub(crate) async fn import(context: &Context, request: ImageImport) -> Result<Progress, Failure> {
    let client = context.client().await?;
    let wire = WireImport {
        path: request.path,
        name: request.name,
    };
    let task = client.import_image(&wire).await?;
    follow(&client, task).await
}

pub(crate) async fn rescan(context: &Context, request: ImageRescan) -> Result<Progress, Failure> {
    let client = context.client().await?;
    let task = client.rescan_images(request.registry.as_deref()).await?;
    follow(&client, task).await
}

pub(crate) async fn commit(context: &Context, request: SessionCommit) -> Result<Progress, Failure> {
    let client = context.client().await?;
    let row = find_running(&client, &request.session).await?;
    let task = client
        .commit_session(&row.session_id.to_string(), &request.name)
        .await?;
    follow(&client, task).await
}

pub(crate) async fn alias(context: &Context, request: ImageAlias) -> Result<Nothing, Failure> {
    let client = context.client().await?;
    client
        .alias_image(&request.alias, request.image.as_deref())
        .await?;
    Ok(Nothing {})
}

pub(crate) async fn remove(context: &Context, request: ImageRef) -> Result<Nothing, Failure> {
    let client = context.client().await?;
    let found = client
        .images()
        .await?
        .into_iter()
        .find(|image| image.canonical() == request.image);
    let id = found.and_then(|image| image.id).ok_or_else(|| {
        let message = format!("there is no image {}", request.image);
        Failure::new(FailureCode::ImageNotFound, message)
    })?;
    client.forget_image(id).await?;
    Ok(Nothing {})
}

fn shown(registry: WireRegistry) -> Registry {
    Registry {
        id: registry.id.to_string(),
        name: registry.registry_name,
        url: registry.url,
        kind: registry.kind,
        project: registry.project.unwrap_or_default(),
        username: registry.username.unwrap_or_default(),
    }
}

pub(crate) async fn registries(context: &Context, _: Nothing) -> Result<RegistryList, Failure> {
    let all = context.client().await?.registries().await?;
    Ok(RegistryList {
        registries: all.into_iter().map(shown).collect(),
    })
}

pub(crate) async fn add_registry(
    context: &Context,
    request: RegistryAdd,
) -> Result<Registry, Failure> {
    let client = context.client().await?;
    let rest = request
        .url
        .split_once("://")
        .map_or(&*request.url, |it| it.1);
    let wire = WireAdd {
        registry_name: rest.split('/').next().unwrap_or_default().to_owned(),
        url: request.url,
        kind: "docker".to_owned(),
        project: request.project,
        username: request.username,
        password: request.password,
        ssl_verify: !request.insecure,
    };
    Ok(shown(client.add_registry(&wire).await?))
}

pub(crate) async fn remove_registry(
    context: &Context,
    request: RegistryRef,
) -> Result<Nothing, Failure> {
    let client = context.client().await?;
    let all = client.registries().await?;
    let found = all.into_iter().find(|one| {
        one.registry_name == request.registry || one.id.to_string() == request.registry
    });
    let found = found.ok_or_else(|| {
        let message = format!("there is no registry {}", request.registry);
        Failure::new(FailureCode::NotFound, message)
    })?;
    client.remove_registry(&found.id.to_string()).await?;
    Ok(Nothing {})
}

//! Data folders.

use client::Client;
use client::protocol::api::folder as wire;
use client::protocol::name;
use futures_util::StreamExt;
use uuid::Uuid;

use crate::context::Context;
use crate::image_store::{Progress, follow};
use crate::session_row::time;
use crate::types::{
    Failure, FailureCode, Folder, FolderClone, FolderCreate, FolderList, FolderListRequest,
    FolderPermission, FolderRef, FolderRename, Nothing, Tag, TaskProgress,
};

/// Statuses from which a folder can be restored or purged; those after them are gone.
const TRASH: &str = "delete-pending";

pub(crate) async fn list(
    context: &Context,
    request: FolderListRequest,
) -> Result<FolderList, Failure> {
    let client = context.client().await?;
    let mut folders: Vec<Folder> = client
        .folders()
        .await?
        .into_iter()
        .filter(|item| match item.status.as_deref().unwrap_or("ready") {
            TRASH => request.trash,
            status if status.starts_with("delete") => false,
            _ => !request.trash,
        })
        .map(Folder::from)
        .collect();
    folders.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(FolderList { folders })
}

pub(crate) async fn create(context: &Context, request: FolderCreate) -> Result<Folder, Failure> {
    name::check_folder(&request.name)?;
    let client = context.client().await?;
    let create = wire::Create {
        name: request.name,
        host: None,
        usage_mode: request.usage_mode.unwrap_or_else(|| "general".to_owned()),
        permission: request.permission.unwrap_or(FolderPermission::Rw).into(),
        group: None,
        cloneable: request.cloneable,
    };
    let made = client.create_folder(&create).await?;
    context.changed(Tag::Folder, Some(made.id.clone()));
    Ok(made.into())
}

/// Copies a folder, telling how far it is.
pub(crate) async fn clone(context: &Context, request: FolderClone) -> Result<Progress, Failure> {
    name::check_folder(&request.name)?;
    let client = context.client().await?;
    let clone = wire::CloneRequest {
        target_name: request.name,
        target_host: None,
        target_quota_scope_id: None,
        usage_mode: request.usage_mode.unwrap_or_else(|| "general".to_owned()),
        permission: request.permission.unwrap_or(FolderPermission::Rw).into(),
        cloneable: request.cloneable,
    };
    let made = client.clone_folder(&request.folder, &clone).await?;
    context.changed(Tag::Folder, Some(made.id.clone()));
    let (context, news) = (context.clone(), follow(&client, made.bgtask_id).await?);
    Ok(news
        .inspect(move |news| {
            if !matches!(news, Ok(TaskProgress::Step { .. })) {
                context.changed(Tag::Folder, Some(made.id.clone()));
            }
        })
        .boxed())
}

pub(crate) async fn show(context: &Context, request: FolderRef) -> Result<Folder, Failure> {
    let client = context.client().await?;
    let info = client.folder(&request.folder).await?;
    let mut folder = Folder::from(item(&client, &request.folder).await?);
    folder.used_bytes = Some(info.used_bytes);
    folder.files = Some(info.num_files);
    Ok(folder)
}

pub(crate) async fn rename(context: &Context, request: FolderRename) -> Result<Folder, Failure> {
    name::check_folder(&request.name)?;
    let client = context.client().await?;
    client.rename_folder(&request.folder, &request.name).await?;
    context.changed(Tag::Folder, None);
    Ok(item(&client, &request.name).await?.into())
}

pub(crate) async fn remove(context: &Context, request: FolderRef) -> Result<Nothing, Failure> {
    let client = context.client().await?;
    client.trash_folder(&request.folder).await?;
    context.changed(Tag::Folder, None);
    Ok(Nothing {})
}

pub(crate) async fn restore(context: &Context, request: FolderRef) -> Result<Nothing, Failure> {
    let client = context.client().await?;
    client
        .restore_folder(id(&client, &request.folder).await?)
        .await?;
    context.changed(Tag::Folder, None);
    Ok(Nothing {})
}

pub(crate) async fn purge(context: &Context, request: FolderRef) -> Result<Nothing, Failure> {
    let client = context.client().await?;
    client
        .purge_folder(id(&client, &request.folder).await?)
        .await?;
    context.changed(Tag::Folder, None);
    Ok(Nothing {})
}

/// The folder of this name or id. Of several with one name (old ones in the trash) the one that
/// can be used.
async fn item(client: &Client, named: &str) -> Result<wire::Item, Failure> {
    let wanted = Uuid::parse_str(named)
        .ok()
        .map(|id| id.simple().to_string());
    let mut found: Vec<wire::Item> = client
        .folders()
        .await?
        .into_iter()
        .filter(|item| item.name == named || wanted.as_ref() == Some(&item.id))
        .collect();
    found.sort_by_key(|item| {
        item.status
            .as_deref()
            .is_some_and(|s| s.starts_with("delete"))
    });
    found.into_iter().next().ok_or_else(|| {
        Failure::new(
            FailureCode::FolderNotFound,
            format!("there is no data folder \"{named}\""),
        )
        .hint("see `gangway folder ls`")
    })
}

/// The id of a folder in the trash, where names are not looked up by the manager.
async fn id(client: &Client, named: &str) -> Result<Uuid, Failure> {
    if let Ok(id) = Uuid::parse_str(named) {
        return Ok(id);
    }
    let trashed = client
        .folders()
        .await?
        .into_iter()
        .find(|item| item.name == named && item.status.as_deref() == Some(TRASH));
    let item = match trashed {
        Some(item) => item,
        None => item(client, named).await?,
    };
    Uuid::parse_str(&item.id)
        .map_err(|_| Failure::new(FailureCode::BadAnswer, "the manager gave a folder no id"))
}

impl From<wire::Item> for Folder {
    fn from(item: wire::Item) -> Self {
        Self {
            id: item.id,
            name: item.name,
            host: item.host,
            permission: item.permission.into(),
            usage_mode: item.usage_mode,
            ownership_type: item
                .ownership_type
                .or(item.kind)
                .unwrap_or_else(|| "user".to_owned()),
            status: item.status.unwrap_or_else(|| "ready".to_owned()),
            owner: item.creator.or(item.user_email),
            is_owner: item.is_owner,
            created_at: time(Some(&item.created_at)),
            used_bytes: None,
            files: None,
            cloneable: item.cloneable,
        }
    }
}

impl From<wire::Permission> for FolderPermission {
    fn from(permission: wire::Permission) -> Self {
        match permission {
            wire::Permission::Ro => Self::Ro,
            wire::Permission::Rw => Self::Rw,
            wire::Permission::Wd => Self::Wd,
        }
    }
}

impl From<FolderPermission> for wire::Permission {
    fn from(permission: FolderPermission) -> Self {
        match permission {
            FolderPermission::Ro => Self::Ro,
            FolderPermission::Rw => Self::Rw,
            FolderPermission::Wd => Self::Wd,
        }
    }
}

//! The bytes of single files of moderate size, wherever they are: for a quick look and for an
//! editor. What is larger is moved by `transfer`.

use std::path::{Path, PathBuf};

use ::ssh::client::sftp::{Attributes, Open, Sftp};
use bytes::{Bytes, BytesMut};
use client::{Client, Upload};
use futures_util::StreamExt;

use super::{inner_path, local_entry, local_path, session_entry, session_path, sftp};
use crate::context::Context;
use crate::failure::io;
use crate::types::{Failure, FailureCode, FileEntry, Location};

/// The file itself, links followed.
pub(super) async fn stat(context: &Context, location: &Location) -> Result<FileEntry, Failure> {
    match location {
        Location::Local { path } => {
            let path = local_path(path)?;
            let data = tokio::fs::metadata(&path).await;
            let data = data.map_err(|error| io(&error, &path.display()))?;
            Ok(local_entry(name_of(&path), &data, None))
        }
        Location::Session { session, path } => {
            let path = session_path(path);
            let attributes = sftp(context, session).await?.stat(&path, true).await?;
            Ok(session_entry(name_of(Path::new(&path)), &attributes))
        }
        Location::Folder { folder, path } => {
            let path = inner_path(path)?;
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
            let client = context.client().await?;
            let entries = client.folder_files(folder, parent).await?;
            let found = entries.into_iter().find(|entry| entry.name == name);
            found.map(FileEntry::from).ok_or_else(|| missing(&path))
        }
    }
}

pub(super) fn missing(path: &str) -> Failure {
    Failure::new(FailureCode::FileNotFound, format!("{path} is not there"))
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// At most `most` bytes from the beginning.
pub(super) async fn read(
    context: &Context,
    location: &Location,
    most: u64,
) -> Result<Vec<u8>, Failure> {
    match location {
        Location::Local { path } => {
            let path = local_path(path)?;
            let failed = |error: std::io::Error| io(&error, &path.display());
            let file = tokio::fs::File::open(&path).await.map_err(failed)?;
            let mut bytes = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(
                &mut tokio::io::AsyncReadExt::take(file, most),
                &mut bytes,
            )
            .await
            .map_err(failed)?;
            Ok(bytes)
        }
        Location::Session { session, path } => {
            let sftp = sftp(context, session).await?;
            let file = sftp
                .open(&session_path(path), Open::Read, &Attributes::default())
                .await?;
            let size = file.stat().await?.size.unwrap_or_default().min(most);
            let mut reader = file.reader(0, size);
            let mut bytes = Vec::new();
            while (bytes.len() as u64) < most
                && let Some(pieces) = reader.next().await?
            {
                pieces
                    .iter()
                    .for_each(|piece| bytes.extend_from_slice(piece));
            }
            bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
            reader.close().await?;
            Ok(bytes)
        }
        Location::Folder { folder, path } => {
            let client = context.client().await?;
            let mut download = client.download(folder, &inner_path(path)?, 0).await?;
            let mut bytes = Vec::new();
            while (bytes.len() as u64) < most
                && let Some(piece) = download.next().await
            {
                bytes.extend_from_slice(&piece?);
            }
            bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
            Ok(bytes)
        }
    }
}

/// Puts `bytes` into the file: under another name first, so that nobody ever sees a part of it,
/// and with the permissions that it has.
pub(super) async fn write(
    context: &Context,
    location: &Location,
    bytes: Bytes,
) -> Result<(), Failure> {
    match location {
        Location::Local { path } => {
            let path = local_path(path)?;
            // Through a link, as an editor would.
            let path = tokio::fs::canonicalize(&path).await.unwrap_or(path);
            let beside = beside(&path);
            let written = async {
                tokio::fs::write(&beside, &bytes).await?;
                if let Ok(data) = tokio::fs::metadata(&path).await {
                    tokio::fs::set_permissions(&beside, data.permissions()).await?;
                }
                tokio::fs::rename(&beside, &path).await
            };
            if let Err(error) = written.await {
                let _ = tokio::fs::remove_file(&beside).await;
                return Err(io(&error, &path.display()));
            }
            Ok(())
        }
        Location::Session { session, path } => {
            let sftp = sftp(context, session).await?;
            let path = session_path(path);
            let path = match sftp.stat(&path, false).await {
                Ok(attributes) if attributes.is_symlink() => sftp.real_path(&path).await?,
                _ => path,
            };
            let beside = beside(Path::new(&path)).display().to_string();
            let written = session_write(&sftp, &path, &beside, bytes).await;
            if written.is_err() {
                let _ = sftp.remove(&beside).await;
            }
            written
        }
        Location::Folder { folder, path } => {
            let client = context.client().await?;
            folder_write(&client, folder, &inner_path(path)?, bytes).await
        }
    }
}

async fn session_write(sftp: &Sftp, path: &str, beside: &str, bytes: Bytes) -> Result<(), Failure> {
    let kept = match sftp.stat(path, true).await {
        Ok(attributes) => attributes.permissions.map(|mode| mode & 0o7777),
        Err(_) => None,
    };
    let file = sftp
        .open(beside, Open::Create, &Attributes::default())
        .await?;
    let mut writer = file.writer(0);
    let length = bytes.len() as u64;
    writer.write(vec![bytes]).await?;
    let attributes = Attributes {
        permissions: kept,
        ..Attributes::default()
    };
    if writer
        .finish(&attributes)
        .await?
        .is_some_and(|now| now != length)
    {
        let message = format!("{path} did not arrive whole");
        return Err(Failure::new(FailureCode::FileFailed, message));
    }
    Ok(sftp.rename(beside, path).await?)
}

async fn folder_write(
    client: &Client,
    folder: &str,
    path: &str,
    bytes: Bytes,
) -> Result<(), Failure> {
    let mut upload = client.upload(folder, path, bytes.len() as u64).await?;
    let mut rest = BytesMut::from(&bytes[..]);
    if rest.is_empty() {
        upload.send(Bytes::new()).await?;
    }
    while !rest.is_empty() {
        let piece = rest.split_to(rest.len().min(Upload::PIECE)).freeze();
        upload.send(piece).await?;
    }
    Ok(())
}

/// The name of the copy that is being written: hidden, and in the same directory.
fn beside(path: &Path) -> PathBuf {
    path.with_file_name(format!(".{}.gangway-part", name_of(path)))
}

/// Makes an empty file; refuses where something is in the way.
pub(super) async fn make(context: &Context, location: &Location) -> Result<(), Failure> {
    match location {
        Location::Local { path } => {
            let path = local_path(path)?;
            let made = tokio::fs::File::create_new(&path).await;
            made.map_err(|error| io(&error, &path.display()))?;
        }
        Location::Session { session, path } => {
            let path = session_path(path);
            let sftp = sftp(context, session).await?;
            if sftp.stat(&path, false).await.is_ok() {
                return Err(in_the_way(&path));
            }
            let made = sftp.open(&path, Open::New, &Attributes::default()).await?;
            made.close().await?;
        }
        Location::Folder { folder, path } => {
            match stat(context, location).await {
                Ok(_) => return Err(in_the_way(path)),
                Err(failure) if failure.code == FailureCode::FileNotFound => {}
                Err(failure) => return Err(failure),
            }
            let client = context.client().await?;
            folder_write(&client, folder, &inner_path(path)?, Bytes::new()).await?;
        }
    }
    Ok(())
}

fn in_the_way(path: &str) -> Failure {
    Failure::new(FailureCode::FileExists, format!("{path} is there already"))
}

/// Gives a file other permissions.
pub(super) async fn set_mode(
    context: &Context,
    location: &Location,
    mode: u32,
) -> Result<(), Failure> {
    match location {
        Location::Local { path } => {
            let path = local_path(path)?;
            let set = set_local_mode(&path, mode).await;
            set.map_err(|error| io(&error, &path.display()))
        }
        Location::Session { session, path } => {
            let attributes = Attributes {
                permissions: Some(mode),
                ..Attributes::default()
            };
            let sftp = sftp(context, session).await?;
            Ok(sftp
                .set_attributes(&session_path(path), &attributes)
                .await?)
        }
        Location::Folder { .. } => {
            let message = "a data folder keeps its own permissions";
            Err(Failure::new(FailureCode::Unsupported, message)
                .hint("change them in a session that has the folder"))
        }
    }
}

#[cfg(unix)]
async fn set_local_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
    tokio::fs::set_permissions(path, permissions).await
}

#[cfg(not(unix))]
async fn set_local_mode(_path: &Path, _mode: u32) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

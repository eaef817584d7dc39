//! Moving files in and out: the manager hands out a token for each, the bytes then go by it.

use protocol::api::folder::StorageAddress;
use uuid::Uuid;

use super::problem::storage_params;
use super::{Seen, check_host, find, on_disk};
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;
use crate::storage::{InnerPath, OpenedFile, Pieces, StorageError, Transfer, Upload};
use crate::store::{self, folder::FolderOwner};

fn parse(path: &str) -> Result<InnerPath, Problem> {
    Ok(InnerPath::parse(path).map_err(StorageError::from)?)
}

fn address(app: &App, transfer: Transfer, part: &str) -> Result<StorageAddress, Problem> {
    let token = app
        .storage
        .tokens
        .issue(transfer, (app.clock)().as_second())?;
    Ok(StorageAddress {
        token,
        url: format!("{}/storage/{part}", app.endpoint),
    })
}

async fn allowed(
    app: &App,
    caller: &Caller,
    seen: &Seen,
    what: &'static str,
) -> Result<(), Problem> {
    let (who, host) = (caller.clone(), seen.folder.host.clone());
    app.store
        .read(move |db| check_host(db, &who, &host, what))
        .await
}

/// Allows one file of `size` bytes to be sent to `path`.
pub(crate) async fn request_upload(
    app: &App,
    caller: &Caller,
    reference: &str,
    path: &str,
    size: u64,
) -> Result<StorageAddress, Problem> {
    let target = InnerPath::parse_inside(path).map_err(StorageError::from)?;
    let seen = find(app, caller, reference).await?.writable()?;
    allowed(app, caller, &seen, "upload-file").await?;
    check_quota(app, seen.folder.owner, size).await?;
    let (vfid, session) = (seen.folder.id, Uuid::new_v4());
    on_disk(app, move |storage| {
        storage.uploads.begin(vfid, session, size)
    })
    .await?;
    let relpath = target.as_str().to_owned();
    address(
        app,
        Transfer::Upload {
            vfid,
            relpath,
            size,
            session,
        },
        "upload",
    )
}

/// Fails when `more` bytes would go over the owner's quota. Counting takes a walk through all of the
/// owner's folders, so it is done only where there is a quota.
pub(in crate::app) async fn check_quota(
    app: &App,
    owner: FolderOwner,
    more: u64,
) -> Result<(), Problem> {
    let (limit, folders) = app
        .store
        .read(move |db| -> Result<_, Problem> {
            let (_, limit) = store::folder::limits(db, owner)?;
            let folders = if limit < 0 {
                Vec::new()
            } else {
                store::folder::all(db)?
            };
            Ok((limit, folders))
        })
        .await?;
    let Ok(limit) = u64::try_from(limit) else {
        return Ok(());
    };
    let ids: Vec<Uuid> = folders
        .iter()
        .filter(|folder| folder.owner == owner)
        .map(|folder| folder.id)
        .collect();
    let used = on_disk(app, move |storage| {
        let counted = ids
            .into_iter()
            .filter_map(|id| storage.volume.folder(id).ok());
        Ok(counted.map(|folder| folder.usage().bytes).sum::<u64>())
    })
    .await?;
    if used.saturating_add(more) <= limit {
        return Ok(());
    }
    Err(Problem::new(
        axum::http::StatusCode::BAD_REQUEST,
        "vfolder-operation-failed",
        "Virtual folder operation has failed.",
        "vfolder_generic_internal-error",
    )
    .msg(format!(
        "The quota is {limit} bytes: {used} are in use, {more} more do not fit."
    )))
}

/// Allows one file, or with `archive` one directory, to be fetched.
pub(crate) async fn request_download(
    app: &App,
    caller: &Caller,
    reference: &str,
    path: &str,
    archive: bool,
) -> Result<StorageAddress, Problem> {
    let relpath = parse(path)?.as_str().to_owned();
    let seen = find(app, caller, reference).await?.readable()?;
    allowed(app, caller, &seen, "download-file").await?;
    address(
        app,
        Transfer::Download {
            vfid: seen.folder.id,
            relpath,
            archive,
        },
        "download",
    )
}

/// Allows several files and directories to be fetched as one archive.
pub(crate) async fn request_archive(
    app: &App,
    caller: &Caller,
    reference: &str,
    files: &[String],
    filename: Option<String>,
) -> Result<StorageAddress, Problem> {
    if files.is_empty() {
        return Err(Problem::unparsable("files: at least one is needed"));
    }
    let files = files
        .iter()
        .map(|path| Ok(parse(path)?.as_str().to_owned()))
        .collect::<Result<Vec<_>, Problem>>()?;
    let seen = find(app, caller, reference).await?.readable()?;
    allowed(app, caller, &seen, "download-file").await?;
    address(
        app,
        Transfer::Archive {
            vfid: seen.folder.id,
            files,
            filename,
        },
        "download-archive",
    )
}

/// What a download's token leads to.
pub(crate) enum Fetched {
    /// One file.
    File {
        /// What to save it as.
        name: String,
        /// The file.
        opened: OpenedFile,
    },
    /// A zip that is being made.
    Archive {
        /// What to save it as.
        name: String,
        /// Its pieces.
        pieces: Pieces,
    },
}

fn read_token(app: &App, token: &str) -> Result<Transfer, Problem> {
    Ok(app.storage.tokens.read(token, (app.clock)().as_second())?)
}

/// The upload that a token allows; `dst_dir` is a directory in the folder to put the file into.
pub(crate) fn upload(app: &App, token: &str, dst_dir: &str) -> Result<Upload, Problem> {
    let Transfer::Upload {
        vfid,
        relpath,
        size,
        session,
    } = read_token(app, token)?
    else {
        return Err(storage_params("The token is not for an upload."));
    };
    Ok(Upload {
        folder: vfid,
        session,
        target: parse(dst_dir)?.join(&parse(&relpath)?),
        size,
    })
}

/// How many bytes of an upload have come.
pub(crate) async fn offset(app: &App, upload: Upload) -> Result<u64, Problem> {
    on_disk(app, move |storage| storage.uploads.offset(&upload)).await
}

/// Opens what a token allows to be fetched; `archive` lets a directory be fetched as a zip.
pub(crate) async fn fetch(
    app: &App,
    token: &str,
    dst_dir: &str,
    archive: bool,
) -> Result<Fetched, Problem> {
    match read_token(app, token)? {
        Transfer::Upload { .. } => Err(storage_params("The token is not for a download.")),
        Transfer::Download {
            vfid,
            relpath,
            archive: allowed,
        } => {
            let path = parse(dst_dir)?.join(&parse(&relpath)?);
            let name = match path.name() {
                Some(name) => name.to_owned(),
                None => folder_name(app, vfid).await?,
            };
            on_disk(app, move |storage| {
                let folder = storage.volume.folder(vfid)?;
                if !folder.is_dir(&path)? {
                    return Ok(Fetched::File {
                        name,
                        opened: folder.open(&path)?,
                    });
                }
                if !(archive || allowed) {
                    let shown = if path.is_root() {
                        name
                    } else {
                        path.as_str().to_owned()
                    };
                    return Err(StorageError::WrongKind(
                        shown,
                        "a directory; ask for an archive",
                    ));
                }
                let pieces = folder.pack(path.clone(), vec![path]);
                Ok(Fetched::Archive {
                    name: format!("{name}.zip"),
                    pieces,
                })
            })
            .await
        }
        Transfer::Archive {
            vfid,
            files,
            filename,
        } => {
            let paths = files
                .iter()
                .map(|file| parse(file))
                .collect::<Result<Vec<_>, _>>()?;
            let name = match filename {
                Some(name) => name,
                None => format!("{}.zip", folder_name(app, vfid).await?),
            };
            on_disk(app, move |storage| {
                let folder = storage.volume.folder(vfid)?;
                for path in &paths {
                    folder.is_dir(path)?;
                }
                let pieces = folder.pack(InnerPath::default(), paths);
                Ok(Fetched::Archive { name, pieces })
            })
            .await
        }
    }
}

async fn folder_name(app: &App, id: Uuid) -> Result<String, Problem> {
    let folder = app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::folder::get(db, id)?) })
        .await?;
    Ok(folder.map_or_else(|| id.simple().to_string(), |folder| folder.name))
}

/// The secret that tokens are signed with; made at the first start.
pub(crate) fn secret(db: &db::rusqlite::Connection) -> Result<Vec<u8>, Problem> {
    const KEY: &str = "storage.token-secret";
    let kept = store::setting::get(db, KEY)?;
    if let Some(secret) = kept.and_then(|text| hex::decode(text).ok()) {
        return Ok(secret);
    }
    let secret: [u8; 32] = rand::random();
    store::setting::set(db, KEY, &hex::encode(secret))?;
    Ok(secret.to_vec())
}

//! The files in a folder over HTTP: listing, changing, and the tokens to send and fetch them.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use protocol::api::folder::{
    DeleteFiles, Entries, Entry, EntryKind, Mkdir, MoveFile, RequestDownload, RequestUpload,
    StorageAddress,
};
use protocol::version::ApiVersion;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::extract::{Body, Params};
use super::folder::{Answer, said};
use crate::app::folder::{files, transfer};
use crate::auth::Caller;
use crate::state::App;
use crate::storage;
use crate::store::At;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/folders/{name}/mkdir", post(mkdir))
        .route("/folders/{name}/files", get(list_files))
        .route("/folders/{name}/rename-file", post(rename_file))
        .route("/folders/{name}/rename_file", post(rename_file))
        .route("/folders/{name}/move-file", post(move_file))
        .route(
            "/folders/{name}/delete-files",
            post(delete_files).delete(delete_files),
        )
        .route("/folders/{name}/delete_files", delete(delete_files))
        .route("/folders/{name}/request-upload", post(request_upload))
        .route("/folders/{name}/request-download", post(request_download))
        .route(
            "/folders/{name}/request-download-archive",
            post(request_archive),
        )
}

async fn mkdir(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Body(body): Body<Mkdir>,
) -> Answer<Json<Value>> {
    let paths = body.path.into_vec();
    let made = files::make_dirs(&app, &caller, &name, paths, body.parents, body.exist_ok).await?;
    let (failed, success): (Vec<_>, Vec<_>) =
        made.into_iter().partition(|one| one.problem.is_some());
    let items = |list: Vec<files::Made>| -> Vec<Value> {
        list.into_iter()
            .map(|one| json!({ "msg": one.problem, "item": one.path }))
            .collect()
    };
    Ok(Json(
        json!({ "results": { "success": items(success), "failed": items(failed) } }),
    ))
}

#[derive(Deserialize)]
struct FilesQuery {
    #[serde(default)]
    path: String,
}

/// A list of files; `files` is how managers before version 9 of the API said it.
#[derive(Serialize)]
struct Listing {
    #[serde(flatten)]
    entries: Entries,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<String>,
}

async fn list_files(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    Params(query): Params<FilesQuery>,
) -> Answer<Json<Listing>> {
    let entries = files::list(&app, &caller, &name, &query.path).await?;
    let version = headers
        .get("x-backendai-version")
        .and_then(|text| text.to_str().ok()?.parse().ok());
    let old = version.is_some_and(|version: ApiVersion| version.major < 9);
    let files = old.then(|| {
        let files: Vec<Value> = entries.iter().map(old_entry).collect();
        Value::from(files).to_string()
    });
    let entries = Entries {
        items: entries.into_iter().map(entry).collect(),
    };
    Ok(Json(Listing { entries, files }))
}

fn old_entry(entry: &storage::Entry) -> Value {
    let seconds = |(seconds, nanos): (i64, i64)| seconds as f64 + nanos as f64 / 1e9;
    json!({
        "filename": entry.name,
        "size": entry.size,
        "mode": mode_text(entry),
        "ctime": seconds(entry.created),
        "mtime": seconds(entry.modified),
    })
}

/// As `ls -l` shows it: `drwxr-xr-x`.
fn mode_text(entry: &storage::Entry) -> String {
    let kind = match entry.kind {
        storage::EntryKind::File => '-',
        storage::EntryKind::Directory => 'd',
        storage::EntryKind::Symlink => 'l',
    };
    let rights = "rwxrwxrwx".chars().enumerate();
    let rights = rights.map(|(at, right)| {
        if entry.mode & (0o400 >> at) == 0 {
            '-'
        } else {
            right
        }
    });
    std::iter::once(kind).chain(rights).collect()
}

fn entry(entry: storage::Entry) -> Entry {
    Entry {
        name: entry.name,
        kind: match entry.kind {
            storage::EntryKind::File => EntryKind::File,
            storage::EntryKind::Directory => EntryKind::Directory,
            storage::EntryKind::Symlink => EntryKind::Symlink,
        },
        size: entry.size,
        mode: entry.mode,
        created: iso(entry.created),
        modified: iso(entry.modified),
    }
}

fn iso((seconds, nanos): (i64, i64)) -> String {
    let nanos = i32::try_from(nanos).unwrap_or_default();
    jiff::Timestamp::new(seconds, nanos)
        .map(|time| At(time).iso())
        .unwrap_or_default()
}

#[derive(Deserialize)]
struct RenameFile {
    target_path: String,
    new_name: String,
}

async fn rename_file(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Body(body): Body<RenameFile>,
) -> Answer<Json<Value>> {
    files::rename(&app, &caller, &name, &body.target_path, &body.new_name).await?;
    Ok(said())
}

async fn move_file(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Body(body): Body<MoveFile>,
) -> Answer<Json<Value>> {
    files::relocate(&app, &caller, &name, &body.src, &body.dst).await?;
    Ok(said())
}

async fn delete_files(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Body(body): Body<DeleteFiles>,
) -> Answer<Json<Value>> {
    files::delete(&app, &caller, &name, &body.files, body.recursive).await?;
    Ok(said())
}

async fn request_upload(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Body(body): Body<RequestUpload>,
) -> Answer<Json<StorageAddress>> {
    transfer::request_upload(&app, &caller, &name, &body.path, body.size)
        .await
        .map(Json)
}

async fn request_download(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Body(body): Body<RequestDownload>,
) -> Answer<Json<StorageAddress>> {
    transfer::request_download(&app, &caller, &name, &body.path, body.archive)
        .await
        .map(Json)
}

#[derive(Deserialize)]
struct RequestArchive {
    files: Vec<String>,
    filename: Option<String>,
}

async fn request_archive(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Body(body): Body<RequestArchive>,
) -> Answer<Json<StorageAddress>> {
    transfer::request_archive(&app, &caller, &name, &body.files, body.filename)
        .await
        .map(Json)
}

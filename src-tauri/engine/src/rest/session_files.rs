//! Files inside a session over HTTP (protocol page "Sessions" §8).

use std::os::unix::fs::PermissionsExt as _;

use axum::body::Body as HttpBody;
use axum::extract::{DefaultBodyLimit, Multipart, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use runtime::{FaultKind, FileKind, OpenMode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::extract::{Pairs, Params};
use crate::app::session;
use crate::app::session_home::{self, SessionHome};
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;

/// The most files in one upload.
const MAX_UPLOADS: usize = 20;
/// The largest file in an upload or a download, in bytes: larger ones go by SFTP or data folders.
const MAX_FILE: usize = 1 << 20;
/// The most files in one download.
const MAX_DOWNLOADS: usize = 5;
/// Where every path begins.
const HOME: &str = "/home/work";

pub(crate) fn routes() -> Router<App> {
    // Room for the parts' heads.
    let limit = MAX_UPLOADS * MAX_FILE + (1 << 20);
    Router::new()
        .route(
            "/session/{s}/upload",
            post(upload).layer(DefaultBodyLimit::max(limit)),
        )
        .route("/session/{s}/download", post(download).get(download))
        .route(
            "/session/{s}/download_single",
            post(download_single).get(download_single),
        )
        .route("/session/{s}/files", get(list))
}

fn failed(msg: impl Into<String>) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "vfolder-operation-failed",
        "Virtual folder operation has failed due to bad request.",
        "vfolder_generic_bad-request",
    )
    .msg(msg)
}

fn file_problem(error: runtime::RuntimeError) -> Problem {
    match error.fault() {
        Some(FaultKind::NotFound) => Problem::invalid_params("The file is not found."),
        _ => session::runtime_problem(error),
    }
}

async fn upload(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    mut parts: Multipart,
) -> Result<StatusCode, Problem> {
    let (found, kernels) = session::find(&app, &caller, &reference, None).await?;
    let kernel = session::main_kernel(&app, &found, &kernels)?;
    let mut count = 0;
    let broken = |error: axum::extract::multipart::MultipartError| failed(error.body_text());
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        let Some(name) = part.file_name().map(str::to_owned) else {
            continue;
        };
        count += 1;
        if count > MAX_UPLOADS {
            return Err(failed("Too many files"));
        }
        let bytes = part.bytes().await.map_err(broken)?;
        if bytes.len() >= MAX_FILE {
            return Err(failed("Too large file"));
        }
        if let Some((folder, _)) = name.rsplit_once('/') {
            kernel.make_directory(folder).await.map_err(file_problem)?;
        }
        let mut file = kernel
            .open_file(&name, OpenMode::Create)
            .await
            .map_err(file_problem)?;
        let write = async {
            file.write_all(&bytes).await?;
            file.flush().await
        };
        if let Err(error) = write.await {
            // Half a file is worse than none.
            let _ = kernel.remove_file(&name).await;
            return Err(failed(format!("{name}: {error}")));
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn download(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Pairs(query): Pairs,
) -> Result<Response, Problem> {
    let files: Vec<String> = query
        .into_iter()
        .filter(|(key, _)| matches!(key.as_str(), "files" | "files[]"))
        .map(|(_, value)| value)
        .collect();
    if files.is_empty() {
        return Err(Problem::unparsable("files: name at least one."));
    }
    if files.len() > MAX_DOWNLOADS {
        return Err(failed("Too many files"));
    }
    let (found, kernels) = session::find(&app, &caller, &reference, None).await?;
    let home = session_home::find(&app, &found, &kernels).await?;
    let boundary = uuid::Uuid::new_v4().simple().to_string();
    let mut body = Vec::new();
    for name in files {
        let (content, mode) = read(&home, &name).await?;
        let archive = tar(&name, &content, mode)?;
        body.extend_from_slice(
            format!(
                "--{boundary}\r\nContent-Type: application/octet-stream\r\n\
                 Content-Encoding: identity\r\nContent-Length: {}\r\n\r\n",
                archive.len()
            )
            .as_bytes(),
        );
        body.extend_from_slice(&archive);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let kind = format!("multipart/mixed; boundary={boundary}");
    Ok(([(header::CONTENT_TYPE, kind)], HttpBody::from(body)).into_response())
}

#[derive(Deserialize)]
struct FileQuery {
    file: String,
}

async fn download_single(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Params(query): Params<FileQuery>,
) -> Result<Response, Problem> {
    let (found, kernels) = session::find(&app, &caller, &reference, None).await?;
    let home = session_home::find(&app, &found, &kernels).await?;
    let (content, _) = read(&home, &query.file).await?;
    Ok((
        [(header::CONTENT_TYPE, "application/octet-stream")],
        content,
    )
        .into_response())
}

/// The bytes of a file in a session, and its permission bits.
async fn read(home: &SessionHome, name: &str) -> Result<(Vec<u8>, u32), Problem> {
    let file = home.open_file(name).await.map_err(file_problem)?;
    let metadata = file.metadata().await;
    let mode = metadata.map_or(0o600, |it| it.permissions().mode() & 0o777);
    let mut content = Vec::new();
    file.take(MAX_FILE as u64 + 1)
        .read_to_end(&mut content)
        .await
        .map_err(|error| failed(format!("{name}: {error}")))?;
    if content.len() > MAX_FILE {
        return Err(failed(format!(
            "Too large file: {name} has more than 1 MiB."
        )));
    }
    Ok((content, mode))
}

/// An uncompressed archive of one file. It keeps the permissions: clients take a session's private
/// key so, and ssh refuses one that others may read.
fn tar(name: &str, content: &[u8], mode: u32) -> Result<Vec<u8>, Problem> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    let base = name.rsplit('/').next().unwrap_or(name);
    let packed = archive
        .append_data(&mut header, base, content)
        .and_then(|()| archive.into_inner());
    packed.map_err(|error| failed(format!("{name}: {error}")))
}

#[derive(Deserialize)]
struct ListQuery {
    #[serde(default)]
    path: Option<String>,
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Params(query): Params<ListQuery>,
) -> Result<Json<Value>, Problem> {
    let path = query.path.unwrap_or_else(|| ".".into());
    let (found, kernels) = session::find(&app, &caller, &reference, None).await?;
    let home = session_home::find(&app, &found, &kernels).await?;
    let entries = home.list_files(&path).await.map_err(file_problem)?;
    let files: Vec<Value> = entries
        .into_iter()
        .map(|entry| {
            let modified = entry.modified as f64;
            json!({
                "mode": mode_text(entry.kind, entry.mode),
                "size": entry.size,
                "ctime": modified,
                "mtime": modified,
                "atime": modified,
                "filename": entry.name,
            })
        })
        .collect();
    let relative = path.trim_start_matches(HOME).trim_matches('/');
    let abspath = match relative {
        "" | "." => HOME.to_owned(),
        inner => format!("{HOME}/{inner}"),
    };
    // The list is a text within the answer: so the manager does it.
    Ok(Json(
        json!({ "files": json!(files).to_string(), "errors": "", "abspath": abspath }),
    ))
}

/// As `ls -l` writes it: `drwxr-xr-x`.
fn mode_text(kind: FileKind, mode: u32) -> String {
    let first = match kind {
        FileKind::File => '-',
        FileKind::Directory => 'd',
        FileKind::Symlink => 'l',
        FileKind::Other => 's',
    };
    let bits = (0..9).rev().map(|bit| {
        if mode & (1 << bit) == 0 {
            '-'
        } else {
            ['x', 'w', 'r'][bit as usize % 3]
        }
    });
    std::iter::once(first).chain(bits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_as_ls_writes_them() {
        assert_eq!(mode_text(FileKind::Directory, 0o755), "drwxr-xr-x");
        assert_eq!(mode_text(FileKind::File, 0o640), "-rw-r-----");
    }
}

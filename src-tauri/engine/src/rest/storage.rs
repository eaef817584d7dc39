//! The storage's own face to clients, as a storage proxy has it (protocol page "Virtual folders"
//! §4): bytes in and out, by token instead of by signature.

use std::io::SeekFrom;
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, head};
use axum::{Json, Router};
use axum_extra::headers::{ETag, HeaderMapExt, IfRange, LastModified, Range};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::ReaderStream;

use super::extract::{Params, flag};
use super::root::MANAGER;
use crate::app::folder::problem::storage_params;
use crate::app::folder::transfer::{self, Fetched};
use crate::error::Problem;
use crate::state::App;
use crate::storage::OpenedFile;

/// How much of a file is read at once, in bytes.
const PIECE: usize = 256 * 1024;

const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/storage", get(root))
        .route("/storage/upload", head(offset).patch(take))
        .route("/storage/download", get(download))
        .route("/storage/download-archive", get(download))
}

async fn root() -> Json<Value> {
    Json(json!({ "status": "ok", "type": "client-facing", "storage-proxy": MANAGER }))
}

#[derive(Deserialize)]
struct UploadQuery {
    token: String,
    #[serde(default)]
    dst_dir: String,
}

fn tus(status: StatusCode, offset: u64, size: u64) -> Response {
    let mut response = status.into_response();
    let headers = response.headers_mut();
    headers.insert(TUS_RESUMABLE, HeaderValue::from_static("1.0.0"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(UPLOAD_OFFSET, offset.into());
    headers.insert(UPLOAD_LENGTH, size.into());
    response
}

async fn offset(
    State(app): State<App>,
    Params(query): Params<UploadQuery>,
) -> Result<Response, Problem> {
    let upload = transfer::upload(&app, &query.token, &query.dst_dir)?;
    let size = upload.size;
    let offset = transfer::offset(&app, upload).await?;
    Ok(tus(StatusCode::OK, offset, size))
}

async fn take(
    State(app): State<App>,
    Params(query): Params<UploadQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let upload = transfer::upload(&app, &query.token, &query.dst_dir)?;
    let offset = request
        .headers()
        .get(UPLOAD_OFFSET)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .ok_or_else(|| storage_params("The header Upload-Offset is missing or not a number."))?;
    let size = upload.size;
    let body = request.into_body().into_data_stream();
    let offset = app.storage.uploads.take(upload, offset, body).await?;
    Ok(tus(StatusCode::NO_CONTENT, offset, size))
}

#[derive(Deserialize)]
struct DownloadQuery {
    token: String,
    #[serde(default)]
    dst_dir: String,
    #[serde(default, deserialize_with = "flag")]
    archive: bool,
    #[serde(default, deserialize_with = "flag")]
    no_cache: bool,
}

async fn download(
    State(app): State<App>,
    Params(query): Params<DownloadQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let fetched = transfer::fetch(&app, &query.token, &query.dst_dir, query.archive).await?;
    let mut response = match fetched {
        Fetched::File { name, opened } => file(&name, opened, &headers).await?,
        Fetched::Archive { name, pieces } => {
            let body = Body::from_stream(ReceiverStream::new(pieces));
            let mut response = body.into_response();
            attach(&mut response, &name, "application/zip");
            response
        }
    };
    if query.no_cache {
        let no_store = HeaderValue::from_static("no-store");
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, no_store);
    }
    Ok(response)
}

/// Says what the body is and what to save it as.
fn attach(response: &mut Response, name: &str, content_type: &'static str) {
    let ascii: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_graphic() && !matches!(c, '"' | '\\') || c == ' ' {
                c
            } else {
                '_'
            }
        })
        .collect();
    let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC);
    let text = format!("attachment;filename=\"{ascii}\"; filename*=UTF-8''{encoded}");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
}

/// A file, or the part of it that was asked for, as long as it is still the file that the client
/// began to fetch.
async fn file(name: &str, opened: OpenedFile, asked: &HeaderMap) -> Result<Response, Problem> {
    let (seconds, nanos) = opened.modified;
    let tag: Option<ETag> = format!("\"{seconds:x}.{nanos:x}-{:x}\"", opened.size)
        .parse()
        .ok();
    let changed = UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    let changed = LastModified::from(changed);
    let same = asked
        .typed_get::<IfRange>()
        .is_none_or(|if_range| !if_range.is_modified(tag.as_ref(), Some(&changed)));
    let range = asked.typed_get::<Range>().filter(|_| same);
    let (status, start, length) = match range.map(|range| part(&range, opened.size)) {
        None => (StatusCode::OK, 0, opened.size),
        Some(Some((start, length))) => (StatusCode::PARTIAL_CONTENT, start, length),
        Some(None) => {
            let all = format!("bytes */{}", opened.size);
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            return Ok((status, [(header::CONTENT_RANGE, all)]).into_response());
        }
    };
    let mut file = tokio::fs::File::from_std(opened.file);
    file.seek(SeekFrom::Start(start))
        .await
        .map_err(|error| Problem::from(crate::storage::StorageError::Io(error)))?;
    let body = Body::from_stream(ReaderStream::with_capacity(file.take(length), PIECE));
    let mut response = (status, body).into_response();
    attach(&mut response, name, "application/octet-stream");
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.typed_insert(changed);
    if let Some(tag) = tag {
        headers.typed_insert(tag);
    }
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {start}-{}/{}", start + length - 1, opened.size);
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(header::CONTENT_RANGE, value);
        }
    }
    Ok(response)
}

/// Start and length of the first part that was asked for; none when the file has no such part.
fn part(range: &Range, size: u64) -> Option<(u64, u64)> {
    use std::ops::Bound;
    let (from, to) = range.satisfiable_ranges(size).next()?;
    let start = match from {
        Bound::Included(start) => start,
        Bound::Excluded(before) => before + 1,
        Bound::Unbounded => 0,
    };
    let end = match to {
        Bound::Included(last) => last.saturating_add(1).min(size),
        Bound::Excluded(end) => end.min(size),
        Bound::Unbounded => size,
    };
    (start < end).then(|| (start, end - start))
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_range_is_a_part_of_the_file_or_none(
            text in prop_oneof!["bytes=[0-9, -]{0,30}", "[ -~]{0,30}"],
            size in prop_oneof![any::<u64>(), 0u64..100],
        ) {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, text.parse().unwrap());
            if let Some((start, length)) = headers.typed_get::<Range>().and_then(|it| part(&it, size)) {
                prop_assert!(length > 0);
                prop_assert!(start.checked_add(length).is_some_and(|end| end <= size));
            }
        }

        #[test]
        fn the_part_that_is_asked_for_is_given(start in 0u64..1000, length in 1u64..1000, more in 0u64..1000) {
            let size = start + length + more;
            let range = Range::bytes(start..start + length).unwrap();
            prop_assert_eq!(part(&range, size), Some((start, length)));
        }

        /// The name of a file is its owner's, and must not become another header.
        #[test]
        fn any_name_can_be_saved(name in "\\PC*|[\\x00-\\x20\\\\\"]*") {
            let mut response = StatusCode::OK.into_response();
            attach(&mut response, &name, "text/plain");
            let value = &response.headers()[header::CONTENT_DISPOSITION];
            prop_assert_eq!(value.to_str().unwrap().matches('"').count(), 2);
        }
    }
}

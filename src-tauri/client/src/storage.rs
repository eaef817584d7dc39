//! Bytes to and from data folders, through the storage's own address: uploads in pieces that go
//! on where they were (TUS without creation), downloads from any offset.

use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::header::{CONTENT_RANGE, RANGE};
use protocol::api::folder::StorageAddress;
use url::Url;

use crate::call::ANSWER;
use crate::{Client, Error};

const TRIES: u32 = 5;

/// A file on its way into a data folder. It appears there when all of it has arrived.
pub struct Upload {
    client: Client,
    url: Url,
    address: StorageAddress,
    path: String,
    offset: u64,
    size: u64,
}

impl std::fmt::Debug for Upload {
    /// Everything but the address, which has the token in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload")
            .field("path", &self.path)
            .field("offset", &self.offset)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// The bytes of a file, as they come.
pub type Download = BoxStream<'static, Result<Bytes, Error>>;

impl Client {
    /// Begins an upload of `size` bytes to `path` in a folder.
    ///
    /// # Errors
    /// When the manager refuses: a path that leaves the folder, no right to write, no room.
    pub async fn upload(&self, folder: &str, path: &str, size: u64) -> Result<Upload, Error> {
        let address = self.request_upload(folder, path, size).await?;
        self.upload_to(address, path, size, 0)
    }

    /// Goes on with an upload to `address` that was begun before, as its [`Upload::address`] said;
    /// `offset` is what [`Client::upload_offset`] told.
    ///
    /// # Errors
    /// [`Error::Answer`] when that is no address.
    pub fn upload_to(
        &self,
        address: StorageAddress,
        path: &str,
        size: u64,
        offset: u64,
    ) -> Result<Upload, Error> {
        Ok(Upload {
            client: self.clone(),
            url: storage_url(&address)?,
            address,
            path: path.to_owned(),
            offset,
            size,
        })
    }

    /// How much of an upload that was begun before has arrived; `None` when the storage knows
    /// nothing of it any more: its time is over, or it was given up.
    ///
    /// # Errors
    /// When the storage can't be reached.
    pub async fn upload_offset(
        &self,
        address: &StorageAddress,
        path: &str,
        size: u64,
    ) -> Result<Option<u64>, Error> {
        let upload = self.upload_to(address.clone(), path, size, 0)?;
        match upload.arrived().await {
            Ok(offset) => Ok((offset <= size).then_some(offset)),
            Err(error) if error.is_temporary() => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// The bytes of a file in a folder from `offset` on.
    ///
    /// # Errors
    /// When the file is not there or may not be read.
    pub async fn download(&self, folder: &str, path: &str, offset: u64) -> Result<Download, Error> {
        let url = storage_url(&self.request_download(folder, path).await?)?;
        let mut request = self.http()?.get(url);
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
        }
        let response = match request.send().await {
            Ok(response) => response,
            // Backend.AI's storage (26.9) breaks off: such a name can't stand in a header. To try
            // again would be in vain.
            Err(error)
                if !error.is_connect()
                    && path.contains(['\n', '\r'])
                    && !self.is_ours().await.unwrap_or(true) =>
            {
                tracing::info!(error = %error.without_url(), "a name with a line break");
                return Err(Error::Refused {
                    path: path.to_owned(),
                    reason: "this storage can't send files with a line break in their names"
                        .to_owned(),
                });
            }
            Err(error) => return Err(self.unreachable(error.without_url())),
        };
        let response = self.check(response).await?;
        // A storage that knows no ranges starts at the beginning; one that reads blocks may start
        // at the beginning of one.
        let begin = match response.status() {
            http::StatusCode::PARTIAL_CONTENT => range_begin(response.headers()).unwrap_or(offset),
            _ => 0,
        };
        let mut skip = offset
            .checked_sub(begin)
            .ok_or_else(|| Error::answer("a download", "it begins too late in the file"))?;
        let client = self.clone();
        let bytes = response.bytes_stream().map(move |chunk| {
            let mut chunk = chunk.map_err(|error| client.unreachable(error.without_url()))?;
            let drop = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
            chunk.advance(drop);
            skip -= drop as u64;
            Ok(chunk)
        });
        Ok(bytes.boxed())
    }
}

impl Upload {
    /// What a piece should be at most: as the web client's, large enough to be fast, small enough
    /// to be repeated.
    pub const PIECE: usize = 16 * 1024 * 1024;

    /// How much has arrived.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Where it goes. Whoever has this can write that one file for as long as the storage allows.
    #[must_use]
    pub fn address(&self) -> &StorageAddress {
        &self.address
    }

    /// Whether all of it has arrived.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.offset >= self.size
    }

    /// Sends the next piece and returns how much has arrived. A piece that gets lost on the way
    /// is sent again from where the storage says. An empty file needs one empty piece.
    ///
    /// # Errors
    /// When the storage refuses or stays out of reach.
    pub async fn send(&mut self, piece: Bytes) -> Result<u64, Error> {
        let start = self.offset;
        let mut tries = 0;
        loop {
            let rest = piece.slice(self.done_of(start, &piece)?..);
            match self.patch(rest).await {
                Ok(now) => {
                    let stuck = now == self.offset && !piece.is_empty();
                    self.offset = now;
                    if self.done_of(start, &piece)? == piece.len() {
                        return Ok(now);
                    }
                    // It has taken a part only.
                    if stuck {
                        return Err(self.disturbed());
                    }
                }
                // After a cut the storage may still be writing what came before it, and then
                // refuses the offset that it has just named.
                Err(error)
                    if error.is_temporary()
                        || (tries > 0 && matches!(error, Error::UploadDisturbed { .. })) =>
                {
                    self.offset = self.settle(error, &mut tries).await?;
                    if self.done_of(start, &piece)? == piece.len() && !piece.is_empty() {
                        return Ok(self.offset);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// How much of a piece that began at `start` has arrived.
    fn done_of(&self, start: u64, piece: &Bytes) -> Result<usize, Error> {
        self.offset
            .checked_sub(start)
            .and_then(|count| usize::try_from(count).ok())
            .filter(|count| *count <= piece.len())
            .ok_or_else(|| self.disturbed())
    }

    /// Waits until the storage can say how much has arrived, or fails with the last `error`.
    async fn settle(&self, mut error: Error, tries: &mut u32) -> Result<u64, Error> {
        while *tries < TRIES {
            *tries += 1;
            tokio::time::sleep(Duration::from_millis(200 << *tries)).await;
            match self.arrived().await {
                Err(again) if again.is_temporary() => error = again,
                answer => return answer,
            }
        }
        Err(error)
    }

    async fn patch(&self, piece: Bytes) -> Result<u64, Error> {
        let length = piece.len() as u64;
        let response = self
            .client
            .http()?
            .patch(self.url.clone())
            .header("tus-resumable", "1.0.0")
            .header("upload-offset", self.offset)
            .header("content-type", "application/offset+octet-stream")
            .body(piece)
            .send()
            .await
            .map_err(|error| self.client.unreachable(error.without_url()))?;
        if response.status() == http::StatusCode::CONFLICT {
            return Err(self.disturbed());
        }
        let response = self.client.check(response).await?;
        Ok(offset_header(response.headers()).unwrap_or(self.offset.saturating_add(length)))
    }

    async fn arrived(&self) -> Result<u64, Error> {
        let request = self
            .client
            .http()?
            .head(self.url.clone())
            .header("tus-resumable", "1.0.0");
        let response = self.client.within(ANSWER, request.send()).await?;
        let response = self.client.check(response).await?;
        offset_header(response.headers())
            .ok_or_else(|| Error::answer("an upload", "no Upload-Offset in the answer"))
    }

    fn disturbed(&self) -> Error {
        Error::UploadDisturbed {
            path: self.path.clone(),
        }
    }
}

fn storage_url(address: &StorageAddress) -> Result<Url, Error> {
    let mut url = Url::parse(&address.url)
        .map_err(|error| Error::answer("a request for a storage address", error))?;
    url.query_pairs_mut().append_pair("token", &address.token);
    Ok(url)
}

/// Where the bytes begin, by `Content-Range: bytes 100-199/200`.
fn range_begin(headers: &http::HeaderMap) -> Option<u64> {
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (begin, _) = range.strip_prefix("bytes ")?.split_once('-')?;
    begin.trim().parse().ok()
}

fn offset_header(headers: &http::HeaderMap) -> Option<u64> {
    headers.get("upload-offset")?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    fn upload(offset: u64, size: u64) -> Upload {
        let address = StorageAddress {
            token: "t".to_owned(),
            url: "http://127.0.0.1:1/upload".to_owned(),
        };
        let client = Client::new("http://127.0.0.1:1", None).unwrap();
        client.upload_to(address, "a", size, offset).unwrap()
    }

    proptest! {
        #[test]
        fn any_header_is_a_number_or_none(bytes in prop_oneof![
            "(bytes )?[0-9]{0,22}(-[0-9]{0,4}(/[0-9*]{0,4})?)?".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..30),
        ]) {
            if let Ok(value) = http::HeaderValue::from_bytes(&bytes) {
                let mut headers = http::HeaderMap::new();
                headers.insert(CONTENT_RANGE, value.clone());
                headers.insert("upload-offset", value);
                range_begin(&headers);
                offset_header(&headers);
            }
        }

        #[test]
        fn what_a_storage_says_comes_back(begin in any::<u64>()) {
            let mut headers = http::HeaderMap::new();
            headers.insert(CONTENT_RANGE, format!("bytes {begin}-{begin}/*").parse().unwrap());
            headers.insert("upload-offset", begin.into());
            prop_assert_eq!((range_begin(&headers), offset_header(&headers)), (Some(begin), Some(begin)));
        }

        /// Wherever a storage says that it is, nothing outside of the piece is sent.
        #[test]
        fn an_upload_stays_in_its_piece(start in any::<u64>(), says in any::<u64>(), near in 0u64..40) {
            for says in [says, start.saturating_add(near)] {
                let piece = Bytes::from_static(&[0; 20]);
                let done = upload(says, u64::MAX).done_of(start, &piece);
                prop_assert_eq!(done.is_ok(), says >= start && says - start <= 20);
            }
        }
    }
}

//! Uploads that go on where they stopped (TUS 1.0.0, protocol page "Virtual folders" §4).
//!
//! A half-finished upload is a file beside the folder, named by the upload's number; its length is
//! the offset, so a killed engine forgets nothing. When the last byte is on the disk, a mark is left
//! and the file moves to its place in one step. The mark lets a client that never heard the last
//! answer learn that it is done.

use std::collections::HashMap;
use std::io::{Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cap_std::fs::{Dir, OpenOptions};
use futures_util::{Stream, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::error::StorageError;
use super::identity::Acting;
use super::path::InnerPath;
use super::{Volume, token};

/// One upload, as its token names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upload {
    /// The folder.
    pub(crate) folder: Uuid,
    /// Its number.
    pub(crate) session: Uuid,
    /// Where the file comes to lie.
    pub(crate) target: InnerPath,
    /// Its size in bytes.
    pub(crate) size: u64,
}

/// The uploads of a volume. Pieces of one upload are taken one after the other: a new piece ends
/// the one before it, which is what is left of a connection that the client has given up.
#[derive(Debug, Clone)]
pub(crate) struct Uploads {
    volume: Volume,
    pub(super) taking: Arc<Mutex<HashMap<Uuid, Turn>>>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Turn {
    gate: Arc<tokio::sync::Mutex<()>>,
    cancel: CancellationToken,
}

impl Uploads {
    /// For the folders of `volume`.
    pub(crate) fn new(volume: Volume) -> Self {
        Self {
            volume,
            taking: Arc::default(),
        }
    }

    /// Begins the upload `session` of `size` bytes into `folder`. What was begun longer ago than a
    /// token lives is given up. Blocking.
    pub(crate) fn begin(&self, folder: Uuid, session: Uuid, size: u64) -> Result<(), StorageError> {
        let free = self.volume.space()?.free;
        if size > free {
            return Err(StorageError::TooLarge { needed: size, free });
        }
        let dir = self.volume.uploads_dir(folder)?;
        let _acting = Acting::as_owner(self.volume.owner);
        give_up_old(&dir);
        dir.open_with(
            part_name(session),
            OpenOptions::new().write(true).create_new(true),
        )
        .map_err(StorageError::sort)?;
        Ok(())
    }

    /// How many bytes have come. Puts a file in its place that is whole and isn't there, as a kill
    /// at the wrong moment leaves it. Blocking.
    pub(crate) fn offset(&self, upload: &Upload) -> Result<u64, StorageError> {
        let offset = self.length(upload)?;
        let waits = offset == upload.size && self.open_part(upload)?.is_some();
        if waits {
            self.finish(upload)?;
        }
        Ok(offset)
    }

    fn length(&self, upload: &Upload) -> Result<u64, StorageError> {
        let dir = self.volume.uploads_dir(upload.folder)?;
        let _acting = Acting::as_owner(self.volume.owner);
        match dir.symlink_metadata(part_name(upload.session)) {
            Ok(meta) => Ok(meta.len()),
            Err(_) if dir.try_exists(done_name(upload.session))? => Ok(upload.size),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(StorageError::UnknownUpload)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a piece that begins at `offset`; answers the new offset. The last piece puts the file
    /// in its place, over what was there.
    ///
    /// Runs to its end even when the caller is dropped, so that nothing is written behind the back
    /// of the next piece.
    pub(crate) async fn take<S, E>(
        &self,
        upload: Upload,
        offset: u64,
        body: S,
    ) -> Result<u64, StorageError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin + 'static,
        E: Send + 'static,
    {
        let uploads = self.clone();
        let task = tokio::spawn(async move {
            let turn = uploads.next_turn(upload.session);
            let _gate = turn.gate.clone().lock_owned().await;
            let taken = uploads
                .take_in_turn(&upload, offset, body, &turn.cancel)
                .await;
            uploads.end_turn(upload.session, &turn);
            taken
        });
        task.await
            .map_err(|error| StorageError::Io(std::io::Error::other(error)))?
    }

    fn next_turn(&self, session: Uuid) -> Turn {
        let mut taking = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
        let before = taking.get(&session).cloned().unwrap_or_default();
        before.cancel.cancel();
        let turn = Turn {
            gate: before.gate,
            cancel: CancellationToken::new(),
        };
        taking.insert(session, turn.clone());
        turn
    }

    fn end_turn(&self, session: Uuid, turn: &Turn) {
        let mut taking = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
        // Cancelled means that another piece has taken the place and waits at the gate.
        if !turn.cancel.is_cancelled() {
            taking.remove(&session);
        }
    }

    async fn take_in_turn<S, E>(
        &self,
        upload: &Upload,
        given: u64,
        body: S,
        cancel: &CancellationToken,
    ) -> Result<u64, StorageError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin + 'static,
    {
        let actual = self.blocking(upload, Self::length).await?;
        if actual != given {
            return Err(StorageError::Offset { given, actual });
        }
        let Some(file) = self.blocking(upload, Self::open_part).await? else {
            return Ok(upload.size); // Finished before; the client missed the answer.
        };
        let received = receive(file, given, upload.size, body, cancel).await?;
        if received == upload.size {
            self.blocking(upload, Self::finish).await?;
        }
        Ok(received)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        upload: &Upload,
        work: impl FnOnce(&Self, &Upload) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let (uploads, upload) = (self.clone(), upload.clone());
        tokio::task::spawn_blocking(move || work(&uploads, &upload))
            .await
            .map_err(|error| StorageError::Io(std::io::Error::other(error)))?
    }

    /// Opens the half-finished file at its end; none when the upload is done already.
    fn open_part(&self, upload: &Upload) -> Result<Option<std::fs::File>, StorageError> {
        let dir = self.volume.uploads_dir(upload.folder)?;
        let _acting = Acting::as_owner(self.volume.owner);
        match dir.open_with(part_name(upload.session), OpenOptions::new().write(true)) {
            Ok(file) => {
                let mut file = file.into_std();
                file.seek(SeekFrom::End(0))?;
                Ok(Some(file))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts the whole file in its place.
    fn finish(&self, upload: &Upload) -> Result<(), StorageError> {
        let uploads = self.volume.uploads_dir(upload.folder)?;
        let folder = self.volume.folder(upload.folder)?;
        let _acting = folder.acting();
        let part = part_name(upload.session);
        uploads
            .open(&part)?
            .sync_all()
            .map_err(StorageError::sort)?;
        if let Some(parent) = upload.target.parent() {
            folder.make_parents(&parent)?;
        }
        uploads
            .create(done_name(upload.session))
            .map_err(StorageError::sort)?;
        uploads
            .rename(&part, folder.dir(), upload.target.to_system())
            .map_err(|error| StorageError::at(upload.target.as_str(), error))
    }
}

/// Writes what comes until the body ends; answers where the file then ends.
async fn receive<S, E>(
    file: std::fs::File,
    mut offset: u64,
    size: u64,
    mut body: S,
    cancel: &CancellationToken,
) -> Result<u64, StorageError>
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
{
    let mut file = tokio::fs::File::from_std(file);
    let ended = loop {
        let piece = tokio::select! {
            biased;
            () = cancel.cancelled() => break Err(StorageError::CutOff),
            piece = body.next() => piece,
        };
        match piece {
            None => break Ok(()),
            Some(Err(_)) => break Err(StorageError::CutOff),
            Some(Ok(data)) if data.len() as u64 > size - offset => {
                break Err(StorageError::Overflow(size));
            }
            Some(Ok(data)) => {
                if let Err(error) = file.write_all(&data).await {
                    break Err(StorageError::sort(error));
                }
                offset += data.len() as u64;
            }
        }
    };
    // What came is kept in any case: the upload goes on from there.
    file.flush().await.map_err(StorageError::sort)?;
    ended.map(|()| offset)
}

fn part_name(session: Uuid) -> PathBuf {
    PathBuf::from(format!("{}.part", session.simple()))
}

fn done_name(session: Uuid) -> PathBuf {
    PathBuf::from(format!("{}.done", session.simple()))
}

/// Removes what is older than any token for it. Best effort: it is tried again with the next upload.
fn give_up_old(dir: &Dir) {
    let life = Duration::from_secs(token::LIFE.unsigned_abs());
    let Some(limit) = SystemTime::now().checked_sub(life) else {
        return;
    };
    for entry in dir.entries().into_iter().flatten().flatten() {
        let old = entry
            .metadata()
            .and_then(|meta| meta.modified())
            .is_ok_and(|modified| modified.into_std() < limit);
        if old {
            let _ = entry.remove_file();
        }
    }
}

//! Copies one file: under a temporary name, from where it was, checked, then renamed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::item::{Conflict, Failure, FailureCode, Overwrite};
use crate::limit::Limit;
use crate::name;
use crate::progress::Progress;
use crate::rows::Part;
use crate::store::{Entry, Kind, Store, StoreError, WriteOptions};

/// Below this length a file that was cut off is sent again from its start.
pub(crate) const RESUME_FROM: u64 = 256 << 10;

/// What all files of one transfer share.
pub(crate) struct Context {
    pub(crate) transfer: String,
    pub(crate) src: Arc<dyn Store>,
    pub(crate) dst: Arc<dyn Store>,
    /// The destination is this computer, where a power cut matters.
    pub(crate) dst_is_local: bool,
    pub(crate) overwrite: Overwrite,
    pub(crate) checksum: bool,
    /// An earlier run may have copied some files already.
    pub(crate) again: bool,
    /// When the transfer was first started.
    pub(crate) since: Timestamp,
    pub(crate) boot: String,
    pub(crate) progress: Arc<Progress>,
    pub(crate) limits: [Arc<Limit>; 2],
    pub(crate) parts: Arc<Parts>,
}

/// The unfinished files of one transfer, by their final path.
#[derive(Default)]
pub(crate) struct Parts(Mutex<HashMap<String, Part>>);

impl Parts {
    pub(crate) fn new(parts: Vec<Part>) -> Self {
        Self(Mutex::new(
            parts
                .into_iter()
                .map(|part| (part.path.clone(), part))
                .collect(),
        ))
    }

    pub(crate) fn list(&self, shortest: u64) -> Vec<Part> {
        self.lock()
            .values()
            .filter(|part| part.size >= shortest)
            .cloned()
            .collect()
    }

    fn get(&self, path: &str) -> Option<Part> {
        self.lock().get(path).cloned()
    }

    fn put(&self, part: Part) {
        self.lock().insert(part.path.clone(), part);
    }

    fn arrived(&self, path: &str, arrived: u64) {
        if let Some(part) = self.lock().get_mut(path) {
            part.arrived = arrived;
        }
    }

    pub(crate) fn forget(&self, path: &str) {
        self.lock().remove(path);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Part>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One file to be copied.
pub(crate) struct Job {
    pub(crate) src: String,
    pub(crate) dst: String,
    pub(crate) entry: Entry,
    /// What is at `dst` now.
    pub(crate) there: Option<Entry>,
}

/// Why a transfer does not go on.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The user is to choose.
    Conflict(Conflict),
    /// It failed; `retry`: opening the stores again may help.
    Failed { failure: Failure, retry: bool },
}

pub(crate) fn failed(path: &str) -> impl FnOnce(StoreError) -> Stop + '_ {
    move |error| {
        let retry = error.retry;
        Stop::Failed {
            failure: error.about(path),
            retry,
        }
    }
}

/// Copies one file, or leaves it out. Returns its SHA-256 when that was asked for.
pub(crate) async fn file(context: &Context, job: &Job) -> Result<Option<[u8; 32]>, Stop> {
    let size = job.entry.size;
    if let Some(there) = &job.there {
        if there.kind == Kind::Directory {
            let error = StoreError::new(FailureCode::IsADirectory, "a folder is in the way");
            return Err(failed(&job.dst)(error));
        }
        match choose(context, &job.entry, there) {
            Choice::Copy => {}
            Choice::Identical => {
                context.progress.present(size);
                context.progress.file_done();
                return Ok(None);
            }
            Choice::Leave => {
                context.progress.present(size);
                context.progress.skipped();
                return Ok(None);
            }
            Choice::Ask => {
                return Err(Stop::Conflict(Conflict {
                    path: job.dst.clone(),
                    src_size: size,
                    dst_size: there.size,
                    src_modified: job.entry.modified,
                    dst_modified: there.modified,
                }));
            }
        }
    }
    let capabilities = context.dst.capabilities();
    let part = if capabilities.rename {
        name::part(&job.dst, &context.transfer)
    } else {
        job.dst.clone()
    };
    let offset = resume_at(context, job, &part).await;
    context.parts.put(Part {
        path: job.dst.clone(),
        part: part.clone(),
        arrived: offset,
        size,
        modified: job.entry.modified,
        boot: context.boot.clone(),
    });
    context.progress.present(offset);
    let mut counted = offset;
    let copied = pour(context, job, &part, offset, &mut counted).await;
    let streamed = match copied {
        Ok(streamed) => streamed,
        Err(stop) => {
            // After a lost link everything is counted anew; until then the figures stay in sight.
            if !matches!(stop, Stop::Failed { retry: true, .. }) {
                context.progress.undone(counted);
            }
            if let Stop::Failed { failure, .. } = &stop
                && spoils(failure.code)
            {
                discard(context, job, &part).await;
            }
            return Err(stop);
        }
    };
    let digest = match verified(context, job, &part, streamed).await {
        Ok(digest) => digest,
        Err(stop) => {
            context.progress.undone(counted);
            discard(context, job, &part).await;
            return Err(stop);
        }
    };
    if part != job.dst {
        context
            .dst
            .rename(&part, &job.dst)
            .await
            .map_err(failed(&job.dst))?;
    }
    context.parts.forget(&job.dst);
    context.progress.file_done();
    Ok(digest)
}

enum Choice {
    Copy,
    Identical,
    Leave,
    Ask,
}

fn choose(context: &Context, src: &Entry, there: &Entry) -> Choice {
    let seconds = |entry: &Entry| entry.modified.map(|time| time.as_second());
    if context.again && there.kind == Kind::File && src.size == there.size {
        // Copied before the program was stopped? Where times can't be kept, a file that is younger
        // than the transfer is ours.
        let ours = if context.dst.capabilities().attributes {
            seconds(src).is_some() && seconds(src) == seconds(there)
        } else {
            seconds(there) >= Some(context.since.as_second())
        };
        if ours {
            return Choice::Identical;
        }
    }
    match context.overwrite {
        Overwrite::Always => Choice::Copy,
        Overwrite::Never => Choice::Leave,
        Overwrite::Newer if seconds(src) > seconds(there) => Choice::Copy,
        Overwrite::Newer => Choice::Leave,
        Overwrite::Ask => Choice::Ask,
    }
}

/// Where the copy can go on: never beyond what is known to have arrived, and only when the source
/// is still the same.
async fn resume_at(context: &Context, job: &Job, part: &str) -> u64 {
    if !context.dst.capabilities().resume_write || job.entry.size < RESUME_FROM {
        return 0;
    }
    let Some(known) = context.parts.get(&job.dst) else {
        return 0;
    };
    let unchanged = known.part == part
        && known.size == job.entry.size
        && known.modified.is_some()
        && known.modified == job.entry.modified;
    let survived = !context.dst_is_local || known.boot == context.boot;
    if !unchanged || !survived {
        return 0;
    }
    match context.dst.stat(part, false).await {
        Ok(there) if there.kind == Kind::File => there.size.min(known.arrived),
        _ => 0,
    }
}

/// Moves the bytes; returns their SHA-256 if all of them went through here. `counted` follows how
/// many bytes the progress shows for this file.
async fn pour(
    context: &Context,
    job: &Job,
    part: &str,
    offset: u64,
    counted: &mut u64,
) -> Result<Option<[u8; 32]>, Stop> {
    let size = job.entry.size;
    let options = WriteOptions {
        offset,
        size: Some(size),
        mode: job.entry.mode.map(|mode| mode & 0o777),
        modified: job.entry.modified,
    };
    let (source, sink) = futures_util::future::join(
        context.src.read(&job.src, offset, size),
        context.dst.write(part, options),
    )
    .await;
    let mut source = source.map_err(failed(&job.src))?;
    let mut sink = sink.map_err(failed(&job.dst))?;
    let mut digest = (context.checksum && offset == 0).then(Sha256::new);
    let mut read = offset;
    while let Some(pieces) = source.next().await.map_err(failed(&job.src))? {
        let bytes: usize = pieces.iter().map(Bytes::len).sum();
        read += bytes as u64;
        for limit in &context.limits {
            limit.take(bytes).await;
        }
        if let Some(digest) = &mut digest {
            pieces.iter().for_each(|piece| digest.update(piece));
        }
        let arrived = sink.write(pieces).await.map_err(failed(&job.dst))?;
        context.progress.moved(arrived.saturating_sub(*counted));
        *counted = arrived.max(*counted);
        context.parts.arrived(&job.dst, arrived);
    }
    let length = sink.finish().await.map_err(failed(&job.dst))?;
    if read != size {
        return Err(failed(&job.src)(StoreError::new(
            FailureCode::SourceChanged,
            format!("it had {size} bytes and now has {read}"),
        )));
    }
    if length.is_some_and(|length| length != size) {
        return Err(failed(&job.dst)(StoreError::new(
            FailureCode::SizeMismatch,
            format!("{} of {size} bytes arrived", length.unwrap_or(0)),
        )));
    }
    context.progress.moved(size.saturating_sub(*counted));
    *counted = size;
    Ok(digest.map(|digest| digest.finalize().into()))
}

/// Compares the digests of source and copy, when that was asked for.
async fn verified(
    context: &Context,
    job: &Job,
    part: &str,
    streamed: Option<[u8; 32]>,
) -> Result<Option<[u8; 32]>, Stop> {
    if !context.checksum {
        return Ok(None);
    }
    let source = match streamed {
        Some(digest) => digest,
        None => digest(&*context.src, &job.src, job.entry.size)
            .await
            .map_err(failed(&job.src))?,
    };
    let copy = digest(&*context.dst, part, job.entry.size)
        .await
        .map_err(failed(&job.dst))?;
    if source != copy {
        let message = "the copy differs from the source";
        return Err(failed(&job.dst)(StoreError::new(
            FailureCode::ChecksumMismatch,
            message,
        )));
    }
    Ok(Some(source))
}

/// The digest worked out by the store, or here when it can't.
async fn digest(store: &dyn Store, path: &str, size: u64) -> Result<[u8; 32], StoreError> {
    if let Some(digest) = store.sha256(path).await? {
        return Ok(digest);
    }
    let mut source = store.read(path, 0, size).await?;
    let mut digest = Sha256::new();
    while let Some(pieces) = source.next().await? {
        pieces.iter().for_each(|piece| digest.update(piece));
    }
    Ok(digest.finalize().into())
}

/// Whether what has arrived is better thrown away: it fills a full disk, or is wrong.
fn spoils(code: FailureCode) -> bool {
    matches!(
        code,
        FailureCode::NoSpace
            | FailureCode::QuotaExceeded
            | FailureCode::SourceChanged
            | FailureCode::SizeMismatch
    )
}

async fn discard(context: &Context, job: &Job, part: &str) {
    if part != job.dst
        && let Err(error) = context.dst.remove_file(part).await
        && error.code != FailureCode::NotFound
    {
        tracing::warn!(part, %error, "an unfinished file stays");
    }
    context.parts.forget(&job.dst);
}

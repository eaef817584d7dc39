//! Copies one file: under a temporary name, from where it was, checked, then renamed.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::item::{Conflict, Failure, FailureCode, Links, Overwrite};
use crate::limit::Limit;
use crate::moved::{Source, What};
use crate::name;
use crate::parts::{Parts, RESUME_FROM};
use crate::progress::Progress;
use crate::rows::Part;
use crate::store::{Begin, Entry, Kind, Store, StoreError, WriteOptions};

/// What all files of one transfer share.
pub(crate) struct Context {
    pub(crate) transfer: String,
    pub(crate) src: Arc<dyn Store>,
    pub(crate) dst: Arc<dyn Store>,
    /// The destination is this computer, where a power cut matters.
    pub(crate) dst_is_local: bool,
    pub(crate) overwrite: Overwrite,
    pub(crate) links: Links,
    pub(crate) checksum: bool,
    /// An earlier run may have copied some files already.
    pub(crate) again: bool,
    /// When the transfer was first started.
    pub(crate) since: Timestamp,
    pub(crate) boot: String,
    pub(crate) progress: Arc<Progress>,
    pub(crate) limits: [Arc<Limit>; 2],
    pub(crate) parts: Arc<Parts>,
    /// The source, when it is to be removed.
    pub(crate) moved: Option<Source>,
}

impl Context {
    /// `path` of the source has arrived.
    pub(crate) fn has_copied(&self, path: &str, what: impl FnOnce() -> What) {
        if let Some(moved) = &self.moved {
            moved.note(path, what());
        }
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
        match choose(context, job, there) {
            Choice::Copy => {}
            Choice::Identical => {
                context.has_copied(&job.src, || What::file(&job.entry));
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
    let begin = begin_at(context, job, &part).await?;
    context.progress.present(begin.offset);
    let mut counted = begin.offset;
    let copied = pour(context, job, &part, begin, &mut counted).await;
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
    context.has_copied(&job.src, || What::file(&job.entry));
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

fn choose(context: &Context, job: &Job, there: &Entry) -> Choice {
    let src = &job.entry;
    let seconds = |entry: &Entry| entry.modified.map(|time| time.as_second());
    // It is not known to be ours, and the source is not to go for it.
    let unknown = |moved: &Source| moved.get(&job.src).is_none();
    if context.overwrite == Overwrite::Never && context.moved.as_ref().is_some_and(unknown) {
        return Choice::Leave;
    }
    if context.again && there.kind == Kind::File && src.size == there.size {
        // Copied before the program was stopped? Where times can't be kept, a file that is younger
        // than the transfer is ours.
        let same = seconds(src).is_some() && seconds(src) == seconds(there);
        let young = seconds(there) >= Some(context.since.as_second());
        let ours = young && !context.dst.capabilities().attributes;
        match &context.moved {
            None if same || ours => return Choice::Identical,
            None => {}
            // What will be removed has to be there for sure. A file of ours that is not known to
            // be this very one is copied once more.
            Some(moved) => match moved.get(&job.src) {
                Some(was) if !was.is_still(src) => {}
                Some(_) if same || ours => return Choice::Identical,
                None if is_same_time(src.modified, there.modified) => return Choice::Identical,
                None if ours => return Choice::Copy,
                _ => {}
            },
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

/// Where the copy begins: behind what is known to have arrived of it, and only when the source is
/// still the same. Notes that it is under way.
async fn begin_at(context: &Context, job: &Job, part: &str) -> Result<Begin, Stop> {
    let known = context.parts.get(&job.dst);
    let mut begin = Begin::default();
    if let Some(known) = known {
        if known.part != part && known.part != job.dst {
            // Begun at another address, where this store can't go on with it.
            match context.dst.remove_file(&known.part).await {
                Err(error) if error.retry => return Err(failed(&job.dst)(error)),
                _ => {}
            }
        } else if goes_on(context, job, &known) {
            let at = context
                .dst
                .resume_at(part, known.arrived, known.ticket.as_ref());
            let at = at.await.map_err(failed(&job.dst))?;
            // More than there is to come can't be ours.
            if at.offset > 0 && at.offset <= job.entry.size {
                begin = at;
            }
        }
    }
    context.parts.put(Part {
        path: job.dst.clone(),
        part: part.to_owned(),
        arrived: begin.offset,
        size: job.entry.size,
        modified: job.entry.modified,
        boot: context.boot.clone(),
        ticket: begin.ticket.clone(),
    });
    Ok(begin)
}

fn goes_on(context: &Context, job: &Job, known: &Part) -> bool {
    context.dst.capabilities().resume_write
        && job.entry.size >= RESUME_FROM
        && known.size == job.entry.size
        && is_same_time(known.modified, job.entry.modified)
        && (!context.dst_is_local || known.boot == context.boot)
}

/// Some places tell whole seconds only.
pub(crate) fn is_same_time(one: Option<Timestamp>, other: Option<Timestamp>) -> bool {
    let (Some(one), Some(other)) = (one, other) else {
        return false;
    };
    let whole = |time: Timestamp| time.subsec_nanosecond() == 0;
    one == other || ((whole(one) || whole(other)) && one.as_second() == other.as_second())
}

/// Moves the bytes; returns their SHA-256 if all of them went through here. `counted` follows how
/// many bytes the progress shows for this file.
async fn pour(
    context: &Context,
    job: &Job,
    part: &str,
    begin: Begin,
    counted: &mut u64,
) -> Result<Option<[u8; 32]>, Stop> {
    let Begin { offset, ticket } = begin;
    let size = job.entry.size;
    let options = WriteOptions {
        offset,
        size: Some(size),
        mode: job.entry.mode.map(|mode| mode & 0o777),
        modified: job.entry.modified,
        ticket,
    };
    let (source, sink) = futures_util::future::join(
        context.src.read(&job.src, offset, size),
        context.dst.write(part, options),
    )
    .await;
    let mut source = source.map_err(failed(&job.src))?;
    let mut sink = sink.map_err(failed(&job.dst))?;
    if let Some(ticket) = sink.ticket() {
        context.parts.has_ticket(&job.dst, ticket);
    }
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
        let by_itself = context.dst.capabilities().knows_length;
        context.parts.arrived(&job.dst, arrived, by_itself);
        context.parts.room().await;
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

//! One try to carry a transfer out: opens both ends, works out what goes where, and runs.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt};

use crate::alias;
use crate::copy::{Context, Stop, failed};
use crate::drive::End;
use crate::item::{FailureCode, Location, Place, State};
use crate::moved::Source;
use crate::parts::Parts;
use crate::run::{self, Placement};
use crate::shared::Shared;
use crate::store::{Store, StoreError};
use crate::sweep::sweep;
use crate::work::{Work, lock};

/// Which end of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Destination,
}

/// Returns the SHA-256 of a single file when that was asked for.
pub(crate) async fn once(
    shared: &Shared,
    work: &Work,
    parts: &Arc<Parts>,
) -> Result<Option<[u8; 32]>, End> {
    let src = open(shared, work, parts, Side::Source).await?;
    let dst = open(shared, work, parts, Side::Destination).await?;
    let row = lock(&work.row).clone();
    let (from, to) = (row.src.place(), row.dst.place());
    let mut context = Context {
        transfer: row.id.clone(),
        src,
        dst,
        dst_is_local: to == Place::Local,
        overwrite: row.overwrite,
        links: row.links,
        checksum: row.checksum,
        again: row.attempts > 1,
        since: row.created_at,
        boot: shared.options.boot.clone(),
        progress: work.progress.clone(),
        limits: [work.limit.clone(), shared.limit.clone()],
        parts: parts.clone(),
        moved: None,
    };
    let at = if row.placed {
        Placement {
            src: row.src.path().to_owned(),
            dst: row.dst.path().to_owned(),
        }
    } else {
        let at = run::place(&context, row.src.path(), row.dst.path())
            .await
            .map_err(End::Stop)?;
        alias::refuse(&context, &at, (&from, &to), row.remove_source)
            .await
            .map_err(End::Stop)?;
        let (src, dst) = (row.src.with_path(&at.src), row.dst.with_path(&at.dst));
        let (src_else, dst_else) = futures_util::future::join(
            shared.stores.elsewhere(&row.profile, &src),
            shared.stores.elsewhere(&row.profile, &dst),
        )
        .await;
        shared
            .enter(work, State::Running, |row| {
                (row.src, row.src_else) = (src, src_else);
                (row.dst, row.dst_else) = (dst, dst_else);
                row.placed = true;
            })
            .await
            .map_err(End::Db)?;
        at
    };
    if row.remove_source {
        context.moved = Some(Source {
            top: at.src.clone(),
            moved: shared.moved(work).await.map_err(End::Db)?,
        });
    }
    let digest = if row.copied {
        None
    } else {
        work.progress.recount();
        run::run(&context, &at).await.map_err(End::Stop)?
    };
    if let Some(source) = context.moved.clone() {
        remove(shared, work, &context, &source, &at, digest).await?;
    }
    Ok(digest)
}

/// Removes the source of a transfer that moves. That all has arrived is on disk before the first
/// file goes: whoever takes the transfer up again goes on here.
async fn remove(
    shared: &Shared,
    work: &Work,
    context: &Context,
    source: &Source,
    at: &Placement,
    digest: Option<[u8; 32]>,
) -> Result<(), End> {
    if !lock(&work.row).copied {
        if context.dst_is_local {
            on_disk(at.dst.clone()).await;
        } else {
            on_far_disk(context, source, at).await.map_err(End::Stop)?;
        }
        shared.save_moved(work).await.map_err(End::Db)?;
        shared
            .enter(work, State::Running, |row| {
                row.copied = true;
                row.sha256 = digest.map(hex::encode);
            })
            .await
            .map_err(End::Db)?;
    }
    let left = sweep(context, source, at).await.map_err(End::Stop)?;
    // The state that follows stores it.
    lock(&work.row).source_left = left;
    Ok(())
}

/// Small files are written out by the system at its leisure: not before their source goes.
async fn on_disk(path: String) {
    let written = tokio::task::spawn_blocking(move || write_out(&path)).await;
    if !matches!(written, Ok(Ok(()))) {
        tracing::warn!(?written, "copies may not be on the disk yet");
    }
}

/// The same at the other end, which may lose its power as well. A server that has no word for it
/// is trusted to write in its own time.
async fn on_far_disk(context: &Context, source: &Source, at: &Placement) -> Result<(), Stop> {
    let at_once = context.dst.capabilities().parallel_files.max(1);
    let mut asked = stream::iter(source.files_at(&at.dst))
        .map(|path| async move {
            let synced = context.dst.sync(&path).await;
            synced.map_err(|error| (path, error))
        })
        .buffer_unordered(at_once);
    while let Some(synced) = asked.next().await {
        match synced {
            Ok(true) => {}
            Ok(false) => {
                tracing::debug!(at.dst, "whether copies are on the far disk is not known");
                return Ok(());
            }
            // Removed by somebody there: its source will stay.
            Err((_, error)) if error.code == FailureCode::NotFound && !error.retry => {}
            Err((path, error)) => return Err(failed(&path)(error)),
        }
    }
    Ok(())
}

/// The file system that holds `path`, and no other, which may not answer.
#[cfg(target_os = "linux")]
fn write_out(path: &str) -> std::io::Result<()> {
    nix::unistd::syncfs(std::fs::File::open(path)?)?;
    Ok(())
}

#[cfg(all(unix, not(target_os = "linux")))]
fn write_out(_path: &str) -> std::io::Result<()> {
    nix::unistd::sync();
    Ok(())
}

#[cfg(not(unix))]
fn write_out(_path: &str) -> std::io::Result<()> {
    Ok(())
}

/// Opens one end. When its session has ended and the files lie in a data folder, the transfer goes
/// on at the folder's own address.
async fn open(
    shared: &Shared,
    work: &Work,
    parts: &Parts,
    side: Side,
) -> Result<Arc<dyn Store>, End> {
    let row = lock(&work.row).clone();
    let (location, other) = match side {
        Side::Source => (row.src, row.src_else),
        Side::Destination => (row.dst, row.dst_else),
    };
    let error = match shared.stores.get(&row.profile, &location.place()).await {
        Ok(store) => return Ok(store),
        Err(error) => error,
    };
    let ended = matches!(error.code, FailureCode::Gone | FailureCode::NotFound) && !error.retry;
    let Some(other) = other.filter(|_| ended && matches!(location, Location::Session { .. }))
    else {
        return Err(not_open(error, &location));
    };
    tracing::info!(
        id = row.id,
        ?other,
        "the session has ended; going on in the data folder"
    );
    let store = shared.stores.get(&row.profile, &other.place()).await;
    let store = store.map_err(|error| not_open(error, &other))?;
    if side == Side::Destination {
        parts.readdress(|path| readdressed(path, location.path(), other.path()));
    }
    shared
        .enter(work, State::Running, |row| match side {
            Side::Source => (row.src, row.src_else) = (other, None),
            Side::Destination => (row.dst, row.dst_else) = (other, None),
        })
        .await
        .map_err(End::Db)?;
    Ok(store)
}

fn not_open(error: StoreError, location: &Location) -> End {
    let retry = error.retry;
    End::Stop(Stop::Failed {
        failure: error.about(location.path()),
        retry,
    })
}

/// The address of `path`, which is `was`, in it or beside it, when `was` has become `is`.
fn readdressed(path: &str, was: &str, is: &str) -> Option<String> {
    let rest = path.strip_prefix(was.trim_end_matches('/'));
    if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
        return Some(format!("{is}{rest}"));
    }
    // The temporary name of a single file.
    Some(format!("{}{}", parent(is), path.strip_prefix(parent(was))?))
}

/// What holds the last name of a path, with its slash.
fn parent(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rfind('/').map_or("", |at| &path[..=at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_files_keep_their_place_under_another_address() {
        let (was, is) = ("/home/work/data/tree", "/tree");
        let at = |path| readdressed(path, was, is);
        assert_eq!(at("/home/work/data/tree/a/b").as_deref(), Some("/tree/a/b"));
        assert_eq!(at("/home/work/data/tree").as_deref(), Some("/tree"));
        assert_eq!(at("/home/work/data/.part").as_deref(), Some("/.part"));
        assert_eq!(at("/elsewhere"), None);
        let top = readdressed("/home/work/data/a", "/home/work/data", "");
        assert_eq!(top.as_deref(), Some("/a"), "the folder itself");
    }
}

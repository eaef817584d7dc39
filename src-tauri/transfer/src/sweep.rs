//! Removes the source of a transfer that moves: what was copied, as long as it is still what was
//! copied and its copy is there. Everything else stays. Can be killed anywhere and begun again.

use std::collections::HashMap;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};

use crate::copy::{Context, Stop, failed};
use crate::item::FailureCode;
use crate::moved::{Source, What};
use crate::name;
use crate::run::Placement;
use crate::store::{Entry, Kind, StoreError};

/// What is done with what was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Remove,
    /// It lies behind a link: the link is to go, and not this.
    LookOnly,
}

/// Removes what was copied from `at.src`; returns how many entries stay there. A folder that was
/// copied stays while it holds something, and does not count by itself.
pub(crate) async fn sweep(context: &Context, source: &Source, at: &Placement) -> Result<u64, Stop> {
    let Some(here) = present(context.src.stat(&at.src, false).await, &at.src)? else {
        return Ok(0);
    };
    let copy = present(context.dst.stat(&at.dst, false).await, &at.dst)?;
    let one = One {
        src: at.src.clone(),
        dst: at.dst.clone(),
        here,
        copy,
    };
    match source.get(&at.src) {
        Some(What::Folder) if one.here.kind == Kind::Directory => {
            folders(context, source, at.clone(), Way::Remove).await
        }
        _ => entry(context, source, &one, Way::Remove).await,
    }
}

/// What is not there is no failure.
fn present(found: Result<Entry, StoreError>, path: &str) -> Result<Option<Entry>, Stop> {
    match found {
        Ok(entry) => Ok(Some(entry)),
        Err(error) if error.code == FailureCode::NotFound && !error.retry => Ok(None),
        Err(error) => Err(failed(path)(error)),
    }
}

/// One entry of the source, and what is at the destination.
struct One {
    src: String,
    dst: String,
    here: Entry,
    copy: Option<Entry>,
}

/// Goes through a folder that was copied and all in it, removes folders last and only when empty.
fn folders<'a>(
    context: &'a Context,
    source: &'a Source,
    top: Placement,
    way: Way,
) -> BoxFuture<'a, Result<u64, Stop>> {
    async move {
        let mut left = 0;
        let mut found = vec![top];
        let mut next = 0;
        while let Some(at) = found.get(next).cloned() {
            next += 1;
            let Some(here) = listed(context.src.list(&at.src).await, &at.src)? else {
                left += 1;
                continue;
            };
            let copies = listed(context.dst.list(&at.dst).await, &at.dst)?;
            let mut copies: HashMap<String, Entry> = copies
                .into_iter()
                .flatten()
                .map(|copy| (copy.name.clone(), copy))
                .collect();
            let mut others = Vec::new();
            for here in here {
                let one = One {
                    src: name::join(&at.src, &here.name),
                    dst: name::join(&at.dst, &here.name),
                    copy: copies.remove(&here.name),
                    here,
                };
                let was_folder = source.get(&one.src) == Some(What::Folder);
                if was_folder && one.here.kind == Kind::Directory {
                    found.push(Placement {
                        src: one.src,
                        dst: one.dst,
                    });
                } else {
                    others.push(one);
                }
            }
            let at_once = context.src.capabilities().parallel_files.max(1);
            let mut running = stream::iter(others)
                .map(|one| async move { entry(context, source, &one, way).await })
                .buffer_unordered(at_once);
            while let Some(stays) = running.next().await {
                left += stays?;
            }
        }
        if way == Way::Remove {
            for at in found.iter().rev() {
                remove_empty(context, &at.src).await?;
            }
        }
        Ok(left)
    }
    .boxed()
}

/// What can't be listed stays; a folder that is gone holds nothing.
fn listed(found: Result<Vec<Entry>, StoreError>, path: &str) -> Result<Option<Vec<Entry>>, Stop> {
    match found {
        Ok(entries) => Ok(Some(entries)),
        Err(error) if error.retry => Err(failed(path)(error)),
        Err(error) if error.code == FailureCode::NotFound => Ok(Some(Vec::new())),
        Err(error) => {
            tracing::info!(path, %error, "what was moved stays");
            Ok(None)
        }
    }
}

async fn remove_empty(context: &Context, path: &str) -> Result<(), Stop> {
    // Some places remove a folder with all that it holds.
    let is_empty = listed(context.src.list(path).await, path)?.is_some_and(|all| all.is_empty());
    if is_empty && !path.trim_end_matches('/').is_empty() {
        removed(context.src.remove_dir(path).await, path)?;
    }
    Ok(())
}

/// Whether an entry is gone.
fn removed(result: Result<(), StoreError>, path: &str) -> Result<bool, Stop> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.retry => Err(failed(path)(error)),
        Err(error) if error.code == FailureCode::NotFound => Ok(true),
        Err(error) => {
            tracing::info!(path, %error, "what was moved stays");
            Ok(false)
        }
    }
}

/// Removes one entry if it may go; returns how many stay: 0 or 1.
async fn entry(context: &Context, source: &Source, one: &One, way: Way) -> Result<u64, Stop> {
    let Some(was) = source.get(&one.src) else {
        return Ok(1);
    };
    let may_go = one.copy.as_ref().is_some_and(|copy| was.is_whole(copy))
        && is_still(context, source, one, &was).await?;
    if !may_go {
        return Ok(1);
    }
    if way == Way::LookOnly {
        return Ok(0);
    }
    let gone = removed(context.src.remove_file(&one.src).await, &one.src)?;
    Ok(u64::from(!gone))
}

/// Looks once more right before the removal, where that costs little.
async fn is_still(context: &Context, source: &Source, one: &One, was: &What) -> Result<bool, Stop> {
    match (was, one.here.kind) {
        (What::Folder, Kind::Symlink) => {
            let at = Placement {
                src: one.src.clone(),
                dst: one.dst.clone(),
            };
            Ok(folders(context, source, at, Way::LookOnly).await? == 0)
        }
        (What::File { .. }, kind @ (Kind::File | Kind::Symlink)) => {
            if kind == Kind::File && !context.src.capabilities().looks_at_one {
                return Ok(was.is_still(&one.here));
            }
            let now = context.src.stat(&one.src, kind == Kind::Symlink).await;
            Ok(match present(now, &one.src)? {
                Some(now) => was.is_still(&now),
                // What it led to may have been moved before it.
                None => kind == Kind::Symlink,
            })
        }
        (What::Link { .. }, Kind::Symlink) => Ok(was.is_still(&one.here)),
        _ => Ok(false),
    }
}

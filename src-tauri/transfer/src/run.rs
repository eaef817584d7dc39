//! Runs one transfer: finds the files, and copies many small ones or few large ones at a time.

use std::collections::HashMap;

use futures_util::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::copy::{self, Context, Job, Stop, failed};
use crate::item::FailureCode;
use crate::link::{self, Chain, Treated};
use crate::moved::What;
use crate::name;
use crate::problems::{Problems, is_of_one_file};
use crate::store::{Entry, Kind, StoreError};

/// Folders that are looked through at the same time.
const FOLDERS: usize = 8;
/// A file counts once more for each such piece of it, up to so many times: what is under way and
/// would have to be sent again stays small, and each large file keeps megabytes on their way.
const PIECE: u64 = 64 << 10;
const WEIGHT_MOST: usize = 32;

/// Where everything goes; fixed at the first run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placement {
    pub(crate) src: String,
    pub(crate) dst: String,
}

/// Works out the final destination path: into `dst` when that is a folder or ends with a slash.
pub(crate) async fn place(context: &Context, src: &str, dst: &str) -> Result<Placement, Stop> {
    let src = context.src.resolve(src).await.map_err(failed(src))?;
    let full = context.dst.resolve(dst).await.map_err(failed(dst))?;
    let into = dst.is_empty()
        || dst.ends_with('/')
        || match context.dst.stat(&full, true).await {
            Ok(entry) => entry.kind == Kind::Directory,
            Err(error) if error.code == FailureCode::NotFound => false,
            Err(error) => return Err(failed(dst)(error)),
        };
    if !into {
        return Ok(Placement { src, dst: full });
    }
    let Some((_, last)) = name::split(&src) else {
        let message = "the top of a file system can't be copied under a name of its own";
        return Err(failed(&src)(StoreError::new(
            FailureCode::UnsafeName,
            message,
        )));
    };
    Ok(Placement {
        dst: name::join(&full, last),
        src: src.clone(),
    })
}

/// Copies the file or folder. Returns the SHA-256 of a single file when asked for.
pub(crate) async fn run(context: &Context, at: &Placement) -> Result<Option<[u8; 32]>, Stop> {
    let entry = context
        .src
        .stat(&at.src, true)
        .await
        .map_err(failed(&at.src))?;
    match entry.kind {
        Kind::File => {
            context.progress.found_file(entry.size);
            context.progress.counted();
            let there = existing(context, &at.dst).await?;
            let job = Job {
                src: at.src.clone(),
                dst: at.dst.clone(),
                entry,
                there,
            };
            copy::file(context, &job).await
        }
        Kind::Directory => folder(context, at, &entry).await.map(|()| None),
        Kind::Symlink | Kind::Other => Err(failed(&at.src)(crate::local::not_a_file(&at.src))),
    }
}

async fn existing(context: &Context, path: &str) -> Result<Option<Entry>, Stop> {
    match context.dst.stat(path, true).await {
        Ok(entry) => Ok(Some(entry)),
        Err(error) if error.code == FailureCode::NotFound => Ok(None),
        Err(error) => Err(failed(path)(error)),
    }
}

struct Folder {
    src: String,
    dst: String,
    depth: usize,
    mode: Option<u32>,
    modified: Option<Timestamp>,
    /// What is at `dst` now.
    there: Option<Entry>,
    /// The folders behind the links that led here.
    chain: Chain,
}

async fn folder(context: &Context, at: &Placement, entry: &Entry) -> Result<(), Stop> {
    let top = Folder {
        src: at.src.clone(),
        dst: at.dst.clone(),
        depth: 0,
        mode: entry.mode,
        modified: entry.modified,
        there: existing(context, &at.dst).await?,
        chain: Chain::default(),
    };
    let problems = Problems::default();
    let (jobs, found) = mpsc::unbounded_channel();
    let (folders, ()) = futures_util::future::try_join(
        find(context, top, jobs, &problems),
        copy_all(context, found, &problems),
    )
    .await?;
    if context.dst.capabilities().attributes {
        // Last, and from the inside out: each new entry changes the time of its folder.
        for folder in folders.iter().rev() {
            let mode = folder.mode.map(|mode| mode & 0o777);
            context
                .dst
                .set_attributes(&folder.dst, mode, folder.modified)
                .await
                .map_err(failed(&folder.dst))?;
        }
    }
    problems.into_result()
}

/// Looks through the folders, makes them at the destination, and hands out the files.
async fn find(
    context: &Context,
    top: Folder,
    jobs: mpsc::UnboundedSender<Job>,
    problems: &Problems,
) -> Result<Vec<Folder>, Stop> {
    let mut done = Vec::new();
    let mut waiting = vec![top];
    let mut open = FuturesUnordered::new();
    loop {
        while open.len() < FOLDERS
            && let Some(folder) = waiting.pop()
        {
            let path = folder.dst.clone();
            let is_top = folder.depth == 0;
            let visit = visit(context, folder, &jobs, problems);
            open.push(async move { (visit.await, path, is_top) });
        }
        match open.next().await {
            Some((Ok((folder, below)), ..)) => {
                waiting.extend(below);
                // A folder comes before those in it.
                done.push(folder);
            }
            // A folder that can't be read or made says nothing about the others.
            Some((
                Err(Stop::Failed {
                    failure,
                    retry: false,
                }),
                _,
                false,
            )) if is_of_one_file(failure.code) => {
                problems.note(failure);
            }
            Some((Err(stop), ..)) => return Err(stop),
            None => break,
        }
    }
    context.progress.counted();
    Ok(done)
}

async fn visit(
    context: &Context,
    folder: Folder,
    jobs: &mpsc::UnboundedSender<Job>,
    problems: &Problems,
) -> Result<(Folder, Vec<Folder>), Stop> {
    let there = match folder.there.as_ref().map(|entry| entry.kind) {
        Some(Kind::Directory) => context
            .dst
            .list(&folder.dst)
            .await
            .map_err(failed(&folder.dst))?,
        None => {
            match context.dst.make_dir(&folder.dst).await {
                Err(error) if error.code != FailureCode::AlreadyExists => {
                    return Err(failed(&folder.dst)(error));
                }
                _ => {}
            }
            Vec::new()
        }
        Some(_) => {
            // A link could lead anywhere; a file can't hold anything.
            let message = "something that is not a folder is in the way";
            let error = StoreError::new(FailureCode::NotADirectory, message);
            return Err(failed(&folder.dst)(error));
        }
    };
    context.has_copied(&folder.src, || What::Folder);
    let mut there: HashMap<String, Entry> = there
        .into_iter()
        .map(|entry| (entry.name.clone(), entry))
        .collect();
    let mut below = Vec::new();
    for entry in context
        .src
        .list(&folder.src)
        .await
        .map_err(failed(&folder.src))?
    {
        if entry.name.starts_with(name::PART_PREFIX) {
            continue;
        }
        let name = match name::checked(&entry) {
            Ok(name) => name.to_owned(),
            // It can't be written here; the others can.
            Err(error) => {
                problems.note(error.about(&name::join(&folder.src, &entry.name)));
                continue;
            }
        };
        let src = name::join(&folder.src, &name);
        let dst = name::join(&folder.dst, &name);
        let there = there.remove(&name);
        let mut chain = folder.chain.clone();
        let entry = if entry.kind == Kind::Symlink {
            let at = link::At {
                folder: &folder.src,
                src: &src,
                dst: &dst,
                depth: folder.depth,
            };
            match link::treat(context, entry, &at, there.as_ref(), &mut chain).await? {
                Treated::Done => continue,
                Treated::CopyAs(entry) => entry,
            }
        } else {
            entry
        };
        match entry.kind {
            Kind::File => {
                context.progress.found_file(entry.size);
                // The receiver lives as long as we do.
                let _ = jobs.send(Job {
                    src,
                    dst,
                    entry,
                    there,
                });
            }
            Kind::Directory => below.push(Folder {
                src,
                dst,
                depth: folder.depth + 1,
                mode: entry.mode,
                modified: entry.modified,
                there,
                chain,
            }),
            Kind::Symlink | Kind::Other => context.progress.skipped(),
        }
    }
    Ok((folder, below))
}

async fn copy_all(
    context: &Context,
    mut found: mpsc::UnboundedReceiver<Job>,
    problems: &Problems,
) -> Result<(), Stop> {
    let room = context
        .src
        .capabilities()
        .parallel_files
        .min(context.dst.capabilities().parallel_files);
    let room = room.max(1);
    let mut used = 0;
    let mut next: Option<Job> = None;
    let mut ended = false;
    let mut running = FuturesUnordered::new();
    loop {
        while let Some(job) = next.take_if(|job| used == 0 || used + weight(job, room) <= room) {
            let cost = weight(&job, room);
            used += cost;
            running.push(async move { (copy::file(context, &job).await, cost) });
            next = found.try_recv().ok();
        }
        tokio::select! {
            job = found.recv(), if next.is_none() && !ended => match job {
                Some(job) => next = Some(job),
                None => ended = true,
            },
            Some((result, cost)) = running.next(), if !running.is_empty() => {
                used -= cost;
                match result {
                    Ok(_) => {}
                    Err(Stop::Failed { failure, retry: false }) if is_of_one_file(failure.code) => {
                        problems.note(failure);
                    }
                    Err(stop) => return Err(stop),
                }
            }
            else => return Ok(()),
        }
    }
}

fn weight(job: &Job, room: usize) -> usize {
    let pieces = usize::try_from(job.entry.size / PIECE).unwrap_or(WEIGHT_MOST);
    (1 + pieces).min(WEIGHT_MOST).min(room)
}

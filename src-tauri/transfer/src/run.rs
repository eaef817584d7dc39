//! Runs one transfer: finds the files, and copies many small ones or few large ones at a time.

use std::collections::HashMap;

use futures_util::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::copy::{self, Context, Job, Stop, failed};
use crate::item::{Failure, FailureCode};
use crate::name;
use crate::store::{Entry, Kind, StoreError};

/// Folders that are looked through at the same time.
const FOLDERS: usize = 8;
/// From these lengths on, a file counts as several: each keeps megabytes on their way.
const LARGE: (u64, usize) = (16 << 20, 16);
const MIDDLE: (u64, usize) = (1 << 20, 4);

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
}

async fn folder(context: &Context, at: &Placement, entry: &Entry) -> Result<(), Stop> {
    let top = Folder {
        src: at.src.clone(),
        dst: at.dst.clone(),
        depth: 0,
        mode: entry.mode,
        modified: entry.modified,
        there: existing(context, &at.dst).await?,
    };
    let (jobs, found) = mpsc::unbounded_channel();
    let (folders, problems) =
        futures_util::future::try_join(find(context, top, jobs), copy_all(context, found)).await?;
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
) -> Result<Vec<Folder>, Stop> {
    let mut done = Vec::new();
    let mut waiting = vec![top];
    let mut open = FuturesUnordered::new();
    loop {
        while open.len() < FOLDERS
            && let Some(folder) = waiting.pop()
        {
            open.push(visit(context, folder, &jobs));
        }
        match open.next().await {
            Some(visited) => {
                let (folder, below) = visited?;
                waiting.extend(below);
                // A folder comes before those in it.
                done.push(folder);
            }
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
        let name = name::checked(&entry).map_err(failed(&folder.src))?;
        let (src, dst) = (name::join(&folder.src, name), name::join(&folder.dst, name));
        let there = there.remove(name);
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
            }),
            Kind::Symlink => link(context, &entry, &dst, there.as_ref(), folder.depth).await?,
            Kind::Other => context.progress.skipped(),
        }
    }
    Ok((folder, below))
}

/// Makes a link again when it stays inside the copied folder, and leaves it out otherwise: one
/// that leads elsewhere would mean something else on the other side, or open a way out.
async fn link(
    context: &Context,
    entry: &Entry,
    dst: &str,
    there: Option<&Entry>,
    depth: usize,
) -> Result<(), Stop> {
    let target = entry.target.as_deref().unwrap_or_default();
    let possible = context.dst.capabilities().links && name::link_stays_inside(target, depth);
    if !possible || there.is_some() {
        let same = there.is_some_and(|there| there.target.as_deref() == Some(target));
        if !same {
            context.progress.skipped();
        }
        return Ok(());
    }
    context.dst.link(target, dst).await.map_err(failed(dst))
}

/// Files that could not be copied while the others could.
#[derive(Default)]
struct Problems {
    first: Option<Failure>,
    count: u64,
}

impl Problems {
    fn into_result(self) -> Result<(), Stop> {
        let Some(mut failure) = self.first else {
            return Ok(());
        };
        if self.count > 1 {
            failure.message = format!("{} (and {} more files)", failure.message, self.count - 1);
        }
        Err(Stop::Failed {
            failure,
            retry: false,
        })
    }
}

async fn copy_all(
    context: &Context,
    mut found: mpsc::UnboundedReceiver<Job>,
) -> Result<Problems, Stop> {
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
    let mut problems = Problems::default();
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
                        problems.count += 1;
                        problems.first.get_or_insert(failure);
                    }
                    Err(stop) => return Err(stop),
                }
            }
            else => return Ok(problems),
        }
    }
}

/// Failures that say nothing about the other files.
fn is_of_one_file(code: FailureCode) -> bool {
    matches!(
        code,
        FailureCode::NotFound
            | FailureCode::PermissionDenied
            | FailureCode::SourceChanged
            | FailureCode::IsADirectory
    )
}

fn weight(job: &Job, room: usize) -> usize {
    let weight = match job.entry.size {
        size if size >= LARGE.0 => LARGE.1,
        size if size >= MIDDLE.0 => MIDDLE.1,
        _ => 1,
    };
    weight.min(room)
}

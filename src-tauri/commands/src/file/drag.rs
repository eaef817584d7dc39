//! Files of sessions and data folders dragged out of the window, onto the desktop's file manager.
//!
//! Nothing is fetched before a program asks. One that says where to save (the protocol XDS) gets a
//! transfer straight to that place. One that wants addresses of whole files gets them once all is
//! in a private directory of ours; that is offered only where it takes moments.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::context::Context;
use crate::host::{DragAsk, DragOffer, Dropped};
use crate::types::{
    DragOutEnd, Failure, FailureCode, FileDragOut, FileDraggedOut, FileEntry, FileKind, FileRef,
    Links, Location, Nothing, Overwrite, TransferItem, TransferList, TransferRef, TransferStart,
    TransferState,
};

/// Bytes that a program is kept waiting for; more goes straight to where it says.
const LARGEST: u64 = 64 * 1024 * 1024;
/// Entries of directories, likewise: each costs a message to the session and back.
const MOST: usize = 500;
/// The drag begins at the latest then, whether all has been counted or not: the user's hand is on
/// its way.
const COUNTING: Duration = Duration::from_millis(500);
/// Programs give up about then: GTK after 30 s.
const PATIENCE: Duration = Duration::from_secs(25);
/// How often the queue is asked whether it is done.
const LOOK: Duration = Duration::from_millis(50);
/// The program that took them may copy for long.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs until the drag is over.
pub(crate) async fn out(
    context: &Context,
    request: FileDragOut,
) -> Result<FileDraggedOut, Failure> {
    let first = check(&request)?.to_owned();
    let is_small = match request.bytes {
        Some(bytes) => bytes <= LARGEST && request.names.len() <= MOST,
        None => {
            let counted = tokio::time::timeout(COUNTING, is_small(context, &request)).await;
            counted.unwrap_or(Ok(false))?
        }
    };
    let label = match request.names.len() {
        1 => first.clone(),
        more => format!("{first} + {}", more - 1),
    };
    let offer = DragOffer {
        label,
        name: first,
        has_addresses: is_small,
    };
    let (asks, asked) = mpsc::unbounded_channel();
    let mut drag = Drag {
        context,
        request,
        saving: None,
        staging: None,
    };
    let dropped = drag
        .serve(context.host().drag_out(offer, asks), asked)
        .await?;
    drag.end(dropped, is_small).await
}

/// The first name. All must be names alone: they become paths on this computer.
fn check(request: &FileDragOut) -> Result<&str, Failure> {
    let bad =
        |name: &&String| matches!(name.as_str(), "" | "." | "..") || name.contains(['/', '\0']);
    if let Some(name) = request.names.iter().find(bad) {
        let message = format!("\"{name}\" is not the name of a file");
        return Err(Failure::new(FailureCode::BadPath, message));
    }
    let first = request.names.first();
    first
        .map(String::as_str)
        .ok_or_else(|| Failure::new(FailureCode::InvalidInput, "there is nothing to drag"))
}

/// Whether everything is known to be there in moments.
async fn is_small(context: &Context, request: &FileDragOut) -> Result<bool, Failure> {
    let all = entries(context, request.from.clone()).await?;
    let mut all: HashMap<&str, &FileEntry> = all.iter().map(|it| (it.name.as_str(), it)).collect();
    let mut budget = Budget::new(request.links);
    let mut directories = Vec::new();
    for name in &request.names {
        let entry = all.remove(name.as_str()).ok_or_else(|| {
            let message = format!("{name} is not there any more");
            Failure::new(FailureCode::FileNotFound, message)
        })?;
        if !budget.take(entry) {
            return Ok(false);
        }
        if entry.kind == FileKind::Directory {
            directories.push(below(&request.from, name));
        }
    }
    while let Some(directory) = directories.pop() {
        for entry in entries(context, directory.clone()).await? {
            if !budget.take(&entry) {
                return Ok(false);
            }
            if entry.kind == FileKind::Directory {
                directories.push(below(&directory, &entry.name));
            }
        }
    }
    Ok(true)
}

async fn entries(context: &Context, location: Location) -> Result<Vec<FileEntry>, Failure> {
    Ok(super::list(context, FileRef { location }).await?.entries)
}

struct Budget {
    bytes: u64,
    entries: usize,
    links: Links,
}

impl Budget {
    fn new(links: Links) -> Self {
        Self {
            bytes: LARGEST,
            entries: MOST,
            links,
        }
    }

    /// Whether there is room for this one too.
    fn take(&mut self, entry: &FileEntry) -> bool {
        let bytes = match entry.kind {
            FileKind::File => entry.size,
            // Nobody knows how much it leads to.
            FileKind::Symlink if self.links == Links::Follow => return false,
            _ => 0,
        };
        match (self.bytes.checked_sub(bytes), self.entries.checked_sub(1)) {
            (Some(bytes), Some(entries)) => {
                (self.bytes, self.entries) = (bytes, entries);
                true
            }
            _ => false,
        }
    }
}

fn below(location: &Location, name: &str) -> Location {
    let joined = |path: &str| match path {
        "" => name.to_owned(),
        path => super::join(path, name),
    };
    match location {
        Location::Local { path } => Location::Local { path: joined(path) },
        Location::Session { session, path } => Location::Session {
            session: session.clone(),
            path: joined(path),
        },
        Location::Folder { folder, path } => Location::Folder {
            folder: folder.clone(),
            path: joined(path),
        },
    }
}

/// The paths of what was fetched.
type Fetched = Shared<BoxFuture<'static, Result<Vec<PathBuf>, Failure>>>;

struct Drag<'a> {
    context: &'a Context,
    request: FileDragOut,
    saving: Option<Result<PathBuf, Failure>>,
    staging: Option<(PathBuf, Fetched)>,
}

impl Drag<'_> {
    /// Gives the programs around what they ask for, until it is dropped.
    async fn serve(
        &mut self,
        mut drag: BoxFuture<'_, Result<Dropped, Failure>>,
        mut asked: mpsc::UnboundedReceiver<DragAsk>,
    ) -> Result<Dropped, Failure> {
        loop {
            tokio::select! {
                biased;
                Some(ask) = asked.recv() => match ask {
                    DragAsk::Save(path, answer) => self.save(path, answer).await,
                    DragAsk::Paths(answer) => self.fetch(answer),
                },
                dropped = &mut drag => return dropped,
            }
        }
    }

    /// Saves to the place that the program said. Of several only the directory counts: the
    /// protocol knows one name.
    async fn save(&mut self, path: PathBuf, answer: oneshot::Sender<bool>) {
        let single = self.request.names.len() == 1;
        let directory = path.parent().unwrap_or(&path).to_owned();
        let to = |name: &str| match single {
            true => path.clone(),
            false => directory.join(name),
        };
        let started = start(self.context, &self.request, to, Overwrite::Ask).await;
        // A program that is gone has asked for it all the same.
        let _ = answer.send(started.is_ok());
        self.saving = Some(started.map(|_| directory));
    }

    /// Answers once everything is there. Asked again, it is the same files.
    fn fetch(&mut self, answer: oneshot::Sender<Option<Vec<PathBuf>>>) {
        let (_, fetched) = self.staging.get_or_insert_with(|| {
            let directory = staging(self.context).join(Uuid::new_v4().to_string());
            let fetched = fetched(
                self.context.clone(),
                self.request.clone(),
                directory.clone(),
            );
            (directory, fetched.boxed().shared())
        });
        let fetched = fetched.clone();
        tokio::spawn(async move {
            let paths = tokio::time::timeout(PATIENCE, fetched).await;
            // A program that is gone needs none.
            let _ = answer.send(paths.ok().and_then(Result::ok));
        });
    }

    async fn end(self, dropped: Dropped, is_small: bool) -> Result<FileDraggedOut, Failure> {
        let ended = |end| FileDraggedOut {
            end,
            directory: None,
        };
        if let Some(saving) = self.saving {
            if let Some((directory, _)) = self.staging {
                give_up(self.context, &directory).await;
            }
            return Ok(FileDraggedOut {
                end: DragOutEnd::Saving,
                directory: Some(saving?.display().to_string()),
            });
        }
        let Some((directory, fetched)) = self.staging else {
            return Ok(ended(match dropped {
                Dropped::Inside => DragOutEnd::Inside,
                Dropped::Refused if !is_small => DragOutEnd::TooLarge,
                _ => DragOutEnd::Nowhere,
            }));
        };
        // What is whole by now was handed over.
        match (dropped, fetched.now_or_never()) {
            (Dropped::Outside, Some(Ok(_))) => return Ok(ended(DragOutEnd::Fetched)),
            (Dropped::Outside, Some(Err(failure))) => {
                remove(&directory).await;
                return Err(failure);
            }
            _ => give_up(self.context, &directory).await,
        }
        Ok(ended(match dropped {
            Dropped::Inside => DragOutEnd::Inside,
            // It waited as long as it could.
            Dropped::Outside => DragOutEnd::TooLarge,
            _ => DragOutEnd::Nowhere,
        }))
    }
}

/// Puts the copies into the queue.
async fn start(
    context: &Context,
    request: &FileDragOut,
    to: impl Fn(&str) -> PathBuf,
    overwrite: Overwrite,
) -> Result<TransferList, Failure> {
    let items = request.names.iter().map(|name| TransferItem {
        src: below(&request.from, name),
        dst: Location::Local {
            path: to(name).display().to_string(),
        },
    });
    let start = TransferStart {
        items: items.collect(),
        overwrite,
        links: request.links,
        checksum: request.checksum,
        limit_bps: None,
        remove_source: false,
    };
    match context.seat().host() {
        Some(_) => crate::transfer::start(context, start).await,
        None => elsewhere(context, "transfer.start", &start).await,
    }
}

/// Asks the process that owns the transfers.
async fn elsewhere<T: DeserializeOwned>(
    context: &Context,
    name: &str,
    request: &(impl Serialize + Sync),
) -> Result<T, Failure> {
    let payload = crate::table::encode(request)?;
    let answer = crate::socket::forward(context, name, payload).await?;
    serde_json::from_value(answer).map_err(|error| Failure::new(FailureCode::Internal, error))
}

async fn transfers(context: &Context) -> Result<TransferList, Failure> {
    match context.seat().host() {
        Some(_) => crate::transfer::list(context, Nothing {}).await,
        None => elsewhere(context, "transfer.list", &Nothing {}).await,
    }
}

/// Where files wait for the program that they were dropped onto.
fn staging(context: &Context) -> PathBuf {
    context.paths().state_dir.join("dragged")
}

/// Fetches everything into a directory of its own.
async fn fetched(
    context: Context,
    request: FileDragOut,
    directory: PathBuf,
) -> Result<Vec<PathBuf>, Failure> {
    sweep(&context).await;
    settings::private_dir(&staging(&context))?;
    settings::private_dir(&directory)?;
    let to = |name: &str| directory.join(name);
    let started = start(&context, &request, to, Overwrite::Always).await?;
    for transfer in started.transfers {
        arrived(&context, &transfer.id).await?;
    }
    Ok(request.names.iter().map(|name| to(name)).collect())
}

async fn arrived(context: &Context, id: &str) -> Result<(), Failure> {
    loop {
        let all = transfers(context).await?.transfers;
        let Some(transfer) = all.into_iter().find(|it| it.id == id) else {
            return Err(Failure::new(
                FailureCode::TransferNotFound,
                "it was forgotten",
            ));
        };
        match transfer.state {
            TransferState::Done => return Ok(()),
            TransferState::Failed | TransferState::Cancelled => {
                let cancelled = || Failure::new(FailureCode::Cancelled, "it was cancelled");
                return Err(transfer.failure.unwrap_or_else(cancelled));
            }
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}

/// Ends what fetches into a directory, and removes it.
async fn give_up(context: &Context, directory: &Path) {
    let under_way = transfers(context).await.map(|list| list.transfers);
    for transfer in under_way.unwrap_or_default() {
        let is_ours = Path::new(transfer.dst.path()).starts_with(directory);
        if !is_ours || transfer.state == TransferState::Done {
            continue;
        }
        let request = TransferRef { id: transfer.id };
        let ended = match context.seat().host() {
            Some(_) => crate::transfer::cancel(context, request).await.map(drop),
            None => elsewhere(context, "transfer.cancel", &request).await,
        };
        if let Err(failure) = ended {
            tracing::debug!(%failure, "a transfer could not be cancelled");
        }
    }
    remove(directory).await;
}

async fn remove(directory: &Path) {
    if let Err(error) = tokio::fs::remove_dir_all(directory).await
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, directory = %directory.display(), "dragged files stay");
    }
}

/// Removes what was dragged out long ago.
pub(crate) async fn sweep(context: &Context) {
    let directory = staging(context);
    let old = |at: SystemTime| at.elapsed().is_ok_and(|age| age > KEPT);
    let Ok(mut all) = tokio::fs::read_dir(&directory).await else {
        return;
    };
    while let Ok(Some(entry)) = all.next_entry().await {
        let data = entry.metadata().await;
        if data.and_then(|data| data.modified()).is_ok_and(old) {
            remove(&entry.path()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: FileKind, size: u64) -> FileEntry {
        FileEntry {
            name: "name".to_owned(),
            kind,
            size,
            modified: None,
            mode: None,
            target: None,
        }
    }

    fn request(names: &[&str]) -> FileDragOut {
        FileDragOut {
            from: Location::Folder {
                folder: "data".to_owned(),
                path: String::new(),
            },
            names: names.iter().map(|&name| name.to_owned()).collect(),
            bytes: None,
            links: Links::Keep,
            checksum: false,
        }
    }

    #[test]
    fn only_names_become_paths_of_this_computer() {
        assert_eq!(check(&request(&["a", ".b"])).expect("good"), "a");
        for bad in [&["a", "../b"][..], &[".."], &[""], &["a\0"], &[]] {
            assert!(check(&request(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_has_no_known_end_is_not_small() {
        let mut budget = Budget::new(Links::Keep);
        assert!(budget.take(&entry(FileKind::File, LARGEST)));
        assert!(budget.take(&entry(FileKind::Symlink, 100)));
        assert!(!budget.take(&entry(FileKind::File, 1)));
        assert!(!Budget::new(Links::Follow).take(&entry(FileKind::Symlink, 1)));
        let mut budget = Budget::new(Links::Keep);
        let fits = (0..).take_while(|_| budget.take(&entry(FileKind::Directory, 4096)));
        assert_eq!(fits.count(), MOST);
    }

    #[test]
    fn a_file_at_the_root_of_a_folder_has_no_slash_before_it() {
        let from = request(&[]).from;
        let inner = below(&from, "a");
        assert_eq!(inner.path(), "a");
        assert_eq!(below(&inner, "b").path(), "a/b");
    }
}

//! Files of sessions and data folders in the user's own editor: a copy on this computer, put back
//! whenever it is saved, unless the file was changed elsewhere meanwhile.
//!
//! Copies lie in a private directory with a note beside each, so that an editor that stays open
//! while the program is started anew is still listened to.

mod live;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::content;
use crate::context::Context;
use crate::failure::io;
use crate::types::{
    Failure, FailureCode, FileEdit, FileEditList, FileEditRef, FileEditResolve, FileEditState,
    FileKind, FileRef, Keep, Location, Nothing, Settings, Tag,
};

/// Larger files are moved, not edited in place.
const LARGEST: u64 = 64 * 1024 * 1024;
/// How often copies are looked at. A look costs one `stat` for each file that is open.
const LOOK: Duration = Duration::from_millis(600);
/// Up to this size the content decides whether a file was changed; times of sessions count
/// seconds only.
const COMPARED: u64 = 4 * 1024 * 1024;
const NOTE: &str = ".gangway-edit.json";
const BASE: &str = ".gangway-base";

/// The files that are open.
#[derive(Default)]
pub(crate) struct Edits {
    open: Mutex<Option<Vec<Arc<Edit>>>>,
}

impl Edits {
    fn open(&self) -> MutexGuard<'_, Option<Vec<Arc<Edit>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Edit {
    note: Note,
    folder: PathBuf,
    /// One saving at a time.
    turn: tokio::sync::Mutex<()>,
    now: Mutex<Now>,
}

/// What is written beside a copy.
#[derive(Clone, Serialize, Deserialize)]
struct Note {
    id: String,
    profile: String,
    location: Location,
    name: String,
}

struct Now {
    state: FileEditState,
    saved_at: Option<Timestamp>,
    saves: u32,
    failure: Option<Failure>,
    /// When it is put back once more, after a failure that may pass.
    again: Option<Instant>,
    /// The copy as it was when it was last put back or fetched.
    seen: Option<Stamp>,
    /// The file as it was then.
    theirs: Option<(u64, Option<Timestamp>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: Option<SystemTime>,
}

fn stamp(path: &Path) -> Option<Stamp> {
    let data = std::fs::metadata(path).ok()?;
    Some(Stamp {
        size: data.len(),
        modified: data.modified().ok(),
    })
}

impl Edit {
    fn copy(&self) -> PathBuf {
        self.folder.join(&self.note.name)
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self) -> FileEdit {
        let state = self.state();
        let now = self.now();
        FileEdit {
            id: self.note.id.clone(),
            location: self.note.location.clone(),
            copy: self.copy().display().to_string(),
            state,
            saved_at: now.saved_at,
            saves: now.saves,
            failure: now.failure.clone(),
        }
    }
}

fn folder(context: &Context) -> PathBuf {
    context.paths().state_dir.join("edits")
}

impl Context {
    /// The files that are open; at first use those of the program's last run are taken up.
    fn open_edits(&self) -> Vec<Arc<Edit>> {
        let mut open = self.edits().open();
        if let Some(open) = &*open {
            return open.clone();
        }
        let found = taken_up(&folder(self));
        *open = Some(found.clone());
        tokio::spawn(listen(self.clone()));
        found
    }

    /// Listens to the files of the program's last run, if any were left open: an editor may have
    /// saved one while nobody listened.
    pub(crate) fn listen_to_left_edits(&self) {
        let left = std::fs::read_dir(folder(self)).is_ok_and(|mut all| all.next().is_some());
        if left {
            self.open_edits();
        }
    }

    fn edit(&self, id: &str) -> Result<Arc<Edit>, Failure> {
        let found = self.open_edits().into_iter().find(|it| it.note.id == id);
        found.ok_or_else(|| Failure::new(FailureCode::NotFound, "this file is not open"))
    }

    fn change_edits(&self, change: impl FnOnce(&mut Vec<Arc<Edit>>)) {
        self.open_edits();
        let mut open = self.edits().open();
        change(open.get_or_insert_default());
        drop(open);
        self.changed(Tag::File, None);
    }
}

fn taken_up(folder: &Path) -> Vec<Arc<Edit>> {
    let Ok(all) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    all.filter_map(Result::ok)
        .filter_map(|one| {
            let folder = one.path();
            let text = std::fs::read(folder.join(NOTE)).ok()?;
            let note: Note = serde_json::from_slice(&text).ok()?;
            let base = stamp(&folder.join(BASE))?;
            let now = Now {
                state: FileEditState::Same,
                saved_at: None,
                saves: 0,
                failure: None,
                again: None,
                // What was saved while nobody listened has another time than the base.
                seen: Some(base),
                theirs: None,
            };
            Some(Arc::new(Edit {
                note,
                folder,
                turn: tokio::sync::Mutex::default(),
                now: Mutex::new(now),
            }))
        })
        .collect()
}

pub(crate) async fn list(context: &Context, _: Nothing) -> Result<FileEditList, Failure> {
    let mut edits: Vec<FileEdit> = context.open_edits().iter().map(|it| it.shown()).collect();
    edits.reverse();
    Ok(FileEditList { edits })
}

/// Opens a file in the editor of the settings, or in what the desktop opens such files with.
pub(crate) async fn open(context: &Context, request: FileRef) -> Result<FileEditList, Failure> {
    let location = request.location;
    if let Location::Local { path } = &location {
        let path = super::local_path(path)?;
        content::stat(context, &location).await?;
        start_editor(context, &path)?;
        return list(context, Nothing {}).await;
    }
    let known = context
        .open_edits()
        .into_iter()
        .find(|it| it.note.location == location);
    let edit = match known {
        Some(edit) => {
            write_note(&edit)?;
            edit
        }
        None => fetch(context, location).await?,
    };
    start_editor(context, &edit.copy())?;
    list(context, Nothing {}).await
}

async fn fetch(context: &Context, location: Location) -> Result<Arc<Edit>, Failure> {
    let entry = content::stat(context, &location).await?;
    if entry.kind != FileKind::File {
        let message = format!("{} is no file", entry.name);
        return Err(Failure::new(FailureCode::BadPath, message));
    }
    if entry.size > LARGEST {
        let message = format!("{} is larger than 64 MiB", entry.name);
        return Err(Failure::new(FailureCode::Unsupported, message)
            .hint("copy it to this computer, change it there and copy it back"));
    }
    let bytes = content::read(context, &location, LARGEST).await?;
    let id = Uuid::new_v4().to_string();
    let folder = folder(context).join(&id);
    let note = Note {
        id,
        profile: context.profile_name()?,
        location,
        // A name from elsewhere never leads out of the folder, and never onto our own notes.
        name: match entry.name.trim_start_matches('.').replace(['/', '\\'], "_") {
            name if name.is_empty() => "file".to_owned(),
            name => name,
        },
    };
    let edit = Arc::new(Edit {
        note,
        folder,
        turn: tokio::sync::Mutex::default(),
        now: Mutex::new(Now {
            state: FileEditState::Same,
            saved_at: None,
            saves: 0,
            failure: None,
            again: None,
            seen: None,
            theirs: Some((entry.size, entry.modified)),
        }),
    });
    settings::private_dir(&edit.folder)?;
    write_note(&edit)?;
    keep_base(&edit, &bytes)?;
    context.change_edits(|edits| edits.push(edit.clone()));
    Ok(edit)
}

/// Its time tells when the file was opened last.
fn write_note(edit: &Edit) -> Result<(), Failure> {
    let text = serde_json::to_vec(&edit.note)
        .map_err(|error| Failure::new(FailureCode::Internal, error))?;
    let written = std::fs::write(edit.folder.join(NOTE), text);
    written.map_err(|error| io(&error, &edit.folder.display()))
}

/// The copy and the base that it is compared with, alike in content and time.
fn keep_base(edit: &Edit, bytes: &[u8]) -> Result<(), Failure> {
    let copy = edit.copy();
    let kept = std::fs::write(&copy, bytes).and_then(|()| remember_base(edit));
    kept.map_err(|error| io(&error, &copy.display()))
}

/// From now on the copy as it is counts as what was fetched.
fn remember_base(edit: &Edit) -> std::io::Result<()> {
    let (copy, base) = (edit.copy(), edit.folder.join(BASE));
    std::fs::copy(&copy, &base)?;
    let at = std::fs::metadata(&copy)?.modified()?;
    std::fs::File::options()
        .write(true)
        .open(&base)?
        .set_modified(at)?;
    edit.now().seen = stamp(&copy);
    Ok(())
}

fn start_editor(context: &Context, path: &Path) -> Result<(), Failure> {
    let settings: Settings = context.config()?.preferences()?;
    let editor = settings.editor.unwrap_or_default();
    let words = shell_words::split(&editor)
        .map_err(|error| Failure::new(FailureCode::BadConfig, format!("editor: {error}")))?;
    match words.split_first() {
        None => context.host().open_file(path),
        Some((program, arguments)) => crate::system::start_editor(program, arguments, path),
    }
}

/// Looks at all copies for as long as the program runs.
async fn listen(context: Context) {
    loop {
        tokio::time::sleep(LOOK).await;
        for edit in context.open_edits() {
            let here = stamp(&edit.copy());
            let changed = {
                let now = edit.now();
                here.is_some() && here != now.seen && now.state != FileEditState::Saving
            };
            let changed = changed || here.is_some() && edit.is_due();
            // Settled: an editor that is still writing is left alone until the next look.
            if changed && edit.turn.try_lock().is_ok() {
                tokio::time::sleep(LOOK / 3).await;
                if stamp(&edit.copy()) == here {
                    let context = context.clone();
                    tokio::spawn(async move { save(&context, &edit, None).await });
                }
            }
        }
    }
}

/// Puts the copy back. `decided`: the user has said which version stays.
async fn save(context: &Context, edit: &Arc<Edit>, decided: Option<Keep>) {
    let Ok(_turn) = edit.turn.try_lock() else {
        return;
    };
    edit.now().state = FileEditState::Saving;
    context.changed(Tag::File, Some(edit.note.id.clone()));
    let context = context.with_profile(Some(edit.note.profile.clone()));
    let before = stamp(&edit.copy());
    let outcome = put_back(&context, edit, decided).await;
    {
        let mut now = edit.now();
        now.failure = None;
        now.again = None;
        match outcome {
            Ok(Outcome::Saved) => {
                now.state = FileEditState::Same;
                now.saves += 1;
                now.saved_at = Some(Timestamp::now());
            }
            Ok(Outcome::Unchanged) => now.state = FileEditState::Same,
            Ok(Outcome::Conflict) => {
                now.state = FileEditState::Conflict;
                now.seen = before;
            }
            Err(failure) => {
                context.watch_logins();
                let passes = failure.retryable || failure.code.waits_for_login();
                now.again = passes.then(|| Instant::now() + live::AGAIN);
                now.state = match passes {
                    true => FileEditState::Waiting,
                    false => FileEditState::Failed,
                };
                now.failure = Some(failure);
                // Not again and again: what will not pass waits for the next saving.
                now.seen = before;
            }
        }
    }
    context.changed(Tag::File, Some(edit.note.id.clone()));
}

enum Outcome {
    Saved,
    Unchanged,
    Conflict,
}

async fn put_back(
    context: &Context,
    edit: &Edit,
    decided: Option<Keep>,
) -> Result<Outcome, Failure> {
    let location = &edit.note.location;
    let copy = edit.copy();
    let failed = |error: std::io::Error| io(&error, &copy.display());
    let mine = tokio::fs::read(&copy).await.map_err(failed)?;
    let base = tokio::fs::read(edit.folder.join(BASE)).await;
    let base = base.map_err(failed)?;
    if mine == base && decided.is_none() {
        remember_base(edit).map_err(failed)?;
        return Ok(Outcome::Unchanged);
    }
    match decided {
        None if is_changed_elsewhere(context, edit, &base).await? => {
            return Ok(Outcome::Conflict);
        }
        Some(Keep::Theirs) => {
            let theirs = content::read(context, location, LARGEST).await?;
            content::write(context, &beside(location), Bytes::from(mine)).await?;
            let entry = content::stat(context, location).await?;
            keep_base(edit, &theirs)?;
            edit.now().theirs = Some((entry.size, entry.modified));
            return Ok(Outcome::Unchanged);
        }
        None | Some(Keep::Mine) => {}
    }
    content::write(context, location, Bytes::from(mine)).await?;
    let entry = content::stat(context, location).await?;
    remember_base(edit).map_err(failed)?;
    edit.now().theirs = Some((entry.size, entry.modified));
    Ok(Outcome::Saved)
}

async fn is_changed_elsewhere(
    context: &Context,
    edit: &Edit,
    base: &[u8],
) -> Result<bool, Failure> {
    let location = &edit.note.location;
    let entry = match content::stat(context, location).await {
        Ok(entry) => entry,
        // Removed elsewhere: putting it back loses nothing.
        Err(failure) if failure.code == FailureCode::FileNotFound => return Ok(false),
        Err(failure) => return Err(failure),
    };
    if entry.size != base.len() as u64 {
        return Ok(true);
    }
    let theirs = edit.now().theirs;
    if entry.size > COMPARED && theirs == Some((entry.size, entry.modified)) {
        return Ok(false);
    }
    Ok(content::read(context, location, LARGEST).await? != base)
}

/// Where the editor's version goes when the other one stays.
fn beside(location: &Location) -> Location {
    let add = |path: &String| format!("{path}.mine");
    match location {
        Location::Local { path } => Location::Local { path: add(path) },
        Location::Session { session, path } => Location::Session {
            session: session.clone(),
            path: add(path),
        },
        Location::Folder { folder, path } => Location::Folder {
            folder: folder.clone(),
            path: add(path),
        },
    }
}

pub(crate) async fn resolve(
    context: &Context,
    request: FileEditResolve,
) -> Result<FileEditList, Failure> {
    let edit = context.edit(&request.id)?;
    save(context, &edit, Some(request.keep)).await;
    let failure = edit.now().failure.clone();
    match failure {
        Some(failure) => Err(failure),
        None => list(context, Nothing {}).await,
    }
}

/// Listens to a file no longer, and removes the copy.
pub(crate) async fn close(
    context: &Context,
    request: FileEditRef,
) -> Result<FileEditList, Failure> {
    let edit = context.edit(&request.id)?;
    let _turn = edit.turn.lock().await;
    context.change_edits(|edits| edits.retain(|it| it.note.id != request.id));
    if let Err(error) = std::fs::remove_dir_all(&edit.folder) {
        tracing::warn!(%error, "a copy could not be removed");
    }
    list(context, Nothing {}).await
}

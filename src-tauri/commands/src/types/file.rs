//! Files on this computer, in a session and in a data folder, and moving them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::Failure;

// The queue's own nouns are what the window sees of them.
pub use ::transfer::{Conflict, Location, Overwrite, State as TransferState};

/// What a directory entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, a socket, …
    Other,
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct FileEntry {
    /// Name without path.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// Bytes.
    pub size: u64,
    /// Last change of its content.
    #[ts(type = "string | null")]
    pub modified: Option<Timestamp>,
    /// POSIX permission bits.
    pub mode: Option<u32>,
    /// Where a link leads.
    pub target: Option<String>,
}

/// A directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct FileListing {
    /// The directory, its path made absolute.
    pub location: Location,
    /// Directories first, then by name.
    pub entries: Vec<FileEntry>,
}

/// Names one place.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct FileRef {
    /// The place.
    pub location: Location,
}

/// Gives a file another name or moves it within its place.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct FileRename {
    /// The file.
    pub location: Location,
    /// New path, in the same place.
    pub to: String,
}

/// Removes files; directories with all that is in them.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct FileRemove {
    /// What to remove.
    pub locations: Vec<Location>,
}

/// A place to start browsing from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Place {
    /// Key or name (`home`, `downloads`, …).
    pub name: String,
    /// Where it is.
    pub location: Location,
}

/// Places to start browsing from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct PlaceList {
    /// Home first.
    pub places: Vec<Place>,
}

/// What becomes of symbolic links in a directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Links {
    /// Those that stay inside the directory are made again; others are left out.
    #[default]
    Keep,
    /// What they lead to is copied in their place.
    Follow,
    /// They are left out.
    Skip,
}

/// What happens when the last transfer is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum OnFinish {
    /// Nothing.
    #[default]
    Nothing,
    /// The app ends, if nothing has failed. Holds once.
    Quit,
}

/// What holds for all transfers together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct TransferOptions {
    /// At most so many bytes a second.
    #[serde(default)]
    pub limit_bps: Option<u64>,
    /// What happens when the last one is over.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub on_finish: OnFinish,
}

/// Puts a transfer somewhere else in the order.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct TransferReorder {
    /// The transfer.
    pub id: String,
    /// The one that it comes before; to the end when absent.
    #[serde(default)]
    pub before: Option<String>,
}

/// A transfer of a file or a directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Transfer {
    /// Its id.
    pub id: String,
    /// From.
    pub src: Location,
    /// To.
    pub dst: Location,
    /// Where it is in its life.
    pub state: TransferState,
    /// Bytes moved.
    pub bytes: u64,
    /// Bytes in all, once counted.
    pub total: Option<u64>,
    /// Files moved.
    pub files: u64,
    /// Files in all, once counted.
    pub files_total: Option<u64>,
    /// Files left out: links that lead elsewhere, devices, and what stays as it is.
    pub skipped: u64,
    /// What was copied is removed from its old place.
    pub remove_source: bool,
    /// Files and directories that stay at their old place although they were to be moved: they
    /// came or were changed meanwhile, were left out, or can't be removed. Known at the end.
    pub source_left: u64,
    /// Bytes a second, lately.
    pub speed: Option<f64>,
    /// Seconds to go at this speed.
    pub eta_s: Option<f64>,
    /// Seconds that it has been running.
    pub seconds: f64,
    /// Checksum of a single file, when asked for.
    pub sha256: Option<String>,
    /// Why it stopped, or what it waits for.
    pub failure: Option<Failure>,
    /// What the user is asked.
    pub conflict: Option<Conflict>,
    /// When it was asked for.
    #[ts(type = "string")]
    pub created_at: Timestamp,
    /// When it ended.
    #[ts(type = "string | null")]
    pub finished_at: Option<Timestamp>,
}

/// All transfers that are remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct TransferList {
    /// Those that are not over in the order in which they are begun, then the others, newest
    /// first.
    pub transfers: Vec<Transfer>,
}

/// One thing to move.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct TransferItem {
    /// From.
    pub src: Location,
    /// To: the final path, or an existing directory (or any path that ends with `/`) that it is
    /// put into under its own name.
    pub dst: Location,
}

/// Starts transfers.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct TransferStart {
    /// What to move.
    pub items: Vec<TransferItem>,
    /// What to do when a file is in the way.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub overwrite: Overwrite,
    /// What becomes of symbolic links.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub links: Links,
    /// Compare SHA-256 of both ends afterwards.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub checksum: bool,
    /// At most so many bytes a second.
    #[serde(default)]
    pub limit_bps: Option<u64>,
    /// Remove what was moved from its old place, once all of it has arrived. What came or was
    /// changed there meanwhile stays.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub remove_source: bool,
}

/// Drags files of a session or a data folder out of the window: the pointer holds them.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct FileDragOut {
    /// The directory that they are in.
    pub from: Location,
    /// Their names there.
    pub names: Vec<String>,
    /// How many bytes they are together, where all are files whose sizes are known; else they are
    /// counted.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// What becomes of symbolic links.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub links: Links,
    /// Compare SHA-256 of both ends afterwards.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub checksum: bool,
}

/// How a drag out of the window ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum DragOutEnd {
    /// Given up, or let go where nothing takes files.
    Nowhere,
    /// Dropped onto the window itself, whose page knows what to do.
    Inside,
    /// Transfers to the place of the drop were started.
    Saving,
    /// The files were fetched, and the program that they were dropped onto copies them.
    Fetched,
    /// Let go over a program that takes only whole files, and there are too many bytes to fetch
    /// them while it waits.
    TooLarge,
}

/// The end of a drag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct FileDraggedOut {
    /// How it ended.
    pub end: DragOutEnd,
    /// Into which directory of this computer they go, where that is known.
    pub directory: Option<String>,
}

/// Names one transfer.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct TransferRef {
    /// The transfer.
    pub id: String,
}

/// Says what to do with a file that is in the way.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct TransferResolve {
    /// The transfer.
    pub id: String,
    /// What to do.
    pub overwrite: Overwrite,
}

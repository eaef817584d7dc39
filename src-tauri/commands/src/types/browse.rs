//! Looking into files, finding them, and opening them in the user's own editor.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{Failure, FileEntry, Location};

/// How the content of a file can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum FileViewKind {
    /// As text.
    Text,
    /// As a picture.
    Picture,
    /// Not at all.
    Binary,
    /// It is a directory.
    Directory,
}

/// A quick look at a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct FileView {
    /// The file, a link followed.
    pub entry: FileEntry,
    /// How it can be shown.
    pub kind: FileViewKind,
    /// The beginning of a text, at most 512 KiB.
    pub text: Option<String>,
    /// A picture of at most 16 MiB as a `data:` address.
    pub picture: Option<String>,
    /// Whether there is more than is shown.
    pub cut: bool,
}

/// Gives files other permissions.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct FileMode {
    /// The files.
    pub locations: Vec<Location>,
    /// POSIX permission bits, at most 0o7777.
    pub mode: u32,
}

/// Looks for files by name in a directory and all below it.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct FileSearch {
    /// The directory.
    pub location: Location,
    /// Part of the name, upper and lower case alike; `*` and `?` stand for what they do in a
    /// shell.
    pub query: String,
    /// Also in and among hidden files.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub hidden: bool,
}

/// A file that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct FoundFile {
    /// Where, from the directory that was searched.
    pub path: String,
    /// What.
    pub entry: FileEntry,
}

/// What a search has come to so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct FilesFound {
    /// Found since the last message.
    pub found: Vec<FoundFile>,
    /// Files and directories that were looked at in all.
    pub seen: u64,
    /// Directories that could not be read.
    pub unread: u64,
    /// Whether it stopped because there were too many (5,000).
    pub full: bool,
}

/// Where a file that is being edited is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum FileEditState {
    /// What the editor has is what is there.
    Same,
    /// What was saved in the editor is on its way.
    Saving,
    /// The file was changed elsewhere too; the user has to say which stays.
    Conflict,
    /// The manager is out of reach, or wants a new login: it is put back by itself after that.
    Waiting,
    /// It could not be put back; tried again when it is saved again.
    Failed,
}

/// A file that is open in the user's own editor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct FileEdit {
    /// Its id.
    pub id: String,
    /// The file.
    pub location: Location,
    /// The copy that the editor has.
    pub copy: String,
    /// Where it is.
    pub state: FileEditState,
    /// When it was put back last.
    #[ts(type = "string | null")]
    pub saved_at: Option<Timestamp>,
    /// How often it was put back.
    pub saves: u32,
    /// Why it could not be put back.
    pub failure: Option<Failure>,
}

/// Files that are open in the user's own editor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct FileEditList {
    /// The last one first.
    pub edits: Vec<FileEdit>,
}

/// Names one of them.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct FileEditRef {
    /// Its id.
    pub id: String,
}

/// Which of two versions stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The one of the editor.
    Mine,
    /// The one that was made elsewhere; the editor's is kept beside it as `<name>.mine`.
    Theirs,
}

/// Says which of two versions stays.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct FileEditResolve {
    /// Which file.
    pub id: String,
    /// Which version.
    pub keep: Keep,
}

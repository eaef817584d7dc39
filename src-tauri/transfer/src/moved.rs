//! What of a source was copied, for transfers that are to remove it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::copy::is_same_time;
use crate::store::{Entry, Kind};
use crate::work::lock;

/// What was copied, as it was when it was looked at before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum What {
    /// A file, or what a link that was followed leads to.
    File {
        /// Bytes.
        size: u64,
        /// When it was changed.
        modified: Option<Timestamp>,
    },
    /// A folder was looked through; what it holds is told one by one.
    Folder,
    /// A link was made again.
    Link {
        /// Where it leads.
        target: String,
    },
}

impl What {
    /// A file as it is listed.
    pub(crate) fn file(entry: &Entry) -> Self {
        Self::File {
            size: entry.size,
            modified: entry.modified,
        }
    }

    /// Whether `now` is still what was copied. Folders are, whatever they hold.
    pub(crate) fn is_still(&self, now: &Entry) -> bool {
        match self {
            Self::File { size, modified } => {
                now.kind == Kind::File && now.size == *size && is_same_time(now.modified, *modified)
            }
            Self::Folder => now.kind == Kind::Directory,
            Self::Link { target } => {
                now.kind == Kind::Symlink && now.target.as_deref() == Some(target)
            }
        }
    }

    /// Whether `copy` at the destination can be the copy of it.
    pub(crate) fn is_whole(&self, copy: &Entry) -> bool {
        match self {
            Self::File { size, .. } => copy.kind == Kind::File && copy.size == *size,
            Self::Folder => copy.kind == Kind::Directory,
            Self::Link { .. } => copy.kind == Kind::Symlink,
        }
    }
}

/// All that was copied of one transfer, by the path below its source: empty for the source itself.
#[derive(Default)]
pub(crate) struct Moved(Mutex<Table>);

#[derive(Default)]
struct Table {
    all: HashMap<String, What>,
    unstored: Vec<(String, What)>,
}

impl Moved {
    pub(crate) fn new(stored: Vec<(String, What)>) -> Self {
        Self(Mutex::new(Table {
            all: stored.into_iter().collect(),
            unstored: Vec::new(),
        }))
    }

    fn note(&self, below: &str, what: What) {
        let mut table = lock(&self.0);
        if table.all.get(below) != Some(&what) {
            table.unstored.push((below.to_owned(), what.clone()));
            table.all.insert(below.to_owned(), what);
        }
    }

    /// What has to be stored, once.
    pub(crate) fn unstored(&self) -> Vec<(String, What)> {
        std::mem::take(&mut lock(&self.0).unstored)
    }

    /// Storing them has failed.
    pub(crate) fn not_stored(&self, again: Vec<(String, What)>) {
        lock(&self.0).unstored.extend(again);
    }
}

/// [`Moved`] with the place of the source, which may change while what was copied stays the same.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) top: String,
    pub(crate) moved: Arc<Moved>,
}

impl Source {
    /// `path` was copied.
    pub(crate) fn note(&self, path: &str, what: What) {
        if let Some(below) = self.below(path) {
            self.moved.note(below, what);
        }
    }

    /// What was copied of `path`.
    pub(crate) fn get(&self, path: &str) -> Option<What> {
        lock(&self.moved.0).all.get(self.below(path)?).cloned()
    }

    /// Where the files that were copied are when `self.top` has become `top`.
    pub(crate) fn files_at(&self, top: &str) -> Vec<String> {
        let top = top.trim_end_matches('/');
        let is_file = |what: &What| matches!(what, What::File { .. });
        let table = lock(&self.moved.0);
        let files = table.all.iter().filter(|(_, what)| is_file(what));
        files.map(|(below, _)| format!("{top}{below}")).collect()
    }

    fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        let path = path.trim_end_matches('/');
        let below = path.strip_prefix(self.top.trim_end_matches('/'))?;
        (below.is_empty() || below.starts_with('/')).then_some(below)
    }
}

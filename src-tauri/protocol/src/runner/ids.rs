//! Which ids of the host stand behind the ids inside a session, and what is done to trees of files
//! that several of them own.

use std::{ffi::OsString, path::PathBuf};

use serde::{Deserialize, Serialize};

/// In the area of a session's overlay: what is mounted over, where files have several owners.
pub const PLACES_OF_ONE: &str = "places";

/// Ids that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// The first, inside.
    pub inside: u32,
    /// The first, on the host.
    pub host: u32,
    /// How many.
    pub count: u32,
}

/// All ids of a user namespace. The first range of each kind is the session's own id alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdPlan {
    /// User ids.
    pub users: Vec<IdRange>,
    /// Group ids.
    pub groups: Vec<IdRange>,
    /// Who may write them down; absent for root, who may.
    pub writers: Option<MapWriters>,
}

/// The programs through which ordinary users get ids that the system has set aside for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapWriters {
    /// `newuidmap`.
    pub users: PathBuf,
    /// `newgidmap`.
    pub groups: PathBuf,
}

/// Something to do with the tree below the current directory of `gangway-runner tree`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TreeOrder {
    /// Host user and group to become before anything else; absent when the engine is no root.
    pub become_user: Option<(u32, u32)>,
    /// The ids inside; without them everything is the session's.
    pub ids: Option<IdPlan>,
    /// What to do.
    pub work: TreeWork,
}

/// A file and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// Below the tree.
    pub path: OsString,
    /// Of the inside.
    pub user: u32,
    /// Of the inside.
    pub group: u32,
    /// Set-user-id and set-group-id bits, which no file has before it is its owner's.
    pub special: u32,
}

/// What is done with a tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TreeWork {
    /// Everything becomes root's of the inside, but for what is named.
    Own {
        /// What is not root's, or more than an ordinary file of its.
        others: Vec<Owned>,
    },
    /// Everything in the tree goes.
    Remove,
    /// What an overlay's upper directory holds is written to standard output as a layer.
    Pack,
}

//! Data folders: kept by the manager, mounted into sessions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What one may do in a data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum FolderPermission {
    /// Read.
    Ro,
    /// Read and write.
    Rw,
    /// Read, write and delete; an owner's permission.
    Wd,
}

/// A data folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Folder {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Storage that holds it.
    pub host: String,
    /// What the account may do in it.
    pub permission: FolderPermission,
    /// `general`, `model` or `data`.
    pub usage_mode: String,
    /// `user` or `group`.
    pub ownership_type: String,
    /// `ready`, `delete-pending`, …
    pub status: String,
    /// Who made it.
    pub owner: Option<String>,
    /// Whether the account owns it.
    pub is_owner: bool,
    /// When it was made.
    #[ts(type = "string | null")]
    pub created_at: Option<Timestamp>,
    /// Bytes in it, where known.
    pub used_bytes: Option<u64>,
    /// Files in it, where known.
    pub files: Option<u64>,
    /// Whether others may copy it.
    pub cloneable: bool,
}

/// Data folders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct FolderList {
    /// By name.
    pub folders: Vec<Folder>,
}

/// Which data folders.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, TS)]
#[serde(default)]
#[ts(optional_fields = nullable)]
pub struct FolderListRequest {
    /// Those in the trash instead.
    #[ts(optional, as = "Option<_>")]
    pub trash: bool,
}

/// Makes a data folder.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct FolderCreate {
    /// Up to 64 characters; one that starts with a dot is mounted into every session.
    pub name: String,
    /// `general` when absent.
    #[serde(default)]
    pub usage_mode: Option<String>,
    /// `rw` when absent.
    #[serde(default)]
    pub permission: Option<FolderPermission>,
    /// Whether others may copy it whole.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub cloneable: bool,
}

/// Copies a data folder into a new one of the account's own.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct FolderClone {
    /// Name or id of one that may be copied.
    pub folder: String,
    /// The new folder's name: up to 64 characters.
    pub name: String,
    /// `general` when absent.
    #[serde(default)]
    pub usage_mode: Option<String>,
    /// `rw` when absent.
    #[serde(default)]
    pub permission: Option<FolderPermission>,
    /// Whether others may copy the new folder.
    #[serde(default)]
    #[ts(optional, as = "Option<_>")]
    pub cloneable: bool,
}

/// Names one data folder.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct FolderRef {
    /// Name or id.
    pub folder: String,
}

/// Gives a data folder another name.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct FolderRename {
    /// Name or id.
    pub folder: String,
    /// The new name.
    pub name: String,
}

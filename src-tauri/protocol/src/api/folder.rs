//! Virtual folders (protocol page "Virtual folders").

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::session::UnknownValue;

/// The body of `POST /folders`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Create {
    /// Its name, see [`crate::name::check_folder`].
    pub name: String,
    /// `<proxy>:<volume>`; the default host when absent.
    #[serde(
        alias = "folder_host",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub host: Option<String>,
    /// `general`, `model` or `data`.
    #[serde(default = "general")]
    pub usage_mode: String,
    /// What the owner may do.
    #[serde(default)]
    pub permission: Permission,
    /// The project, for a project's folder.
    #[serde(alias = "groupId", default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Whether others may copy it whole.
    #[serde(default)]
    pub cloneable: bool,
}

fn general() -> String {
    "general".to_owned()
}

/// The body of `POST /folders/{name}/clone`. The new folder is the caller's own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CloneRequest {
    /// The new folder's name, see [`crate::name::check_folder`].
    pub target_name: String,
    /// `<proxy>:<volume>`; where the folder is when absent.
    #[serde(
        alias = "folder_host",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub target_host: Option<String>,
    /// `user:<uuid>`; the caller's when absent.
    #[serde(
        alias = "targetQuotaScopeId",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub target_quota_scope_id: Option<String>,
    /// `general`, `model` or `data`.
    #[serde(default = "general")]
    pub usage_mode: String,
    /// What the owner may do.
    #[serde(default)]
    pub permission: Permission,
    /// Whether others may copy it whole.
    #[serde(default)]
    pub cloneable: bool,
}

/// What `POST /folders/{name}/clone` answers, as far as it is needed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cloned {
    /// The new folder: 32 hexadecimal digits, or a UUID.
    pub id: String,
    /// The task that copies; follow it with `/events/background-task`.
    pub bgtask_id: Uuid,
}

/// What may be done in a folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Read.
    Ro,
    /// Read and write.
    #[default]
    Rw,
    /// Read, write and delete.
    Wd,
}

impl Permission {
    /// As on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ro => "ro",
            Self::Rw => "rw",
            Self::Wd => "wd",
        }
    }

    /// Whether files may be changed.
    pub const fn may_write(self) -> bool {
        !matches!(self, Self::Ro)
    }
}

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Permission {
    type Err = UnknownValue;

    fn from_str(text: &str) -> Result<Self, UnknownValue> {
        [Self::Ro, Self::Rw, Self::Wd]
            .into_iter()
            .find(|permission| permission.as_str() == text)
            .ok_or_else(|| UnknownValue {
                kind: "Permission",
                text: text.to_owned(),
            })
    }
}

/// One row of `GET /folders`, and what `POST /folders` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Item {
    /// 32 hexadecimal digits, no hyphens.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `user:<uuid>` or `project:<uuid>`.
    #[serde(default)]
    pub quota_scope_id: Option<String>,
    /// `<proxy>:<volume>`.
    pub host: String,
    /// `general`, `model` or `data`.
    #[serde(default = "general")]
    pub usage_mode: String,
    /// When it was made.
    #[serde(default)]
    pub created_at: String,
    /// What the caller may do.
    pub permission: Permission,
    /// The maker's e-mail address.
    #[serde(default)]
    pub creator: Option<String>,
    /// `user` or `group`.
    #[serde(default)]
    pub ownership_type: Option<String>,
    /// The owning user.
    #[serde(default)]
    pub user: Option<Uuid>,
    /// The owning project.
    #[serde(default)]
    pub group: Option<Uuid>,
    /// Whether others may copy it whole.
    #[serde(default)]
    pub cloneable: bool,
    /// `ready`, `delete-pending`, …
    #[serde(default)]
    pub status: Option<String>,
    /// Whether the caller owns it.
    #[serde(default)]
    pub is_owner: bool,
    /// Only older managers fill it.
    #[serde(default)]
    pub user_email: Option<String>,
    /// Only older managers fill it.
    #[serde(default)]
    pub group_name: Option<String>,
    /// `user` or `group`; only older managers fill it.
    #[serde(rename = "type", default)]
    pub kind: Option<String>,
    /// Only older managers fill it.
    #[serde(default)]
    pub max_size: Option<u64>,
    /// Only older managers fill it.
    #[serde(default)]
    pub max_files: u64,
    /// Only older managers fill it.
    #[serde(default)]
    pub cur_size: u64,
}

/// What `GET /folders/{name}` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Info {
    /// Its name.
    pub name: String,
    /// 32 hexadecimal digits, no hyphens.
    pub id: String,
    /// `user:<uuid>` or `project:<uuid>`.
    #[serde(default)]
    pub quota_scope_id: Option<String>,
    /// `<proxy>:<volume>`.
    pub host: String,
    /// `ready`, `delete-pending`, …
    #[serde(default)]
    pub status: Option<String>,
    /// How many files.
    #[serde(rename = "numFiles", default)]
    pub num_files: u64,
    /// Bytes in use.
    #[serde(default)]
    pub used_bytes: u64,
    /// When it was made.
    #[serde(default)]
    pub created_at: String,
    /// When it was last mounted.
    #[serde(default)]
    pub last_used: Option<String>,
    /// The owning user.
    #[serde(default)]
    pub user: Option<String>,
    /// The owning project.
    #[serde(default)]
    pub group: Option<String>,
    /// `user` or `group`.
    #[serde(rename = "type", default)]
    pub kind: Option<String>,
    /// Whether the caller owns it.
    #[serde(default)]
    pub is_owner: bool,
    /// What the caller may do.
    pub permission: Permission,
    /// `general`, `model` or `data`.
    #[serde(default = "general")]
    pub usage_mode: String,
    /// Whether others may copy it whole.
    #[serde(default)]
    pub cloneable: bool,
}

/// What an entry of a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EntryKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}

/// One entry of `GET /folders/{name}/files`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// The last part of its path.
    #[serde(alias = "filename")]
    pub name: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: EntryKind,
    /// Bytes.
    pub size: u64,
    /// `st_mode`.
    #[serde(deserialize_with = "mode")]
    pub mode: u32,
    /// ISO 8601.
    #[serde(default, alias = "ctime")]
    pub created: String,
    /// ISO 8601.
    #[serde(default, alias = "mtime")]
    pub modified: String,
}

/// A number, or its rights as octal digits in a text, as managers of 23.09 write them.
fn mode<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(u32),
        Octal(String),
    }
    match Written::deserialize(deserializer)? {
        Written::Number(mode) => Ok(mode),
        Written::Octal(text) => u32::from_str_radix(&text, 8).map_err(serde::de::Error::custom),
    }
}

/// What `GET /folders/{name}/files` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entries {
    /// The entries, in no order.
    pub items: Vec<Entry>,
}

/// The body of `POST /folders/{name}/request-upload`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RequestUpload {
    /// Where the file goes, relative to the folder.
    pub path: String,
    /// Its bytes in all.
    pub size: u64,
}

/// The body of `POST /folders/{name}/request-download`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RequestDownload {
    /// The file or directory, relative to the folder.
    #[serde(alias = "file")]
    pub path: String,
    /// A directory as one zip.
    #[serde(default)]
    pub archive: bool,
}

/// What both of them answer: add `?token=` to the address.
#[derive(Clone, Serialize, Deserialize)]
pub struct StorageAddress {
    /// Opens the address for a while; a secret.
    pub token: String,
    /// The storage's client-facing address.
    pub url: String,
}

impl std::fmt::Debug for StorageAddress {
    /// Everything but the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StorageAddress")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// The body of `POST /folders/{name}/mkdir`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mkdir {
    /// One path or at most 50.
    pub path: OneOrMany,
    /// Make what is missing above it.
    #[serde(default = "parents")]
    pub parents: bool,
    /// Being there already is no failure.
    #[serde(default)]
    pub exist_ok: bool,
}

fn parents() -> bool {
    true
}

/// A text, or a list of texts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl OneOrMany {
    /// All of them.
    pub fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}

/// The body of `POST /folders/{name}/delete-files`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeleteFiles {
    /// Paths relative to the folder.
    pub files: Vec<String>,
    /// Directories with what is in them.
    #[serde(default)]
    pub recursive: bool,
}

/// The body of `POST /folders/{name}/move-file`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MoveFile {
    /// From, relative to the folder.
    pub src: String,
    /// To, relative to the folder.
    pub dst: String,
}

/// The body of the calls that name a folder by id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ById {
    /// With or without hyphens.
    #[serde(alias = "vfolderId", alias = "vfolder_id")]
    pub id: Uuid,
}

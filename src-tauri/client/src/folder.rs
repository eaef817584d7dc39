//! Data folders and the files in them.

use protocol::api::folder::{
    ById, CloneRequest, Cloned, Create, DeleteFiles, Entries, Entry, Info, Item, Mkdir, MoveFile,
    OneOrMany, RequestDownload, RequestUpload, StorageAddress,
};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::call::Call;
use crate::{Client, Error};

/// Each path of a request has an outcome of its own.
#[derive(Default, Deserialize)]
struct Made {
    #[serde(default)]
    results: MadeResults,
}

#[derive(Default, Deserialize)]
struct MadeResults {
    #[serde(default)]
    failed: Vec<MadeItem>,
}

#[derive(Deserialize)]
struct MadeItem {
    msg: Option<String>,
}

impl Client {
    /// Folders that the account may use, those in the trash too.
    ///
    /// # Errors
    /// When the manager refuses or can't be reached.
    pub async fn folders(&self) -> Result<Vec<Item>, Error> {
        self.json(Call::get(&["folders"])).await
    }

    /// One folder with its use.
    ///
    /// # Errors
    /// [`Error::Manager`] with 404 when there is none.
    pub async fn folder(&self, name: &str) -> Result<Info, Error> {
        self.json(Call::get(&["folders", name])).await
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// [`Error::Manager`] when the name is taken or a limit is reached.
    pub async fn create_folder(&self, create: &Create) -> Result<Item, Error> {
        self.json(Call::post(&["folders"]).json(create)?).await
    }

    /// Starts to copy a folder into a new one of the account's own. Follow the task to its end.
    ///
    /// # Errors
    /// [`Error::Manager`] when the folder may not be cloned, the name is taken or a limit is reached.
    pub async fn clone_folder(&self, folder: &str, clone: &CloneRequest) -> Result<Cloned, Error> {
        self.json(
            Call::post(&["folders", folder, "clone"])
                .json(clone)?
                .works(),
        )
        .await
    }

    /// Gives a folder another name.
    ///
    /// # Errors
    /// [`Error::Manager`] when the name is taken.
    pub async fn rename_folder(&self, folder: &str, name: &str) -> Result<(), Error> {
        let body = json!({ "new_name": name });
        self.done(Call::post(&["folders", folder, "rename"]).json(&body)?)
            .await
    }

    /// Puts a folder, named or by its id, into the trash.
    ///
    /// # Errors
    /// [`Error::Manager`] when it is in use.
    pub async fn trash_folder(&self, folder: &str) -> Result<(), Error> {
        let Ok(id) = Uuid::parse_str(folder) else {
            return self.done(Call::delete(&["folders", folder])).await;
        };
        // A real manager takes only a name in the address. From API version 9 on (26.9 is known
        // to) it takes the id in the body; of older ones only administrators may ask so.
        self.announcement().await?;
        if self.version().major >= 9 {
            let call = Call::delete(&["folders"]).json(&ById { id })?;
            return self.done(call).await;
        }
        let all = self.folders().await?;
        let known = all
            .iter()
            .find(|item| Uuid::parse_str(&item.id).is_ok_and(|known| known == id));
        let name = known.map_or(folder, |item| item.name.as_str());
        self.done(Call::delete(&["folders", name])).await
    }

    /// Takes a folder out of the trash.
    ///
    /// # Errors
    /// [`Error::Manager`] when it is not there.
    pub async fn restore_folder(&self, id: Uuid) -> Result<(), Error> {
        let call = Call::post(&["folders", "restore-from-trash-bin"]);
        self.done(call.json(&ById { id })?).await
    }

    /// Deletes a folder in the trash for good.
    ///
    /// # Errors
    /// [`Error::Manager`] when it is not there.
    pub async fn purge_folder(&self, id: Uuid) -> Result<(), Error> {
        let call = Call::post(&["folders", "delete-from-trash-bin"]).works();
        self.done(call.json(&ById { id })?).await
    }

    /// A directory of a folder; `path` is relative, empty for the root.
    ///
    /// # Errors
    /// [`Error::Manager`] when there is none.
    pub async fn folder_files(&self, folder: &str, path: &str) -> Result<Vec<Entry>, Error> {
        let call = Call::get(&["folders", folder, "files"]).query("path", path);
        let entries: Entries = self.json(call).await?;
        Ok(entries.items)
    }

    /// Makes a directory in a folder, with what is missing above it when `parents`.
    ///
    /// # Errors
    /// [`Error::Refused`] when something is in the way.
    pub async fn folder_mkdir(&self, folder: &str, path: &str, parents: bool) -> Result<(), Error> {
        let body = Mkdir {
            path: OneOrMany::One(path.to_owned()),
            parents,
            exist_ok: false,
        };
        let call = Call::post(&["folders", folder, "mkdir"]).json(&body)?;
        // Older managers answer nothing.
        let bytes = self.whole(self.send(call).await?).await?;
        let made: Made = serde_json::from_slice(&bytes).unwrap_or_default();
        match made.results.failed.into_iter().next() {
            None => Ok(()),
            Some(one) => Err(Error::Refused {
                path: path.to_owned(),
                reason: one
                    .msg
                    .unwrap_or_else(|| "the directory was not made".to_owned()),
            }),
        }
    }

    /// Moves a file within a folder.
    ///
    /// # Errors
    /// [`Error::Manager`] when it is not there.
    pub async fn folder_move(&self, folder: &str, src: &str, dst: &str) -> Result<(), Error> {
        let body = MoveFile {
            src: src.to_owned(),
            dst: dst.to_owned(),
        };
        self.done(Call::post(&["folders", folder, "move-file"]).json(&body)?)
            .await
    }

    /// Removes files of a folder; directories with all that is in them.
    ///
    /// # Errors
    /// [`Error::Manager`] when one is not there.
    pub async fn folder_delete(&self, folder: &str, files: Vec<String>) -> Result<(), Error> {
        let body = DeleteFiles {
            files,
            recursive: true,
        };
        self.done(self.delete_files_call(folder).await?.json(&body)?)
            .await
    }

    pub(crate) async fn request_upload(
        &self,
        folder: &str,
        path: &str,
        size: u64,
    ) -> Result<StorageAddress, Error> {
        let body = RequestUpload {
            path: path.to_owned(),
            size,
        };
        self.json(Call::post(&["folders", folder, "request-upload"]).json(&body)?)
            .await
    }

    pub(crate) async fn request_download(
        &self,
        folder: &str,
        path: &str,
    ) -> Result<StorageAddress, Error> {
        let body = RequestDownload {
            path: path.to_owned(),
            archive: false,
        };
        self.json(Call::post(&["folders", folder, "request-download"]).json(&body)?)
            .await
    }
}

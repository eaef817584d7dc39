//! What managers of older versions do not know, in one place (protocol page "Version negotiation").

use protocol::api::session::Create;
use protocol::session::SessionStatus as Status;
use protocol::version::ApiVersion;
use serde_json::Value;

use crate::call::Call;

use crate::{Client, Error};

/// Sessions tell what was asked for (24.03).
const REQUESTED_SLOTS: ApiVersion = ApiVersion {
    major: 8,
    revision: 20240315,
};
/// Launches may go before others (24.09).
const PRIORITY: ApiVersion = ApiVersion {
    major: 8,
    revision: 20240915,
};
/// Folders of a launch may be named by their ids (25.13).
const MOUNT_IDS: ApiVersion = ApiVersion {
    major: 9,
    revision: 20250722,
};
/// Folders of a launch may be mounted in other ways than the usual one (24.03).
const MOUNT_OPTIONS: ApiVersion = REQUESTED_SLOTS;
/// Files of a folder are deleted by POST, which passes every gateway (25.13).
const DELETE_BY_POST: ApiVersion = MOUNT_IDS;
/// What 23.09 knows; it refuses to filter by anything else.
const FIRST_STATUSES: &[Status] = &[
    Status::Pending,
    Status::Scheduled,
    Status::Pulling,
    Status::Preparing,
    Status::Running,
    Status::Restarting,
    Status::RunningDegraded,
    Status::Terminating,
    Status::Terminated,
    Status::Error,
    Status::Cancelled,
];
/// What 24.09 added to them.
const MORE_STATUSES: &[Status] = &[Status::Prepared, Status::Creating];
/// The priority of a launch that says none.
const USUAL_PRIORITY: i32 = 10;

impl Client {
    /// The version that both speak, asked for first if nobody has yet.
    async fn spoken(&self) -> Result<ApiVersion, Error> {
        self.announcement().await?;
        Ok(self.version())
    }

    /// A field of sessions that older managers do not have, or nothing.
    pub(crate) async fn requested_slots(&self) -> Result<&'static str, Error> {
        Ok(match self.spoken().await? >= REQUESTED_SLOTS {
            true => "requested_slots",
            false => "",
        })
    }

    /// Those of the statuses that the manager can filter by.
    pub(crate) async fn known(&self, statuses: &[Status]) -> Result<Vec<Status>, Error> {
        let spoken = self.spoken().await?;
        let known = |status: &Status| {
            FIRST_STATUSES.contains(status)
                || spoken >= MOUNT_IDS
                || (spoken >= PRIORITY && MORE_STATUSES.contains(status))
        };
        Ok(statuses.iter().copied().filter(known).collect())
    }

    /// A request that deletes files of a folder.
    pub(crate) async fn delete_files_call<'a>(&self, folder: &'a str) -> Result<Call<'a>, Error> {
        let path = ["folders", folder, "delete-files"];
        Ok(match self.spoken().await? >= DELETE_BY_POST {
            true => Call::post(&path),
            false => Call::delete(&path),
        })
    }

    /// A request for one file of a session: read by POST since 24.03.
    pub(crate) async fn session_file_call<'a>(&self, session: &'a str) -> Result<Call<'a>, Error> {
        let path = ["session", session, "download_single"];
        Ok(match self.spoken().await? >= REQUESTED_SLOTS {
            true => Call::post(&path),
            false => Call::get(&path),
        })
    }

    /// Whether folders of a launch have to be named by their ids.
    pub(crate) async fn mounts_by_id(&self) -> Result<bool, Error> {
        Ok(!self.is_ours().await? && self.spoken().await? >= MOUNT_IDS)
    }

    /// The body of a launch, without what the manager would refuse to read.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when something was wanted that the manager can't do.
    pub(crate) async fn launch_body(&self, create: &Create) -> Result<Value, Error> {
        let mut body =
            serde_json::to_value(create).map_err(|error| Error::Request(error.to_string()))?;
        let mut unneeded = |place: &str, key: &str| {
            if let Some(fields) = body.pointer_mut(place).and_then(Value::as_object_mut) {
                fields.remove(key);
            }
        };
        if create.priority == USUAL_PRIORITY {
            // It is the manager's own too, where it has one.
            unneeded("", "priority");
        } else if self.spoken().await? < PRIORITY {
            return Err(Error::Unsupported { what: "priority" });
        }
        if create.config.mount_options.is_empty() {
            unneeded("/config", "mount_options");
        } else if self.spoken().await? < MOUNT_OPTIONS {
            return Err(Error::Unsupported {
                what: "read-only folders",
            });
        }
        Ok(body)
    }
}

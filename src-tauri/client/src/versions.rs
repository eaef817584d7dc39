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
/// The year of the managers that know all others.
const ALL_STATUSES: u32 = 26;
/// The priority of a launch that says none.
const USUAL_PRIORITY: i32 = 10;

/// Whether a manager of the version `manager` (`25.13.2`), which speaks `spoken`, can filter by it. One
/// whose version can't be read is taken for a new one.
fn knows(status: Status, spoken: ApiVersion, manager: &str) -> bool {
    if FIRST_STATUSES.contains(&status) {
        return true;
    }
    if MORE_STATUSES.contains(&status) {
        return spoken >= PRIORITY;
    }
    let year = manager.split('.').next().and_then(|year| year.parse().ok());
    spoken >= MOUNT_IDS && year.is_none_or(|year: u32| year >= ALL_STATUSES)
}

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
        let manager = &self.announcement().await?.manager;
        let known = |status: &Status| knows(*status, spoken, manager);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_manager_is_asked_for_statuses_that_came_after_it() {
        let (v23, v24, v25) = (
            ApiVersion {
                major: 7,
                revision: 20230615,
            },
            PRIORITY,
            MOUNT_IDS,
        );
        for (status, spoken, manager, known) in [
            (Status::Running, v23, "23.9.10", true),
            (Status::Prepared, v23, "23.9.10", false),
            (Status::Prepared, v24, "24.9.0", true),
            (Status::Reserved, v24, "24.9.0", false),
            (Status::Creating, v25, "25.13.2", true),
            (Status::Deprioritizing, v25, "25.13.2", false),
            (Status::Rescheduling, v25, "26.9.6", true),
            (Status::Preempted, v25, "newer than all", true),
        ] {
            assert_eq!(
                knows(status, spoken, manager),
                known,
                "{status:?} {manager}"
            );
        }
    }
}

//! Who else may use a folder, and who was asked to.

use std::fmt;
use std::str::FromStr;

use db::rusqlite::{Connection, OptionalExtension, Result, Row};
use protocol::api::folder::Permission;
use protocol::session::UnknownValue;
use uuid::Uuid;

use super::{At, Id, Word};

/// Another user's right to a folder.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) folder: Uuid,
    pub(crate) user: Uuid,
    pub(crate) permission: Permission,
}

fn read_grant(row: &Row<'_>) -> Result<Grant> {
    Ok(Grant {
        folder: row.get::<_, Id>(0)?.0,
        user: row.get::<_, Id>(1)?.0,
        permission: row.get::<_, Word<_>>(2)?.0,
    })
}

/// Whom a folder is shared with.
pub(crate) fn permissions(db: &Connection, folder: Uuid) -> Result<Vec<Grant>> {
    db.prepare_cached(
        "SELECT folder, user, permission FROM folder_permission WHERE folder = ?1 ORDER BY user",
    )?
    .query_map([Id(folder)], read_grant)?
    .collect()
}

/// Shares a folder, or changes how.
pub(crate) fn grant(db: &Connection, grant: &Grant) -> Result<()> {
    db.execute(
        "INSERT OR REPLACE INTO folder_permission (folder, user, permission) VALUES (?1, ?2, ?3)",
        (Id(grant.folder), Id(grant.user), Word(grant.permission)),
    )?;
    Ok(())
}

/// Stops sharing a folder with a user; answers whether it was.
pub(crate) fn revoke(db: &Connection, folder: Uuid, user: Uuid) -> Result<bool> {
    let removed = db.execute(
        "DELETE FROM folder_permission WHERE folder = ?1 AND user = ?2",
        (Id(folder), Id(user)),
    )?;
    Ok(removed > 0)
}

/// Makes a folder a user's own; a name that they have already gets the folder's id behind it.
pub(crate) fn give(db: &Connection, folder: Uuid, user: Uuid) -> Result<()> {
    revoke(db, folder, user)?;
    db.execute(
        "UPDATE folder SET user = ?2, project = NULL,
            name = CASE WHEN EXISTS (SELECT 1 FROM folder o WHERE o.user = ?2
                    AND o.name = folder.name AND o.status NOT LIKE 'delete-%')
                THEN substr(name, 1, 27) || '-' || replace(id, '-', '') ELSE name END
         WHERE id = ?1",
        (Id(folder), Id(user)),
    )?;
    Ok(())
}

/// Where an invitation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    Canceled,
    Accepted,
    Rejected,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Canceled => "canceled",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        })
    }
}

impl FromStr for State {
    type Err = UnknownValue;

    fn from_str(text: &str) -> Result<Self, UnknownValue> {
        [
            Self::Pending,
            Self::Canceled,
            Self::Accepted,
            Self::Rejected,
        ]
        .into_iter()
        .find(|state| state.to_string() == text)
        .ok_or_else(|| UnknownValue {
            kind: "InvitationState",
            text: text.to_owned(),
        })
    }
}

/// An invitation to use a folder.
#[derive(Debug, Clone)]
pub(crate) struct Invitation {
    pub(crate) id: Uuid,
    pub(crate) folder: Uuid,
    pub(crate) folder_name: String,
    /// E-mail addresses.
    pub(crate) inviter: String,
    pub(crate) invitee: String,
    pub(crate) permission: Permission,
    pub(crate) state: State,
    pub(crate) created_at: At,
    pub(crate) modified_at: At,
}

const COLUMNS: &str = "i.id, i.folder, f.name, i.inviter, i.invitee, i.permission, i.state, \
                       i.created_at, i.modified_at";

fn read(row: &Row<'_>) -> Result<Invitation> {
    Ok(Invitation {
        id: row.get::<_, Id>(0)?.0,
        folder: row.get::<_, Id>(1)?.0,
        folder_name: row.get(2)?,
        inviter: row.get(3)?,
        invitee: row.get(4)?,
        permission: row.get::<_, Word<_>>(5)?.0,
        state: row.get::<_, Word<_>>(6)?.0,
        created_at: row.get(7)?,
        modified_at: row.get(8)?,
    })
}

/// The invitation with this id.
pub(crate) fn invitation(db: &Connection, id: Uuid) -> Result<Option<Invitation>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM folder_invitation i JOIN folder f ON f.id = i.folder WHERE i.id = ?1"
    ))?
    .query_row([Id(id)], read)
    .optional()
}

/// The invitations that somebody has received or sent and that wait for an answer, oldest first.
pub(crate) fn pending(db: &Connection, email: &str, sent: bool) -> Result<Vec<Invitation>> {
    let column = if sent { "inviter" } else { "invitee" };
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM folder_invitation i JOIN folder f ON f.id = i.folder
         WHERE i.{column} = ?1 AND i.state = 'pending' ORDER BY i.created_at, i.id"
    ))?
    .query_map([email], read)?
    .collect()
}

/// Keeps an invitation.
pub(crate) fn invite(db: &Connection, invitation: &Invitation) -> Result<()> {
    let one = invitation;
    db.execute(
        "INSERT INTO folder_invitation
            (id, folder, inviter, invitee, permission, state, created_at, modified_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        (
            Id(one.id),
            Id(one.folder),
            &one.inviter,
            &one.invitee,
            Word(one.permission),
            Word(one.state),
            one.created_at,
            one.modified_at,
        ),
    )?;
    Ok(())
}

/// Answers an invitation, or changes what it offers.
pub(crate) fn answer(
    db: &Connection,
    id: Uuid,
    state: State,
    permission: Permission,
) -> Result<()> {
    db.execute(
        "UPDATE folder_invitation SET state = ?2, permission = ?3, modified_at = ?4 WHERE id = ?1",
        (Id(id), Word(state), Word(permission), At::now()),
    )?;
    Ok(())
}

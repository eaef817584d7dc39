//! Folders that several people use: invitations to a user's folder, and rights given by
//! administrators (protocol page "Virtual folders" §2, §3.2).

use axum::http::StatusCode;
use db::rusqlite::Connection;
use protocol::api::folder::Permission;
use uuid::Uuid;

use super::{Seen, check_free, check_host, find};
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;
use crate::store::folder::{Folder, FolderOwner, FolderStatus};
use crate::store::folder_sharing::{Grant, Invitation, State};
use crate::store::user::{Role, User};
use crate::store::{self, At, folder_sharing};

fn already_granted(who: &str) -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "vfolder-grant-already-exists",
        "Virtual folder grant already exists.",
        "vfolder_grant_already-exists",
    )
    .msg(format!("{who} may use the folder already."))
}

fn no_invitation() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "vfolder-invitation-not-found",
        "Virtual folder invitation not found.",
        "vfolder_read_not-found",
    )
}

/// The users of these e-mail addresses or ids; unknown ones are left out.
fn users(db: &Connection, references: &[String]) -> Result<Vec<User>, Problem> {
    let mut found = Vec::new();
    for reference in references {
        let user = match Uuid::try_parse(reference) {
            Ok(id) => store::user::get(db, id)?,
            Err(_) => store::user::by_login(db, reference)?,
        };
        found.extend(user);
    }
    if found.is_empty() {
        return Err(
            Problem::not_found("user", "user_read_not-found").msg("Nobody of these is here.")
        );
    }
    Ok(found)
}

/// Invites users to a folder of the caller's own; answers the e-mail addresses that were invited.
pub(crate) async fn invite(
    app: &App,
    caller: &Caller,
    reference: &str,
    permission: Permission,
    whom: Vec<String>,
) -> Result<Vec<String>, Problem> {
    let Seen { folder, .. } = find(app, caller, reference)
        .await?
        .owned(FolderStatus::Ready)?;
    if folder.name.starts_with('.') {
        return Err(Problem::forbidden(
            "Cannot share private dot-prefixed vfolders.",
        ));
    }
    if folder.owner.user().is_none() {
        return Err(Problem::invalid_params(
            "A project's folder is shared, not invited to.",
        ));
    }
    let caller = caller.clone();
    app.store
        .write(move |tx| {
            check_host(tx, &caller, &folder.host, "invite-others")?;
            let granted = folder_sharing::permissions(tx, folder.id)?;
            let mut invited = Vec::new();
            for user in users(tx, &whom)? {
                if user.id == caller.user.id || granted.iter().any(|it| it.user == user.id) {
                    return Err(already_granted(&user.email));
                }
                let waiting = folder_sharing::pending(tx, &user.email, false)?;
                if waiting.iter().any(|one| one.folder == folder.id) {
                    continue;
                }
                let now = At::now();
                folder_sharing::invite(
                    tx,
                    &Invitation {
                        id: Uuid::now_v7(),
                        folder: folder.id,
                        folder_name: folder.name.clone(),
                        inviter: caller.user.email.clone(),
                        invitee: user.email.clone(),
                        permission,
                        state: State::Pending,
                        created_at: now,
                        modified_at: now,
                    },
                )?;
                invited.push(user.email);
            }
            Ok(invited)
        })
        .await
}

/// The invitations that the caller has received, or sent, and that wait for an answer.
pub(crate) async fn invitations(
    app: &App,
    caller: &Caller,
    sent: bool,
) -> Result<Vec<Invitation>, Problem> {
    let email = caller.user.email.clone();
    app.store
        .read(move |db| Ok(folder_sharing::pending(db, &email, sent)?))
        .await
}

fn pending(db: &Connection, id: Uuid) -> Result<Invitation, Problem> {
    folder_sharing::invitation(db, id)?
        .filter(|one| one.state == State::Pending)
        .ok_or_else(no_invitation)
}

/// Changes what an invitation that the caller has sent offers.
pub(crate) async fn change_invitation(
    app: &App,
    caller: &Caller,
    id: Uuid,
    permission: Permission,
) -> Result<(), Problem> {
    let email = caller.user.email.clone();
    app.store
        .write(move |tx| {
            let one = pending(tx, id)?;
            if one.inviter != email {
                return Err(no_invitation());
            }
            Ok(folder_sharing::answer(tx, id, State::Pending, permission)?)
        })
        .await
}

/// Takes an invitation that the caller has received.
pub(crate) async fn accept(app: &App, caller: &Caller, id: Uuid) -> Result<(), Problem> {
    let user = caller.user.clone();
    app.store
        .write(move |tx| {
            let one = pending(tx, id)?;
            if one.invitee != user.email {
                return Err(no_invitation());
            }
            let folder = store::folder::get(tx, one.folder)?.ok_or_else(no_invitation)?;
            let same =
                |other: &Folder| other.name == folder.name && other.status == FolderStatus::Ready;
            if store::folder::accessible(tx, user.id)?.iter().any(same) {
                return Err(Problem::new(
                    StatusCode::CONFLICT,
                    "vfolder-already-exists",
                    "The virtual folder already exists with the same name.",
                    "vfolder_create_already-exists",
                )
                .msg(format!("You have a folder \"{}\" already.", folder.name)));
            }
            folder_sharing::grant(
                tx,
                &Grant {
                    folder: folder.id,
                    user: user.id,
                    permission: one.permission,
                },
            )?;
            Ok(folder_sharing::answer(
                tx,
                id,
                State::Accepted,
                one.permission,
            )?)
        })
        .await
}

/// Refuses an invitation, or takes one back.
pub(crate) async fn delete_invitation(app: &App, caller: &Caller, id: Uuid) -> Result<(), Problem> {
    let email = caller.user.email.clone();
    app.store
        .write(move |tx| {
            let one = pending(tx, id)?;
            let state = if one.inviter == email {
                State::Canceled
            } else if one.invitee == email {
                State::Rejected
            } else {
                return Err(Problem::forbidden("The invitation is somebody else's."));
            };
            Ok(folder_sharing::answer(tx, id, state, one.permission)?)
        })
        .await
}

/// Gives up a folder that somebody shares with the caller, or, for a superadmin, with another user.
pub(crate) async fn leave(
    app: &App,
    caller: &Caller,
    reference: &str,
    other: Option<Uuid>,
) -> Result<(), Problem> {
    let Seen { folder, is_owner } = find(app, caller, reference).await?;
    if folder.owner.project().is_some() {
        return Err(Problem::invalid_params("Cannot leave a group vfolder."));
    }
    let who = other.unwrap_or_else(|| caller.user_id());
    if who != caller.user_id() && !caller.is_superadmin() {
        return Err(Problem::forbidden("Insufficient permission."));
    }
    if is_owner && who == caller.user_id() {
        return Err(Problem::invalid_params(
            "Cannot leave a vfolder owned by the requesting user.",
        ));
    }
    app.store
        .write(
            move |tx| match folder_sharing::revoke(tx, folder.id, who)? {
                true => Ok(()),
                false => Err(no_invitation()),
            },
        )
        .await
}

/// Gives members of a project their own right to one of its folders; administrators only.
pub(crate) async fn share(
    app: &App,
    caller: &Caller,
    reference: &str,
    permission: Permission,
    emails: Vec<String>,
) -> Result<Vec<String>, Problem> {
    let project = project_folder(app, caller, reference).await?;
    let caller = caller.clone();
    app.store
        .write(move |tx| {
            let (folder, project) = project;
            check_host(tx, &caller, &folder.host, "set-user-specific-permission")?;
            let mut shared = Vec::new();
            for user in users(tx, &emails)? {
                let member = store::project::of_user(tx, user.id)?;
                if !member.iter().any(|one| one.id == project) {
                    continue;
                }
                let (folder, user_id) = (folder.id, user.id);
                folder_sharing::grant(
                    tx,
                    &Grant {
                        folder,
                        user: user_id,
                        permission,
                    },
                )?;
                shared.push(user.email);
            }
            if shared.is_empty() {
                return Err(Problem::not_found("user", "user_read_not-found")
                    .msg("No users to share. Do they belong to the project?"));
            }
            Ok(shared)
        })
        .await
}

/// Takes those rights back.
pub(crate) async fn unshare(
    app: &App,
    caller: &Caller,
    reference: &str,
    emails: Vec<String>,
) -> Result<Vec<String>, Problem> {
    let (folder, _) = project_folder(app, caller, reference).await?;
    app.store
        .write(move |tx| {
            let mut unshared = Vec::new();
            for user in users(tx, &emails)? {
                if folder_sharing::revoke(tx, folder.id, user.id)? {
                    unshared.push(user.email);
                }
            }
            Ok(unshared)
        })
        .await
}

async fn project_folder(
    app: &App,
    caller: &Caller,
    reference: &str,
) -> Result<(Folder, Uuid), Problem> {
    if !matches!(caller.user.role, Role::Superadmin | Role::Admin) {
        return Err(Problem::forbidden("Insufficient privileges"));
    }
    let Seen { folder, .. } = find(app, caller, reference).await?;
    match folder.owner {
        FolderOwner::Project(project) => Ok((folder, project)),
        FolderOwner::User(_) => Err(
            Problem::not_found("virtual folder", "vfolder_read_not-found")
                .msg("Only a project's folder can be shared so."),
        ),
    }
}

/// Who uses what: the rights to the caller's folders and the caller's own rights to others'.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) folder: Folder,
    pub(crate) owner_email: String,
    pub(crate) user: Uuid,
    pub(crate) email: String,
    pub(crate) permission: Permission,
}

/// The rights that the caller has given and got, of one folder or of all.
pub(crate) async fn shared(
    app: &App,
    caller: &Caller,
    wanted: Option<Uuid>,
) -> Result<Vec<Shared>, Problem> {
    let caller = caller.clone();
    app.store
        .read(move |db| {
            let mut found = Vec::new();
            for folder in store::folder::all(db)? {
                if wanted.is_some_and(|id| id != folder.id) {
                    continue;
                }
                let own = folder.owner.user() == Some(caller.user.id) || caller.is_superadmin();
                for grant in folder_sharing::permissions(db, folder.id)? {
                    if !own && grant.user != caller.user.id {
                        continue;
                    }
                    let user = store::user::get(db, grant.user)?;
                    found.push(Shared {
                        owner_email: folder.creator.clone(),
                        user: grant.user,
                        email: user.map(|user| user.email).unwrap_or_default(),
                        permission: grant.permission,
                        folder: folder.clone(),
                    });
                }
            }
            Ok(found)
        })
        .await
}

/// Changes users' rights to a folder of the caller's own; no permission takes the right back.
pub(crate) async fn change_shared(
    app: &App,
    caller: &Caller,
    folder: Uuid,
    changes: Vec<(Uuid, Option<Permission>)>,
) -> Result<(), Problem> {
    let seen = find(app, caller, &folder.to_string()).await?;
    if !seen.is_owner && !caller.is_superadmin() {
        return Err(Problem::forbidden("You are not the owner of this folder."));
    }
    app.store
        .write(move |tx| {
            let granted = folder_sharing::permissions(tx, folder)?;
            for (user, permission) in changes {
                if !granted.iter().any(|grant| grant.user == user) {
                    return Err(Problem::not_found("user", "user_read_not-found")
                        .msg("The folder is not shared with this user."));
                }
                match permission {
                    Some(permission) => {
                        folder_sharing::grant(
                            tx,
                            &Grant {
                                folder,
                                user,
                                permission,
                            },
                        )?;
                    }
                    None => {
                        folder_sharing::revoke(tx, folder, user)?;
                    }
                }
            }
            Ok(())
        })
        .await
}

/// Gives a folder to another user; superadmins only.
pub(crate) async fn change_owner(
    app: &App,
    caller: &Caller,
    folder: Uuid,
    email: &str,
) -> Result<(), Problem> {
    let seen = find(app, caller, &folder.to_string()).await?;
    let (name, wanted) = (seen.folder.name, vec![email.to_owned()]);
    app.store
        .write(move |tx| {
            let heir = users(tx, &wanted)?.swap_remove(0);
            check_free(tx, FolderOwner::User(heir.id), &name)?;
            Ok(folder_sharing::give(tx, folder, heir.id)?)
        })
        .await
}

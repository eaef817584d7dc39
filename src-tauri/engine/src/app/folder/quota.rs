//! How many bytes an owner may keep in folders (protocol page "Folders" §6).

use super::FOLDER_HOST;
use crate::error::Problem;
use crate::state::App;
use crate::store;
use crate::store::folder::FolderOwner;

/// The owner of a scope on this engine's host; 404 when there is no such host, or nobody of that id.
async fn owner(app: &App, host: &str, scope: &str) -> Result<FolderOwner, Problem> {
    let owner = FolderOwner::of_scope(scope).filter(|_| host == FOLDER_HOST);
    let missing = || {
        Problem::not_found("quota scope", "quota-scope_read_not-found")
            .msg(format!("There is no quota scope {scope} on {host}."))
    };
    let owner = owner.ok_or_else(missing)?;
    let is_there = app
        .store
        .read(move |db| -> Result<_, Problem> {
            Ok(match owner {
                FolderOwner::User(id) => store::user::get(db, id)?.is_some(),
                FolderOwner::Project(id) => store::project::get(db, id)?.is_some(),
            })
        })
        .await?;
    is_there.then_some(owner).ok_or_else(missing)
}

/// The most bytes of a scope; `None` is any number.
pub(crate) async fn hard_limit(app: &App, host: &str, scope: &str) -> Result<Option<u64>, Problem> {
    let owner = owner(app, host, scope).await?;
    let (_, bytes) = app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::folder::limits(db, owner)?) })
        .await?;
    Ok(u64::try_from(bytes).ok())
}

/// Chooses the most bytes of a scope, whatever the policy of its owner says; `None` leaves it to the
/// policy. What is there already stays, also where it is more.
pub(crate) async fn set_hard_limit(
    app: &App,
    host: &str,
    scope: &str,
    bytes: Option<i64>,
) -> Result<(), Problem> {
    let owner = owner(app, host, scope).await?;
    app.store
        .write(move |tx| -> Result<_, Problem> {
            Ok(store::folder::set_hard_limit(tx, owner, bytes)?)
        })
        .await
}

//! Keypairs of any user.

use uuid::Uuid;

use super::props::Kind;
use super::{Props, conflict, missing};
use crate::app::bootstrap::new_keypair;
use crate::error::Problem;
use crate::state::App;
use crate::store::keypair::Keypair;
use crate::store::{self, At};

const COLUMNS: [(&str, Kind); 4] = [
    ("is_active", Kind::Flag),
    ("is_admin", Kind::Flag),
    ("resource_policy", Kind::Text),
    ("rate_limit", Kind::NullableCount),
];

fn no_keypair(access_key: &str) -> Problem {
    missing("keypair", access_key)
}

fn check_policy(tx: &db::rusqlite::Connection, name: &str) -> Result<(), Problem> {
    match store::policy::get(tx, name)? {
        Some(_) => Ok(()),
        None => Err(missing("keypair resource policy", name)),
    }
}

/// Makes another keypair for the user of this e-mail address or id.
pub(crate) async fn create(app: &App, owner: &str, props: Props<'_>) -> Result<Keypair, Problem> {
    let policy = props
        .text("resource_policy")?
        .unwrap_or_else(|| "default".to_owned());
    let (active, admin) = (props.flag("is_active")?, props.flag("is_admin")?);
    let rate_limit = props.count("rate_limit")?;
    let owner = owner.to_owned();
    app.store
        .write(move |tx| {
            check_policy(tx, &policy)?;
            let user = match Uuid::try_parse(&owner) {
                Ok(id) => store::user::get(tx, id)?,
                Err(_) => store::user::by_login(tx, &owner)?,
            };
            let user = user.ok_or_else(|| missing("user", &owner))?;
            let mut keypair = new_keypair(user.id, &policy);
            keypair.is_active = active.unwrap_or(true);
            keypair.is_admin = admin.unwrap_or(false);
            keypair.rate_limit = rate_limit.or(keypair.rate_limit);
            store::keypair::insert(tx, &keypair)?;
            Ok(keypair)
        })
        .await
}

/// Changes a keypair.
pub(crate) async fn modify(app: &App, access_key: &str, props: Props<'_>) -> Result<(), Problem> {
    let mut change = props.change(&COLUMNS)?;
    change.set("modified_at", At::now());
    let policy = props.text("resource_policy")?;
    let access_key = access_key.to_owned();
    app.store
        .write(move |tx| {
            if let Some(policy) = policy {
                check_policy(tx, &policy)?;
            }
            match change.update(tx, "keypair", "access_key", &access_key)? {
                true => Ok(()),
                false => Err(no_keypair(&access_key)),
            }
        })
        .await
}

/// Forgets a keypair that is not its user's main one.
pub(crate) async fn delete(app: &App, access_key: &str) -> Result<(), Problem> {
    let access_key = access_key.to_owned();
    app.store
        .write(move |tx| {
            let keypair =
                store::keypair::get(tx, &access_key)?.ok_or_else(|| no_keypair(&access_key))?;
            let user = store::user::get(tx, keypair.user)?;
            let main = user.and_then(|user| user.main_access_key);
            match main {
                Some(main) if main != access_key => {
                    store::keypair::remove(tx, &access_key, &main)?;
                    Ok(())
                }
                _ => Err(conflict(
                    "the keypair is used as main access key by any user",
                )),
            }
        })
        .await
}

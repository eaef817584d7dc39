//! On whose behalf somebody asks (protocol page "Authentication" §8).

use db::rusqlite::Connection;

use crate::auth::Caller;
use crate::error::Problem;
use crate::store;
use crate::store::keypair::Keypair;
use crate::store::user::{Role, User};

/// The owner whom an access key names, when that is somebody else whom `caller` may act for;
/// `None` for the caller.
pub(crate) fn owner(
    db: &Connection,
    caller: &Caller,
    access_key: Option<&str>,
) -> Result<Option<(User, Keypair)>, Problem> {
    let Some(access_key) = access_key.filter(|key| *key != caller.keypair.access_key) else {
        return Ok(None);
    };
    let unknown = || Problem::invalid_params("Unknown owner access key");
    let keypair = store::keypair::get(db, access_key)?.ok_or_else(unknown)?;
    let user = store::user::get(db, keypair.user)?.ok_or_else(unknown)?;
    if !may_act_for(caller, &user) {
        return Err(Problem::forbidden(
            "Only admins can perform operations on behalf of others.",
        ));
    }
    Ok(Some((user, keypair)))
}

/// Superadmins act for everybody, a domain's admins for its users that are not superadmins.
pub(crate) fn may_act_for(caller: &Caller, user: &User) -> bool {
    match caller.user.role {
        _ if caller.user.id == user.id => true,
        Role::Superadmin => true,
        Role::Admin => user.domain == caller.user.domain && user.role != Role::Superadmin,
        Role::User | Role::Monitor => false,
    }
}

//! The first start: a domain, a project, a resource group, and their owner as superadmin.

use db::rusqlite::Connection;
use rand::Rng;
use rand::distr::Alphanumeric;
use serde_json::json;
use uuid::Uuid;

use crate::error::Problem;
use crate::store::access::Scope;
use crate::store::keypair::Keypair;
use crate::store::user::{Role, User, UserStatus};
use crate::store::{self, At};

/// The name of the first domain, project, resource group and policies, as in every installation.
pub(crate) const DEFAULT: &str = "default";

/// The host of the data folders, `<proxy>:<volume>`.
pub(crate) const FOLDER_HOST: &str = "local:default";

/// What a keypair may do with folders on a host: everything.
pub(crate) const FOLDER_PERMISSIONS: [&str; 8] = [
    "create-vfolder",
    "modify-vfolder",
    "delete-vfolder",
    "mount-in-session",
    "upload-file",
    "download-file",
    "invite-others",
    "set-user-specific-permission",
];

/// Requests in 15 minutes that a new keypair may send.
const RATE_LIMIT: u32 = 10_000;

/// Makes what a fresh database lacks. Does nothing when there is a user already.
pub(crate) fn first_start(db: &Connection, unix_user: &str) -> Result<(), Problem> {
    if !store::user::list(db)?.is_empty() {
        return Ok(());
    }
    let hosts = json!({ FOLDER_HOST: FOLDER_PERMISSIONS });
    store::domain::insert(db, DEFAULT, &hosts)?;
    store::resource_group::insert(db, DEFAULT)?;
    store::access::open(db, Scope::Domain, DEFAULT, DEFAULT)?;
    store::policy::insert_all(db, DEFAULT, &hosts)?;
    let project = Uuid::now_v7();
    store::project::insert(db, project, DEFAULT, DEFAULT, DEFAULT)?;
    let now = At::now();
    let id = Uuid::now_v7();
    let keypair = Keypair {
        is_admin: true,
        // The owner of the computer can't overload anybody else's.
        rate_limit: None,
        ..new_keypair(id, DEFAULT)
    };
    let user = User {
        id,
        email: format!("{unix_user}@localhost"),
        username: unix_user.into(),
        full_name: unix_user.into(),
        description: "Owner of this computer".into(),
        status: UserStatus::Active,
        role: Role::Superadmin,
        domain: DEFAULT.into(),
        resource_policy: DEFAULT.into(),
        main_access_key: Some(keypair.access_key.clone()),
        created_at: now,
        modified_at: now,
        need_password_change: false,
        sudo_session_enabled: false,
        allowed_client_ip: None,
        container_uid: None,
        container_main_gid: None,
        container_gids: None,
    };
    store::user::insert(db, &user)?;
    store::keypair::insert(db, &keypair)?;
    store::project::add_member(db, project, id)?;
    tracing::info!(user = user.email, "first start");
    Ok(())
}

/// A keypair of a user, with the rate limit that new ones have.
pub(crate) fn new_keypair(user: Uuid, policy: &str) -> Keypair {
    let now = At::now();
    Keypair {
        access_key: format!("AKIA{}", random_key(16).to_ascii_uppercase()),
        secret_key: random_key(40),
        user,
        is_active: true,
        is_admin: false,
        resource_policy: policy.to_owned(),
        rate_limit: Some(RATE_LIMIT),
        bootstrap_script: String::new(),
        created_at: now,
        modified_at: now,
        ssh_public_key: None,
    }
}

fn random_key(length: usize) -> String {
    rand::rng()
        .sample_iter(Alphanumeric)
        .take(length)
        .map(char::from)
        .collect()
}

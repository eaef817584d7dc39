//! Logging in, and what users do with their own account.

use axum::http::StatusCode;
use jiff::Timestamp;
use protocol::api::auth::{Authorize, Authorized, AuthorizedKeypair, LocalLogin, LoginAnswer};
use rand::RngCore as _;
use serde_json::{Value, json};
use ssh_key::private::Ed25519Keypair;
use ssh_key::{LineEnding, PrivateKey, PublicKey};
use uuid::Uuid;

use super::password;
use super::session_batch::seconds;
use crate::auth::{Caller, address};
use crate::error::Problem;
use crate::state::App;
use crate::store;
use crate::store::keypair::Keypair;
use crate::store::user::{Role, User, UserStatus};

/// The account of the computer's owner: the first superadmin, with the main keypair.
pub(crate) async fn local_login(app: &App) -> Result<LocalLogin, Problem> {
    let (endpoint, own) = (app.endpoint.clone(), address::own(app));
    app.store
        .read(move |db| {
            let user = store::user::list(db)?
                .into_iter()
                .find(|user| {
                    user.role == Role::Superadmin
                        && user.status == UserStatus::Active
                        && address::may_come_from(user, own)
                })
                .ok_or_else(|| Problem::internal("There is no active superadmin."))?;
            let keypair = main_keypair(db, &user)?;
            let project = store::project::of_user(db, user.id)?.into_iter().next();
            Ok(LocalLogin {
                access_key: keypair.access_key,
                secret_key: keypair.secret_key,
                email: user.email,
                username: user.username,
                role: user.role.to_string(),
                domain: user.domain,
                project: project.map(|project| project.name).unwrap_or_default(),
                endpoint,
            })
        })
        .await
}

/// The main keypair if it is active, else the oldest active one.
fn main_keypair(db: &db::rusqlite::Connection, user: &User) -> Result<Keypair, Problem> {
    let mut keypairs = store::keypair::of_user(db, user.id)?;
    keypairs.retain(|keypair| keypair.is_active);
    let main = keypairs
        .iter()
        .position(|keypair| Some(&keypair.access_key) == user.main_access_key.as_ref())
        .unwrap_or(0);
    if keypairs.is_empty() {
        return Err(Problem::auth_failed("No API keypairs found."));
    }
    Ok(keypairs.swap_remove(main))
}

/// `POST /auth/authorize`: a password for a keypair.
pub(crate) async fn authorize(app: &App, request: Authorize) -> Result<Authorized, Problem> {
    match request.kind.as_str() {
        "keypair" => {}
        "jwt" => return Err(Problem::invalid_params("Unsupported authorization type")),
        other => {
            return Err(Problem::unparsable(format!(
                "type: \"{other}\" is not an authorization type"
            )));
        }
    }
    let user = known(app, request.username, request.domain, request.password).await?;
    let keypair = {
        let user = user.clone();
        app.store
            .read(move |db| {
                check_password_age(db, &user)?;
                main_keypair(db, &user)
            })
            .await?
    };
    Ok(Authorized {
        data: LoginAnswer::Keypair(Box::new(AuthorizedKeypair {
            response_type: Some("success".into()),
            access_key: keypair.access_key,
            secret_key: keypair.secret_key,
            role: user.role.to_string(),
            status: user.status.to_string(),
            user_id: Some(user.id),
            kind: Some("keypair".into()),
        })),
    })
}

/// How old a password may get, for example `90d`; never too old when it is not set.
const MAX_PASSWORD_AGE: &str = "ai/backend/config/manager/auth/max_password_age";

/// In seconds.
fn max_password_age(db: &db::rusqlite::Connection) -> Result<Option<f64>, Problem> {
    let set = store::config::get(db, MAX_PASSWORD_AGE)?;
    Ok(set.as_deref().and_then(seconds))
}

fn check_password_age(db: &db::rusqlite::Connection, user: &User) -> Result<(), Problem> {
    let Some(most) = max_password_age(db)? else {
        return Ok(());
    };
    let changed = store::user::password_changed_at(db, user.id)?.unwrap_or(user.created_at);
    let age = Timestamp::now().duration_since(changed.0).as_secs_f64();
    if age > most {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "password-expired",
            "Password has expired.",
            "user_auth_data-expired",
        ));
    }
    Ok(())
}

/// `POST /auth/update-password-no-auth`: who knows the password, and can't log in for its age,
/// gives a new one. Returns when that was.
pub(crate) async fn renew_password(
    app: &App,
    (username, domain): (String, String),
    current: String,
    new: String,
) -> Result<String, Problem> {
    let aged = app.store.read(max_password_age).await?;
    if aged.is_none() {
        return Err(Problem::bad_request("Unsupported function."));
    }
    let same = current == new;
    let id = known(app, username, domain, current).await?.id;
    check_new_password(&new)?;
    if same {
        return Err(rejected("The new password has to be another one."));
    }
    let hash = password::hash(new).await?;
    app.store
        .write(move |tx| -> Result<_, Problem> {
            Ok(store::user::set_password_hash(tx, id, &hash)?.iso())
        })
        .await
}

fn rejected(reason: &str) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "rejected-by-hook",
        "Operation rejected by a plugin hook.",
        "plugin_execute_forbidden",
    )
    .msg(reason)
}

fn check_new_password(new: &str) -> Result<(), Problem> {
    match new.chars().count() {
        ..8 => Err(rejected("The password must have at least 8 characters.")),
        _ => Ok(()),
    }
}

/// The user whose password that is.
async fn known(
    app: &App,
    login: String,
    domain: String,
    password: String,
) -> Result<User, Problem> {
    let mismatch = || Problem::auth_failed("User credential mismatch.");
    let found = app
        .store
        .read(move |db| -> Result<_, Problem> {
            let user = store::user::by_login(db, &login)?.filter(|user| user.domain == domain);
            let Some(user) = user else { return Ok(None) };
            let hash = store::user::password_hash(db, user.id)?;
            Ok(Some((user, hash)))
        })
        .await?;
    // The same work whether or not the user is there: the time taken tells nothing.
    let (user, hash) = match found {
        Some((user, hash)) => (Some(user), hash),
        None => (None, None),
    };
    let right = password::verify(password, hash).await;
    let user = user.filter(|_| right).ok_or_else(mismatch)?;
    match user.status {
        UserStatus::Active => {}
        UserStatus::BeforeVerification => {
            return Err(Problem::auth_failed(
                "This account needs email verification.",
            ));
        }
        UserStatus::Inactive | UserStatus::Deleted => return Err(mismatch()),
    }
    Ok(user)
}

/// Gives the caller a new password. Who has none yet leaves the old one empty.
pub(crate) async fn update_password(
    app: &App,
    caller: &Caller,
    old: String,
    new: String,
) -> Result<(), Problem> {
    let id = caller.user_id();
    let hash = app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::user::password_hash(db, id)?) })
        .await?;
    let right = match hash {
        None => old.is_empty(),
        hash => password::verify(old, hash).await,
    };
    if !right {
        return Err(Problem::auth_failed("Old password mismatch"));
    }
    check_new_password(&new)?;
    let hash = password::hash(new).await?;
    app.store
        .write(move |tx| -> Result<_, Problem> {
            store::user::set_password_hash(tx, id, &hash)?;
            Ok(())
        })
        .await
}

/// Changes the caller's own full name.
pub(crate) async fn update_full_name(
    app: &App,
    caller: &Caller,
    email: &str,
    full_name: String,
) -> Result<(), Problem> {
    if email != caller.user.email {
        return Err(Problem::forbidden("You can change your own name only."));
    }
    let id = caller.user_id();
    app.store
        .write(move |tx| -> Result<_, Problem> {
            Ok(store::user::set_full_name(tx, id, &full_name)?)
        })
        .await
}

/// What the caller is in the whole, in their domain, and in `group`.
pub(crate) async fn role(
    app: &App,
    caller: &Caller,
    group: Option<Uuid>,
) -> Result<Value, Problem> {
    let id = caller.user_id();
    let group_role = match group {
        None => None,
        Some(group) => {
            let projects = app
                .store
                .read(move |db| -> Result<_, Problem> { Ok(store::project::of_user(db, id)?) })
                .await?;
            if !projects.iter().any(|project| project.id == group) {
                return Err(Problem::not_found("project", "group_read_not-found"));
            }
            Some("user")
        }
    };
    let superadmin = caller.is_superadmin();
    let domain_admin = superadmin || caller.user.role == Role::Admin;
    Ok(json!({
        "global_role": if superadmin { "superadmin" } else { "user" },
        "domain_role": if domain_admin { "admin" } else { "user" },
        "group_role": group_role,
    }))
}

/// Keeps the script that runs first in each of the caller's sessions; at most 64 KiB.
pub(crate) async fn set_bootstrap_script(
    app: &App,
    caller: &Caller,
    script: String,
) -> Result<(), Problem> {
    if script.len() > 64 << 10 {
        return Err(Problem::invalid_params(
            "Maximum bootstrap script size exceeded",
        ));
    }
    let access_key = caller.keypair.access_key.clone();
    app.store
        .write(move |tx| {
            Ok(store::keypair::set_bootstrap_script(
                tx,
                &access_key,
                &script,
            )?)
        })
        .await
}

/// Makes the caller a new pair of SSH keys, public and private, in OpenSSH's forms. Ed25519, which
/// every server of the last ten years takes, whatever the older managers made.
pub(crate) async fn new_ssh_keys(app: &App, caller: &Caller) -> Result<(String, String), Problem> {
    let mut seed = [0; 32];
    rand::rng().fill_bytes(&mut seed);
    let mut key = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
    key.set_comment(caller.user.email.clone());
    let unwritten = |error| Problem::internal(format!("The SSH key can't be written: {error}"));
    let public = key.public_key().to_openssh().map_err(unwritten)?;
    let private = key.to_openssh(LineEnding::LF).map_err(unwritten)?;
    keep_ssh_keys(app, caller, public, private.to_string()).await
}

/// Keeps the caller's own pair of SSH keys.
pub(crate) async fn upload_ssh_keys(
    app: &App,
    caller: &Caller,
    public: String,
    private: String,
) -> Result<(String, String), Problem> {
    let refused = |slug: &str, title: &str, detail: &str| {
        let code = format!("keypair_create_{detail}");
        Problem::new(StatusCode::BAD_REQUEST, slug, title, &code)
    };
    let public_key: PublicKey = public.trim().parse().map_err(|_| {
        refused(
            "invalid-ssh-public-key",
            "The SSH public key is invalid or in an unsupported format.",
            "invalid-data-format",
        )
    })?;
    let mut text = private.trim().to_owned();
    text.push('\n');
    let private_key = PrivateKey::from_openssh(&text).map_err(|_| {
        refused(
            "invalid-ssh-private-key",
            "The SSH private key is invalid or in an unsupported format.",
            "invalid-data-format",
        )
        .msg("Give an OpenSSH private key (\"BEGIN OPENSSH PRIVATE KEY\").")
    })?;
    if private_key.public_key().key_data() != public_key.key_data() {
        return Err(refused(
            "ssh-keypair-mismatch",
            "The SSH public key does not match the private key.",
            "invalid-parameters",
        ));
    }
    keep_ssh_keys(app, caller, public.trim().to_owned(), text).await
}

async fn keep_ssh_keys(
    app: &App,
    caller: &Caller,
    public: String,
    private: String,
) -> Result<(String, String), Problem> {
    let access_key = caller.keypair.access_key.clone();
    app.store
        .write(move |tx| {
            store::keypair::set_ssh_key(tx, &access_key, &public)?;
            Ok((public, private))
        })
        .await
}

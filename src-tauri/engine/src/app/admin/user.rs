//! Users: made, changed, switched off and forgotten by administrators.

use std::net::IpAddr;

use axum::http::StatusCode;
use db::rusqlite::Connection;
use uuid::Uuid;

use super::props::Kind;
use super::{Props, conflict, missing};
use crate::app::bootstrap::new_keypair;
use crate::app::{folder, password};
use crate::auth::Caller;
use crate::auth::address::{self, Network, may_come_from};
use crate::error::Problem;
use crate::state::App;
use crate::store::change::Change;
use crate::store::keypair::Keypair;
use crate::store::session::Filter;
use crate::store::user::{Role, User, UserStatus};
use crate::store::{self, At, Word};

const COLUMNS: [(&str, Kind); 8] = [
    ("full_name", Kind::Text),
    ("description", Kind::Text),
    ("need_password_change", Kind::Flag),
    ("sudo_session_enabled", Kind::Flag),
    ("allowed_client_ip", Kind::NullableTexts),
    ("container_uid", Kind::NullableCount),
    ("container_main_gid", Kind::NullableCount),
    ("container_gids", Kind::Json),
];

fn no_user(email: &str) -> Problem {
    missing("user", email)
}

fn parsed<T: std::str::FromStr>(props: &Props<'_>, name: &str) -> Result<Option<T>, Problem>
where
    T::Err: std::fmt::Display,
{
    let read = |text: String| {
        text.parse()
            .map_err(|error| Problem::invalid_params(format!("{name}: {error}")))
    };
    props.text(name)?.map(read).transpose()
}

/// The status that the properties ask for; `is_active` is the older way to say it.
fn status(props: &Props<'_>) -> Result<Option<UserStatus>, Problem> {
    let by_flag = props.flag("is_active")?.map(|active| match active {
        true => UserStatus::Active,
        false => UserStatus::Inactive,
    });
    Ok(parsed(props, "status")?.or(by_flag))
}

/// Refuses a list of addresses in which one can't be read: it would shut its user out.
fn check_addresses(props: &Props<'_>) -> Result<(), Problem> {
    for text in props.texts("allowed_client_ip")?.unwrap_or_default() {
        text.parse::<Network>()
            .map_err(|error| Problem::invalid_params(format!("allowed_client_ip: {error}")))?;
    }
    Ok(())
}

fn is_active_superadmin(user: &User) -> bool {
    user.role == Role::Superadmin && user.status == UserStatus::Active
}

/// Nobody could undo it if no superadmin could come from this computer any more.
fn check_way_in(tx: &Connection, own: IpAddr) -> Result<(), Problem> {
    let mut users = store::user::list(tx)?.into_iter();
    if users.any(|one| is_active_superadmin(&one) && may_come_from(&one, own)) {
        return Ok(());
    }
    Err(conflict(format!(
        "There must be an active superadmin who may come from this computer: \
         add {own} to the allowed addresses."
    )))
}

fn check_login(tx: &Connection, what: &str, text: &str) -> Result<(), Problem> {
    if text.trim().is_empty() || text.chars().count() > 64 {
        return Err(Problem::invalid_params(format!(
            "{what}: 1 to 64 characters are needed."
        )));
    }
    if store::user::by_login(tx, text)?.is_some() {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "user-conflict",
            "The user already exists.",
            "user_create_conflict",
        )
        .msg(format!("There is a user \"{text}\" already.")));
    }
    Ok(())
}

fn check_password(password: &str) -> Result<(), Problem> {
    if password.chars().count() < 8 {
        return Err(Problem::invalid_params(
            "The password must have at least 8 characters.",
        ));
    }
    Ok(())
}

fn check_references(tx: &Connection, props: &References) -> Result<(), Problem> {
    if let Some(domain) = &props.domain
        && store::domain::get(tx, domain)?.is_none()
    {
        return Err(missing("domain", domain));
    }
    if let Some(policy) = &props.policy
        && !store::policy::of_users(tx)?
            .iter()
            .any(|one| one.name == *policy)
    {
        return Err(missing("user resource policy", policy));
    }
    for project in props.projects.iter().flatten() {
        if store::project::get(tx, *project)?.is_none() {
            return Err(missing("project", &project.to_string()));
        }
    }
    Ok(())
}

/// What a user's properties point to.
struct References {
    domain: Option<String>,
    policy: Option<String>,
    projects: Option<Vec<Uuid>>,
}

impl References {
    fn of(props: &Props<'_>) -> Result<Self, Problem> {
        let ids = |texts: Vec<String>| -> Result<Vec<Uuid>, Problem> {
            texts
                .iter()
                .map(|text| text.parse())
                .collect::<Result<_, _>>()
                .map_err(|_| Problem::invalid_params("group_ids: a list of UUIDs is needed."))
        };
        Ok(Self {
            domain: props.text("domain_name")?,
            policy: props.text("resource_policy")?,
            projects: props.texts("group_ids")?.map(ids).transpose()?,
        })
    }
}

/// Makes a user with a first keypair.
pub(crate) async fn create(
    app: &App,
    email: &str,
    props: Props<'_>,
) -> Result<(User, Keypair), Problem> {
    let secret = props.text("password")?.unwrap_or_default();
    check_password(&secret)?;
    check_addresses(&props)?;
    let hash = password::hash(secret).await?;
    let mut references = References::of(&props)?;
    references
        .domain
        .get_or_insert_with(|| "default".to_owned());
    references
        .policy
        .get_or_insert_with(|| "default".to_owned());
    let role = parsed::<Role>(&props, "role")?.unwrap_or(Role::User);
    let status = status(&props)?.unwrap_or(UserStatus::Active);
    let username = props.text("username")?.unwrap_or_else(|| email.to_owned());
    let (id, email) = (Uuid::now_v7(), email.to_owned());
    let mut keypair = new_keypair(id, "default");
    keypair.is_admin = matches!(role, Role::Superadmin | Role::Admin);
    keypair.is_active = status == UserStatus::Active;
    let now = At::now();
    let mut row = props.change(&COLUMNS)?;
    row.set("id", store::Id(id));
    row.set("email", email.clone());
    row.set("username", username.clone());
    row.set("password_hash", hash);
    row.set("password_changed_at", now);
    row.set("status", Word(status));
    row.set("role", Word(role));
    row.set("main_access_key", keypair.access_key.clone());
    row.set("created_at", now);
    row.set("modified_at", now);
    row.set("domain", references.domain.clone());
    row.set("resource_policy", references.policy.clone());
    app.store
        .write(move |tx| {
            check_login(tx, "email", &email)?;
            check_login(tx, "username", &username)?;
            check_references(tx, &references)?;
            row.insert(tx, "user")?;
            store::keypair::insert(tx, &keypair)?;
            for project in references.projects.unwrap_or_default() {
                store::project::add_member(tx, project, id)?;
            }
            let user = store::user::get(tx, id)?.ok_or_else(|| no_user(&email))?;
            Ok((user, keypair))
        })
        .await
}

/// Changes a user.
pub(crate) async fn modify(app: &App, email: &str, props: Props<'_>) -> Result<User, Problem> {
    let mut change: Change = props.change(&COLUMNS)?;
    check_addresses(&props)?;
    if let Some(secret) = props.text("password")?.filter(|it| !it.is_empty()) {
        check_password(&secret)?;
        change.set("password_hash", password::hash(secret).await?);
        change.set("password_changed_at", At::now());
    }
    let references = References::of(&props)?;
    let (role, status) = (parsed::<Role>(&props, "role")?, status(&props)?);
    if let Some(role) = role {
        change.set("role", Word(role));
    }
    if let Some(status) = status {
        change.set("status", Word(status));
    }
    if let Some(domain) = &references.domain {
        change.set("domain", domain.clone());
    }
    if let Some(policy) = &references.policy {
        change.set("resource_policy", policy.clone());
    }
    let (username, main) = (props.text("username")?, props.text("main_access_key")?);
    change.set("modified_at", At::now());
    let (email, own) = (email.to_owned(), address::own(app));
    app.store
        .write(move |tx| {
            let user = by_email(tx, &email)?;
            check_references(tx, &references)?;
            if let Some(username) = username.filter(|new| *new != user.username) {
                check_login(tx, "username", &username)?;
                change.set("username", username);
            }
            if let Some(main) = main {
                let own = store::keypair::of_user(tx, user.id)?;
                if !own.iter().any(|keypair| keypair.access_key == main) {
                    return Err(Problem::invalid_params(
                        "Cannot set another user's access key as the main access key.",
                    ));
                }
                change.set("main_access_key", main);
            }
            let leaves = role.is_some_and(|role| role != Role::Superadmin)
                || status.is_some_and(|status| status != UserStatus::Active);
            if leaves {
                check_last(tx, &user, own)?;
            }
            change.update(tx, "user", "id", &user.id.to_string())?;
            check_way_in(tx, own)?;
            if let Some(projects) = references.projects {
                for old in store::project::of_user(tx, user.id)? {
                    if !projects.contains(&old.id) {
                        store::project::remove_member(tx, old.id, user.id)?;
                    }
                }
                for project in projects {
                    store::project::add_member(tx, project, user.id)?;
                }
            }
            store::user::get(tx, user.id)?.ok_or_else(|| no_user(&email))
        })
        .await
}

fn by_email(tx: &Connection, email: &str) -> Result<User, Problem> {
    store::user::by_login(tx, email)?
        .filter(|user| user.email == email)
        .ok_or_else(|| no_user(email))
}

/// Nobody could undo it if the last superadmin went.
fn check_last(tx: &Connection, user: &User, own: IpAddr) -> Result<(), Problem> {
    let mut others = store::user::list(tx)?.into_iter();
    let another = others
        .any(|one| one.id != user.id && is_active_superadmin(&one) && may_come_from(&one, own));
    if is_active_superadmin(user) && !another {
        return Err(conflict("There must be an active superadmin."));
    }
    Ok(())
}

/// Switches a user off with all keypairs; what is theirs stays.
pub(crate) async fn delete(app: &App, email: &str) -> Result<(), Problem> {
    let (email, own) = (email.to_owned(), address::own(app));
    app.store
        .write(move |tx| {
            let user = by_email(tx, &email)?;
            check_last(tx, &user, own)?;
            let mut off = Change::default();
            off.set("status", Word(UserStatus::Deleted));
            off.set("modified_at", At::now());
            off.update(tx, "user", "id", &user.id.to_string())?;
            Ok(store::keypair::set_active(tx, user.id, false)?)
        })
        .await
}

/// Forgets a user. Folders that others use go to the one who asks, unless they are to go too.
pub(crate) async fn purge(
    app: &App,
    caller: &Caller,
    email: &str,
    props: Props<'_>,
) -> Result<(), Problem> {
    let shared_too = props.flag("purge_shared_vfolders")?.unwrap_or(false);
    let (email, heir) = (email.to_owned(), caller.user.clone());
    let own = address::own(app);
    let gone = app
        .store
        .write(move |tx| {
            let user = by_email(tx, &email)?;
            check_last(tx, &user, own)?;
            if user.id == heir.id {
                return Err(conflict("You can't remove yourself."));
            }
            let live = Filter {
                user: Some(user.id),
                statuses: Some(store::session::live_statuses()),
                ..Filter::default()
            };
            if store::session::count(tx, &live)? > 0 {
                return Err(conflict(
                    "The user has sessions that are not over. Terminate them first.",
                ));
            }
            let mut gone = Vec::new();
            for one in store::folder::all(tx)? {
                if one.owner.user() != Some(user.id) {
                    continue;
                }
                let shared = !store::folder_sharing::permissions(tx, one.id)?.is_empty();
                if shared && !shared_too {
                    store::folder_sharing::give(tx, one.id, heir.id)?;
                } else {
                    gone.push(one.id);
                }
            }
            store::user::remove(tx, user.id)?;
            Ok(gone)
        })
        .await?;
    for id in gone {
        folder::on_disk(app, move |storage| storage.volume.remove(id)).await?;
    }
    Ok(())
}

//! Files that sessions find in their home: a user's, a project's, a domain's.

use axum::http::StatusCode;
use db::rusqlite::Connection;

use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;
use crate::store;
use crate::store::dotfile::{Dotfile, Owner};
use crate::store::user::Role;

/// All files of an owner together, in bytes.
const MAX_BYTES: usize = 64 << 10;
const MAX_FILES: usize = 100;
/// What the session itself makes.
const RESERVED: [&str; 6] = [
    ".terminfo",
    ".jupyter",
    ".ssh",
    ".ssh/authorized_keys",
    ".local",
    ".config",
];

/// Whose files a request is about, as it says it.
#[derive(Debug, Clone)]
pub(crate) enum Whose {
    /// The caller's, or those of another access key.
    Keypair(Option<String>),
    /// A project's, by name or id, in a domain.
    Project {
        project: String,
        domain: Option<String>,
    },
    Domain(String),
}

/// An owner that the request may look at or change.
enum Found {
    Keypair(String),
    Project(String),
    Domain(String),
}

impl Found {
    fn owner(&self) -> Owner<'_> {
        match self {
            Self::Keypair(key) => Owner::Keypair(key),
            Self::Project(id) => Owner::Project(id),
            Self::Domain(name) => Owner::Domain(name),
        }
    }
}

fn forbidden() -> Problem {
    Problem::forbidden("Users cannot create dotfiles of other users, projects or domains.")
}

fn find(db: &Connection, caller: &Caller, whose: &Whose, change: bool) -> Result<Found, Problem> {
    let admin = matches!(caller.user.role, Role::Superadmin | Role::Admin);
    let in_domain = |domain: &str| caller.is_superadmin() || caller.user.domain == domain;
    match whose {
        Whose::Keypair(None) => Ok(Found::Keypair(caller.keypair.access_key.clone())),
        Whose::Keypair(Some(key)) => {
            let owner = store::keypair::get(db, key)?
                .ok_or_else(|| Problem::invalid_params("Unknown owner access key"))?;
            if owner.user != caller.user.id && !caller.is_superadmin() {
                return Err(forbidden());
            }
            Ok(Found::Keypair(key.clone()))
        }
        Whose::Project { project, domain } => {
            let domain = domain.as_deref().unwrap_or(&caller.user.domain);
            let found = store::project::list(db, domain)?
                .into_iter()
                .find(|one| one.name == *project || one.id.to_string() == *project);
            let found = found.ok_or_else(|| {
                Problem::not_found("project", "group_read_not-found")
                    .msg(format!("There is no project \"{project}\"."))
            })?;
            let member = || -> Result<bool, Problem> {
                let own = store::project::of_user(db, caller.user.id)?;
                Ok(own.iter().any(|one| one.id == found.id))
            };
            let allowed = in_domain(domain) && (admin || (!change && member()?));
            if !allowed {
                return Err(forbidden());
            }
            Ok(Found::Project(found.id.to_string()))
        }
        Whose::Domain(name) => {
            if store::domain::get(db, name)?.is_none() {
                return Err(Problem::not_found("domain", "domain_read_not-found"));
            }
            if !in_domain(name) || (change && !admin) {
                return Err(forbidden());
            }
            Ok(Found::Domain(name.clone()))
        }
    }
}

fn no_dotfile() -> Problem {
    Problem::not_found("dotfile", "dotfile_read_not-found")
}

fn refused(text: &str, code: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "generic-bad-request", text, code)
}

fn check(file: &Dotfile) -> Result<(), Problem> {
    let path = file.path.as_str();
    let stays = !path.is_empty()
        && !path.starts_with('/')
        && path.len() <= 255
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !path.contains('\0');
    if !stays {
        return Err(Problem::invalid_params(format!(
            "path: \"{path}\" is not a path below the home."
        )));
    }
    if RESERVED.contains(&path) {
        return Err(Problem::invalid_params(format!(
            "path: \"{path}\" is reserved for internal operations."
        )));
    }
    let octal = |c: char| ('0'..='7').contains(&c);
    if file.permission.len() != 3 || !file.permission.chars().all(octal) {
        return Err(Problem::invalid_params(format!(
            "permission: \"{}\" is not three octal digits.",
            file.permission
        )));
    }
    Ok(())
}

fn check_room(others: &[Dotfile], file: &Dotfile) -> Result<(), Problem> {
    let others = others.iter().filter(|one| one.path != file.path);
    let (mut count, mut bytes) = (1, file.path.len() + file.data.len());
    for one in others {
        count += 1;
        bytes += one.path.len() + one.data.len();
    }
    if bytes > MAX_BYTES {
        return Err(refused(
            "No leftover space for dotfile storage",
            "dotfile_create_unavailable",
        ));
    }
    if count > MAX_FILES {
        return Err(refused(
            "Dotfile creation limit reached",
            "dotfile_create_unavailable",
        ));
    }
    Ok(())
}

/// The owner's files.
pub(crate) async fn list(
    app: &App,
    caller: &Caller,
    whose: Whose,
) -> Result<Vec<Dotfile>, Problem> {
    let caller = caller.clone();
    app.store
        .read(move |db| {
            let found = find(db, &caller, &whose, false)?;
            Ok(store::dotfile::list(db, found.owner())?)
        })
        .await
}

/// One of the owner's files.
pub(crate) async fn get(
    app: &App,
    caller: &Caller,
    whose: Whose,
    path: &str,
) -> Result<Dotfile, Problem> {
    let files = list(app, caller, whose).await?;
    files
        .into_iter()
        .find(|file| file.path == path)
        .ok_or_else(no_dotfile)
}

/// Adds a file, or changes one that is there.
pub(crate) async fn put(
    app: &App,
    caller: &Caller,
    whose: Whose,
    file: Dotfile,
    new: bool,
) -> Result<(), Problem> {
    check(&file)?;
    let caller = caller.clone();
    app.store
        .write(move |tx| {
            let found = find(tx, &caller, &whose, true)?;
            let files = store::dotfile::list(tx, found.owner())?;
            let there = files.iter().any(|one| one.path == file.path);
            if there && new {
                return Err(refused(
                    "Dotfile already exists.",
                    "dotfile_create_already-exists",
                ));
            }
            if !there && !new {
                return Err(no_dotfile());
            }
            check_room(&files, &file)?;
            Ok(store::dotfile::put(tx, found.owner(), &file)?)
        })
        .await
}

/// Forgets a file.
pub(crate) async fn remove(
    app: &App,
    caller: &Caller,
    whose: Whose,
    path: String,
) -> Result<(), Problem> {
    let caller = caller.clone();
    app.store
        .write(move |tx| {
            let found = find(tx, &caller, &whose, true)?;
            match store::dotfile::remove(tx, found.owner(), &path)? {
                true => Ok(()),
                false => Err(no_dotfile()),
            }
        })
        .await
}

/// The files that a session finds: the domain's, the project's over them, the user's over both.
pub(crate) fn of_session(
    db: &Connection,
    domain: &str,
    project: uuid::Uuid,
    access_key: &str,
) -> Result<Vec<Dotfile>, Problem> {
    let project = project.to_string();
    let mut files = std::collections::BTreeMap::new();
    for owner in [
        Owner::Domain(domain),
        Owner::Project(&project),
        Owner::Keypair(access_key),
    ] {
        for file in store::dotfile::list(db, owner)? {
            files.insert(file.path.clone(), file);
        }
    }
    Ok(files.into_values().collect())
}

//! Domains.

use super::props::Kind;
use super::{Props, conflict, missing};
use crate::app::bootstrap::DEFAULT;
use crate::error::Problem;
use crate::state::App;
use crate::store::access::Scope;
use crate::store::change;
use crate::store::domain::Domain;
use crate::store::{self, At};

const COLUMNS: [(&str, Kind); 6] = [
    ("description", Kind::Text),
    ("is_active", Kind::Flag),
    ("total_resource_slots", Kind::Slots),
    ("allowed_vfolder_hosts", Kind::Hosts),
    ("allowed_docker_registries", Kind::Texts),
    ("integration_id", Kind::NullableText),
];

fn no_domain(name: &str) -> Problem {
    missing("domain", name)
}

fn check_name(name: &str) -> Result<(), Problem> {
    let right = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.chars().count() > 64 || !name.chars().all(right) {
        return Err(Problem::invalid_params(format!(
            "name: \"{name}\" is not a name of 1 to 64 letters, digits, dots, hyphens and underscores."
        )));
    }
    Ok(())
}

/// Makes a domain.
pub(crate) async fn create(app: &App, name: &str, props: Props<'_>) -> Result<Domain, Problem> {
    check_name(name)?;
    let mut change = props.change(&COLUMNS)?;
    change.set("name", name.to_owned());
    change.set("created_at", At::now());
    let name = name.to_owned();
    app.store
        .write(move |tx| {
            if store::domain::get(tx, &name)?.is_some() {
                return Err(conflict(format!("There is a domain \"{name}\" already.")));
            }
            change.insert(tx, "domain")?;
            store::domain::get(tx, &name)?.ok_or_else(|| no_domain(&name))
        })
        .await
}

/// Changes a domain.
pub(crate) async fn modify(app: &App, name: &str, props: Props<'_>) -> Result<Domain, Problem> {
    let mut change = props.change(&COLUMNS)?;
    let renamed = props.text("name")?.filter(|new| new != name);
    if let Some(new) = &renamed {
        check_name(new)?;
        if name == DEFAULT {
            return Err(Problem::invalid_params("The first domain keeps its name."));
        }
        change.set("name", new.clone());
    }
    let name = name.to_owned();
    app.store
        .write(move |tx| {
            let new = renamed.as_ref().unwrap_or(&name);
            if renamed.is_some() && store::domain::get(tx, new)?.is_some() {
                return Err(conflict(format!("There is a domain \"{new}\" already.")));
            }
            if !change.update(tx, "domain", "name", &name)? {
                return Err(no_domain(&name));
            }
            if renamed.is_some() {
                for group in store::access::groups(tx, Some(&name), &[], None)? {
                    store::access::open(tx, Scope::Domain, new, &group)?;
                }
                store::access::close(tx, Scope::Domain, &name, None)?;
            }
            store::domain::get(tx, new)?.ok_or_else(|| no_domain(new))
        })
        .await
}

/// Switches a domain off; what belongs to it stays.
pub(crate) async fn delete(app: &App, name: &str) -> Result<(), Problem> {
    if name == DEFAULT {
        return Err(conflict("The first domain can't be switched off."));
    }
    let mut off = change::Change::default();
    off.set("is_active", false);
    let name = name.to_owned();
    app.store
        .write(move |tx| match off.update(tx, "domain", "name", &name)? {
            true => Ok(()),
            false => Err(no_domain(&name)),
        })
        .await
}

/// Forgets a domain that nothing belongs to.
pub(crate) async fn purge(app: &App, name: &str) -> Result<(), Problem> {
    if name == DEFAULT {
        return Err(conflict("The first domain can't be removed."));
    }
    let name = name.to_owned();
    app.store
        .write(move |tx| {
            if store::user::list(tx)?
                .iter()
                .any(|user| user.domain == name)
            {
                return Err(conflict(
                    "There are users bound to the domain. Remove users first.",
                ));
            }
            if !store::project::list(tx, &name)?.is_empty() {
                return Err(conflict(
                    "There are groups bound to the domain. Remove groups first.",
                ));
            }
            store::access::close(tx, Scope::Domain, &name, None)?;
            match change::remove(tx, "domain", "name", &name)? {
                true => Ok(()),
                false => Err(no_domain(&name)),
            }
        })
        .await
}

//! Resource policies of keypairs, users and projects.

use super::props::Kind;
use super::{Props, conflict, missing};
use crate::error::Problem;
use crate::state::App;
use crate::store::{self, At, change};

/// Whose policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Keypair,
    User,
    Project,
}

impl Whose {
    /// From the first word of a GraphQL field: `keypair`, `user`, `project`.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        match word {
            "keypair" => Some(Self::Keypair),
            "user" => Some(Self::User),
            "project" => Some(Self::Project),
            _ => None,
        }
    }

    const fn table(self) -> &'static str {
        match self {
            Self::Keypair => "keypair_policy",
            Self::User => "user_policy",
            Self::Project => "project_policy",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Keypair => "keypair resource policy",
            Self::User => "user resource policy",
            Self::Project => "project resource policy",
        }
    }

    fn columns(self) -> Vec<(&'static str, Kind)> {
        match self {
            Self::Keypair => vec![
                ("default_for_unspecified", Kind::Text),
                ("total_resource_slots", Kind::Slots),
                ("max_session_lifetime", Kind::Count),
                ("max_concurrent_sessions", Kind::Count),
                ("max_concurrent_sftp_sessions", Kind::Count),
                ("max_pending_session_count", Kind::NullableCount),
                ("max_pending_session_resource_slots", Kind::NullableSlots),
                ("max_priority", Kind::NullableCount),
                ("max_containers_per_session", Kind::Count),
                ("idle_timeout", Kind::Count),
                ("allowed_vfolder_hosts", Kind::Hosts),
            ],
            Self::User => vec![
                ("max_vfolder_count", Kind::Count),
                ("max_quota_scope_size", Kind::Size),
                ("max_session_count_per_model_session", Kind::Count),
                ("max_customized_image_count", Kind::Count),
            ],
            Self::Project => vec![
                ("max_vfolder_count", Kind::Count),
                ("max_quota_scope_size", Kind::Size),
                ("max_network_count", Kind::Count),
            ],
        }
    }
}

fn check(whose: Whose, props: &Props<'_>) -> Result<(), Problem> {
    if whose != Whose::Keypair {
        return Ok(());
    }
    match props.text("default_for_unspecified")?.as_deref() {
        None | Some("LIMITED" | "UNLIMITED") => {}
        Some(other) => {
            return Err(Problem::invalid_params(format!(
                "default_for_unspecified: \"{other}\" is neither LIMITED nor UNLIMITED."
            )));
        }
    }
    match props.count("max_containers_per_session")? {
        Some(0) => Err(Problem::invalid_params(
            "max_containers_per_session: at least 1 is needed.",
        )),
        _ => Ok(()),
    }
}

fn exists(tx: &db::rusqlite::Connection, whose: Whose, name: &str) -> Result<bool, Problem> {
    Ok(change::Change::default().update(tx, whose.table(), "name", name)?)
}

/// Makes a policy.
pub(crate) async fn create(
    app: &App,
    whose: Whose,
    name: &str,
    props: Props<'_>,
) -> Result<(), Problem> {
    check(whose, &props)?;
    if name.trim().is_empty() || name.chars().count() > 256 {
        return Err(Problem::invalid_params(
            "name: 1 to 256 characters are needed.",
        ));
    }
    let mut row = props.change(&whose.columns())?;
    row.set("name", name.to_owned());
    row.set("created_at", At::now());
    let name = name.to_owned();
    app.store
        .write(move |tx| {
            if exists(tx, whose, &name)? {
                let title = whose.title();
                return Err(conflict(format!("There is a {title} \"{name}\" already.")));
            }
            Ok(row.insert(tx, whose.table())?)
        })
        .await
}

/// Changes a policy.
pub(crate) async fn modify(
    app: &App,
    whose: Whose,
    name: &str,
    props: Props<'_>,
) -> Result<(), Problem> {
    check(whose, &props)?;
    let change = props.change(&whose.columns())?;
    let name = name.to_owned();
    app.store
        .write(
            move |tx| match change.update(tx, whose.table(), "name", &name)? {
                true => Ok(()),
                false => Err(missing(whose.title(), &name)),
            },
        )
        .await?;
    // A limit may have been what sessions wait for.
    app.nudge.schedule.notify_one();
    Ok(())
}

/// Forgets a policy that nobody has.
pub(crate) async fn delete(app: &App, whose: Whose, name: &str) -> Result<(), Problem> {
    let name = name.to_owned();
    app.store
        .write(move |tx| {
            if store::policy::in_use(tx, &name, whose.table())? {
                return Err(conflict(format!(
                    "Somebody has the {} \"{name}\".",
                    whose.title()
                )));
            }
            match change::remove(tx, whose.table(), "name", &name)? {
                true => Ok(()),
                false => Err(missing(whose.title(), &name)),
            }
        })
        .await
}

//! Who may use which resource group, and which machines serve it.

use axum::http::StatusCode;
use db::rusqlite::Connection;
use runtime::Node;
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;
use crate::store;
use crate::store::access::{AgentSetting, Scope};
use crate::store::keypair::Keypair;
use crate::store::resource_group::ResourceGroup;
use crate::store::user::{Role, User};

/// The resource group of an agent, and whether new sessions may go to it.
pub(crate) fn serves(settings: &[AgentSetting], agent: &str) -> (String, bool) {
    let said = settings.iter().find(|setting| setting.agent == agent);
    let group = said.and_then(|setting| setting.resource_group.clone());
    (
        group.unwrap_or_else(|| super::bootstrap::DEFAULT.to_owned()),
        said.is_none_or(|setting| setting.schedulable),
    )
}

/// The machines that serve a resource group and take new sessions.
pub(crate) fn nodes_of(db: &Connection, group: &str, nodes: &[Node]) -> Result<Vec<Node>, Problem> {
    let settings = store::access::agents(db)?;
    Ok(nodes
        .iter()
        .filter(|node| serves(&settings, &node.name) == (group.to_owned(), true))
        .cloned()
        .collect())
}

/// Every resource group, for superadmins.
pub(crate) async fn all_groups(app: &App) -> Result<Vec<ResourceGroup>, Problem> {
    app.store
        .read(|db| Ok(store::resource_group::list(db)?))
        .await
}

/// The resource groups that are open to a domain, a project or a keypair.
pub(crate) async fn groups_of(
    app: &App,
    scope: Scope,
    target: &str,
) -> Result<Vec<ResourceGroup>, Problem> {
    let target = target.to_owned();
    app.store
        .read(move |db| {
            let open = match scope {
                Scope::Domain => store::access::groups(db, Some(&target), &[], None)?,
                Scope::Keypair => store::access::groups(db, None, &[], Some(&target))?,
                Scope::Project => {
                    let id = target.parse().unwrap_or_default();
                    store::access::groups(db, None, &[id], None)?
                }
            };
            let mut groups = store::resource_group::list(db)?;
            groups.retain(|group| open.contains(&group.name));
            Ok(groups)
        })
        .await
}

/// The active resource groups that are open to somebody: through their domain, their projects (or
/// only one of them) or their keypair. Those that are not public are for administrators.
pub(crate) fn usable_groups(
    db: &Connection,
    user: &User,
    keypair: &Keypair,
    project: Option<Uuid>,
) -> Result<Vec<ResourceGroup>, Problem> {
    let projects = match project {
        Some(project) => vec![project],
        None => store::project::of_user(db, user.id)?
            .into_iter()
            .map(|project| project.id)
            .collect(),
    };
    let open = store::access::groups(db, Some(&user.domain), &projects, Some(&keypair.access_key))?;
    let admin = matches!(user.role, Role::Superadmin | Role::Admin);
    let mut groups = store::resource_group::list(db)?;
    groups.retain(|group| {
        group.is_active && (group.is_public || admin) && open.contains(&group.name)
    });
    Ok(groups)
}

/// The resource groups that the caller may use, in all their projects or in one.
pub(crate) async fn groups(
    app: &App,
    caller: &Caller,
    project: Option<Uuid>,
) -> Result<Vec<ResourceGroup>, Problem> {
    let caller = caller.clone();
    app.store
        .read(move |db| usable_groups(db, &caller.user, &caller.keypair, project))
        .await
}

/// A resource group that the caller may use.
pub(crate) async fn group(
    app: &App,
    caller: &Caller,
    name: &str,
) -> Result<ResourceGroup, Problem> {
    groups(app, caller, None)
        .await?
        .into_iter()
        .find(|group| group.name == name)
        .ok_or_else(|| {
            Problem::new(
                StatusCode::NOT_FOUND,
                "scaling-group-not-found",
                "Scaling Group Not Found",
                "scaling-group_read_not-found",
            )
            .msg(format!(
                "There is no resource group \"{name}\" that you may use."
            ))
        })
}

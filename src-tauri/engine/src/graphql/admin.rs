//! What administrators change through GraphQL: answers of the form `{ok, msg, <object>}`.

use serde_json::{Map, Value, json};

use super::record::{Ask, raw_id};
use super::{project, resource, user};
use crate::app::admin::policy::Whose;
use crate::app::admin::{self, Props};
use crate::error::Problem;
use crate::store::access::Scope;

/// Who may do it.
enum Needed {
    Superadmin,
    /// Of the domain.
    Admin,
}

/// Answers one of these mutations; `None` when it is another one.
pub(super) async fn change(ask: &Ask<'_>, field: &str) -> Result<Option<Value>, Problem> {
    let Some((verb, object)) = field.split_once('_') else {
        return Ok(None);
    };
    let needed = match object {
        "group" => Needed::Admin,
        _ => Needed::Superadmin,
    };
    if object == "domain" && !matches!(verb, "associate" | "disassociate") {
        allowed(ask, &needed)?;
        return Ok(Some(said(domain(ask, verb).await)));
    }
    other(ask, verb, object, &needed).await
}

fn allowed(ask: &Ask<'_>, needed: &Needed) -> Result<(), Problem> {
    match needed {
        Needed::Superadmin => ask.superadmin(),
        Needed::Admin if ask.is_admin() => Ok(()),
        Needed::Admin => Err(Problem::forbidden(
            "Forbidden operation. (admin privilege required)",
        )),
    }
}

/// Everything that was made, under the name that its mutation has for it.
type Made = Result<Map<String, Value>, Problem>;

fn nothing() -> Made {
    Ok(Map::new())
}

fn made(name: &str, value: impl Into<Value>) -> Made {
    Ok([(name.to_owned(), value.into())].into_iter().collect())
}

fn said(made: Made) -> Value {
    match made {
        Ok(mut objects) => {
            objects.insert("ok".into(), true.into());
            objects.insert("msg".into(), "success".into());
            objects.into()
        }
        Err(problem) => json!({ "ok": false, "msg": problem.text() }),
    }
}

async fn other(
    ask: &Ask<'_>,
    verb: &str,
    object: &str,
    needed: &Needed,
) -> Result<Option<Value>, Problem> {
    let known = matches!(
        (verb, object),
        ("create" | "modify" | "delete" | "purge", "group" | "user")
            | ("create" | "modify" | "delete", "keypair" | "scaling_group")
            | ("modify", "agent")
    );
    let policy = object
        .strip_suffix("_resource_policy")
        .and_then(Whose::from_word);
    let association = matches!(verb, "associate" | "disassociate");
    if !known && policy.is_none() && !association {
        return Ok(None);
    }
    allowed(ask, needed)?;
    if let Some(whose) = policy {
        return Ok(Some(said(resource_policy(ask, verb, whose).await)));
    }
    Ok(Some(said(match object {
        "group" => group(ask, verb).await,
        "user" => one_user(ask, verb).await,
        "keypair" => keypair(ask, verb).await,
        "scaling_group" => scaling_group(ask, verb).await,
        "agent" => {
            let (id, props) = (ask.needed("id")?, props(ask)?);
            admin::resource_group::modify_agent(ask.app, &raw_id(id), Props(props))
                .await
                .and_then(|()| nothing())
        }
        _ => associate(ask, verb == "associate", object).await,
    })))
}

fn props<'a>(ask: &'a Ask<'_>) -> Result<&'a Map<String, Value>, Problem> {
    ask.args
        .get("props")
        .and_then(Value::as_object)
        .ok_or_else(|| Problem::invalid_params("props is missing"))
}

async fn domain(ask: &Ask<'_>, verb: &str) -> Made {
    let name = ask.needed("name")?;
    match verb {
        "create" | "modify" => {
            let props = Props(props(ask)?);
            let domain = if verb == "create" {
                admin::domain::create(ask.app, name, props).await?
            } else {
                admin::domain::modify(ask.app, name, props).await?
            };
            made("domain", project::one_domain(ask, &domain.name).await?)
        }
        "delete" => {
            admin::domain::delete(ask.app, name).await?;
            nothing()
        }
        "purge" => {
            admin::domain::purge(ask.app, name).await?;
            nothing()
        }
        other => Err(unknown(other)),
    }
}

fn unknown(verb: &str) -> Problem {
    Problem::not_implemented(format!("{verb} is not done by this engine"))
}

async fn group(ask: &Ask<'_>, verb: &str) -> Made {
    if verb == "create" {
        let (name, props) = (ask.needed("name")?, Props(props(ask)?));
        let project = admin::project::create(ask.app, ask.caller, name, props).await?;
        return made("group", project::changed(ask, &project).await?);
    }
    let id = ask.uuid("gid")?;
    match verb {
        "modify" => {
            let props = Props(props(ask)?);
            let project = admin::project::modify(ask.app, ask.caller, id, props).await?;
            made("group", project::changed(ask, &project).await?)
        }
        "delete" => {
            admin::project::delete(ask.app, ask.caller, id).await?;
            nothing()
        }
        "purge" => {
            admin::project::purge(ask.app, ask.caller, id).await?;
            nothing()
        }
        other => Err(unknown(other)),
    }
}

async fn one_user(ask: &Ask<'_>, verb: &str) -> Made {
    let email = ask.needed("email")?;
    match verb {
        "create" => {
            let (new, keypair) = admin::user::create(ask.app, email, Props(props(ask)?)).await?;
            let mut objects = made("user", user::changed(ask, new.id).await?)?;
            let keypair = user::new_keypair(ask, &new, &keypair).await?;
            objects.insert("keypair".into(), keypair);
            Ok(objects)
        }
        "modify" => {
            let changed = admin::user::modify(ask.app, email, Props(props(ask)?)).await?;
            made("user", user::changed(ask, changed.id).await?)
        }
        "delete" => {
            admin::user::delete(ask.app, email).await?;
            nothing()
        }
        "purge" => {
            admin::user::purge(ask.app, ask.caller, email, Props(props(ask)?)).await?;
            nothing()
        }
        other => Err(unknown(other)),
    }
}

async fn keypair(ask: &Ask<'_>, verb: &str) -> Made {
    match verb {
        "create" => {
            let owner = raw_id(ask.needed("user_id")?);
            let keypair = admin::keypair::create(ask.app, &owner, Props(props(ask)?)).await?;
            let id = keypair.user;
            let owner = ask
                .app
                .store
                .read(move |db| -> Result<_, Problem> { Ok(crate::store::user::get(db, id)?) })
                .await?;
            match owner {
                Some(owner) => made("keypair", user::new_keypair(ask, &owner, &keypair).await?),
                None => nothing(),
            }
        }
        "modify" => {
            let access_key = ask.needed("access_key")?;
            admin::keypair::modify(ask.app, access_key, Props(props(ask)?)).await?;
            nothing()
        }
        "delete" => {
            admin::keypair::delete(ask.app, ask.needed("access_key")?).await?;
            nothing()
        }
        other => Err(unknown(other)),
    }
}

async fn resource_policy(ask: &Ask<'_>, verb: &str, whose: Whose) -> Made {
    let name = ask.needed("name")?;
    match verb {
        "create" => {
            admin::policy::create(ask.app, whose, name, Props(props(ask)?)).await?;
            let field = match whose {
                Whose::Keypair => "keypair_resource_policy",
                Whose::User => "user_resource_policy",
                Whose::Project => "project_resource_policy",
            };
            made("resource_policy", user::policy(ask, field).await?)
        }
        "modify" => {
            admin::policy::modify(ask.app, whose, name, Props(props(ask)?)).await?;
            nothing()
        }
        "delete" => {
            admin::policy::delete(ask.app, whose, name).await?;
            nothing()
        }
        other => Err(unknown(other)),
    }
}

async fn scaling_group(ask: &Ask<'_>, verb: &str) -> Made {
    let name = ask.needed("name")?;
    match verb {
        "create" => {
            let group = admin::resource_group::create(ask.app, name, Props(props(ask)?)).await?;
            made("scaling_group", resource::group_record(&group))
        }
        "modify" => {
            admin::resource_group::modify(ask.app, name, Props(props(ask)?)).await?;
            nothing()
        }
        "delete" => {
            admin::resource_group::delete(ask.app, name).await?;
            nothing()
        }
        other => Err(unknown(other)),
    }
}

/// `associate_scaling_group_with_domain` and the like.
async fn associate(ask: &Ask<'_>, open: bool, object: &str) -> Made {
    let (groups, whom) = object.split_once("_with_").ok_or_else(|| unknown(object))?;
    let (scope, target) = match whom {
        "domain" => (Scope::Domain, ask.needed("domain")?.to_owned()),
        "user_group" | "group" => (Scope::Project, ask.uuid("user_group")?.to_string()),
        "keypair" => (Scope::Keypair, ask.needed("access_key")?.to_owned()),
        other => return Err(unknown(other)),
    };
    let groups = match groups {
        "scaling_group" => Some(vec![ask.needed("scaling_group")?.to_owned()]),
        "scaling_groups" => Some(
            ask.args
                .get("scaling_groups")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect(),
        ),
        _ => None,
    };
    match (open, groups) {
        (true, Some(groups)) => {
            admin::resource_group::open(ask.app, scope, target, groups).await?;
        }
        (true, None) => return Err(unknown(object)),
        (false, groups) => {
            admin::resource_group::close(ask.app, scope, target, groups).await?;
        }
    }
    nothing()
}

//! `/user-config`, `/group-config` and `/domain-config` over HTTP: dotfiles and bootstrap scripts.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{Body, Params};
use crate::app::dotfile::{self, Whose};
use crate::app::user;
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;
use crate::store::dotfile::Dotfile;

pub(crate) fn routes() -> Router<App> {
    let dotfiles = || get(read).post(create).patch(update).delete(remove);
    Router::new()
        .route("/user-config/dotfiles", dotfiles())
        .route("/group-config/dotfiles", dotfiles())
        .route("/domain-config/dotfiles", dotfiles())
        .route(
            "/user-config/bootstrap-script",
            get(script).post(set_script),
        )
}

/// What a query or a body says about whose files it means.
#[derive(Deserialize)]
struct About {
    #[serde(alias = "ownerAccessKey")]
    owner_access_key: Option<String>,
    #[serde(alias = "groupId", alias = "group_id")]
    group: Option<String>,
    domain: Option<String>,
    path: Option<String>,
}

impl About {
    fn whose(&self, uri: &axum::http::Uri) -> Result<Whose, Problem> {
        let missing = |name: &str| Problem::unparsable(format!("{name}: field required"));
        Ok(if uri.path().starts_with("/group-config") {
            Whose::Project {
                project: self.group.clone().ok_or_else(|| missing("group"))?,
                domain: self.domain.clone(),
            }
        } else if uri.path().starts_with("/domain-config") {
            Whose::Domain(self.domain.clone().ok_or_else(|| missing("domain"))?)
        } else {
            Whose::Keypair(self.owner_access_key.clone())
        })
    }

    fn path(&self) -> Result<String, Problem> {
        let missing = || Problem::unparsable("path: field required");
        self.path.clone().ok_or_else(missing)
    }
}

#[derive(Deserialize)]
struct File {
    #[serde(flatten)]
    about: About,
    data: String,
    #[serde(default = "permission")]
    permission: String,
}

fn permission() -> String {
    "644".to_owned()
}

async fn read(
    State(app): State<App>,
    caller: Caller,
    uri: axum::http::Uri,
    Params(about): Params<About>,
) -> Result<Json<Value>, Problem> {
    let whose = about.whose(&uri)?;
    if let Some(path) = about.path {
        let Dotfile {
            path,
            data,
            permission,
        } = dotfile::get(&app, &caller, whose, &path).await?;
        return Ok(Json(
            json!({ "path": path, "perm": permission, "data": data }),
        ));
    }
    let files: Vec<Value> = dotfile::list(&app, &caller, whose)
        .await?
        .into_iter()
        .map(|file| json!({ "path": file.path, "permission": file.permission, "data": file.data }))
        .collect();
    Ok(Json(json!(files)))
}

async fn put(
    app: App,
    caller: Caller,
    uri: axum::http::Uri,
    file: File,
    new: bool,
) -> Result<Json<Value>, Problem> {
    let whose = file.about.whose(&uri)?;
    let dotfile = Dotfile {
        path: file.about.path()?,
        data: file.data,
        permission: file.permission,
    };
    dotfile::put(&app, &caller, whose, dotfile, new).await?;
    Ok(Json(json!({})))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    uri: axum::http::Uri,
    Body(file): Body<File>,
) -> Result<Json<Value>, Problem> {
    put(app, caller, uri, file, true).await
}

async fn update(
    State(app): State<App>,
    caller: Caller,
    uri: axum::http::Uri,
    Body(file): Body<File>,
) -> Result<Json<Value>, Problem> {
    put(app, caller, uri, file, false).await
}

async fn remove(
    State(app): State<App>,
    caller: Caller,
    uri: axum::http::Uri,
    Params(about): Params<About>,
) -> Result<Json<Value>, Problem> {
    dotfile::remove(&app, &caller, about.whose(&uri)?, about.path()?).await?;
    Ok(Json(json!({ "success": true })))
}

async fn script(_: State<App>, caller: Caller) -> Json<Value> {
    Json(json!(caller.keypair.bootstrap_script))
}

#[derive(Deserialize)]
struct Script {
    script: String,
}

async fn set_script(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<Script>,
) -> Result<Json<Value>, Problem> {
    user::set_bootstrap_script(&app, &caller, body.script).await?;
    Ok(Json(json!({})))
}

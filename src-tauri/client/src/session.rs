//! Sessions: list, launch, look at, end.

use std::collections::BTreeMap;

use protocol::api::session::{Create, Created, Execute, ExecuteMode, ExecuteOptions, Executed};
use protocol::api::session::{Match, Matches};
use protocol::service_port::ServicePort;
use protocol::session::{SessionResult, SessionStatus, SessionType};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::call::Call;
use crate::graphql::{json_string, json_string_list, null_is_empty};
use crate::{Client, Error};

/// Fields that every manager since 23.09 has.
const FIELDS: &str = "session_id name type image group_name scaling_group user_email status \
    status_info status_data result created_at terminated_at cluster_size occupied_slots \
    service_ports mounts idle_checks";

/// Asked for one session only.
const KERNELS: &str = "containers { id cluster_role cluster_idx cluster_hostname status \
    status_info }";

/// One kernel of a session, as GraphQL tells it.
#[derive(Debug, Clone, Deserialize)]
pub struct KernelRow {
    /// Its id.
    pub id: Uuid,
    /// `main` or `sub`.
    #[serde(default)]
    pub cluster_role: Option<String>,
    /// From 1, within its role.
    #[serde(default)]
    pub cluster_idx: Option<u32>,
    /// Its host name.
    #[serde(default)]
    pub cluster_hostname: Option<String>,
    /// Where it is in its life.
    #[serde(default)]
    pub status: Option<String>,
    /// Reason of the last change.
    #[serde(default)]
    pub status_info: Option<String>,
}

/// A session, as GraphQL tells it.
#[derive(Debug, Clone, Deserialize)]
pub struct SessionRow {
    /// Its id.
    pub session_id: Uuid,
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(rename = "type")]
    pub session_type: SessionType,
    /// Canonical reference of its image.
    #[serde(default)]
    pub image: Option<String>,
    /// Its project.
    #[serde(default)]
    pub group_name: Option<String>,
    /// Its resource group.
    #[serde(default)]
    pub scaling_group: Option<String>,
    /// Its owner.
    #[serde(default)]
    pub user_email: Option<String>,
    /// Where it is in its life.
    pub status: SessionStatus,
    /// Reason of the last change.
    #[serde(default)]
    pub status_info: Option<String>,
    /// What is known beyond that (`kernel.exit_code`, `error`).
    #[serde(default, deserialize_with = "json_string")]
    pub status_data: Value,
    /// How a batch job ended.
    #[serde(default)]
    pub result: Option<SessionResult>,
    /// When it was asked for, ISO 8601.
    #[serde(default)]
    pub created_at: Option<String>,
    /// When it ended, ISO 8601.
    #[serde(default)]
    pub terminated_at: Option<String>,
    /// How many kernels.
    #[serde(default)]
    pub cluster_size: Option<u32>,
    /// What it holds.
    #[serde(default, deserialize_with = "json_string")]
    pub occupied_slots: BTreeMap<String, Value>,
    /// What was asked for.
    #[serde(default, deserialize_with = "json_string")]
    pub requested_slots: BTreeMap<String, Value>,
    /// Its apps.
    #[serde(default, deserialize_with = "json_string_list")]
    pub service_ports: Vec<ServicePort>,
    /// Names of its data folders.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub mounts: Vec<String>,
    /// Its kernels, where one session was asked for.
    #[serde(default, deserialize_with = "null_is_empty", rename = "containers")]
    pub kernels: Vec<KernelRow>,
    /// What the idle checks say: checker to its report.
    #[serde(default, deserialize_with = "json_string")]
    pub idle_checks: BTreeMap<String, Value>,
}

/// What a command in a session came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ran {
    /// Exit code of the command.
    pub exit_code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// The manager's filter text for a part of the name; what stands for something else in it is
/// taken as it is.
fn name_filter(search: &str) -> Option<String> {
    let words: Vec<String> = search
        .split_whitespace()
        .map(|word| {
            let plain: String = word
                .chars()
                .filter(|one| !matches!(one, '"' | '\\' | '%'))
                .collect();
            format!("(name ilike \"%{plain}%\")")
        })
        .collect();
    (!words.is_empty()).then(|| words.join(" & "))
}

#[derive(Deserialize)]
struct ListData {
    compute_session_list: List,
}

#[derive(Deserialize)]
struct List {
    items: Vec<SessionRow>,
    total_count: usize,
}

#[derive(Deserialize)]
struct OneData {
    compute_session: Option<SessionRow>,
    #[serde(default)]
    compute_session_list: Option<Projects>,
}

#[derive(Deserialize)]
struct Projects {
    items: Vec<Project>,
}

#[derive(Deserialize)]
struct Project {
    group_name: Option<String>,
}

#[derive(Deserialize)]
struct OwnerData {
    user: Option<OwnerRow>,
}

#[derive(Deserialize)]
struct OwnerRow {
    main_access_key: Option<String>,
}

#[derive(Deserialize)]
struct Logs {
    result: LogsResult,
}

#[derive(Deserialize)]
struct LogsResult {
    logs: String,
}

/// A part of the account's sessions.
#[derive(Debug, Clone, Default)]
pub struct SessionQuery {
    /// Statuses; all when empty.
    pub statuses: Vec<SessionStatus>,
    /// Part of the name, upper and lower case alike; everything when empty.
    pub search: String,
    /// Field to order by (`created_at`, `name`, …), with `-` for the other way round.
    pub order: String,
    /// How many at most.
    pub limit: u32,
    /// How many are left out at the beginning.
    pub offset: u32,
}

/// What [`Client::session_page`] found.
#[derive(Debug, Clone)]
pub struct SessionPage {
    /// The sessions.
    pub rows: Vec<SessionRow>,
    /// How many there are in all.
    pub total: usize,
}

impl Client {
    /// A part of the account's own sessions.
    ///
    /// # Errors
    /// When the manager refuses or can't be reached.
    pub async fn session_page(&self, query: &SessionQuery) -> Result<SessionPage, Error> {
        let requested = self.requested_slots().await?;
        let statuses = self.known(&query.statuses).await?;
        if statuses.is_empty() && !query.statuses.is_empty() {
            return Ok(SessionPage {
                rows: Vec::new(),
                total: 0,
            });
        }
        let text = format!(
            "query($limit: Int!, $offset: Int!, $status: String, $key: String, $filter: String, \
             $order: String) {{ compute_session_list(limit: $limit, offset: $offset, \
             status: $status, access_key: $key, filter: $filter, order: $order) \
             {{ items {{ {FIELDS} {requested} }} total_count }} }}"
        );
        let names: Vec<&str> = statuses.iter().map(|one| one.as_str()).collect();
        let order = match query.order.as_str() {
            "" => "-created_at",
            order => order,
        };
        let variables = json!({
            "limit": query.limit,
            "offset": query.offset,
            "status": (!names.is_empty()).then(|| names.join(",")),
            "key": self.access_key(),
            "filter": name_filter(&query.search),
            "order": order,
        });
        let ListData {
            compute_session_list: page,
        } = self.query(&text, variables).await?;
        Ok(SessionPage {
            rows: page.items,
            total: page.total_count,
        })
    }

    /// The account's own sessions in any of these statuses, newest first.
    ///
    /// # Errors
    /// When the manager refuses or can't be reached.
    pub async fn sessions(&self, statuses: &[SessionStatus]) -> Result<Vec<SessionRow>, Error> {
        const PAGE: usize = 100;
        let requested = self.requested_slots().await?;
        let query = format!(
            "query($limit: Int!, $offset: Int!, $status: String, $key: String) {{ \
             compute_session_list(limit: $limit, offset: $offset, status: $status, \
             access_key: $key, order: \"-created_at\") {{ items {{ {FIELDS} {requested} }} total_count }} }}"
        );
        let known = self.known(statuses).await?;
        let names: Vec<&str> = known.iter().map(|status| status.as_str()).collect();
        let mut rows = Vec::new();
        loop {
            let variables = json!({
                "limit": PAGE,
                "offset": rows.len(),
                "status": names.join(","),
                "key": self.access_key(),
            });
            let ListData {
                compute_session_list: page,
            } = self.query(&query, variables).await?;
            let last = page.items.len() < PAGE;
            rows.extend(page.items);
            if last || rows.len() >= page.total_count {
                return Ok(rows);
            }
        }
    }

    /// One session by its id, also one that has ended.
    ///
    /// # Errors
    /// [`Error::Manager`] with 404 when there is none.
    pub async fn session(&self, id: Uuid) -> Result<SessionRow, Error> {
        let ours = self.is_ours().await?;
        // Managers from 23.09 to 26.9 tell of one session only the first letter of its project's
        // name; in a list they tell all of it.
        let whole_name = match ours {
            true => String::new(),
            false => format!(
                "compute_session_list(limit: 1, offset: 0, filter: \"id == \\\"{id}\\\"\") \
                 {{ items {{ group_name }} }}"
            ),
        };
        let requested = self.requested_slots().await?;
        let query = format!(
            "query($id: UUID!) {{ compute_session(id: $id) {{ {FIELDS} {requested} {KERNELS} }} {whole_name} }}"
        );
        let data: OneData = self.query(&query, json!({ "id": id })).await?;
        let mut row = data.compute_session.ok_or_else(|| Error::Manager {
            status: 404,
            problem: Box::new(protocol::problem::Problem::new(
                "object-not-found",
                "No such session.",
            )),
        })?;
        let listed = data
            .compute_session_list
            .and_then(|list| list.items.into_iter().next());
        if let Some(project) = listed.and_then(|listed| listed.group_name) {
            row.group_name = Some(project);
        }
        Ok(row)
    }

    /// The account's sessions of exactly this name, newest first.
    ///
    /// # Errors
    /// When the manager refuses or can't be reached.
    pub async fn match_sessions(&self, name: &str) -> Result<Vec<Match>, Error> {
        let found: Matches = self
            .json(Call::get(&["session", "_", "match"]).query("id", name))
            .await?;
        Ok(found.matches)
    }

    /// Launches a session. Sent once: a second one could launch a second session.
    ///
    /// # Errors
    /// [`Error::Manager`] with the manager's reason.
    pub async fn launch(&self, create: &Create) -> Result<Created, Error> {
        let create = self.with_folders(create).await?;
        let body = self.launch_body(&create).await?;
        self.json(Call::post(&["session"]).json(&body)?.works())
            .await
    }

    /// Gives a session another name.
    ///
    /// # Errors
    /// [`Error::Manager`] when the name is taken or the session is gone.
    pub async fn rename_session(&self, session: &str, name: &str) -> Result<(), Error> {
        let body = json!({ "name": name });
        self.done(Call::post(&["session", session, "rename"]).json(&body)?)
            .await
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`Error::Manager`] when it is gone or belongs to somebody else.
    pub async fn destroy_session(&self, session: &str, forced: bool) -> Result<(), Error> {
        let call = Call::delete(&["session", session])
            .query("forced", forced.to_string())
            .works();
        self.done(call).await
    }

    /// Starts a session's kernels again, in their homes. Sent once.
    ///
    /// # Errors
    /// [`Error::Manager`] when it does not run, or with 501 by managers that don't do that any more.
    pub async fn restart_session(&self, session: &str) -> Result<(), Error> {
        self.done(Call::patch(&["session", session]).works()).await
    }

    /// Interrupts what was run in a session.
    ///
    /// # Errors
    /// [`Error::Manager`] when it does not run.
    pub async fn interrupt_session(&self, session: &str) -> Result<(), Error> {
        self.done(Call::post(&["session", session, "interrupt"]).json(&json!({}))?)
            .await
    }

    /// The access key under which an administrator acts for a user.
    ///
    /// # Errors
    /// [`Error::Manager`] with 404 when there is no such user, or none that the account may see.
    pub async fn access_key_of(&self, email: &str) -> Result<String, Error> {
        let query = "query($email: String) { user(email: $email) { main_access_key } }";
        let data: OwnerData = self.query(query, json!({ "email": email })).await?;
        data.user
            .and_then(|user| user.main_access_key)
            .ok_or_else(|| Error::Manager {
                status: 404,
                problem: Box::new(protocol::problem::Problem::new(
                    "object-not-found",
                    format!("There is no user {email}."),
                )),
            })
    }

    /// The log of one of a session's kernels; of the main one without `kernel`.
    ///
    /// # Errors
    /// [`Error::Manager`] when there is none.
    pub async fn session_logs(&self, session: &str, kernel: Option<Uuid>) -> Result<String, Error> {
        let mut call = Call::get(&["session", session, "logs"]);
        if let Some(kernel) = kernel {
            call = call.query("kernel_id", kernel.to_string());
        }
        let logs: Logs = self.json(call).await?;
        Ok(logs.result.logs)
    }

    /// One file of a session, at most 1 MiB.
    ///
    /// # Errors
    /// [`Error::Manager`] with 400 when it is not there.
    pub async fn session_file(&self, session: &str, file: &str) -> Result<Vec<u8>, Error> {
        let call = self.session_file_call(session).await?.query("file", file);
        let response = self.send(call).await?;
        Ok(self.whole(response).await?.into())
    }

    /// Runs a shell line in a session of our engine and waits until it has ended. Other managers
    /// lose what a short line prints: they forget the run between its steps. There a line is run
    /// over SSH.
    ///
    /// # Errors
    /// [`Error::Manager`] when the session can't run it.
    pub async fn run(&self, session: &str, line: &str) -> Result<Ran, Error> {
        let run_id = Uuid::new_v4().simple().to_string();
        let mut body = Execute {
            mode: ExecuteMode::Batch,
            code: Some(String::new()),
            run_id: Some(run_id.clone()),
            options: Some(ExecuteOptions {
                exec: Some(line.to_owned()),
                ..ExecuteOptions::default()
            }),
        };
        let mut ran = Ran::default();
        loop {
            let answer: Executed = self
                .json(Call::post(&["session", session]).json(&body)?.works())
                .await?;
            let result = answer.result;
            for (kind, data) in result.console {
                let text = data.as_str().unwrap_or_default();
                match kind.as_str() {
                    "stderr" => ran.stderr.push_str(text),
                    "stdout" => ran.stdout.push_str(text),
                    _ => {}
                }
            }
            match result.status.as_str() {
                "finished" => {
                    ran.exit_code = result.exit_code.unwrap_or_default();
                    return Ok(ran);
                }
                "exec-timeout" => {
                    return Err(Error::answer("a command", "it ran longer than allowed"));
                }
                "waiting-input" => {
                    body.mode = ExecuteMode::Input;
                    body.code = Some(String::new());
                }
                // The steps before the command itself end with a state of their own.
                "clean-finished" | "build-finished" | "continued" => {
                    body.mode = ExecuteMode::Continue;
                    body.code = Some(String::new());
                }
                other => return Err(Error::answer("a command", format!("status {other}"))),
            }
            body.options = Some(ExecuteOptions::default());
            body.run_id = Some(result.run_id.unwrap_or_else(|| run_id.clone()));
        }
    }
}

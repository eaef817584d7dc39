//! Sessions (protocol page "Sessions" §2 to §9).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::service_port::ServicePort;
use crate::session::{ClusterMode, SessionStatus, SessionType};
use crate::slots::ResourceSlots;

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}

fn default_name() -> String {
    "default".to_owned()
}

fn default_priority() -> i32 {
    10
}

/// The body of `POST /session`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Create {
    /// Its name, see [`crate::name::check_session`].
    #[serde(rename = "name", alias = "session_name", alias = "clientSessionToken")]
    pub session_name: String,
    /// Canonical reference or alias of an image.
    #[serde(alias = "lang")]
    pub image: String,
    /// The image's architecture, `x86_64` when absent.
    #[serde(alias = "arch", default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// What it is for.
    #[serde(
        rename = "type",
        alias = "session_type",
        alias = "sessionType",
        default = "interactive"
    )]
    pub session_type: SessionType,
    /// The project's name.
    #[serde(alias = "groupName", alias = "group_name", default = "default_name")]
    pub group: String,
    /// The domain's name.
    #[serde(alias = "domainName", alias = "domain_name", default = "default_name")]
    pub domain: String,
    /// How many kernels.
    #[serde(alias = "clusterSize", default = "one")]
    pub cluster_size: u32,
    /// Where they stand.
    #[serde(alias = "clusterMode", default = "single_node")]
    pub cluster_mode: ClusterMode,
    /// Resources, mounts and variables.
    #[serde(default)]
    pub config: CreateConfig,
    /// A free text that lists can be filtered by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Answer at once with PENDING.
    #[serde(rename = "enqueueOnly", alias = "enqueue_only", default)]
    pub enqueue_only: bool,
    /// How long to wait until it runs; 0 waits without limit.
    #[serde(rename = "maxWaitSeconds", alias = "max_wait_seconds", default)]
    pub max_wait_seconds: u32,
    /// Not before: ISO 8601, or a duration from now. Batch only.
    #[serde(
        rename = "startsAt",
        alias = "starts_at",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub starts_at: Option<String>,
    /// Ends the job when it takes longer: seconds, or `30s`, `5m`, `1h`. Batch only.
    #[serde(
        rename = "batchTimeout",
        alias = "batch_timeout",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub batch_timeout: Option<Value>,
    /// Answer with the live session of that name and image instead of an error.
    #[serde(rename = "reuseIfExists", alias = "reuse", default = "yes")]
    pub reuse: bool,
    /// The job. Needed for batch.
    #[serde(
        rename = "startupCommand",
        alias = "startup_command",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub startup_command: Option<String>,
    /// Written to `/home/work/bootstrap.sh` and run first.
    #[serde(
        alias = "bootstrapScript",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub bootstrap_script: Option<String>,
    /// Sessions that must end with success before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependencies: Option<Vec<String>>,
    /// Called when its status changes.
    #[serde(
        alias = "callbackUrl",
        alias = "callbackURL",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub callback_url: Option<String>,
    /// For whom, when an administrator makes it for somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_access_key: Option<String>,
    /// 0 to 100, higher goes first.
    #[serde(default = "default_priority")]
    pub priority: i32,
    /// Its rank among the sessions that it may make give way when there is no room for it; those of
    /// lower ranks do. From 26.8 on.
    #[serde(default, alias = "jobPriority", skip_serializing_if = "is_zero")]
    pub job_priority: i32,
    /// Whether it may have to give way itself. From 26.8 on.
    #[serde(
        default = "yes",
        alias = "isPreemptible",
        skip_serializing_if = "Clone::clone"
    )]
    pub is_preemptible: bool,
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}

fn interactive() -> SessionType {
    SessionType::Interactive
}

fn single_node() -> ClusterMode {
    ClusterMode::SingleNode
}

/// The `config` of [`Create`]. Old keys are read, the newest are written.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CreateConfig {
    /// Folder names or ids; `name/sub` mounts a part.
    #[serde(default, deserialize_with = "null_is_default")]
    pub mounts: Vec<String>,
    /// Where they appear: absolute, or relative to `/home/work`.
    #[serde(alias = "mountMap", default, deserialize_with = "null_is_default")]
    pub mount_map: BTreeMap<String, String>,
    /// How they are mounted.
    #[serde(alias = "mountOptions", default, deserialize_with = "null_is_default")]
    pub mount_options: BTreeMap<String, MountOptions>,
    /// Folder ids (v9).
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub mount_ids: Vec<Uuid>,
    /// Where they appear (v9).
    #[serde(
        alias = "mountIdMap",
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub mount_id_map: BTreeMap<Uuid, String>,
    /// Environment variables.
    #[serde(default, deserialize_with = "null_is_default")]
    pub environ: BTreeMap<String, String>,
    /// The resource group; the first allowed one when absent.
    #[serde(
        alias = "scalingGroup",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub scaling_group: Option<String>,
    /// Amounts for each container, as written: checked by the manager, so that a wrong one gets its
    /// own message.
    #[serde(default, deserialize_with = "null_is_default")]
    pub resources: BTreeMap<String, Value>,
    /// `shmem` and others.
    #[serde(alias = "resourceOpts", default, deserialize_with = "null_is_default")]
    pub resource_opts: BTreeMap<String, Value>,
    /// Ports that are reachable without a service behind them.
    #[serde(alias = "preopenPorts", default, deserialize_with = "null_is_default")]
    pub preopen_ports: Vec<u16>,
    /// Our own: Python environments of the computer that the session may read, as absolute
    /// paths. Only for managers with
    /// [`crate::api::gangway::capability::HOST_ENVIRONMENTS`].
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub host_environments: Vec<PathBuf>,
    /// Agents to choose from.
    #[serde(alias = "agentList", default, skip_serializing_if = "Option::is_none")]
    pub agent_list: Option<Vec<String>>,
}

/// Clients write `null` where they mean "nothing given".
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// How one folder is mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountOptions {
    /// Overrides `mount_map`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_destination: Option<String>,
    /// `ro`, `rw` or `wd`; the folder's own right when absent.
    #[serde(alias = "perm", default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// A part of the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subpath: Option<String>,
}

/// What `POST /session` answers (201).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    /// The session.
    pub session_id: Uuid,
    /// Its name.
    pub session_name: String,
    /// A session status, or `TIMEOUT` when waiting took too long.
    pub status: String,
    /// What it offers; filled when it runs.
    pub service_ports: Vec<ServicePort>,
    /// False when a live session of that name was reused.
    pub created: bool,
}

/// One row of `GET /session/_/match`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Match {
    /// The session.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub status: SessionStatus,
}

/// What `GET /session/_/match` answers, newest first, at most 10.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Matches {
    /// The sessions.
    pub matches: Vec<Match>,
}

/// Slots of a request, read from what a client wrote.
pub fn resources(written: &BTreeMap<String, Value>) -> Result<ResourceSlots, String> {
    written
        .iter()
        .map(|(slot, value)| {
            let quantity = serde_json::from_value(value.clone())
                .map_err(|_| format!("{slot}: {value} is not an amount"))?;
            Ok((slot.clone(), quantity))
        })
        .collect()
}

/// The body of `POST /session/{s}/start-service`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StartService {
    /// The service.
    #[serde(alias = "service")]
    pub app: String,
    /// Which of its ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// JSON text of an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envs: Option<String>,
    /// JSON text of an object: name to null, text or list of texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
}

/// How code is run by `POST /session/{s}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExecuteMode {
    /// Code for the image's interpreter.
    Query,
    /// Clean, build and exec commands.
    Batch,
    /// Completion of code.
    Complete,
    /// The next piece of output of a run.
    Continue,
    /// An answer to `waiting-input`.
    Input,
}

/// The body of `POST /session/{s}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Execute {
    /// What to do.
    pub mode: ExecuteMode,
    /// Code, or the input.
    #[serde(default)]
    pub code: Option<String>,
    /// Names the run; 8 to 64 characters.
    #[serde(
        rename = "runId",
        alias = "run_id",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub run_id: Option<String>,
    /// The commands of a batch run.
    #[serde(default)]
    pub options: Option<ExecuteOptions>,
}

/// Commands of a batch run; `None` skips the step, `*` chooses by what files there are.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ExecuteOptions {
    /// Before the build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clean: Option<String>,
    /// Before the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// The run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<String>,
}

/// What `POST /session/{s}` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Executed {
    /// The state of the run.
    pub result: ExecuteResult,
}

/// The state of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecuteResult {
    /// `continued`, `waiting-input`, `clean-finished`, `build-finished`, `finished`, `exec-timeout`.
    pub status: String,
    /// The run.
    pub run_id: Option<String>,
    /// Set when a step has finished.
    pub exit_code: Option<i32>,
    /// More about `waiting-input`.
    #[serde(default)]
    pub options: Option<Value>,
    /// Files made; always empty here.
    #[serde(default)]
    pub files: Option<Vec<Value>>,
    /// Output since the last answer: pairs of kind and data.
    pub console: Vec<(String, Value)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_clients_of_two_ages_send() {
        let new = r#"{"name":"train-1","image":"local/host:latest","type":"interactive","group":"default","domain":"default","enqueueOnly":true,"cluster_size":1,"cluster_mode":"single-node","config":{"resources":{"cpu":"2","mem":"4g"},"resource_opts":{"shmem":"64m"},"mounts":["data"],"mount_map":{"data":"/home/work/data"},"environ":{"A":"1"},"scaling_group":"default"}}"#;
        let old = r#"{"clientSessionToken":"train-1","lang":"local/host:latest","sessionType":"INTERACTIVE","groupName":"default","domainName":"default","enqueueOnly":true,"maxWaitSeconds":0,"clusterMode":"SINGLE-NODE","config":{"mounts":null,"mountMap":{},"environ":null,"scalingGroup":null,"resources":{"cpu":1,"mem":"1g"},"resourceOpts":{},"preopenPorts":null}}"#;
        for text in [new, old] {
            let create: Create = serde_json::from_str(text).unwrap();
            assert_eq!(create.session_name, "train-1");
            assert_eq!(create.session_type, SessionType::Interactive);
            assert!(create.enqueue_only && create.reuse);
            assert!(resources(&create.config.resources).is_ok());
        }
    }

    #[test]
    fn a_wrong_amount_is_named() {
        let written = [("mem".to_owned(), Value::from("lots"))].into();
        assert_eq!(
            resources(&written),
            Err("mem: \"lots\" is not an amount".to_owned())
        );
    }
}

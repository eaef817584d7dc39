//! Launching: from what is asked for to a session that can be used.

use std::collections::BTreeMap;
use std::time::Duration;

use client::protocol::api::gangway::capability;
use client::protocol::api::image::HOST_IMAGE;
use client::protocol::api::session::{Create, CreateConfig, MountOptions};
use client::protocol::name;
use client::protocol::session::{self as wire, ClusterMode};
use client::{Client, SessionRow};
use serde_json::Value;

use super::{LAUNCH_WAIT, find, wait_until, with_notices};
use crate::context::Context;
use crate::types::{Failure, FailureCode, LaunchRequest, Session, Tag};

/// What the manager itself is asked to wait for a session; longer waits are ours.
const MANAGER_WAIT_S: u32 = 15;

pub(crate) async fn launch(
    context: &Context,
    mut request: LaunchRequest,
) -> Result<Session, Failure> {
    let profile = context.profile_name()?;
    let client = context.client_of(&profile).await?;
    let image = fill_in(&client, &mut request).await?;
    let create = create(context, &client, &profile, &request, image).await?;
    let created = client.launch(&create).await?;
    context.changed(Tag::Session, Some(created.session_id.to_string()));
    if !created.created {
        let message = format!("there is a session \"{}\" already", created.session_name);
        return Err(Failure::new(FailureCode::SessionNameTaken, message));
    }
    context
        .remember_launch(
            &profile,
            &request,
            &created.session_name,
            created.session_id,
        )
        .await;
    let row = client.session(created.session_id).await?;
    // What is to begin later, or after others, would be waited for in vain.
    let later = create.starts_at.is_some() || create.dependencies.is_some();
    let row = if request.wait && !later {
        let patience = request
            .wait_timeout_s
            .map_or(LAUNCH_WAIT, Duration::from_secs);
        wait_until(&client, row, patience, |status| {
            status == wire::SessionStatus::Running || status.is_terminal()
        })
        .await?
    } else {
        row
    };
    context.changed(Tag::Session, Some(row.session_id.to_string()));
    // A batch job that is already over has done what it was for.
    if request.wait && row.status.is_terminal() && row.session_type != wire::SessionType::Batch {
        return Err(ended(&row));
    }
    crate::ssh::refresh_config(context, &client).await;
    let session = with_notices(&client, row).await?;
    context.remember_session(&profile, &session).await;
    Ok(session)
}

/// Replaces what was left open by what is launched, so that the history tells it and a launch that
/// is done again is the same one. Returns the image.
async fn fill_in(client: &Client, request: &mut LaunchRequest) -> Result<String, Failure> {
    let image = match request.image.take() {
        Some(image) => image,
        None => default_image(client).await?,
    };
    request.image = Some(image.clone());
    if !request.resources.contains_key("cpu") {
        request.cpu.get_or_insert(1.0);
    }
    if !request.resources.contains_key("mem") {
        request.mem.get_or_insert(1 << 30);
    }
    Ok(image)
}

/// Managers take nothing at all for the least that the image needs, which nobody means who says 0.
fn check_amounts(request: &LaunchRequest) -> Result<(), Failure> {
    let nothing = match request {
        LaunchRequest { mem: Some(0), .. } => "memory",
        LaunchRequest { cpu: Some(cpu), .. } if *cpu <= 0.0 => "processor cores",
        _ => return Ok(()),
    };
    let message = format!("a session can't do without {nothing}");
    Err(Failure::new(FailureCode::InvalidInput, message)
        .hint("say more than 0, or leave it out for the usual amount"))
}

fn ended(row: &SessionRow) -> Failure {
    let reason = row
        .status_data
        .pointer("/error/repr")
        .and_then(Value::as_str)
        .or(row.status_info.as_deref())
        .unwrap_or("no reason given");
    Failure::new(
        FailureCode::SessionEnded,
        format!(
            "the session {} ended before it could be used: {reason}",
            row.name
        ),
    )
    .details(row.status_data.clone())
}

async fn create(
    context: &Context,
    client: &Client,
    profile: &str,
    request: &LaunchRequest,
    image: String,
) -> Result<Create, Failure> {
    let account = context.profile(profile)?.account;
    let session_name = match &request.name {
        Some(given) => {
            name::check_session(given)?;
            given.clone()
        }
        None => name::suggest_session(rand::random()).to_string(),
    };
    for variable in request.environ.keys() {
        name::check_variable(variable)?;
    }
    check_amounts(request)?;
    if !request.environments.is_empty() && !client.has(capability::HOST_ENVIRONMENTS).await? {
        return Err(Failure::new(
            FailureCode::Unsupported,
            "this manager can't show environments of this computer to a session",
        ));
    }
    let owner_access_key = match &request.owner {
        Some(email) => Some(client.access_key_of(email).await?),
        None => None,
    };
    let mut dependencies = Vec::with_capacity(request.depends_on.len());
    for named in &request.depends_on {
        dependencies.push(find(client, named).await?.session_id.to_string());
    }
    let batch = request.batch.as_ref();
    let session_type = match (request.session_type, batch) {
        (_, Some(_)) => wire::SessionType::Batch,
        (Some(given), None) => given.into(),
        (None, None) => wire::SessionType::Interactive,
    };
    Ok(Create {
        session_name,
        image,
        architecture: None,
        session_type,
        group: request
            .project
            .clone()
            .or_else(|| account.as_ref().map(|account| account.project.clone()))
            .unwrap_or_else(|| "default".to_owned()),
        domain: account.map_or_else(|| "default".to_owned(), |account| account.domain),
        cluster_size: request.cluster_size.unwrap_or(1),
        cluster_mode: ClusterMode::SingleNode,
        config: config(request),
        tag: None,
        enqueue_only: !request.wait
            || !request.depends_on.is_empty()
            || batch.is_some_and(|job| job.starts_at.is_some()),
        max_wait_seconds: MANAGER_WAIT_S,
        starts_at: batch.and_then(|job| job.starts_at.clone()),
        batch_timeout: batch.and_then(|job| job.timeout.clone()).map(Value::from),
        reuse: false,
        startup_command: batch.map(|job| job.command.clone()),
        bootstrap_script: request.bootstrap.clone(),
        dependencies: (!dependencies.is_empty()).then_some(dependencies),
        callback_url: request.callback_url.clone(),
        owner_access_key,
        priority: request.priority.unwrap_or(10),
        job_priority: 0,
        is_preemptible: true,
    })
}

fn config(request: &LaunchRequest) -> CreateConfig {
    let mut resources: BTreeMap<String, Value> = BTreeMap::new();
    let mut slot = |name: &str, amount: Option<String>| {
        if let Some(amount) = amount {
            resources.insert(name.to_owned(), amount.into());
        }
    };
    slot("cpu", request.cpu.map(|cpu| cpu.to_string()));
    slot("mem", request.mem.map(|mem| mem.to_string()));
    slot("cuda.device", request.gpu.map(|gpu| gpu.to_string()));
    for (name, amount) in &request.resources {
        slot(name, Some(amount.clone()));
    }
    let mut resource_opts = BTreeMap::new();
    if let Some(shmem) = request.shmem {
        resource_opts.insert("shmem".to_owned(), Value::from(shmem.to_string()));
    }
    let mut config = CreateConfig {
        environ: request.environ.clone(),
        scaling_group: request.resource_group.clone(),
        resources,
        resource_opts,
        preopen_ports: request.preopen_ports.clone(),
        host_environments: request.environments.iter().map(Into::into).collect(),
        ..CreateConfig::default()
    };
    for mount in &request.mounts {
        config.mounts.push(mount.folder.clone());
        if let Some(path) = &mount.path {
            config.mount_map.insert(mount.folder.clone(), path.clone());
        }
        if mount.read_only {
            let options = MountOptions {
                permission: Some("ro".to_owned()),
                ..MountOptions::default()
            };
            config.mount_options.insert(mount.folder.clone(), options);
        }
    }
    config
}

/// This computer itself on our engine; elsewhere the first image that is at hand.
async fn default_image(client: &Client) -> Result<String, Failure> {
    if client.announcement().await?.gangway.is_some() {
        return Ok(HOST_IMAGE.to_owned());
    }
    let images = client.images().await?;
    let first = images
        .iter()
        .find(|image| image.installed == Some(true))
        .or(images.first());
    match first {
        Some(image) => Ok(image.canonical()),
        None => Err(Failure::new(
            FailureCode::ImageNotFound,
            "the manager offers no image",
        )),
    }
}

//! Accepting a new session: what is filled in, what is refused, and the rows that it becomes.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use db::rusqlite::Connection;
use protocol::api::session::{Create, Created};
use protocol::name;
use protocol::service_port::ServicePort;
use protocol::session::{KernelStatus, SessionResult, SessionStatus};
use protocol::slots::ResourceSlots;
use runtime::Node;
use serde_json::{Map, Value, json};
use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;

use super::session_check::{self, Asked, ImageNeeds, WAITING};
use super::transition::session_event;
use super::{
    delegation, folder, image_container, resource_group, session, session_batch,
    session_environment, session_mount,
};
use crate::auth::Caller;
use crate::callback;
use crate::error::Problem;
use crate::state::App;
use crate::store::kernel::Kernel;
use crate::store::resource_group::ResourceGroup;
use crate::store::session::{Filter, Session};
use crate::store::{self, At};

/// Setting: whether agents are shown to superadministrators alone, as they are unless it says `false`.
const HIDE_AGENTS: &str = "config/manager/hide-agents";

/// Accepts a session, and unless the caller does not want to wait, waits until it runs.
pub(crate) async fn create(
    app: &App,
    caller: &Caller,
    request: Create,
) -> Result<Created, Problem> {
    let wait = !request.enqueue_only;
    let patience = match request.max_wait_seconds {
        0 => None,
        seconds => Some(Duration::from_secs(seconds.into())),
    };
    let nodes = app
        .runtime
        .nodes()
        .await
        .map_err(session::runtime_problem)?;
    look_for_image(app, &request).await?;
    let caller = caller.clone();
    let mut events = app.events.listen();
    let enqueued = app
        .store
        .write(move |tx| enqueue(tx, &caller, &request, &nodes))
        .await?;
    let session = match enqueued {
        Enqueued::Reused(session, service_ports) => {
            return Ok(Created {
                session_id: session.id,
                session_name: session.name,
                status: session.status.to_string(),
                service_ports,
                created: false,
            });
        }
        Enqueued::New(session) => *session,
    };
    app.events
        .send(session_event(&session, session.status.event_name(), ""));
    app.nudge.schedule.notify_one();
    let mut created = Created {
        session_id: session.id,
        session_name: session.name,
        status: session.status.to_string(),
        service_ports: Vec::new(),
        created: true,
    };
    if !wait {
        return Ok(created);
    }
    let running = async {
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = app.stop.cancelled() => Err(RecvError::Closed),
                problem = app.trouble.arises() => {
                    let text = problem.text();
                    return Err(Problem::internal(format!("The session has to wait: {text}")));
                }
            };
            match event {
                Ok(event) if event.session != created.session_id || event.kernel.is_some() => {}
                // Whatever was told, or missed: the store knows.
                Ok(_) | Err(RecvError::Lagged(_)) => {
                    if let Some(outcome) = settled(app, created.session_id).await? {
                        return Ok(outcome);
                    }
                }
                Err(RecvError::Closed) => return Err(Problem::internal("The engine stops.")),
            }
        }
    };
    let settled = match patience {
        None => running.await?,
        Some(patience) => match tokio::time::timeout(patience, running).await {
            Ok(settled) => settled?,
            Err(_) => {
                created.status = "TIMEOUT".into();
                return Ok(created);
            }
        },
    };
    created.status = settled.0.to_string();
    created.service_ports = settled.1;
    Ok(created)
}

/// The container engine may have got an image since it was asked last.
async fn look_for_image(app: &App, request: &Create) -> Result<(), Problem> {
    let (name, architecture) = (request.image.clone(), request.architecture.clone());
    let known = app
        .store
        .read(move |db| -> Result<_, Problem> {
            Ok(store::image::find(db, &name, architecture.as_deref())?.is_some())
        })
        .await?;
    if known {
        return Ok(());
    }
    image_container::refresh(app).await
}

/// Status and ports once the session runs; an error once it never will.
async fn settled(
    app: &App,
    id: Uuid,
) -> Result<Option<(SessionStatus, Vec<ServicePort>)>, Problem> {
    let (session, kernels) = app
        .store
        .read(move |db| -> Result<_, Problem> {
            Ok((
                store::session::get(db, id)?,
                store::kernel::of_session(db, id)?,
            ))
        })
        .await?;
    let session = session.ok_or_else(Problem::no_session)?;
    // A short batch job may have run and ended before anybody looked.
    if session.status.is_terminal() && session.result == SessionResult::Undefined {
        let why = session::failure_text(&session).unwrap_or_default();
        return Err(Problem::no_session()
            .msg(format!("Session terminated during scheduling. {why}").trim_end()));
    }
    let begun = session
        .status_history
        .contains_key(SessionStatus::Running.as_str());
    Ok(begun.then(|| (session.status, session::main_ports(&kernels))))
}

enum Enqueued {
    New(Box<Session>),
    Reused(Box<Session>, Vec<ServicePort>),
}

fn enqueue(
    tx: &Connection,
    caller: &Caller,
    request: &Create,
    nodes: &[Node],
) -> Result<Enqueued, Problem> {
    name::check_session(&request.session_name)
        .map_err(|error| Problem::invalid_params(format!("session_name: {error}")))?;
    for variable in request.config.environ.keys() {
        name::check_variable(variable)
            .map_err(|error| Problem::invalid_params(format!("environ: {error}")))?;
    }
    if let Some(url) = request.callback_url.as_deref()
        && !callback::is_address(url)
    {
        return Err(Problem::invalid_params(
            "callback_url: an address that begins with http:// or https:// is needed.",
        ));
    }
    let agents = designated(tx, caller, request)?;
    let signer = owner(tx, caller, request.owner_access_key.as_deref())?;
    let (owner, keypair) = (signer.user.as_ref(), signer.keypair.as_ref());
    let domain = store::domain::get(tx, &request.domain)?
        .filter(|domain| domain.name == owner.domain)
        .ok_or_else(|| {
            Problem::not_found("domain", "domain_read_not-found")
                .msg(format!("You are not in the domain '{}'.", request.domain))
        })?;
    let project = store::project::of_user(tx, owner.id)?
        .into_iter()
        .filter(|project| project.is_active)
        .find(|project| project.name == request.group || project.id.to_string() == request.group)
        .ok_or_else(|| {
            let title = "Project not found.";
            Problem::new(
                StatusCode::NOT_FOUND,
                "project-not-found",
                title,
                "group_read_not-found",
            )
            .msg(format!("You are in no project '{}'.", request.group))
        })?;
    let usable = resource_group::usable_groups(tx, owner, keypair, Some(project.id))?;
    let group = choose_group(usable, request)?;
    let mut nodes = resource_group::nodes_of(tx, &group, nodes)?;
    if !agents.is_empty() {
        nodes.retain(|node| agents.contains(&node.name));
        if nodes.is_empty() {
            return Err(Problem::invalid_params(format!(
                "no agents passed the 'designated-strict' filter: none of {} is in the resource \
                 group '{group}'.",
                agents.join(", ")
            )));
        }
    }
    let image = store::image::find(tx, &request.image, request.architecture.as_deref())?
        .filter(|image| super::image::is_for(image, owner.id))
        .ok_or_else(|| {
            Problem::not_found("image reference", "image_read_internal-error")
                .msg(format!("Unknown image reference: {}", request.image))
        })?;
    if !super::image::is_allowed(&image, &domain) {
        return Err(
            Problem::not_found("image reference", "image_read_internal-error").msg(format!(
                "unknown alias or disallowed registry: {}",
                request.image
            )),
        );
    }
    let needs = ImageNeeds::of(&image)?;
    let mounts = session_mount::resolve(tx, owner.id, &request.config)?;
    for mount in &mounts {
        if let Some(folder) = store::folder::get(tx, mount.folder)? {
            folder::check_host(tx, &signer, &folder.host, "mount-in-session")?;
        }
    }
    let environments = session_environment::resolve(caller, owner, &request.config)?;
    let resource_opts: Map<String, Value> =
        request.config.resource_opts.clone().into_iter().collect();
    let (requested_slots, shmem) =
        session_check::resources(&request.config.resources, &resource_opts, &needs)?;

    if let Some(existing) = store::session::live_by_name(tx, owner.id, &request.session_name)? {
        if !request.reuse || existing.image != image.name {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "session-already-exists",
                "The session already exists but you requested not to reuse existing one.",
                "session_create_already-exists",
            )
            .msg(format!(
                "A session named \"{}\" is already there.",
                existing.name
            ))
            .data(json!({ "existingSessionId": existing.id })));
        }
        let kernels = store::kernel::of_session(tx, existing.id)?;
        let ports = session::main_ports(&kernels);
        return Ok(Enqueued::Reused(Box::new(existing), ports));
    }

    let batch = session_batch::read(request)?;
    let priority = u8::try_from(request.priority)
        .ok()
        .filter(|priority| *priority <= 100)
        .ok_or_else(|| Problem::invalid_params("priority: choose a number from 0 to 100."))?;
    if request.cluster_size == 0 {
        return Err(Problem::invalid_params(
            "cluster_size: choose a number of at least 1.",
        ));
    }
    let bootstrap_script = request.bootstrap_script.clone().or_else(|| {
        (!keypair.bootstrap_script.is_empty()).then(|| keypair.bootstrap_script.clone())
    });
    let now = At::now();
    let session = Session {
        id: Uuid::now_v7(),
        name: request.session_name.clone(),
        kind: request.session_type,
        status: SessionStatus::Pending,
        status_info: None,
        status_data: json!({}),
        status_history: [(SessionStatus::Pending.to_string(), now.iso())].into(),
        result: SessionResult::Undefined,
        exit_code: None,
        user: owner.id,
        access_key: keypair.access_key.clone(),
        domain: owner.domain.clone(),
        project: project.id,
        resource_group: group,
        image: image.name.clone(),
        architecture: image.architecture.clone(),
        tag: request.tag.clone(),
        priority,
        job_priority: request.job_priority,
        is_preemptible: request.is_preemptible,
        cluster_mode: request.cluster_mode,
        cluster_size: request.cluster_size,
        requested_slots,
        occupied_slots: ResourceSlots::default(),
        resource_opts: with_shmem(resource_opts, shmem),
        environ: request.config.environ.clone(),
        mounts,
        preopen_ports: request.config.preopen_ports.clone(),
        agents: agents.to_vec(),
        environments,
        bootstrap_script,
        startup_command: batch.command,
        batch_timeout: batch.timeout,
        starts_at: batch.starts_at,
        dependencies: dependencies(tx, owner.id, request)?,
        callback_url: request.callback_url.clone(),
        terminate_reason: None,
        terminate_forced: false,
        num_queries: 0,
        created_at: now,
        terminated_at: None,
    };
    let policy = session_check::policy_of(tx, owner, Some(keypair))?
        .ok_or_else(|| Problem::internal("The keypair's resource policy is missing."))?;
    let mine = Filter {
        user: Some(owner.id),
        statuses: Some(WAITING.to_vec()),
        ..Filter::default()
    };
    let pending = store::session::list(tx, &mine, None, 0)?;
    session_check::check(&Asked {
        session: &session,
        shmem,
        needs: &needs,
        policy: &policy,
        pending: &pending,
        nodes: &nodes,
    })?;

    store::session::insert(tx, &session)?;
    for rank in 0..session.cluster_size {
        store::kernel::put(tx, &kernel(&session, rank, &needs))?;
    }
    for mount in &session.mounts {
        store::folder::touch(tx, mount.folder, now)?;
    }
    Ok(Enqueued::New(Box::new(session)))
}

/// The agents that a request names. Whoever is not shown the agents can't choose among them.
fn designated<'a>(
    tx: &Connection,
    caller: &Caller,
    request: &'a Create,
) -> Result<&'a [String], Problem> {
    let agents = request.config.agent_list.as_deref().unwrap_or_default();
    let shown = || -> Result<bool, Problem> {
        let hide = store::config::get(tx, HIDE_AGENTS)?;
        Ok(hide.is_some_and(|hide| matches!(hide.as_str(), "false" | "no" | "off" | "0")))
    };
    if agents.is_empty() || caller.is_superadmin() || shown()? {
        return Ok(agents);
    }
    Err(Problem::insufficient_privilege(
        "You are not allowed to manually assign agents for your session.",
    ))
}

/// The user that the session is made for, and the keypair whose limits count.
fn owner(tx: &Connection, caller: &Caller, access_key: Option<&str>) -> Result<Caller, Problem> {
    let found = delegation::owner(tx, caller, access_key)?;
    Ok(found.map_or_else(
        || caller.clone(),
        |(user, keypair)| Caller {
            user: Arc::new(user),
            keypair: Arc::new(keypair),
        },
    ))
}

/// The resource group of a request: the one that it names, else the first that takes such sessions.
fn choose_group(usable: Vec<ResourceGroup>, request: &Create) -> Result<String, Problem> {
    let asked = request.config.scaling_group.as_deref();
    let mut usable = usable.into_iter();
    let kind = request.session_type.as_str();
    match asked.filter(|name| !name.is_empty()) {
        None => usable
            .find(|group| group.takes(kind))
            .map(|group| group.name)
            .ok_or_else(|| {
                Problem::new(
                    StatusCode::BAD_REQUEST,
                    "no-available-scaling-group",
                    "No scaling groups available for this session.",
                    "scaling-group_access_not-found",
                )
            }),
        Some(name) => {
            let group = usable.find(|group| group.name == name).ok_or_else(|| {
                Problem::invalid_params(format!("Resource group '{name}' is not accessible"))
            })?;
            if group.takes(kind) {
                return Ok(group.name);
            }
            Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "scaling-group-session-type-not-allowed",
                "Scaling group does not allow this session type.",
                "scaling-group_read_invalid-parameters",
            )
            .msg(format!("'{name}' does not take {kind} sessions.")))
        }
    }
}

fn with_shmem(mut resource_opts: Map<String, Value>, shmem: u64) -> Map<String, Value> {
    resource_opts.insert("shmem".into(), json!(shmem.to_string()));
    resource_opts
}

fn kernel(session: &Session, rank: u32, needs: &ImageNeeds) -> Kernel {
    let (role, idx) = if rank == 0 {
        ("main", 1)
    } else {
        ("sub", rank)
    };
    let mut service_ports = Vec::new();
    if rank == 0 {
        service_ports.extend(ServicePort::built_in());
        service_ports.extend(needs.service_ports.iter().cloned());
        service_ports.extend(
            session
                .preopen_ports
                .iter()
                .map(|port| ServicePort::preopen(*port)),
        );
    }
    Kernel {
        id: Uuid::now_v7(),
        session: session.id,
        role: role.into(),
        idx,
        local_rank: rank,
        hostname: format!("{role}{idx}"),
        status: KernelStatus::Pending,
        status_info: None,
        status_data: json!({}),
        agent: None,
        container_id: None,
        service_ports,
        occupied_slots: ResourceSlots::default(),
        gpus: Vec::new(),
        boot_id: None,
        last_stat: None,
        exit_code: None,
        started_at: None,
        terminated_at: None,
        halted_at: None,
        removed_at: None,
    }
}

fn dependencies(tx: &Connection, owner: Uuid, request: &Create) -> Result<Vec<Uuid>, Problem> {
    let wanted = request.dependencies.as_deref().unwrap_or_default();
    wanted
        .iter()
        .map(|reference| {
            let found = match Uuid::try_parse(reference) {
                Ok(id) => store::session::get(tx, id)?,
                Err(_) => store::session::live_by_name(tx, owner, reference)?,
            };
            found
                .filter(|session| session.user == owner)
                .map(|session| session.id)
                .ok_or_else(|| {
                    Problem::no_session().msg(format!("There is no session \"{reference}\"."))
                })
        })
        .collect()
}

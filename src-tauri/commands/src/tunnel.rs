//! Tunnels, and apps opened through them. Runs in the proxy host.

use std::collections::BTreeMap;

use client::protocol::api::gangway::{AppPresence, capability};
use client::protocol::service_port::{ServicePort, ServiceProtocol};
use client::{Client, SessionRow, StartOptions};
use tunnel::{LocalPort, Protocol, Request, Service, State, Target};

use crate::context::Context;
use crate::links::SSH_SERVICE;
use crate::session::find_running;
use crate::types::{
    AppOpen, Failure, FailureCode, Nothing, OpenedApp, ProxyStatus, Settings, Tunnel, TunnelList,
    TunnelOpen, TunnelRef, TunnelState,
};

pub(crate) async fn list(context: &Context, _: Nothing) -> Result<TunnelList, Failure> {
    let mut tunnels: Vec<Tunnel> = context
        .proxy()?
        .tunnels()
        .list()
        .into_iter()
        .map(Tunnel::from)
        .collect();
    tunnels.sort_by_key(|tunnel| tunnel.created_at);
    Ok(TunnelList { tunnels })
}

pub(crate) async fn open(context: &Context, request: TunnelOpen) -> Result<Tunnel, Failure> {
    let proxy = context.proxy()?;
    let profile = context.profile_name()?;
    let client = context.client_of(&profile).await?;
    let row = find_running(&client, &request.session).await?;
    let ports = services(&row);
    let named = |name: &str| {
        ports
            .iter()
            .find(|port| port.name == name)
            .ok_or_else(|| no_such_app(&row, name))
    };
    let (service, protocol) = match (&request.app, request.remote_port) {
        (Some(name), port) => {
            let found = named(name)?;
            (app(&found.name, port), protocol(found.protocol))
        }
        (None, Some(port)) => match ports.iter().find(|known| known.ports.contains(&port)) {
            Some(found) => (app(&found.name, Some(port)), protocol(found.protocol)),
            None => (Service::Port { port }, Protocol::Tcp),
        },
        (None, None) => {
            let message = "an app or a port of the session is needed";
            return Err(Failure::new(FailureCode::InvalidInput, message));
        }
    };
    let local_port = match request.local_port {
        Some(port) => LocalPort::Fixed(port),
        None => preferred_port(context, &service)?,
    };
    let target = target(profile, &row, service);
    let request = Request {
        target,
        protocol,
        local_port,
        keep: request.keep,
    };
    Ok(proxy.open_tunnel(request).await?.into())
}

pub(crate) async fn open_app(context: &Context, request: AppOpen) -> Result<OpenedApp, Failure> {
    let proxy = context.proxy()?;
    let profile = context.profile_name()?;
    let client = context.client_of(&profile).await?;
    let row = find_running(&client, &request.session).await?;
    let ports = services(&row);
    let found = ports
        .iter()
        .find(|port| port.name == request.app)
        .ok_or_else(|| no_such_app(&row, &request.app))?;
    let id = row.session_id.to_string();
    check_presence(&client, &id, &request.app).await?;
    // The first connection starts the app: what is wrong with it is better said now than on its
    // page.
    let options = StartOptions {
        port: None,
        envs: request.envs.clone(),
        arguments: request.arguments.clone(),
    };
    drop(client.connect_service(&id, &request.app, &options).await?);
    let service = Service::App {
        name: request.app.clone(),
        port: None,
        arguments: request.arguments,
        envs: request.envs,
    };
    let local_port = match request.port {
        Some(port) => LocalPort::Preferred(port),
        None => preferred_port(context, &service)?,
    };
    // A port that the user asked for is opened in a browser as a rule.
    let protocol = match found.protocol {
        ServiceProtocol::Preopen => Protocol::Http,
        other => protocol(other),
    };
    let target = target(profile, &row, service);
    let opened = proxy
        .open_tunnel(Request {
            target,
            protocol,
            local_port,
            keep: false,
        })
        .await?;
    Ok(OpenedApp {
        url: opened
            .url()
            .unwrap_or_else(|| format!("127.0.0.1:{}", opened.local_port)),
        app: request.app,
        local_port: opened.local_port,
        session: id,
        tunnel_id: opened.id,
    })
}

async fn check_presence(client: &Client, session: &str, app: &str) -> Result<(), Failure> {
    if !client.has(capability::APP_STATE).await? {
        return Ok(());
    }
    let apps = client.app_states(session).await?;
    match apps.into_iter().find(|known| known.name == app) {
        Some(known) if known.state == AppPresence::Missing => {
            let message = format!("{} is not there in this session", known.title);
            let failure = Failure::new(FailureCode::AppMissing, message);
            Err(match known.needs {
                _ if known.installable => {
                    failure.hint(format!("install it: `gangway app install SESSION {app}`"))
                }
                Some(program) => failure.hint(format!(
                    "it could be installed if this computer had {program}"
                )),
                None => failure,
            })
        }
        _ => Ok(()),
    }
}

pub(crate) async fn close(context: &Context, request: TunnelRef) -> Result<Nothing, Failure> {
    match context.proxy()?.close_tunnel(&request.id).await {
        Some(_) => Ok(Nothing {}),
        None => {
            let message = format!("there is no tunnel {}", request.id);
            Err(Failure::new(FailureCode::TunnelNotFound, message).hint("see `gangway tunnel ls`"))
        }
    }
}

pub(crate) async fn close_all(context: &Context, _: Nothing) -> Result<Nothing, Failure> {
    context.proxy()?.close_tunnels(|_| true).await;
    Ok(Nothing {})
}

pub(crate) async fn proxy_status(context: &Context, _: Nothing) -> Result<ProxyStatus, Failure> {
    let held = proxy::held_by(context.paths());
    Ok(ProxyStatus {
        running: held.is_some(),
        pid: held.as_ref().map(|held| held.pid),
        holder: held.as_ref().map(|held| match held.holder {
            proxy::Holder::App => "app".to_owned(),
            proxy::Holder::Daemon => "daemon".to_owned(),
        }),
        since: held.map(|held| held.since),
    })
}

/// The apps that the session tells of, and those that every session has.
fn services(row: &SessionRow) -> Vec<ServicePort> {
    let mut ports = row.service_ports.clone();
    for port in ServicePort::built_in() {
        if !ports.iter().any(|known| known.name == port.name) {
            ports.push(port);
        }
    }
    ports
}

fn no_such_app(row: &SessionRow, name: &str) -> Failure {
    let message = format!("the session {} has no app \"{name}\"", row.name);
    Failure::new(FailureCode::AppNotFound, message).hint("see `gangway app ls`")
}

fn app(name: &str, port: Option<u16>) -> Service {
    let (arguments, envs) = (BTreeMap::new(), BTreeMap::new());
    Service::App {
        name: name.to_owned(),
        port,
        arguments,
        envs,
    }
}

fn protocol(protocol: ServiceProtocol) -> Protocol {
    match protocol {
        ServiceProtocol::Http => Protocol::Http,
        ServiceProtocol::Tcp
        | ServiceProtocol::Preopen
        | ServiceProtocol::Vnc
        | ServiceProtocol::Rdp => Protocol::Tcp,
    }
}

fn target(profile: String, row: &SessionRow, service: Service) -> Target {
    Target {
        profile,
        session: row.session_id.to_string(),
        session_name: row.name.clone(),
        service,
    }
}

fn preferred_port(context: &Context, service: &Service) -> Result<LocalPort, Failure> {
    if service.label() != SSH_SERVICE {
        return Ok(LocalPort::Stable);
    }
    let settings: Settings = context.config()?.preferences()?;
    Ok(settings
        .preferred_ssh_port
        .map_or(LocalPort::Stable, LocalPort::Preferred))
}

impl From<tunnel::Tunnel> for Tunnel {
    fn from(tunnel: tunnel::Tunnel) -> Self {
        let remote_port = match tunnel.target.service {
            Service::App { port, .. } => port,
            Service::Port { port } => Some(port),
        };
        Self {
            url: tunnel.url(),
            app: tunnel.target.service.label(),
            remote_port,
            id: tunnel.id,
            session: tunnel.target.session,
            session_name: tunnel.target.session_name,
            local_port: tunnel.local_port,
            state: match tunnel.state {
                State::Open => TunnelState::Open,
                State::Connecting => TunnelState::Connecting,
                State::Waiting => TunnelState::Waiting,
                State::Failed => TunnelState::Failed,
                State::Closed => TunnelState::Closed,
            },
            connections: u32::try_from(tunnel.connections).unwrap_or(u32::MAX),
            bytes_up: tunnel.bytes_up,
            bytes_down: tunnel.bytes_down,
            last_error: tunnel.last_error.map(Failure::from),
            created_at: tunnel.created_at,
            keep: tunnel.keep,
        }
    }
}

//! Tunnels, and apps opened through them. Runs in the proxy host.

pub(crate) mod app;
pub(crate) mod at_login;
pub(crate) mod ports;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use client::SessionRow;
use client::protocol::service_port::{ServicePort, ServiceProtocol};
use proxy::ProxyHost;
use tunnel::{
    BadNetwork, LocalPort, Network, Protocol, Public, Request, Secret, Service, State, Target,
};

use crate::context::Context;
use crate::links::SSH_SERVICE;
use crate::session::find_running;
use crate::types::{
    Failure, FailureCode, Nothing, ProxyStatus, Settings, Tunnel, TunnelAddress, TunnelKeep,
    TunnelList, TunnelOpen, TunnelProtocol, TunnelPublic, TunnelRef, TunnelState,
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
            (app_service(&found.name, port), protocol(found.protocol))
        }
        (None, Some(port)) => match ports.iter().find(|known| known.ports.contains(&port)) {
            Some(found) => (
                app_service(&found.name, Some(port)),
                protocol(found.protocol),
            ),
            None => (Service::Port { port }, Protocol::Tcp),
        },
        (None, None) => {
            let message = "an app or a port of the session is needed";
            return Err(Failure::new(FailureCode::InvalidInput, message));
        }
    };
    let protocol = match request.protocol {
        Some(TunnelProtocol::Http) => Protocol::Http,
        Some(TunnelProtocol::Tcp) => Protocol::Tcp,
        None => protocol,
    };
    let local_port = match request.local_port {
        Some(port) => LocalPort::Fixed(port),
        None => preferred_port(context, &service)?,
    };
    let mut wanted = Request::new(target(profile, &row, service), protocol);
    wanted.local_port = local_port;
    wanted.keep = request.keep;
    wanted.public = request.public.map(public).transpose()?;
    wanted.secret = (request.guarded && protocol == Protocol::Http).then(Secret::random);
    proxy.tunnels().set_pool(pool(context)?);
    Ok(proxy.open_tunnel(wanted).await?.into())
}

/// Who else may connect, if that was said in words.
fn public(wanted: TunnelPublic) -> Result<Public, Failure> {
    if !wanted.understood {
        let message = "a public tunnel lets others on the network into the session";
        return Err(Failure::new(FailureCode::ConfirmationNeeded, message)
            .hint("say that this is wanted, and name the networks that may connect"));
    }
    let allow: Result<Vec<Network>, BadNetwork> =
        wanted.allow.iter().map(|text| text.parse()).collect();
    let allow = allow.map_err(|error| Failure::new(FailureCode::InvalidInput, error))?;
    Ok(Public { allow })
}

pub(crate) async fn close(context: &Context, request: TunnelRef) -> Result<Nothing, Failure> {
    match context.proxy()?.close_tunnel(&request.id).await {
        Some(_) => Ok(Nothing {}),
        None => Err(no_tunnel(&request.id)),
    }
}

pub(crate) async fn keep(context: &Context, request: TunnelKeep) -> Result<Tunnel, Failure> {
    let proxy = context.proxy()?;
    proxy.keep_tunnel(&request.id, request.keep).await;
    let tunnel = proxy.tunnels().get(&request.id);
    tunnel
        .map(Tunnel::from)
        .ok_or_else(|| no_tunnel(&request.id))
}

pub(crate) async fn address(
    context: &Context,
    request: TunnelRef,
) -> Result<TunnelAddress, Failure> {
    let proxy = context.proxy()?;
    let tunnel = proxy.tunnels().get(&request.id);
    let tunnel = tunnel.ok_or_else(|| no_tunnel(&request.id))?;
    let url = browser_url(&proxy, &tunnel).ok_or_else(|| {
        Failure::new(
            FailureCode::InvalidInput,
            "this tunnel leads to no web page",
        )
    })?;
    Ok(TunnelAddress { url })
}

/// The address that a browser is to open: with a ticket, where the tunnel has a secret.
fn browser_url(proxy: &ProxyHost, tunnel: &tunnel::Tunnel) -> Option<String> {
    let url = tunnel.named_url()?;
    Some(match proxy.tunnels().ticket(&tunnel.id) {
        Some(ticket) => format!("{url}?{ticket}"),
        None => url,
    })
}

fn no_tunnel(id: &str) -> Failure {
    let message = format!("there is no tunnel {id}");
    Failure::new(FailureCode::TunnelNotFound, message).hint("see `gangway tunnel ls`")
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

fn app_service(name: &str, port: Option<u16>) -> Service {
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

/// Where stable ports come from, as the user has chosen; empty: the usual pool.
fn pool(context: &Context) -> Result<Vec<RangeInclusive<u16>>, Failure> {
    let settings: Settings = context.config()?.preferences()?;
    // What was written there by hand and makes no sense is as if it were not there.
    let pool = settings.port_pool.as_deref().map(tunnel::parse_pool);
    Ok(pool.and_then(Result::ok).unwrap_or_default())
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
            named_url: tunnel.named_url(),
            rate_up: tunnel.rate_up,
            rate_down: tunnel.rate_down,
            latency_ms: tunnel
                .latency
                .map(|latency| u32::try_from(latency.as_millis()).unwrap_or(u32::MAX)),
            public: tunnel
                .public
                .map(|public| public.allow.iter().map(Network::to_string).collect()),
            guarded: tunnel.secret.is_some(),
            app: tunnel.target.service.label(),
            remote_port,
            id: tunnel.id,
            profile: tunnel.target.profile,
            session: tunnel.target.session,
            session_name: tunnel.target.session_name,
            local_port: tunnel.local_port,
            state: match tunnel.state {
                State::Open => TunnelState::Open,
                State::Connecting => TunnelState::Connecting,
                State::Waiting => TunnelState::Waiting,
                State::Failed => TunnelState::Failed,
                State::PortTaken => TunnelState::PortTaken,
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

//! Apps opened through a tunnel.

use client::Client;
use client::protocol::api::gangway::{AppPresence, capability};
use client::protocol::service_port::ServiceProtocol;
use tunnel::{LocalPort, Protocol, Request, Secret, Stage};

use super::{browser_url, no_such_app, pool, preferred_port, protocol, services, target};
use crate::app_launch::service;
use crate::context::Context;
use crate::failed_launch::Trace;
use crate::session::find_running;
use crate::types::{AppOpen, Failure, FailureCode, OpenedApp};

pub(crate) async fn open(context: &Context, request: AppOpen) -> Result<OpenedApp, Failure> {
    let profile = context.profile_name()?;
    let mut trace = Trace::begin(profile, &request.session, service(&request));
    match steps(context, request, &mut trace).await {
        Ok(opened) => Ok(opened),
        Err(failure) => Err(trace.keep(context, failure).await),
    }
}

async fn steps(
    context: &Context,
    request: AppOpen,
    trace: &mut Trace,
) -> Result<OpenedApp, Failure> {
    let proxy = context.proxy()?;
    let profile = context.profile_name()?;
    let asked = context.client_of(&profile);
    let client = trace
        .hop(Stage::Network, "the manager answers", asked)
        .await?;
    let asked = find_running(&client, &request.session);
    let row = trace.hop(Stage::Session, "the session runs", asked).await?;
    let id = row.session_id.to_string();
    trace.leads_to(&id, &row.name);
    let ports = services(&row);
    let found = async {
        let found = ports.iter().find(|port| port.name == request.app);
        let found = found.ok_or_else(|| no_such_app(&row, &request.app))?;
        check_presence(&client, &id, &request.app).await?;
        Ok(found)
    };
    let found = trace.hop(Stage::App, "the app is there", found).await?;
    let service = service(&request);
    // A port that was asked for is that port, or the reason why not.
    let local_port = match request.port {
        Some(port) => LocalPort::Fixed(port),
        None => preferred_port(context, &service)?,
    };
    // A port that the user asked for is opened in a browser as a rule.
    let protocol = match found.protocol {
        ServiceProtocol::Preopen => Protocol::Http,
        other => protocol(other),
    };
    let mut wanted = Request::new(target(profile, &row, service), protocol);
    // The first connection starts the app: what is wrong with it is better said now than on its
    // page.
    let reached = async { Ok(proxy.tunnels().reaches(&wanted.target).await?) };
    trace.hop(Stage::App, "the app answers", reached).await?;
    wanted.local_port = local_port;
    wanted.secret = (request.guarded && protocol == Protocol::Http).then(Secret::random);
    proxy.tunnels().set_pool(pool(context)?);
    let opened = async { Ok(proxy.open_tunnel(wanted).await?) };
    let done = "a port of this computer leads to the app";
    let opened = trace.hop(Stage::Local, done, opened).await?;
    Ok(OpenedApp {
        browser_url: browser_url(&proxy, &opened),
        url: opened
            .url()
            .unwrap_or_else(|| format!("127.0.0.1:{}", opened.local_port)),
        app: request.app,
        local_port: opened.local_port,
        session: id,
        tunnel_id: opened.id,
    })
}

pub(crate) async fn check_presence(
    client: &Client,
    session: &str,
    app: &str,
) -> Result<(), Failure> {
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
                    failure.hint(format!("install it: `gangway app install {session} {app}`"))
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

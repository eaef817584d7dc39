//! Apps of a session.

use std::net::IpAddr;

use client::Share;
use client::protocol::api::gangway::{AppPresence, capability};
use client::protocol::service_port::{ServicePort, ServiceProtocol};
use futures_util::{Stream, StreamExt};

use crate::context::Context;
use crate::session::find_running;
use crate::types::{
    AppInstall, AppList, AppRunState, AppShare, AppState, Failure, FailureCode, InstallProgress,
    SessionRef, SharedApp, Tag,
};

pub(crate) async fn list(context: &Context, request: SessionRef) -> Result<AppList, Failure> {
    let client = context.client().await?;
    let row = find_running(&client, &request.session).await?;
    if !client.has(capability::APP_STATE).await? {
        // Other managers tell only the names: every app may be tried.
        let mut ports = row.service_ports;
        for port in ServicePort::built_in() {
            if !ports.iter().any(|known| known.name == port.name) {
                ports.push(port);
            }
        }
        let apps = ports.into_iter().map(|port| AppState {
            title: port.name.clone(),
            protocol: port.protocol.into(),
            ports: port.ports,
            state: AppRunState::Ready,
            installable: false,
            needs: None,
            shareable: is_page(port.protocol),
            name: port.name,
        });
        return Ok(AppList {
            apps: apps.collect(),
        });
    }
    let apps = client.app_states(&row.session_id.to_string()).await?;
    let apps = apps.into_iter().map(|app| AppState {
        name: app.name,
        title: app.title,
        protocol: app.protocol.into(),
        ports: app.ports,
        state: match app.state {
            AppPresence::Running => AppRunState::Running,
            AppPresence::Ready => AppRunState::Ready,
            AppPresence::Missing => AppRunState::Missing,
        },
        installable: app.installable,
        needs: app.needs,
        // Our own engine has no app proxy.
        shareable: false,
    });
    Ok(AppList {
        apps: apps.collect(),
    })
}

/// Only web apps: whoever comes to another one is asked for nothing, and can't be kept out either.
pub(crate) async fn share(context: &Context, request: AppShare) -> Result<SharedApp, Failure> {
    if let Some(wrong) = request.allowed.iter().find(|it| !is_network(it)) {
        let message = format!("\"{wrong}\" is neither an address nor a network");
        return Err(Failure::new(FailureCode::InvalidInput, message)
            .hint("an address looks like 10.1.2.3, a network like 10.1.0.0/16"));
    }
    let client = context.client().await?;
    let row = find_running(&client, &request.session).await?;
    let port = row.service_ports.iter().find(|it| it.name == request.app);
    match port {
        None => {
            let message = format!("the session {} has no app \"{}\"", row.name, request.app);
            return Err(Failure::new(FailureCode::AppNotFound, message));
        }
        Some(port) if !is_page(port.protocol) => {
            let message = format!("{} is no web app", request.app);
            return Err(Failure::new(FailureCode::InvalidInput, message));
        }
        Some(_) => {}
    }
    let share = Share {
        allowed_client_ips: request.allowed,
        subdomain: request.subdomain,
    };
    let shared = client.share_app(row.session_id, &request.app, &share).await;
    let url = shared.map_err(|error| match error.status() {
        Some(501 | 503) => Failure::new(
            FailureCode::Unsupported,
            "this manager has no app proxy that could show apps to others",
        ),
        _ => error.into(),
    })?;
    Ok(SharedApp {
        url: url.to_string(),
        app: request.app,
        session: row.session_id.to_string(),
    })
}

/// Whether a browser may show it.
fn is_page(protocol: ServiceProtocol) -> bool {
    matches!(protocol, ServiceProtocol::Http | ServiceProtocol::Preopen)
}

/// An address, or one with the length of a prefix.
fn is_network(text: &str) -> bool {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    prefix.is_none_or(|it| it.parse::<u8>().is_ok_and(|bits| bits <= most))
}

pub(crate) async fn install(
    context: &Context,
    request: AppInstall,
) -> Result<impl Stream<Item = Result<InstallProgress, Failure>> + Send + use<>, Failure> {
    let client = context.client().await?;
    let row = find_running(&client, &request.session).await?;
    let id = row.session_id.to_string();
    let events = client.install_app(&id, &request.app).await?;
    let context = context.clone();
    Ok(events.map(move |event| match event? {
        client::InstallEvent::Line(line) => Ok(InstallProgress::Line { text: line.text }),
        client::InstallEvent::Done(done) => {
            context.changed(Tag::Session, Some(id.clone()));
            Ok(InstallProgress::Done {
                ok: done.ok,
                exit_code: done.exit_code,
            })
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_told_from_other_words() {
        for fine in ["10.1.2.3", "10.1.0.0/16", "::1", "fd00::/8", "0.0.0.0/0"] {
            assert!(is_network(fine), "{fine}");
        }
        for wrong in [
            "",
            "lab",
            "10.1.2",
            "10.1.2.3/33",
            "fd00::/129",
            "10.0.0.0/",
            "1.2.3.4,5.6.7.8",
        ] {
            assert!(!is_network(wrong), "{wrong}");
        }
    }
}

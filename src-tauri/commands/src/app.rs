//! Apps of a session.

use client::protocol::api::gangway::{AppPresence, capability};
use client::protocol::service_port::ServicePort;
use futures_util::{Stream, StreamExt};

use crate::context::Context;
use crate::session::find_running;
use crate::types::{
    AppInstall, AppList, AppRunState, AppState, Failure, InstallProgress, SessionRef, Tag,
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
    });
    Ok(AppList {
        apps: apps.collect(),
    })
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

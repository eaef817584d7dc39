//! The end of the desktop's session, as its session manager announces it. A program that has not
//! registered there is not told: its display is gone all of a sudden.

use futures_util::StreamExt;
use tauri::AppHandle;
use zbus::fdo::DBusProxy;
use zbus::names::BusName;
use zbus::zvariant::OwnedObjectPath;
use zbus::{Connection, Proxy};

use crate::leave;

/// A session manager on the session bus.
struct Manager {
    name: &'static str,
    path: &'static str,
    interface: &'static str,
    /// What it says to one client.
    client: &'static str,
}

const MANAGERS: [Manager; 2] = [
    // GNOME, and those that come from it: MATE, Cinnamon, Budgie.
    Manager {
        name: "org.gnome.SessionManager",
        path: "/org/gnome/SessionManager",
        interface: "org.gnome.SessionManager",
        client: "org.gnome.SessionManager.ClientPrivate",
    },
    Manager {
        name: "org.xfce.SessionManager",
        path: "/org/xfce/SessionManager",
        interface: "org.xfce.Session.Manager",
        client: "org.xfce.Session.Client",
    },
];

/// Listens for as long as the program runs. Where there is no such manager the desktop ends
/// programs by a signal.
pub(crate) async fn watch(app: AppHandle) {
    match listen(&app).await {
        Ok(true) => tracing::debug!("the session manager has gone"),
        Ok(false) => tracing::debug!("there is no session manager on the bus"),
        Err(error) => tracing::debug!(%error, "the session manager can't be heard"),
    }
}

/// Whether there was one.
async fn listen(app: &AppHandle) -> zbus::Result<bool> {
    let bus = Connection::session().await?;
    let names = DBusProxy::new(&bus).await?;
    for manager in &MANAGERS {
        if names
            .name_has_owner(BusName::try_from(manager.name)?)
            .await?
        {
            follow(app, &bus, manager).await?;
            return Ok(true);
        }
    }
    Ok(false)
}

async fn follow(app: &AppHandle, bus: &Connection, manager: &Manager) -> zbus::Result<()> {
    let proxy = Proxy::new(bus, manager.name, manager.path, manager.interface).await?;
    // Set by the manager itself when it has started us.
    let startup = std::env::var("DESKTOP_AUTOSTART_ID").unwrap_or_default();
    let client: OwnedObjectPath = proxy.call("RegisterClient", &("gangway", startup)).await?;
    let client = Proxy::new(bus, manager.name, client, manager.client).await?;
    let mut signals = client.receive_all_signals().await?;
    while let Some(signal) = signals.next().await {
        let header = signal.header();
        match header.member().map(|member| member.as_str()) {
            // Nothing that is under way keeps the user from logging out: it is stored, and goes on.
            Some("QueryEndSession") => agree(&client).await?,
            Some("EndSession") => {
                leave::wind_down(app).await;
                agree(&client).await?;
                app.exit(0);
            }
            Some("Stop") => leave::at_once(app),
            _ => {}
        }
    }
    Ok(())
}

async fn agree(client: &Proxy<'_>) -> zbus::Result<()> {
    client.call("EndSessionResponse", &(true, "")).await
}

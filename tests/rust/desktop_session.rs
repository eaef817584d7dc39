//! The rest of the desktop around the app: its panel, its window manager, and the end of its
//! session.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::editing::open_in_editor;
use tests::home::Home;
use tests::local_port::answers_http;
use tests::panel::Panel;
use tests::process::eventually;
use tests::repository;
use tests::screen::{RETURN, Screen};
use tests::window::{PATIENCE, Window};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use zbus::zvariant::OwnedObjectPath;

const SESSION: &str = "stays";
const MANAGER: &str = "org.gnome.SessionManager";
const CLIENT: &str = "org.gnome.SessionManager.ClientPrivate";
const CLIENT_PATH: &str = "/org/gnome/SessionManager/Client1";

/// A tunnel that somebody would miss; its port.
async fn open_tunnel(home: &Home, window: &Window) -> Result<u64> {
    window.click("login.this-computer").await?;
    window.find("start.page").await?;
    home.gangway(&["session", "launch", SESSION])?;
    let opened = home.gangway(&["app", "open", SESSION, "ttyd", "--print-url"])?;
    window.text_with("status.tunnels", "1").await?;
    opened["local_port"].as_u64().context("local_port")
}

async fn menu_begins_with(
    window: &Window,
    panel: &Panel,
    label: &str,
    enabled: bool,
) -> Result<()> {
    window
        .eventually(&format!("{label:?} in the panel"), async || {
            let menu = panel.menu().await?;
            let first = menu.first().context("an empty menu")?;
            ensure!(first.label == label && first.enabled == enabled, "{menu:?}");
            Ok(Some(()))
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_panel_counts_what_is_under_way_and_leads_back() -> Result<()> {
    let home = Home::desktop()?;
    let panel = Panel::start(&home).await?;
    let window = Window::app(&home).await?;
    window.find("login.page").await?;
    menu_begins_with(&window, &panel, "Nothing under way", false).await?;
    let labels: Vec<String> = panel.menu().await?.into_iter().map(|it| it.label).collect();
    ensure!(
        labels == ["Nothing under way", "Open Gangway", "Settings", "Quit"],
        "{labels:?}"
    );
    let port = open_tunnel(&home, &window).await?;
    menu_begins_with(&window, &panel, "Open tunnels: 1", true).await?;
    ensure!(panel.label().await? == "1");
    open_in_editor(&home, &window, SESSION, "there.txt").await?;
    let both = "Open tunnels: 1 · Files open in an editor: 1";
    menu_begins_with(&window, &panel, both, true).await?;
    ensure!(panel.label().await? == "2");

    // Closed, it goes into the panel; a dialog says so, once.
    let screen = Screen::of(&home)?;
    let frame = screen.window("Gangway").await?;
    let shown = || Ok::<_, anyhow::Error>(screen.windows("Gangway")?.contains(&frame));
    screen.close(frame)?;
    window
        .eventually("only the dialog to be left", async || {
            let left = screen.windows("Gangway")?;
            Ok(match left[..] {
                [dialog] if dialog != frame => Some(dialog),
                _ => None,
            })
        })
        .await?;
    window
        .eventually("the dialog to go", async || {
            let left = screen.windows("Gangway")?;
            if let Some(dialog) = left.first() {
                screen.press(*dialog, RETURN)?;
            }
            Ok(left.is_empty().then_some(()))
        })
        .await?;
    ensure!(answers_http(port));
    panel.click("Open Gangway").await?;
    window
        .eventually("the window to come back", async || {
            Ok(shown()?.then_some(()))
        })
        .await?;
    for (entry, place) in [("Settings", "#/settings"), (both, "#/transfers")] {
        panel.click(entry).await?;
        let there = format!("return location.hash.startsWith('{place}')");
        window.until(entry, &there).await?;
    }

    // A panel that ends must not take the window with it.
    screen.close(frame)?;
    window
        .eventually("the window to be in the panel", async || {
            Ok((!shown()?).then_some(()))
        })
        .await?;
    panel.end().await?;
    window
        .eventually("the window to be found without it", async || {
            Ok(shown()?.then_some(()))
        })
        .await?;

    // The next one gets the icon too, and it is a way out.
    let panel = Panel::start(&home).await?;
    menu_begins_with(&window, &panel, both, true).await?;
    panel.click("Quit").await?;
    window.text_with("leave.dialog", "ttyd").await?;
    window.text_with("leave.dialog", "there.txt").await?;
    window.click("leave.stop").await.ok();
    eventually("the app to end", PATIENCE, || {
        Ok(home.processes("gangway-desktop").is_empty().then_some(()))
    })
}

/// Where no panel shows icons, the window stays in the list of windows.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_panel_the_window_is_minimised() -> Result<()> {
    let home = Home::desktop()?;
    let window = Window::app(&home).await?;
    let port = open_tunnel(&home, &window).await?;
    let screen = Screen::of(&home)?;
    let frame = screen.window("Gangway").await?;
    screen.listen_as_window_manager()?;
    screen.close(frame)?;
    window
        .eventually("the wish to be minimised", async || {
            Ok((screen.asked_to_minimise()? == Some(frame)).then_some(()))
        })
        .await?;
    ensure!(screen.windows("Gangway")?.contains(&frame), "it is hidden");
    ensure!(answers_http(port));
    Ok(())
}

/// A session manager of GNOME's kind, as far as one client sees it.
struct SessionManager {
    bus: zbus::Connection,
    answers: Mutex<UnboundedReceiver<bool>>,
    registered: Arc<std::sync::Mutex<Option<String>>>,
}

struct Registry {
    registered: Arc<std::sync::Mutex<Option<String>>>,
}

#[zbus::interface(name = "org.gnome.SessionManager")]
impl Registry {
    fn register_client(&self, app: String, _startup: String) -> zbus::fdo::Result<OwnedObjectPath> {
        if let Ok(mut registered) = self.registered.lock() {
            *registered = Some(app);
        }
        OwnedObjectPath::try_from(CLIENT_PATH)
            .map_err(|error| zbus::fdo::Error::Failed(error.to_string()))
    }
}

struct Client {
    answer: UnboundedSender<bool>,
}

#[zbus::interface(name = "org.gnome.SessionManager.ClientPrivate")]
impl Client {
    fn end_session_response(&self, agrees: bool, _reason: String) {
        // Nobody waits any more when the test has failed.
        let _ = self.answer.send(agrees);
    }
}

impl SessionManager {
    async fn start(home: &Home) -> Result<Self> {
        let registered = Arc::default();
        let (answer, answers) = unbounded_channel();
        let registry = Registry {
            registered: Arc::clone(&registered),
        };
        let bus = zbus::connection::Builder::address(home.bus().as_str())?
            .serve_at("/org/gnome/SessionManager", registry)?
            .serve_at(CLIENT_PATH, Client { answer })?
            .name(MANAGER)?
            .build()
            .await?;
        Ok(Self {
            bus,
            answers: Mutex::new(answers),
            registered,
        })
    }

    /// Tells the client; whether it agrees.
    async fn tell(&self, signal: &str) -> Result<bool> {
        self.bus
            .emit_signal(None::<&str>, CLIENT_PATH, CLIENT, signal, &0_u32)
            .await?;
        let mut answers = self.answers.lock().await;
        let answer = tokio::time::timeout(Duration::from_secs(20), answers.recv());
        answer
            .await
            .context(signal.to_owned())?
            .context("no answer")
    }
}

/// Logging out: the desktop asks, is not kept waiting, and the next start says what it was.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_desktops_session_is_a_clean_end() -> Result<()> {
    let home = Home::desktop()?;
    let manager = SessionManager::start(&home).await?;
    let window = Window::app(&home).await?;
    let port = open_tunnel(&home, &window).await?;
    open_in_editor(&home, &window, SESSION, "there.txt").await?;
    let registered = || manager.registered.lock().ok()?.clone();
    ensure!(
        registered().as_deref() == Some("gangway"),
        "{:?}",
        registered()
    );

    ensure!(manager.tell("QueryEndSession").await?, "it kept the user");
    // Somebody else has kept the user: everything goes on.
    ensure!(home.processes("gangway-desktop").len() == 1 && answers_http(port));
    ensure!(manager.tell("EndSession").await?);
    let window = next_start(&home, window).await?;
    window.text_with("leave.last-end", "there.txt").await?;
    let pictures: PathBuf = repository::root().join("target/screenshots/leave");
    window.screenshot(&pictures.join("session-end.png")).await?;
    comes_back(&window, port).await
}

/// A desktop whose session manager nobody has heard of: the display goes, and the app with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_display_that_is_gone_takes_nothing_with_it() -> Result<()> {
    let mut home = Home::desktop()?;
    let window = Window::app(&home).await?;
    let port = open_tunnel(&home, &window).await?;
    home.change_display()?;
    let window = next_start(&home, window).await?;
    comes_back(&window, port).await
}

/// Waits for the app's end and starts it again: it says what was under way.
async fn next_start(home: &Home, ending: Window) -> Result<Window> {
    eventually("the app to end", PATIENCE, || {
        Ok(home.processes("gangway-desktop").is_empty().then_some(()))
    })?;
    drop(ending);
    let window = Window::app(home).await?;
    window.text_with("leave.last-end", "ttyd").await?;
    Ok(window)
}

async fn comes_back(window: &Window, port: u64) -> Result<()> {
    window.text_with("status.tunnels", "1").await?;
    eventually("the tunnel on its port", PATIENCE, || {
        Ok(answers_http(port).then_some(()))
    })
}

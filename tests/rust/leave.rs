//! The app ends while something is under way: what the user has opened stays open.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fantoccini::Locator;
use tests::editing::{open_in_editor, session_has};
use tests::home::Home;
use tests::local_port::answers_http;
use tests::process::{eventually, program, run};
use tests::repository;
use tests::screen::Screen;
use tests::window::Window;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_outlives_the_app_and_comes_back_to_it() -> Result<()> {
    let home = Home::desktop()?;
    let window = Window::app(&home).await?;
    window.click("login.this-computer").await?;
    window.find("start.page").await?;
    home.gangway(&["session", "launch", "stays"])?;
    let opened = home.gangway(&["app", "open", "stays", "ttyd", "--print-url"])?;
    let port = opened["local_port"].as_u64().context("local_port")?;
    ensure!(
        answers_http(port),
        "the web terminal does not answer on port {port}"
    );
    window.text_with("status.tunnels", "1").await?;

    let [app] = home.processes("gangway-desktop")[..] else {
        anyhow::bail!("not one app: {:?}", home.processes("gangway-desktop"));
    };
    run(Command::new("kill").args(["-s", "TERM", &app.to_string()]))?;
    eventually("the app to end", SOON, || {
        Ok(home.processes("gangway-desktop").is_empty().then_some(()))
    })?;
    drop(window);
    eventually("the tunnel in the proxy host", SOON, || {
        Ok(answers_http(port).then_some(()))
    })?;

    let window = Window::app(&home).await?;
    window.find("start.page").await?;
    window.text_with("status.tunnels", "1").await?;
    eventually("the tunnel in the app", SOON, || {
        Ok(answers_http(port).then_some(()))
    })?;
    let open = home.gangway(&["tunnel", "ls"])?;
    let id = open["tunnels"][0]["id"].as_str().context("id")?;
    home.gangway(&["tunnel", "close", id])?;
    window.text_with("status.tunnels", "0").await?;
    eventually("the port to be closed", SOON, || {
        Ok((!answers_http(port)).then_some(()))
    })?;
    window.close().await
}

struct Leaving {
    home: Home,
    port: u64,
}

impl Leaving {
    /// The app with a tunnel that somebody would miss.
    async fn with_a_tunnel() -> Result<(Self, Window)> {
        let home = Home::desktop()?;
        let window = Window::app(&home).await?;
        window.click("login.this-computer").await?;
        window.find("start.page").await?;
        home.gangway(&["session", "launch", "stays"])?;
        let opened = home.gangway(&["app", "open", "stays", "ttyd", "--print-url"])?;
        let port = opened["local_port"].as_u64().context("local_port")?;
        window.text_with("status.tunnels", "1").await?;
        Ok((Self { home, port }, window))
    }

    /// The app with a file of a session in an editor, and where its copy is.
    async fn with_a_file() -> Result<(Self, Window, PathBuf)> {
        let home = Home::desktop()?;
        let window = Window::app(&home).await?;
        window.click("login.this-computer").await?;
        window.find("start.page").await?;
        home.gangway(&["session", "launch", "stays"])?;
        let copy = open_in_editor(&home, &window, "stays", "there.txt").await?;
        Ok((Self { home, port: 0 }, window, copy))
    }

    fn has(&self, text: &str) -> Result<()> {
        session_has(&self.home, "stays", "there.txt", text)
    }

    /// Presses what ends the app. The app may be gone before it has answered the click.
    async fn end_by(&self, window: &Window, button: &str) -> Result<()> {
        let selector = format!("[data-testid=\"{button}\"]");
        window
            .eventually("the app to end", async || {
                if let Ok(element) = window.client().find(Locator::Css(&selector)).await {
                    // Whether it was taken is seen by the end.
                    let _ = element.click().await;
                }
                Ok(self
                    .home
                    .processes("gangway-desktop")
                    .is_empty()
                    .then_some(()))
            })
            .await
    }

    fn ended(&self) -> Result<()> {
        eventually("the app to end", SOON, || {
            Ok(self
                .home
                .processes("gangway-desktop")
                .is_empty()
                .then_some(()))
        })
    }
}

const QUIT: &str = "\u{e009}q\u{e000}";

/// Keys that are pressed before the page listens are lost, as for a person who is too quick.
async fn ask_to_quit(window: &Window) -> Result<()> {
    window
        .eventually("the question", async || {
            if !window.there("leave.dialog").await? {
                window.keys(QUIT).await?;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Ok(window.there("leave.dialog").await?.then_some(()))
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn quitting_says_what_is_under_way_and_does_what_is_chosen() -> Result<()> {
    let (leaving, window) = Leaving::with_a_tunnel().await?;
    ask_to_quit(&window).await?;
    window.text_with("leave.dialog", "ttyd").await?;
    let pictures = repository::root().join("target/screenshots/leave");
    window.screenshot(&pictures.join("dialog.png")).await?;
    window.keys("\u{e00c}").await?;
    window.gone("leave.dialog").await?;
    ensure!(answers_http(leaving.port));

    ask_to_quit(&window).await?;
    leaving.end_by(&window, "leave.background").await?;
    drop(window);
    eventually("the tunnel in the background", SOON, || {
        Ok(answers_http(leaving.port).then_some(()))
    })?;

    // Nothing to say at the next start: the user has chosen.
    let window = Window::app(&leaving.home).await?;
    window.text_with("status.tunnels", "1").await?;
    ensure!(!window.there("leave.last-end").await?);
    ask_to_quit(&window).await?;
    leaving.end_by(&window, "leave.stop").await?;
    eventually("the tunnel to be closed", SOON, || {
        Ok((!answers_http(leaving.port)).then_some(()))
    })?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_start_says_what_a_logout_has_ended() -> Result<()> {
    let (leaving, window) = Leaving::with_a_tunnel().await?;
    let [app] = leaving.home.processes("gangway-desktop")[..] else {
        anyhow::bail!("not one app");
    };
    run(Command::new("kill").args(["-s", "TERM", &app.to_string()]))?;
    leaving.ended()?;
    drop(window);
    let window = Window::app(&leaving.home).await?;
    window.text_with("leave.last-end", "ttyd").await?;
    let pictures = repository::root().join("target/screenshots/leave");
    window.screenshot(&pictures.join("logout.png")).await?;
    window
        .click_css("[data-testid=\"leave.last-end\"] .ant-alert-close-icon")
        .await?;
    window.gone("leave.last-end").await?;
    window.close().await
}

/// An editor may save at any time: while the app is off, somebody listens or nobody does, as the
/// user has said.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_an_editor_is_work_too() -> Result<()> {
    let (leaving, window, copy) = Leaving::with_a_file().await?;
    let carriers = || leaving.home.processes("gangway");
    ask_to_quit(&window).await?;
    window.text_with("leave.dialog", "there.txt").await?;
    // It never ends by itself.
    ensure!(!window.there("leave.wait").await?);
    let pictures = repository::root().join("target/screenshots/leave");
    window.screenshot(&pictures.join("editor.png")).await?;
    leaving.end_by(&window, "leave.background").await?;
    drop(window);
    fs::write(&copy, "in the background\n")?;
    leaving.has("in the background\n")?;
    ensure!(!carriers().is_empty(), "nobody listens");

    let window = Window::app(&leaving.home).await?;
    window.find("nav.sessions").await?;
    ask_to_quit(&window).await?;
    window.text_with("leave.dialog", "there.txt").await?;
    leaving.end_by(&window, "leave.stop").await?;
    drop(window);
    eventually("everything to end", SOON, || {
        Ok(carriers().is_empty().then_some(()))
    })?;
    fs::write(&copy, "while nobody listened\n")?;
    let window = Window::app(&leaving.home).await?;
    window.find("nav.sessions").await?;
    leaving.has("while nobody listened\n")?;

    // Given back by the user, it is work no longer.
    let session = leaving.home.gangway(&["session", "show", "stays"])?;
    let id = session["id"].as_str().context("id")?;
    window.go(&format!("/sessions?open={id}&tab=files")).await?;
    window.click("files.edit-close.there.txt").await?;
    window.gone("files.editing.there.txt").await?;
    window.keys(QUIT).await.ok();
    leaving.ended()
}

/// What was saved is on its way while the manager does not answer: the app can wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn quitting_waits_for_what_was_saved_in_an_editor() -> Result<()> {
    let (leaving, window, copy) = Leaving::with_a_file().await?;
    let [engine] = leaving.home.processes("gangway-engine")[..] else {
        anyhow::bail!("not one engine");
    };
    let tell = |signal: &str| run(Command::new("kill").args(["-s", signal, &engine.to_string()]));
    tell("STOP")?;
    fs::write(&copy, "saved last\n")?;
    ask_to_quit(&window).await?;
    window
        .text_with("leave.dialog", "put back: there.txt")
        .await?;
    window.click("leave.wait").await?;
    window.find("leave.waiting").await?;
    // Longer than it looks whether all is over.
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!(leaving.home.processes("gangway-desktop").len() == 1);
    tell("CONT")?;
    leaving.ended()?;
    leaving.has("saved last\n")
}

/// There is no panel on this display: the window can't go into it, and says what it does instead.
#[tokio::test(flavor = "multi_thread")]
async fn closing_the_window_keeps_what_is_under_way() -> Result<()> {
    let (leaving, window) = Leaving::with_a_tunnel().await?;
    let screen = Screen::of(&leaving.home)?;
    let frame = screen.window("Gangway").await?;
    screen.close(frame)?;
    // The system's own dialog is a second window of the same name.
    window
        .eventually("the dialog that says it", async || {
            Ok((screen.windows("Gangway")?.len() > 1).then_some(()))
        })
        .await?;
    ensure!(answers_http(leaving.port));
    ensure!(leaving.home.processes("gangway-desktop").len() == 1);
    Ok(())
}

/// A second start shows the window that is there, and ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_shows_the_first() -> Result<()> {
    let mut home = Home::desktop()?;
    home.single_instance();
    let window = Window::app(&home).await?;
    window.find("login.page").await?;
    let screen = Screen::of(&home)?;
    let frame = screen.window("Gangway").await?;
    let cover = screen.cover(frame)?;
    ensure!(screen.is_above(cover, frame)?, "the window is not covered");
    run(&mut home.command(program("gangway-desktop")))?;
    window
        .eventually("the window to come to the front", async || {
            Ok(screen.is_above(frame, cover)?.then_some(()))
        })
        .await?;
    ensure!(home.processes("gangway-desktop").len() == 1);
    window.find("login.page").await?;
    window.close().await
}

//! The main job, played through the real app: launch a session on this computer, work in it,
//! move files both ways, open its web terminal, terminate it.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::home::Home;
use crate::local_port;
use crate::window::{PATIENCE, Window};

/// Name of the session that the journey launches.
pub const SESSION: &str = "first-steps";

/// One step that was done.
#[derive(Debug, Clone)]
pub struct Step {
    /// What a person would say they did.
    pub name: String,
    /// How long it took until its result could be seen.
    pub took: Duration,
    /// What the window looked like then.
    pub picture: PathBuf,
}

/// The journey, with its window and its home.
pub struct Journey<'a> {
    home: &'a Home,
    window: Window,
    pictures: PathBuf,
    steps: usize,
    tell: &'a mut dyn FnMut(&Step),
}

impl std::fmt::Debug for Journey<'_> {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Journey")
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

/// Plays everything; `tell` hears of each step when it is done. Pictures go to `pictures`.
///
/// # Errors
/// At the first step whose result does not show; a picture of that moment is kept as
/// `failed.png`.
pub async fn main_job(home: &Home, pictures: PathBuf, tell: &mut dyn FnMut(&Step)) -> Result<()> {
    fs::create_dir_all(&pictures)?;
    let started = Instant::now();
    let window = Window::app(home).await?;
    let mut journey = Journey {
        home,
        window,
        pictures,
        steps: 0,
        tell,
    };
    let outcome = journey.play(started).await;
    if outcome.is_err() {
        let failed = journey.pictures.join("failed.png");
        if journey.window.screenshot(&failed).await.is_ok() {
            eprintln!("a picture of the failure: {}", failed.display());
        }
    }
    let closed = journey.window.close().await;
    outcome.and(closed)
}

impl Journey<'_> {
    async fn play(&mut self, started: Instant) -> Result<()> {
        self.window.find("login.page").await?;
        self.done("open the app", started).await?;

        let started = Instant::now();
        self.window.click("login.this-computer").await?;
        self.window.find("start.page").await?;
        self.done("log in on this computer", started).await?;

        let started = Instant::now();
        self.launch().await?;
        self.done("launch a session", started).await?;

        let started = Instant::now();
        self.type_in_terminal().await?;
        self.done("type in its terminal", started).await?;

        let started = Instant::now();
        self.upload().await?;
        self.done("upload a file", started).await?;

        let started = Instant::now();
        self.download().await?;
        self.done("download a file", started).await?;

        let started = Instant::now();
        self.web_terminal().await?;
        self.done("open the web terminal in a browser", started)
            .await?;

        let started = Instant::now();
        self.ask_to_terminate().await?;
        self.done("be told what would be lost", started).await?;

        let started = Instant::now();
        self.terminate().await?;
        self.done("terminate", started).await
    }

    async fn done(&mut self, name: &str, started: Instant) -> Result<()> {
        let took = started.elapsed();
        self.steps += 1;
        let file = format!("{:02}-{}.png", self.steps, name.replace([' ', ','], "-"));
        let picture = self.pictures.join(file);
        self.window.screenshot(&picture).await?;
        (self.tell)(&Step {
            name: name.to_owned(),
            took,
            picture,
        });
        Ok(())
    }

    async fn launch(&self) -> Result<()> {
        self.window.click("start.launch").await?;
        self.window.find("launch.form").await?;
        self.window.fill("launch.name", SESSION).await?;
        self.window.click("launch.submit").await?;
        self.window.find("drawer.panel").await?;
        self.window.text_with("drawer.status", "Running").await?;
        self.window
            .text_with(&format!("sessions.status.{SESSION}"), "Running")
            .await?;
        Ok(())
    }

    async fn type_in_terminal(&self) -> Result<()> {
        self.window.click("drawer.tab.terminal").await?;
        let open = "[data-testid=\"terminal.view\"][data-state=\"open\"] textarea";
        let keys = self.window.css(open).await?;
        // The sum shows that a shell has read the line, and not only an echo of it.
        keys.send_keys("echo typed-$((40 + 2)) > typed.txt\n")
            .await?;
        self.in_session("typed.txt", "typed-42\n").await
    }

    async fn upload(&self) -> Result<()> {
        let file = self.home.path("home/notes.txt");
        fs::write(&file, "carried over\n".repeat(1000))?;
        self.window.click("drawer.tab.files").await?;
        self.window.click("files.row.local.notes.txt").await?;
        self.window.click("files.upload").await?;
        self.window.find("files.row.remote.notes.txt").await?;
        self.in_session("notes.txt", &"carried over\n".repeat(1000))
            .await
    }

    async fn download(&self) -> Result<()> {
        self.window.click("files.row.remote.typed.txt").await?;
        self.window.click("files.download").await?;
        self.window.find("files.row.local.typed.txt").await?;
        let file = self.home.path("home/typed.txt");
        self.window
            .eventually("the file that was downloaded", async || {
                Ok(fs::read_to_string(&file)
                    .ok()
                    .filter(|text| text == "typed-42\n"))
            })
            .await?;
        Ok(())
    }

    async fn web_terminal(&self) -> Result<()> {
        self.window.click("drawer.tab.apps").await?;
        self.window.click("drawer.app-open.ttyd").await?;
        let address = self
            .window
            .eventually("the browser to be asked", async || {
                Ok(self.home.opened_in_browser())
            })
            .await?;
        ensure!(
            address.starts_with("http://ttyd.") && address.contains(".localhost:"),
            "{address} is not on this computer"
        );
        let port = address.split(['/', ':']).find_map(|part| part.parse().ok());
        let page = local_port::get(port.context("a port")?, "/")?;
        ensure!(page.starts_with("HTTP/1.1 403"), "a stranger got {page}");
        let browser = Window::browser(self.home).await?;
        browser.client().goto(&address).await?;
        let keys = browser.css("textarea").await?;
        keys.send_keys("echo web-$((40 + 2)) > web.txt\n").await?;
        let typed = self.in_session("web.txt", "web-42\n").await;
        browser
            .screenshot(&self.pictures.join("web-terminal.png"))
            .await?;
        browser.close().await?;
        typed
    }

    async fn ask_to_terminate(&self) -> Result<()> {
        self.window.click("drawer.terminate").await?;
        self.window.find("terminate.dialog").await?;
        let lost = self.window.text_with("terminate.unsaved", "typed.txt");
        lost.await?;
        Ok(())
    }

    async fn terminate(&self) -> Result<()> {
        self.window.click("terminate.confirm").await?;
        self.window.gone("terminate.dialog").await?;
        self.window
            .eventually("the session to end", async || {
                let session = self.home.gangway(&["session", "show", SESSION]);
                Ok(session.ok().filter(|it| it["status"] == "TERMINATED"))
            })
            .await?;
        Ok(())
    }

    /// Waits until a file in the session holds `text`, read on another way than through the app.
    async fn in_session(&self, file: &str, text: &str) -> Result<()> {
        let started = Instant::now();
        loop {
            let answer = self.home.gangway(&[
                "session",
                "exec",
                SESSION,
                "--",
                "cat",
                &format!("/home/work/{file}"),
            ]);
            match answer {
                Ok(answer) if answer["stdout"] == text => return Ok(()),
                last if started.elapsed() > PATIENCE => {
                    let last = last.context("session exec")?;
                    anyhow::bail!("{file} should hold {text:?} in the session, but: {last}");
                }
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

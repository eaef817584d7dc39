//! The app's window on a real Backend.AI cluster: what people see there, from the login page to
//! the history. `cargo xtask test --peer backendai` runs it; the pictures are for people to look at.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::computer::PATIENCE;
use tests::home::{Home, Keyring};
use tests::peer::{Peer, web_app};
use tests::process::finish;
use tests::repository;
use tests::window::Window;

const SESSION: &str = "in-the-window";
const OTHER_NAME: &str = "renamed-there";

/// A window at the cluster, and the account that it is logged in to.
struct Visit {
    peer: Peer,
    window: Window,
    // Dropped last: the window's programs live in it.
    home: Home,
    pictures: PathBuf,
}

impl Visit {
    async fn begin(width: u32, height: u32) -> Result<Self> {
        let peer = Peer::expected()?;
        let home = Home::desktop_of(Keyring::Unlocked, width, height)?;
        let window = Window::app(&home).await?;
        window.find("login.page").await?;
        window.client().set_window_size(width, height).await?;
        let pictures = repository::root().join(format!("target/screenshots/cluster/{width}"));
        Ok(Self {
            peer,
            window,
            home,
            pictures,
        })
    }

    async fn log_in(&self) -> Result<()> {
        let window = &self.window;
        window.click("login.other").await?;
        window.fill("login.address", &self.peer.web).await?;
        window.click("login.find").await?;
        window.find("login.found").await?;
        window.fill("login.user", &self.peer.email).await?;
        window.fill("login.password", "not-the-password").await?;
        self.picture("login").await?;
        window.click("login.submit").await?;
        window.text_with("login.failure", "bad_credentials").await?;
        self.picture("login-refused").await?;
        window.fill("login.password", &self.peer.password).await?;
        window.click("login.submit").await?;
        window.find("start.page").await?;
        // A test that was ended may have left something.
        self.peer.clean(&self.home);
        Ok(())
    }

    async fn picture(&self, name: &str) -> Result<()> {
        let file = self.pictures.join(format!("{name}.png"));
        self.window.whole_page(&file).await
    }

    async fn place(&self, name: &str, place: &str, id: &str) -> Result<()> {
        self.window.go(place).await?;
        self.window.find(id).await?;
        self.picture(name).await?;
        let broken = self.window.there("kit.error").await?;
        ensure!(!broken, "{name} shows an error");
        Ok(())
    }

    async fn tab(&self, id: &str, tab: &str) -> Result<()> {
        self.window
            .go(&format!("/sessions?open={id}&tab={tab}"))
            .await?;
        self.window.find("drawer.panel").await?;
        match tab {
            "log" => self
                .window
                .text_with("drawer.log-text", "ttyd")
                .await
                .map(drop)?,
            "ssh" => self
                .window
                .text_with("drawer.ssh-command", "ssh")
                .await
                .map(drop)?,
            "files" => self.window.find("files.row.remote.data").await.map(drop)?,
            _ => {}
        }
        self.picture(&format!("drawer-{tab}")).await
    }

    async fn play(&self) -> Result<()> {
        self.log_in().await?;
        self.place("start-empty", "/", "start.page").await?;
        self.place("sessions-empty", "/sessions", "sessions.page")
            .await?;
        self.data().await?;
        let id = self.launch().await?;
        self.place("start", "/", "start.page").await?;
        self.place("sessions", "/sessions", "sessions.table")
            .await?;
        for tab in ["overview", "log", "ssh"] {
            self.tab(&id, tab).await?;
        }
        self.terminal(&id).await?;
        self.apps(&id).await?;
        self.files(&id).await?;
        self.rename(&id).await?;
        self.home_pages().await?;
        self.terminate(&id).await?;
        self.after().await
    }

    /// Every page with one session and one folder.
    async fn look(&self) -> Result<()> {
        let mut settings = self.home.gangway(&["call", "settings.get", "{}"])?;
        settings["theme"] = json!("dark");
        settings["language"] = json!("ko");
        self.home
            .gangway(&["call", "settings.set", &settings.to_string()])?;
        self.window.client().refresh().await?;
        let korean = "return document.documentElement.lang === 'ko'";
        self.window.until("the language", korean).await?;
        self.log_in().await?;
        self.home.gangway(&["folder", "create", "data"])?;
        let launch = ["session", "launch", SESSION, "--cpu", "1", "--mem", "512m"];
        let session = self
            .home
            .gangway(&[&launch[..], &["--mount", "data"]].concat())?;
        let id = session["id"].as_str().context("id")?;
        for (name, place, shown) in PAGES {
            self.place(name, place, shown).await?;
        }
        for tab in ["overview", "apps", "terminal", "files", "log", "ssh"] {
            self.tab(id, tab).await?;
        }
        Ok(())
    }

    /// A data folder, with a file that goes up and comes back.
    async fn data(&self) -> Result<()> {
        let window = &self.window;
        self.place("folders-empty", "/folders", "folders.page")
            .await?;
        window.click("folders.create").await?;
        window.fill("folders.create-name", "data").await?;
        window.click("folders.create-submit").await?;
        window.find("folders.row.data").await?;
        self.picture("folders").await?;

        let file = self.home.path("home/notes.txt");
        fs::write(&file, "carried over\n".repeat(1000))?;
        window.go("/folders?open=data").await?;
        window.click("files.row.local.notes.txt").await?;
        window.click("files.upload").await?;
        window.find("files.row.remote.notes.txt").await?;
        self.picture("folder-files").await?;
        fs::remove_file(&file)?;
        window.click("files.row.remote.notes.txt").await?;
        window.click("files.download").await?;
        window
            .eventually("the file that was downloaded", async || {
                let text = fs::read_to_string(&file).ok();
                Ok(text.filter(|text| *text == "carried over\n".repeat(1000)))
            })
            .await?;
        self.place("transfers", "/transfers", "transfers.page")
            .await
    }

    async fn launch(&self) -> Result<String> {
        let window = &self.window;
        self.place("launch", "/launch?folder=data", "launch.form")
            .await?;
        let end = "for (const it of document.querySelectorAll('main *'))
            if (it.scrollHeight > it.clientHeight) it.scrollTop = it.scrollHeight;";
        window.client().execute(end, Vec::new()).await?;
        self.picture("launch-end").await?;
        window.find("launch.folder.data").await?;
        window.fill("launch.name", SESSION).await?;
        self.picture("launch-filled").await?;
        window.click("launch.submit").await?;
        window.find("drawer.panel").await?;
        self.picture("launched").await?;
        window.text_with("drawer.status", "Running").await?;
        let session = self.shown(SESSION).await?;
        ensure!(
            session["status"] == "RUNNING" && session["mounts"][0] == "data",
            "{session}"
        );
        Ok(session["id"].as_str().context("id")?.to_owned())
    }

    async fn terminal(&self, id: &str) -> Result<()> {
        self.window
            .go(&format!("/sessions?open={id}&tab=terminal"))
            .await?;
        let open = "[data-testid=\"terminal.view\"][data-state=\"open\"] textarea";
        let keys = self.window.css(open).await?;
        // The sum shows that a shell has read the line, and not only an echo of it.
        keys.send_keys("echo typed-$((40 + 2)) | tee typed.txt\n")
            .await?;
        self.in_session("typed.txt", "typed-42\n").await?;
        self.picture("drawer-terminal").await
    }

    /// A web app of the image, opened in the browser. The web terminal of every image needs a
    /// `/dev/pts` of the container's own, which not every agent can give.
    async fn apps(&self, id: &str) -> Result<()> {
        let apps = self.home.gangway(&["app", "ls", SESSION])?;
        let name = web_app(&apps)?;
        let page = ["sh", "-c", "echo seen-through > /home/work/index.html"];
        self.home
            .gangway(&[&["session", "exec", SESSION, "--"], &page[..]].concat())?;
        self.tab(id, "apps").await?;
        self.window
            .click(&format!("drawer.app-open.{name}"))
            .await?;
        let address = self
            .window
            .eventually("the browser to be asked", async || {
                Ok(self.home.opened_in_browser())
            })
            .await?;
        self.browse(&address).await?;
        self.picture("drawer-apps-open").await?;

        self.share(name).await?;

        self.window.click("status.tunnels").await?;
        self.picture("tunnels").await?;
        self.window.keys("\u{e00c}").await
    }

    /// Others get it from the app proxy, where the cluster has one.
    async fn share(&self, name: &str) -> Result<()> {
        let by_hand = ["--json", "--yes", "app", "share", SESSION, name];
        let mut command = self.home.command(self.home.program("gangway"));
        let output = finish(command.args(by_hand))?;
        let lacks_one = String::from_utf8_lossy(&output.stderr).contains("no app proxy");
        ensure!(output.status.success() || lacks_one, "{output:?}");

        let share = format!("drawer.app-share.{name}");
        self.window.click(&share).await?;
        self.window.find("share.dialog").await?;
        self.picture("share").await?;
        self.window.click("share.submit").await?;
        if lacks_one {
            self.window
                .text_with("share.dialog", "unsupported")
                .await
                .map(drop)?;
        } else {
            let shared = self.window.text_with("share.url", "http").await?;
            self.browse(&shared).await?;
        }
        self.picture("shared").await?;
        self.window.keys("\u{e00c}").await?;
        self.window.gone("share.dialog").await?;
        self.window.gone("share.url").await
    }

    async fn browse(&self, address: &str) -> Result<()> {
        let browser = Window::browser(&self.home).await?;
        let seen = browser
            .eventually("the app's page", async || {
                browser.client().goto(address).await?;
                let body = browser.css("body").await?.text().await?;
                Ok(body.contains("seen-through").then_some(()))
            })
            .await;
        browser.close().await?;
        seen
    }

    async fn files(&self, id: &str) -> Result<()> {
        fs::write(self.home.path("home/up.txt"), "up\n")?;
        let window = &self.window;
        window.go(&format!("/sessions?open={id}&tab=files")).await?;
        window.find("files.row.remote.typed.txt").await?;
        window.click("files.row.local.up.txt").await?;
        window.click("files.upload").await?;
        window.find("files.row.remote.up.txt").await?;
        self.in_session("up.txt", "up\n").await?;
        window.click("files.row.remote.typed.txt").await?;
        window.click("files.download").await?;
        window.find("files.row.local.typed.txt").await?;
        self.picture("drawer-files").await
    }

    async fn rename(&self, id: &str) -> Result<()> {
        let window = &self.window;
        window
            .go(&format!("/sessions?open={id}&tab=overview"))
            .await?;
        window.click("drawer.rename").await?;
        window.fill("drawer.name-field", OTHER_NAME).await?;
        window.keys("\u{e007}").await?;
        window.text_with("drawer.name", OTHER_NAME).await?;
        window.find(&format!("sessions.row.{OTHER_NAME}")).await?;
        self.picture("renamed").await
    }

    /// What is not about one session.
    async fn home_pages(&self) -> Result<()> {
        self.place("settings", "/settings", "settings.page").await?;
        let end = "for (const it of document.querySelectorAll('main *'))
            if (it.scrollHeight > it.clientHeight) it.scrollTop = it.scrollHeight;";
        self.window.client().execute(end, Vec::new()).await?;
        self.picture("settings-end").await?;
        self.place("files", "/files", "files.page").await
    }

    async fn terminate(&self, id: &str) -> Result<()> {
        let window = &self.window;
        window
            .go(&format!("/sessions?open={id}&tab=overview"))
            .await?;
        window.click("drawer.terminate").await?;
        window.find("terminate.dialog").await?;
        self.picture("terminate").await?;
        window.click("terminate.confirm").await?;
        window.gone("terminate.dialog").await?;
        self.picture("terminating").await?;
        window
            .eventually("the session to end", async || {
                let session = self.shown(id).await?;
                Ok((session["status"] == "TERMINATED").then_some(()))
            })
            .await?;
        window.text_with("drawer.status", "Terminated").await?;
        self.tab(id, "overview").await?;
        self.picture("ended").await
    }

    async fn after(&self) -> Result<()> {
        self.place("finished", "/sessions?show=finished", "sessions.table")
            .await?;
        self.place("history", "/history", "history.page").await?;
        self.window
            .click(&format!("history.relaunch.{SESSION}"))
            .await?;
        self.window.find("drawer.panel").await?;
        self.window.text_with("drawer.status", "Running").await?;
        self.picture("relaunched").await
    }

    /// The session as the manager tells it. A busy web server may not find its manager for a moment.
    async fn shown(&self, session: &str) -> Result<Value> {
        self.window
            .eventually("an answer of the manager", async || {
                self.home.gangway(&["session", "show", session]).map(Some)
            })
            .await
    }

    /// Waits until a file in the session holds `text`, read on another way than through the app.
    async fn in_session(&self, file: &str, text: &str) -> Result<()> {
        let started = Instant::now();
        loop {
            let path = format!("/home/work/{file}");
            let arguments = ["session", "exec", SESSION, "--", "cat", &path];
            let answer = self.home.gangway(&arguments);
            match answer {
                Ok(answer) if answer["stdout"] == text => return Ok(()),
                last if started.elapsed() > PATIENCE => {
                    let last = last.context("session exec")?;
                    anyhow::bail!("{file} should hold {text:?} in the session, but: {last}");
                }
                _ => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// Ends the account's sessions and closes the window; a failure leaves a picture.
    async fn end(self, outcome: Result<()>) -> Result<()> {
        if outcome.is_err() {
            let failed = self.pictures.join("failed.png");
            if self.window.screenshot(&failed).await.is_ok() {
                eprintln!("a picture of the failure: {}", failed.display());
            }
        }
        self.peer.clean(&self.home);
        let closed = self.window.close().await;
        outcome.and(closed)
    }
}

/// Pages that show what is at the manager, and what shows that they are there.
const PAGES: [(&str, &str, &str); 7] = [
    ("start", "/", "start.page"),
    ("sessions", "/sessions", "sessions.table"),
    ("finished", "/sessions?show=finished", "sessions.table"),
    ("launch", "/launch", "launch.form"),
    ("folders", "/folders", "folders.page"),
    ("history", "/history", "history.page"),
    ("settings", "/settings", "settings.page"),
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs another manager: cargo xtask test --peer backendai"]
async fn peer_every_page_in_a_large_dark_window_in_korean() -> Result<()> {
    let visit = Visit::begin(1920, 1080).await?;
    let outcome = visit.look().await;
    visit.end(outcome).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs another manager: cargo xtask test --peer backendai"]
async fn peer_the_main_job_in_the_window() -> Result<()> {
    let visit = Visit::begin(1280, 800).await?;
    let outcome = visit.play().await;
    visit.end(outcome).await
}

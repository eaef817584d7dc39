//! Every page of the real window as a picture: in each size, theme and language, with nothing, a
//! little and very much to show, and with the engine gone. The pictures are for people to look at;
//! the test sees to it that every page shows up and that nothing sticks out of the window.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::home::{Home, Keyring};
use tests::process::run;
use tests::repository;
use tests::window::Window;

/// Places, and what shows that they are there.
const PAGES: [(&str, &str, &str); 9] = [
    ("start", "/", "start.page"),
    ("sessions", "/sessions", "sessions.page"),
    ("finished", "/sessions?show=finished", "sessions.page"),
    ("launch", "/launch", "launch.form"),
    ("folders", "/folders", "folders.page"),
    ("files", "/files", "files.page"),
    ("transfers", "/transfers", "transfers.page"),
    ("history", "/history", "history.page"),
    ("settings", "/settings", "settings.page"),
];
const TABS: [&str; 6] = ["overview", "apps", "terminal", "files", "log", "ssh"];

struct Tour {
    home: Home,
    window: Window,
    folder: PathBuf,
}

impl Tour {
    async fn begin(width: u32, height: u32) -> Result<Self> {
        let home = Home::desktop_of(Keyring::Unlocked, width, height)?;
        let window = Window::app(&home).await?;
        window.find("login.page").await?;
        window.client().set_window_size(width, height).await?;
        let folder = repository::root().join(format!("target/screenshots/pages/{width}"));
        Ok(Self {
            home,
            window,
            folder,
        })
    }

    fn set(&self, theme: &str, language: &str) -> Result<()> {
        let mut settings = self.home.gangway(&["call", "settings.get", "{}"])?;
        settings["theme"] = json!(theme);
        settings["language"] = json!(language);
        self.home
            .gangway(&["call", "settings.set", &settings.to_string()])?;
        Ok(())
    }

    /// All pages, loaded anew.
    async fn all(&self, theme: &str, language: &str, what: &str) -> Result<()> {
        self.set(theme, language)?;
        self.window.client().refresh().await?;
        let shown = format!("return document.documentElement.lang === '{language}'");
        self.window.until("the language", &shown).await?;
        self.each(&format!("{what}-{theme}-{language}")).await
    }

    /// All pages as they are now, long ones with their end.
    async fn each(&self, prefix: &str) -> Result<()> {
        for (name, place, id) in PAGES {
            self.window.go(place).await?;
            self.window.find(id).await?;
            self.picture(&format!("{prefix}-{name}")).await?;
            if ["launch", "settings"].contains(&name) {
                let script = "for (const it of document.querySelectorAll('main *'))
                    if (it.scrollHeight > it.clientHeight) it.scrollTop = it.scrollHeight;";
                self.window.client().execute(script, Vec::new()).await?;
                self.picture(&format!("{prefix}-{name}-end")).await?;
            }
        }
        Ok(())
    }

    /// All tabs of a session's drawer.
    async fn drawer(&self, id: &str, theme: &str, language: &str) -> Result<()> {
        for tab in TABS {
            self.window
                .go(&format!("/sessions?open={id}&tab={tab}"))
                .await?;
            self.window.find("drawer.panel").await?;
            self.picture(&format!("drawer-{theme}-{language}-{tab}"))
                .await?;
        }
        Ok(())
    }

    async fn picture(&self, name: &str) -> Result<()> {
        let file = self.folder.join(format!("{name}.png"));
        self.window.whole_page(&file).await
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: cargo xtask test --full"]
async fn every_page_in_a_small_window() -> Result<()> {
    every_page(1280, 800).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: cargo xtask test --full"]
async fn every_page_in_a_large_window() -> Result<()> {
    every_page(1920, 1080).await
}

async fn every_page(width: u32, height: u32) -> Result<()> {
    let tour = Tour::begin(width, height).await?;
    for language in ["en", "ko", "ja"] {
        tour.set("light", language)?;
        tour.window.client().refresh().await?;
        tour.window.find("login.page").await?;
        tour.picture(&format!("login-light-{language}")).await?;
    }
    tour.window.click("login.this-computer").await?;
    tour.window.find("start.page").await?;
    tour.all("light", "en", "none").await?;

    // A Python of the home, for the launch form.
    let python = tour.home.path("home/miniconda3/bin");
    fs::create_dir_all(&python)?;
    fs::create_dir_all(python.with_file_name("conda-meta"))?;
    fs::copy("/usr/bin/python3", python.join("python"))?;
    tour.home.gangway(&["folder", "create", "data"])?;
    let session =
        tour.home
            .gangway(&["session", "launch", "a-first-session", "--mount", "data"])?;
    let id = session["id"].as_str().context("id")?.to_owned();
    fs::write(tour.home.path("home/numbers.csv"), "1,2,3\n".repeat(5000))?;
    tour.home
        .gangway(&["app", "open", "a-first-session", "ttyd", "--print-url"])?;
    let file = tour.home.path("home/numbers.csv").display().to_string();
    tour.home
        .gangway(&["cp", &file, "a-first-session:/home/work/"])?;
    for (theme, language) in [
        ("light", "en"),
        ("dark", "ko"),
        ("light", "ja"),
        ("dark", "en"),
    ] {
        tour.all(theme, language, "one").await?;
        tour.drawer(&id, theme, language).await?;
        tour.window.click("status.tunnels").await?;
        tour.window.find("status.at-login").await?;
        tour.picture(&format!("one-{theme}-{language}-tunnels"))
            .await?;
    }

    tour.home
        .gangway(&["session", "rm", "--force", "--yes", "a-first-session"])?;
    run(tour
        .home
        .command(tests::process::program("gangway"))
        .args(["engine", "stop"]))?;
    // Loaded anew the page would start it.
    tour.window.find("status.engine-stopped").await?;
    tour.each("gone").await?;
    seed(&tour.home)?;
    tour.home.gangway(&["engine", "start"])?;
    for (theme, language) in [("light", "en"), ("dark", "ja")] {
        tour.all(theme, language, "many").await?;
    }
    let rows = tour.home.gangway(&[
        "call",
        "session.list",
        &json!({"ended": true, "limit": 10}).to_string(),
    ])?;
    ensure!(rows["total"].as_u64() > Some(10_000), "{}", rows["total"]);
    tour.window.close().await
}

/// Ten thousand sessions and launches, as copies of the first.
fn seed(home: &Home) -> Result<()> {
    const SCRIPT: &str = r"
import sqlite3, sys, uuid
def many(file, table, change):
    db = sqlite3.connect(file)
    columns = [row[1] for row in db.execute(f'PRAGMA table_info({table})')]
    first = dict(zip(columns, db.execute(f'SELECT * FROM {table} LIMIT 1').fetchone()))
    for number in range(10000):
        row = dict(first)
        change(row, number)
        marks = ','.join('?' * len(columns))
        db.execute(f'INSERT INTO {table} VALUES ({marks})', [row[it] for it in columns])
    db.commit()
def session(row, number):
    row['id'] = str(uuid.uuid4())
    row['name'] = f'training-run-{number:05}'
    row['created_at'] += number * 1000
def launch(row, number):
    row['id'] = str(uuid.uuid4()) if isinstance(row['id'], str) else row['id'] + number + 1
    row['name'] = f'training-run-{number:05}'
many(sys.argv[1], 'session', session)
many(sys.argv[2], 'launch', launch)
";
    let state = home.path("gangway");
    let find = |name: &str| -> Result<String> {
        let found = run(Command::new("find").arg(&state).args(["-name", name]))?;
        let line = found.lines().next().with_context(|| format!("no {name}"))?;
        Ok(line.to_owned())
    };
    let databases: Value = json!([find("engine.db")?, find("gangway.db")?]);
    let mut python = Command::new("python3");
    python.args(["-c", SCRIPT]);
    for database in databases.as_array().into_iter().flatten() {
        python.arg(database.as_str().unwrap_or_default());
    }
    run(&mut python)?;
    Ok(())
}

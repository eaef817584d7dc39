//! A manager with more than a thousand sessions, somewhere else: how soon the window shows them
//! once the answer is there, and that it never asks for more than it shows.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::gateway::{Gateway, Passed};
use tests::home::Home;
use tests::peer::{Peer, with_line};
use tests::process::{figure, run};
use tests::window::Window;

const SESSIONS: usize = 1_200;
const BAR: Duration = Duration::from_millis(300);
const ROUNDS: usize = 9;
/// Questions to the manager that may be on their way at once.
const AT_ONCE: usize = 6;

/// Copies of one session that is over.
const COPY: &str = "
import sqlite3, sys, uuid
db = sqlite3.connect(sys.argv[1])
columns = [row[1] for row in db.execute('PRAGMA table_info(session)')]
first = dict(zip(columns, db.execute('SELECT * FROM session').fetchone()))
for number in range(int(sys.argv[2])):
    row = dict(first, id=str(uuid.uuid4()), name=f'copy-{number}')
    row['created_at'] += number
    marks = ','.join('?' * len(columns))
    db.execute(f'INSERT INTO session VALUES ({marks})', [row[it] for it in columns])
db.commit()
";

/// Notes when the first row has been drawn.
const WATCH: &str = "
window.firstRow = null;
const look = () => {
    if (document.querySelector('[data-testid^=\"sessions.row.\"]') === null) return;
    watch.disconnect();
    // After the next frame it can be seen.
    requestAnimationFrame(() => setTimeout(() => {
        window.firstRow = performance.timeOrigin + performance.now();
    }));
};
const watch = new MutationObserver(look);
watch.observe(document.body, {childList: true, subtree: true});
window.location.hash = '/sessions?show=finished';";

/// A home whose account is at a manager behind a gateway.
struct Far {
    home: Home,
    window: Window,
    gateway: Gateway,
}

impl Far {
    /// An engine of ours with many sessions that are over.
    async fn engine() -> Result<Self> {
        let home = Home::desktop()?;
        home.gangway(&["engine", "start"])?;
        home.gangway(&["login"])?;
        home.gangway(&["session", "launch", "first-one"])?;
        home.gangway(&["session", "rm", "--yes", "--force", "first-one"])?;
        let endpoint = home.gangway(&["whoami"])?["endpoint"].clone();
        let keys = home.gangway(&["keypair", "show", "--secret"])?;
        home.gangway(&["engine", "stop"])?;
        run(Command::new("python3")
            .args(["-c", COPY])
            .arg(home.path("gangway/data/engine/engine.db"))
            .arg(SESSIONS.to_string()))?;
        home.gangway(&["engine", "start"])?;
        Self::behind_a_gateway(
            home,
            endpoint.as_str().context("endpoint")?,
            keys["access_key"].as_str().context("access key")?,
            keys["secret_key"].as_str().context("secret key")?,
        )
        .await
    }

    async fn behind_a_gateway(
        home: Home,
        manager: &str,
        access_key: &str,
        secret_key: &str,
    ) -> Result<Self> {
        let gateway = Gateway::before(manager)?;
        let mut login = home.command(home.program("gangway"));
        login.args(["login", "--as", "far", "--secret-key-stdin"]);
        login.args(["--endpoint", &gateway.address()]);
        login.args(["--access-key", access_key]);
        let output = with_line(&mut login, secret_key)?;
        ensure!(output.status.success(), "{output:?}");
        let window = Window::app(&home).await?;
        window.find("start.page").await?;
        Ok(Self {
            home,
            window,
            gateway,
        })
    }

    /// Goes to the list of the ended sessions, of which nothing is known yet; how long after the
    /// last byte of the answer the rows were there.
    async fn open(&self) -> Result<Duration> {
        self.window.go("/settings").await?;
        self.window.client().refresh().await?;
        self.window.find("settings.page").await?;
        // What the frame around the page asks for comes first.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let before = self.gateway.so_far().len();
        self.window.client().execute(WATCH, Vec::new()).await?;
        let shown = self
            .window
            .eventually("the rows", async || {
                let script = "return window.firstRow";
                let at = self.window.client().execute(script, Vec::new()).await?;
                Ok(at.as_f64())
            })
            .await?;
        let shown = UNIX_EPOCH + Duration::from_secs_f64(shown / 1000.0);
        let answered = self
            .gateway
            .so_far()
            .iter()
            .skip(before)
            .filter(|it| is_list(it) && it.request.contains("TERMINATED"))
            .filter(|it| it.request.contains("\"limit\":100"))
            .find_map(|it| it.answered)
            .context("nobody asked for the list")?;
        Ok(shown.duration_since(answered).unwrap_or_default())
    }

    /// Opens the list again and again; the median.
    async fn times(&self) -> Result<Duration> {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            times.push(self.open().await?);
        }
        times.sort();
        let (median, worst) = (times[ROUNDS / 2], times[ROUNDS - 1]);
        let total = self.total()?;
        figure(
            &format!(
                "{total} sessions of a manager behind a gateway: from the last byte of the \
                 answer to the rows in the window, p50"
            ),
            &format!("{BAR:?}"),
            format!("{median:.0?} (worst of {ROUNDS}: {worst:.0?})"),
        );
        Ok(median)
    }

    /// Sessions that are over.
    fn total(&self) -> Result<usize> {
        let ended = json!({"ended": true, "limit": 1}).to_string();
        let list = self.home.gangway(&["call", "session.list", &ended])?;
        let total = list["total"].as_u64().context("total")?;
        Ok(usize::try_from(total)?)
    }

    /// While no answer comes: what is on its way stays little, and ends when the page goes.
    async fn patience(&self) -> Result<()> {
        self.window.go("/settings").await?;
        self.window.client().refresh().await?;
        self.window.find("settings.page").await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        self.gateway.hold(true);
        let before = self.gateway.so_far().len();
        self.window.go("/sessions?show=finished").await?;
        self.window.find("sessions.page").await?;
        // Longer than the pace of every question that is asked again and again.
        let until = SystemTime::now() + Duration::from_secs(20);
        let mut most = 0;
        while SystemTime::now() < until {
            most = most.max(on_their_way(&self.gateway.so_far()[before..]).len());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let asked = self.gateway.so_far().split_off(before);
        let mut lists: Vec<&Passed> = on_their_way(&asked);
        lists.retain(|it| is_list(it) && it.request.contains("\"limit\":100"));
        ensure!(lists.len() == 1, "the list was asked for {lists:?}");
        ensure!(most <= AT_ONCE, "{most} questions at once: {asked:?}");
        figure(
            "requests on their way at once while a manager does not answer (sessions page)",
            &AT_ONCE.to_string(),
            most,
        );
        self.window.go("/settings").await?;
        self.window.find("settings.page").await?;
        self.window
            .eventually("the question to be given up", async || {
                let now = self.gateway.so_far().split_off(before);
                let mut lists = now.iter().filter(|it| is_list(it));
                let ended = |it: &Passed| it.request.contains("TERMINATED");
                Ok(lists.all(|it| !ended(it) || it.given_up).then_some(()))
            })
            .await?;
        self.gateway.hold(false);
        Ok(())
    }
}

fn is_list(passed: &Passed) -> bool {
    passed
        .request
        .contains("compute_session_list(limit: $limit")
}

/// Without the stream of events, which never ends.
fn on_their_way(passed: &[Passed]) -> Vec<&Passed> {
    let waits = |it: &&Passed| it.answered.is_none() && !it.given_up;
    let streams =
        |it: &&Passed| it.request.starts_with("GET /events") || it.request.contains("/stream");
    passed
        .iter()
        .filter(waits)
        .filter(|it| !streams(it))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: cargo xtask test --full"]
async fn a_thousand_sessions_show_at_once() -> Result<()> {
    let far = Far::engine().await?;
    let median = far.times().await?;
    ensure!(far.total()? > SESSIONS, "{}", far.total()?);
    ensure!(median <= BAR, "{median:?} is over {BAR:?}");
    far.patience().await?;
    far.window.close().await
}

/// The same with whatever sessions of the account are over there.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs another manager: cargo xtask test --peer backendai"]
async fn peer_sessions_that_are_over_show_at_once() -> Result<()> {
    let peer = Peer::expected()?;
    let far = Far::behind_a_gateway(
        Home::desktop()?,
        &peer.manager,
        &peer.access_key,
        &peer.secret_key,
    )
    .await?;
    far.times().await?;
    far.patience().await?;
    far.window.close().await
}

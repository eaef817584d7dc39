//! The app itself is killed in the middle of a folder, again and again: once it runs again it goes
//! on, the result is the same byte for byte, and little is sent twice.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::home::Home;
use tests::process::{Running, eventually, figure, program, run};
use tests::window::Window;
use tests::{files, peer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// What each of its connections may send again after a kill.
const AGAIN: u64 = 8 << 20;
/// A large file goes over so many.
const CONNECTIONS: u64 = 2;
/// What a start of the app sends besides: requests, a login, looking through the folder.
const START: u64 = 1 << 20;
const SESSION: &str = "carry";
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_killed_carries_a_folder_all_the_same() -> Result<()> {
    carry_and_kill(4, 96 << 20, 12 << 20).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: cargo xtask test --full"]
async fn an_app_that_is_killed_fifty_times_carries_two_gibibytes() -> Result<()> {
    carry_and_kill(50, 2 << 30, 64 << 20).await
}

async fn carry_and_kill(kills: u64, size: u64, rate: u64) -> Result<()> {
    let mut way = Way::prepare().await?;
    let tree = way.home.path("home/tree");
    plant(&tree, size)?;
    let wanted = files::tree(&tree)?;

    // Up, begun in the window.
    let window = Window::app(&way.home).await?;
    let session = way.home.gangway(&["session", "launch", SESSION])?;
    let id = session["id"].as_str().context("id")?;
    let options = json!({ "limit_bps": rate }).to_string();
    way.home
        .gangway(&["call", "transfer.set_options", &options])?;
    window.go(&format!("/sessions?open={id}&tab=files")).await?;
    window.find("files.pane.remote").await?;
    window.click("files.row.local.tree").await?;
    let before = way.up();
    window.keys("\u{e035}").await?;
    way.is_host()?;
    way.kill_and_finish(kills, size, Counted::Up).await?;
    drop(window);
    let sent = way.up() - before;
    let there = way.there()?;
    ensure!(there == wanted, "{}", first_difference(&wanted, &there));

    // Down, begun by the command line while the app is the one that carries.
    let started = json!({"items": [{
        "src": {"kind": "session", "session": SESSION, "path": "/home/work/tree"},
        "dst": {"kind": "local", "path": way.home.path("home/back")},
    }]});
    let before = way.down();
    way.home
        .gangway(&["call", "transfer.start", &started.to_string()])?;
    way.kill_and_finish(kills, size, Counted::Down).await?;
    let got = way.down() - before;
    files::same(&tree, &way.home.path("home/back"))?;

    let most = size + size / 50 + (kills + 1) * (CONNECTIONS * AGAIN + START);
    for (what, bytes) in [("up", sent), ("down", got)] {
        ensure!(
            bytes <= most,
            "{what}: {bytes} bytes went over the wire, {most} at most"
        );
    }
    figure(
        &format!(
            "app killed {kills} times in a folder of {} MiB: sent twice, up / down",
            size >> 20
        ),
        &format!("{} MiB", (most - size) >> 20),
        format!("{} / {} MiB", excess(sent, size), excess(got, size)),
    );
    way.end();
    Ok(())
}

fn excess(bytes: u64, size: u64) -> u64 {
    bytes.saturating_sub(size) >> 20
}

#[derive(Clone, Copy)]
enum Counted {
    Up,
    Down,
}

/// A home whose app goes to its manager through a relay that counts.
struct Way {
    home: Home,
    counts: Arc<Counts>,
    app: Option<Running>,
}

#[derive(Default)]
struct Counts {
    up: AtomicU64,
    down: AtomicU64,
}

impl Way {
    async fn prepare() -> Result<Self> {
        let home = Home::desktop()?;
        home.gangway(&["engine", "start"])?;
        home.gangway(&["login"])?;
        let account = home.gangway(&["whoami"])?;
        let keys = home.gangway(&["keypair", "show", "--secret"])?;
        let endpoint = account["endpoint"].as_str().context("endpoint")?;
        let port = endpoint.rsplit(':').next().context("port")?.parse()?;
        let counts = Arc::<Counts>::default();
        let relay = relay(port, counts.clone()).await?;
        let mut login = home.command(home.program("gangway"));
        login.args(["login", "--as", "relayed", "--access-key"]);
        login.arg(keys["access_key"].as_str().context("access key")?);
        login.args(["--secret-key-stdin", "--endpoint"]);
        login.arg(format!("http://127.0.0.1:{relay}"));
        let secret = keys["secret_key"].as_str().context("secret key")?;
        let output = peer::with_line(&mut login, secret)?;
        ensure!(output.status.success(), "{output:?}");
        Ok(Self {
            home,
            counts,
            app: None,
        })
    }

    fn up(&self) -> u64 {
        self.counts.up.load(Ordering::Relaxed)
    }

    fn down(&self) -> u64 {
        self.counts.down.load(Ordering::Relaxed)
    }

    fn count(&self, counted: Counted) -> u64 {
        match counted {
            Counted::Up => self.up(),
            Counted::Down => self.down(),
        }
    }

    /// The app, and no process beside it, is the one that carries.
    fn is_host(&self) -> Result<()> {
        let status = self.home.gangway(&["proxy", "status"])?;
        let host = status["pid"].as_u64().and_then(|pid| pid.try_into().ok());
        let apps = self.home.processes("gangway-desktop");
        ensure!(
            host.is_some_and(|pid: u32| apps == [pid]),
            "{status} {apps:?}"
        );
        Ok(())
    }

    fn kill(&mut self) -> Result<()> {
        for app in self.home.processes("gangway-desktop") {
            run(Command::new("kill").args(["-s", "KILL", &app.to_string()]))?;
        }
        self.app = None;
        eventually("the app to be gone", PATIENCE, || {
            let left = self.home.processes("gangway-desktop");
            Ok(left.is_empty().then_some(()))
        })
    }

    fn start(&mut self) -> Result<()> {
        let mut app = self.home.command(program("gangway-desktop"));
        app.stdin(Stdio::null());
        app.stdout(Stdio::null()).stderr(Stdio::null());
        self.app = Some(Running::start(&mut app)?);
        Ok(())
    }

    /// Kills the app at moments that nobody chose, starts it each time, and waits for the end.
    async fn kill_and_finish(&mut self, kills: u64, size: u64, counted: Counted) -> Result<()> {
        let first = self.count(counted);
        let share = size / (kills + 1);
        let mut dice = Dice::new();
        for done in 0..kills {
            // Nobody is asked meanwhile: a command that finds no app starts a process that carries.
            let target = first + done * share + dice.between(share / 2, share + share / 2);
            let waited = std::time::Instant::now();
            while self.count(counted) < target {
                ensure!(waited.elapsed() < PATIENCE, "nothing moves: kill {done}");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            self.kill()?;
            self.start()?;
        }
        // Once bytes have moved again, the app is the one that carries.
        let now = self.count(counted);
        let waited = std::time::Instant::now();
        while self.count(counted) < now + START {
            ensure!(waited.elapsed() < PATIENCE, "nothing moves at the end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.is_host()?;
        eventually("the folder to have arrived", PATIENCE, || {
            let list = self.home.gangway(&["transfer", "ls"])?;
            let last = newest(&list).context("no transfer")?;
            ensure!(last["state"] != "failed", "{last}");
            Ok((last["state"] == "done").then_some(()))
        })
    }

    /// What lies in the session, as [`files::tree`] says it.
    fn there(&self) -> Result<BTreeMap<String, String>> {
        let script = "cd /home/work/tree && find . -type f -exec sha256sum {} +";
        let said = self
            .home
            .gangway(&["session", "exec", SESSION, "--", "/bin/sh", "-c", script])?;
        let text = said["stdout"].as_str().context("stdout")?;
        let line = |line: &str| {
            let (digest, name) = line.split_once("  ./")?;
            Some((name.to_owned(), digest.to_owned()))
        };
        Ok(text.lines().filter_map(line).collect())
    }

    fn end(&mut self) {
        self.app = None;
    }
}

fn newest(list: &Value) -> Option<&Value> {
    let all = list["transfers"].as_array()?;
    all.iter()
        .max_by_key(|it| it["created_at"].as_str().unwrap_or_default())
}

fn first_difference(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> String {
    let name = one
        .keys()
        .chain(other.keys())
        .find(|name| one.get(*name) != other.get(*name));
    format!(
        "{} files here, {} there; {name:?} differs",
        one.len(),
        other.len()
    )
}

/// Large, middling, small and empty files.
fn plant(folder: &std::path::Path, size: u64) -> Result<()> {
    files::many(folder, 200)?;
    let large = size / 6;
    for number in 0..5 {
        files::big(&folder.join(format!("large-{number}")), large + number)?;
    }
    fs::create_dir(folder.join("deep"))?;
    let left = size - 5 * large;
    for number in 0..20 {
        files::big(
            &folder.join(format!("deep/part-{number}")),
            left / 20 + number,
        )?;
    }
    Ok(())
}

/// Another order each time, so that no moment is never tried.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self(now.map_or(1, |it| it.subsec_nanos().into()) | 1)
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        least + self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % (most - least).max(1)
    }
}

/// A way to a port of this computer that counts what goes over it; its own port.
async fn relay(to: u16, counts: Arc<Counts>) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let counts = counts.clone();
            tokio::spawn(async move {
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await else {
                    return;
                };
                let _ = (near.set_nodelay(true), far.set_nodelay(true));
                let ((near_in, near_out), (far_in, far_out)) =
                    (near.into_split(), far.into_split());
                tokio::join!(
                    pump(near_in, far_out, &counts.up),
                    pump(far_in, near_out, &counts.down)
                );
            });
        }
    });
    Ok(port)
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, count: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        count.fetch_add(length as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

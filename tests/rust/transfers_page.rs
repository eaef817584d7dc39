//! The page of transfers in the real window: order, speed limit, questions, and the end.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::files;
use tests::home::Home;
use tests::process::eventually;
use tests::repository;
use tests::window::{PATIENCE, Window};

const SESSION: &str = "carry";
/// What each file has to carry; at the slowest limit that the page offers it takes a while.
const SIZE: u64 = 3 << 20;

struct Carrying {
    home: Home,
    window: Window,
}

impl Carrying {
    /// The page with transfers of the files that are named, one after the other, all slow.
    async fn begin(names: &[&str]) -> Result<Self> {
        let home = Home::desktop()?;
        let window = Window::app(&home).await?;
        window.click("login.this-computer").await?;
        window.find("start.page").await?;
        home.gangway(&["session", "launch", SESSION])?;
        let carrying = Self { home, window };
        carrying.window.go("/transfers").await?;
        carrying.choose("transfers.limit", 1).await?;
        for name in names {
            files::big(&carrying.home.path("home").join(name), SIZE)?;
            carrying.start(name)?;
        }
        Ok(carrying)
    }

    fn start(&self, name: &str) -> Result<()> {
        let wanted = json!({"items": [{
            "src": {"kind": "local", "path": self.home.path("home").join(name)},
            "dst": {"kind": "session", "session": SESSION, "path": format!("/home/work/{name}")},
        }]});
        self.home
            .gangway(&["call", "transfer.start", &wanted.to_string()])
            .map(drop)
    }

    /// Chooses the entry with this number in a list of the page.
    async fn choose(&self, list: &str, entry: usize) -> Result<()> {
        self.window.click(list).await?;
        let option = format!(
            ".ant-select-dropdown:not(.ant-select-dropdown-hidden) \
             .ant-select-item-option:nth-child({})",
            entry + 1
        );
        self.window.click_css(&option).await
    }

    fn all(&self) -> Result<Vec<Value>> {
        let list = self.home.gangway(&["call", "transfer.list", "{}"])?;
        Ok(list["transfers"].as_array().context("transfers")?.clone())
    }

    fn one(&self, name: &str) -> Result<Value> {
        let ends = |it: &Value| {
            let path = it["src"]["path"].as_str().unwrap_or_default();
            path.ends_with(&format!("/{name}"))
        };
        self.all()?
            .into_iter()
            .find(ends)
            .with_context(|| name.to_owned())
    }

    async fn press(&self, verb: &str, name: &str) -> Result<()> {
        let id = self.one(name)?["id"].as_str().context("id")?.to_owned();
        self.window.click(&format!("transfers.{verb}.{id}")).await
    }

    fn is(&self, name: &str, state: &str) -> Result<()> {
        eventually(&format!("{name} to be {state}"), PATIENCE, || {
            let now = self.one(name)?;
            ensure!(state == "failed" || now["state"] != "failed", "{now}");
            Ok((now["state"] == state).then_some(()))
        })
    }

    /// The files that are not begun, in their order.
    fn queued(&self) -> Result<Vec<String>> {
        let waits = |it: &Value| it["state"] == "queued";
        let name = |it: Value| -> Option<String> {
            let path = it["src"]["path"].as_str()?;
            Some(path.rsplit('/').next()?.to_owned())
        };
        let all = self.all()?;
        Ok(all.into_iter().filter(waits).filter_map(name).collect())
    }

    fn arrived(&self, name: &str) -> Result<String> {
        let script = format!("sha256sum {name} | cut -d' ' -f1");
        let arguments = ["session", "exec", SESSION, "--", "sh", "-c", &script];
        let said = self.home.gangway(&arguments)?;
        let text = said["stdout"].as_str().unwrap_or_default();
        Ok(text.trim().to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_are_ordered_held_and_let_go() -> Result<()> {
    // Three are carried at a time, so three wait.
    let names = ["a", "b", "c", "d", "e", "f"];
    let carrying = Carrying::begin(&names).await?;
    let window = &carrying.window;
    for name in ["a", "b", "c"] {
        carrying.is(name, "running")?;
    }
    ensure!(carrying.queued()? == ["d", "e", "f"]);

    // The last one is dragged before the first that waits.
    let row = |name: &str| -> Result<String> {
        let id = carrying.one(name)?["id"].as_str().context("id")?.to_owned();
        Ok(format!("[data-testid=\"transfers.row.{id}\"]"))
    };
    let drag = "const [from, to] = [0, 1].map((at) =>
            document.querySelector(arguments[at]).closest('[draggable]'));
        const data = new DataTransfer();
        const {top, left} = to.getBoundingClientRect();
        const at = {bubbles: true, cancelable: true, clientX: left + 9, clientY: top + 3};
        const fire = (where, type) =>
            where.dispatchEvent(new DragEvent(type, {...at, dataTransfer: data}));
        fire(from, 'dragstart');
        setTimeout(() => { fire(to, 'dragover');
            setTimeout(() => { fire(to, 'drop'); fire(from, 'dragend'); }, 60); }, 60);";
    window.css(&row("f")?).await?;
    let rows = vec![row("f")?.into(), row("d")?.into()];
    window.client().execute(drag, rows).await?;
    window
        .eventually("another order", async || {
            Ok((carrying.queued()? == ["f", "d", "e"]).then_some(()))
        })
        .await?;

    // Held, it makes room for the next in that order.
    carrying.press("pause", "a").await?;
    carrying.is("a", "paused")?;
    carrying.is("f", "running")?;
    carrying.press("cancel", "e").await?;
    carrying.is("e", "cancelled")?;
    let pictures = repository::root().join("target/screenshots/transfers");
    window.screenshot(&pictures.join("ordered.png")).await?;
    let slow: u64 = carrying
        .all()?
        .iter()
        .filter_map(|it| it["bytes"].as_u64())
        .sum();
    ensure!(slow < 4 * SIZE, "{slow} bytes at 1 MB/s");

    // Without a limit they are soon there; what was held goes on.
    carrying.choose("transfers.limit", 0).await?;
    carrying.press("resume", "a").await?;
    for name in ["a", "b", "c", "d", "f"] {
        carrying.is(name, "done")?;
        let digest = files::sha256(&carrying.home.path("home").join(name))?;
        ensure!(carrying.arrived(name)? == digest, "{name} differs");
    }
    let left = carrying.arrived("e")?;
    ensure!(left.is_empty(), "what was cancelled left {left:?}");

    // A file in the way is asked about, and stays until there is an answer.
    fs::write(carrying.home.path("home/a"), "another\n")?;
    carrying.home.gangway(&["call", "transfer.clear", "{}"])?;
    carrying.start("a")?;
    carrying.is("a", "conflict")?;
    let id = carrying.one("a")?["id"].as_str().context("id")?.to_owned();
    let row = format!("[data-testid=\"transfers.row.{id}\"][data-state=\"conflict\"]");
    window.css(&row).await?;
    window.screenshot(&pictures.join("question.png")).await?;
    window.click(&format!("transfers.always.{id}")).await?;
    carrying.is("a", "done")?;
    ensure!(carrying.arrived("a")? == files::sha256(&carrying.home.path("home/a"))?);

    // What is not there fails, says so, and is tried again when it is.
    carrying.start("late")?;
    carrying.is("late", "failed")?;
    fs::write(carrying.home.path("home/late"), "late\n")?;
    carrying.press("retry", "late").await?;
    carrying.is("late", "done")?;
    carrying.window.close().await
}

/// "Quit when done": the app ends by itself after the last one.
#[tokio::test(flavor = "multi_thread")]
async fn the_app_ends_after_the_last_transfer_when_that_was_chosen() -> Result<()> {
    let carrying = Carrying::begin(&["a", "b"]).await?;
    carrying.is("b", "running")?;
    carrying.choose("transfers.on-finish", 1).await?;
    carrying.window.find("transfers.page").await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    ensure!(carrying.home.processes("gangway-desktop").len() == 1);
    carrying.choose("transfers.limit", 0).await?;
    eventually("the app to end", PATIENCE, || {
        let left = carrying.home.processes("gangway-desktop");
        Ok(left.is_empty().then_some(()))
    })?;
    for name in ["a", "b"] {
        let digest = files::sha256(&carrying.home.path("home").join(name))?;
        ensure!(carrying.arrived(name)? == digest, "{name} differs");
    }
    Ok(())
}

//! Files dragged from and to another program of the desktop, of this computer and of others.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use tests::drag::{FileManager, Way};
use tests::editing::session_has;
use tests::home::{Home, Keyring};
use tests::process::eventually;
use tests::repository;
use tests::screen::Screen;
use tests::window::{PATIENCE, Window};

const SESSION: &str = "panes";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const HOME: &str = "\u{e011}";
const INSERT: &str = "\u{e016}";

/// Our window with a session's files, and a file manager beside it.
struct Desktop {
    home: Home,
    window: Window,
    /// The window on the display, and where it begins there.
    frame: u32,
    corner: (i16, i16),
    manager: FileManager,
}

impl Desktop {
    /// `make` makes files in the session.
    async fn open(make: &str) -> Result<Self> {
        // Room for another window beside ours.
        let home = Home::desktop_of(Keyring::Unlocked, 1800, 900)?;
        let window = Window::app(&home).await?;
        window.click("login.this-computer").await?;
        window.find("start.page").await?;
        let session = home.gangway(&["session", "launch", SESSION])?;
        let id = session["id"].as_str().context("id")?;
        home.gangway(&["session", "exec", SESSION, "--", "sh", "-c", make])?;
        window.go(&format!("/sessions?open={id}&tab=files")).await?;
        window.find("files.pane.remote").await?;
        let screen = Screen::of(&home)?;
        let frame = screen.window("Gangway").await?;
        let (x, y, width) = screen.place(frame)?;
        ensure!(x + i16::try_from(width)? < 1500, "no room beside it");
        let manager = FileManager::open(&home, (1520, 200), (250, 400))?;
        Ok(Self {
            home,
            window,
            frame,
            corner: (x, y),
            manager,
        })
    }

    /// Where an element is on the display.
    async fn place(&self, id: &str) -> Result<(i16, i16)> {
        let (x, y) = middle_of(&self.window, id).await?;
        Ok((self.corner.0 + x, self.corner.1 + y))
    }

    async fn remote(&self, name: &str) -> Result<(i16, i16)> {
        self.place(&format!("files.row.remote.{name}")).await
    }

    /// A directory of this computer for what comes out.
    fn outside(&self) -> Result<PathBuf> {
        let directory = self.home.path("out side");
        fs::create_dir_all(&directory)?;
        Ok(directory)
    }

    fn sha256(&self, name: &str) -> Result<String> {
        let arguments = ["session", "exec", SESSION, "--", "sha256sum", name];
        let answer = self.home.gangway(&arguments)?;
        let said = answer["stdout"].as_str().unwrap_or_default();
        Ok(said.split(' ').next().unwrap_or_default().to_owned())
    }

    /// Waits until a file of this computer is the same as one of the session.
    fn arrives(&self, file: &Path, name: &str) -> Result<()> {
        let there = self.sha256(name)?;
        ensure!(there.len() == 64, "{name}: {there}");
        eventually("a file that was dragged out", PATIENCE, || {
            Ok((file.exists() && sha256(file)? == there).then_some(()))
        })
    }

    /// Directories of files that were fetched for other programs.
    fn waiting(&self) -> Result<Vec<PathBuf>> {
        let all = fs::read_dir(self.home.path("gangway/state/dragged"))?;
        all.map(|entry| Ok(entry?.path())).collect()
    }

    fn transfers(&self) -> Result<Vec<serde_json::Value>> {
        let list = self.home.gangway(&["call", "transfer.list", "{}"])?;
        Ok(list["transfers"].as_array().cloned().unwrap_or_default())
    }

    async fn picture(&self, name: &str) -> Result<()> {
        let folder = repository::root().join("target/screenshots/dragging");
        let file = folder.join(format!("{name}.png"));
        self.window.screenshot(&file).await
    }
}

fn sha256(file: &Path) -> Result<String> {
    use sha2::{Digest, Sha256};
    Ok(hex::encode(Sha256::digest(fs::read(file)?)))
}

/// From the desktop's file manager into a session, and from this computer's pane to it, by the
/// protocol that they speak.
#[tokio::test(flavor = "multi_thread")]
async fn dragged_from_and_to_the_desktops_file_manager() -> Result<()> {
    let desktop = Desktop::open("true").await?;
    let (window, manager) = (&desktop.window, &desktop.manager);
    let file = |name: &str| desktop.home.path("home").join(name);
    for name in ["out one.txt", "ü.txt"] {
        fs::write(file(name), name)?;
    }
    window
        .click_css("[data-testid=\"files.pane.local\"] .lucide-refresh-cw")
        .await?;
    window.find("files.row.local.out one.txt").await?;

    // In: dropped onto the pane of the session, it goes there.
    let inside = desktop.home.path("inside.txt");
    fs::write(&inside, "from the file manager\n")?;
    let place = desktop.place("files.pane.remote").await?;
    let address = format!("file://{}\r\n", inside.display());
    manager.drop_onto(desktop.frame, place, &address)?;
    let text = "from the file manager\n";
    session_has(&desktop.home, SESSION, "inside.txt", text)?;

    // Out: the file manager gets the addresses of files that are there.
    for name in ["out one.txt", "ü.txt"] {
        let row = format!("files.row.local.{name}");
        let got = manager.receive_from(desktop.place(&row).await?)?;
        let path = only_path(&got)?;
        ensure!(path == file(name) && fs::read_to_string(path)? == name);
    }
    desktop.window.close().await
}

/// A file manager says where to save, and a transfer goes straight there: however large it is, a
/// directory too, and several at once. A file that is in the way is asked about.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_session_go_straight_to_where_they_are_dropped() -> Result<()> {
    let make = "head -c 3000000 /dev/urandom > 'one ü.bin'; mkdir tree; echo in > tree/inner.txt;
        head -c 70000000 /dev/urandom > large.bin";
    let desktop = Desktop::open(make).await?;
    let (out, manager) = (desktop.outside()?, &desktop.manager);
    let save = Way::Save(out.clone());
    for name in ["one ü.bin", "large.bin", "tree"] {
        let answer = manager.receive_as(desktop.remote(name).await?, &save)?;
        ensure!(answer == ["S"], "{name}: {answer:?}");
    }
    let said = desktop.window.css(".ant-message").await?;
    ensure!(said.text().await?.contains(&*out.to_string_lossy()));
    desktop.picture("saving").await?;
    desktop.arrives(&out.join("one ü.bin"), "one ü.bin")?;
    desktop.arrives(&out.join("large.bin"), "large.bin")?;
    desktop.arrives(&out.join("tree/inner.txt"), "tree/inner.txt")?;

    // Nothing is replaced unasked.
    fs::write(out.join("one ü.bin"), "mine")?;
    manager.receive_as(desktop.remote("one ü.bin").await?, &save)?;
    eventually("the question about the file in the way", PATIENCE, || {
        let all = desktop.transfers()?;
        Ok(all.iter().any(|it| it["state"] == "conflict").then_some(()))
    })?;
    ensure!(fs::read_to_string(out.join("one ü.bin"))? == "mine");

    // Several: the protocol has one name, and means its directory.
    let both = out.join("both");
    fs::create_dir(&both)?;
    desktop.window.click("files.row.remote.tree").await?;
    desktop.window.keys(HOME).await?;
    // With the home's own file between them.
    for _ in 0..3 {
        desktop.window.keys(INSERT).await?;
    }
    let tree = desktop.remote("tree").await?;
    let answer = manager.receive_as(tree, &Way::Save(both.clone()))?;
    ensure!(answer == ["S"], "{answer:?}");
    desktop.arrives(&both.join("tree/inner.txt"), "tree/inner.txt")?;
    desktop.arrives(&both.join("large.bin"), "large.bin")?;
    desktop.window.close().await
}

/// A file manager that knows only addresses gets them once the files are whole, even if it asks
/// while the drag goes on; what would take too long is not offered to it, and the window says what
/// to do.
#[tokio::test(flavor = "multi_thread")]
async fn small_files_of_a_session_are_fetched_for_others() -> Result<()> {
    let make = "head -c 3000000 /dev/urandom > 'one ü.bin'; mkdir tree; echo in > tree/inner.txt;
        truncate -s 65M large.bin";
    let desktop = Desktop::open(make).await?;
    let manager = &desktop.manager;
    for way in [Way::Addresses, Way::AddressesAtOnce] {
        let got = manager.receive_as(desktop.remote("one ü.bin").await?, &way)?;
        let path = only_path(&got)?;
        // It is there now, not soon.
        ensure!(sha256(&path)? == desktop.sha256("one ü.bin")?, "{path:?}");
        ensure!(path.file_name().is_some_and(|name| name == "one ü.bin"));
        let got = manager.receive_as(desktop.remote("tree").await?, &way)?;
        let inner = only_path(&got)?.join("inner.txt");
        ensure!(fs::read_to_string(inner)? == "in\n", "{got:?}");
    }
    // They stay for whoever still reads them, but not for ever.
    let waiting = desktop.waiting()?;
    ensure!(waiting.len() == 4, "{waiting:?}");
    let old = waiting.first().context("a directory")?;
    fs::File::open(old)?.set_modified(SystemTime::now() - 2 * DAY)?;
    manager.receive_from(desktop.remote("tree").await?)?;
    let now = desktop.waiting()?;
    ensure!(now.len() == 4 && !now.contains(old), "{now:?}");

    let large = desktop.remote("large.bin").await?;
    manager.refuse_from(large, &Way::Addresses)?;
    let said = desktop.window.css(".ant-message-warning").await?;
    ensure!(said.text().await?.contains("Too large"));
    desktop.picture("too-large").await?;
    let fetched = desktop.transfers()?.len();
    ensure!(fetched == 5, "{fetched} transfers");
    desktop.window.close().await
}

/// The same drag over our own window: a file of the session goes to the other pane, and Escape
/// means no.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_session_are_dragged_to_the_other_pane() -> Result<()> {
    let make = "echo small > small.txt; truncate -s 65M large.bin";
    let desktop = Desktop::open(make).await?;
    let (window, manager) = (&desktop.window, &desktop.manager);
    manager.drag_and_escape(desktop.remote("small.txt").await?)?;
    eventually("what was fetched for it to be removed", PATIENCE, || {
        Ok(desktop.waiting()?.is_empty().then_some(()))
    })?;
    // With and without addresses the shell tells the page in different ways.
    for name in ["small.txt", "large.bin"] {
        let pane = desktop.place("files.pane.local").await?;
        manager.drag_between(desktop.remote(name).await?, pane)?;
        window.find(&format!("files.row.local.{name}")).await?;
        desktop.arrives(&desktop.home.path("home").join(name), name)?;
    }
    // The pointer is as it was: a click marks, and nothing else was copied.
    window.click("files.row.remote.small.txt").await?;
    desktop.picture("to-the-other-pane").await?;
    let all = desktop.transfers()?;
    ensure!(all.len() == 3, "{all:?}");
    desktop.window.close().await
}

/// A data folder is dragged from like a session.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_data_folder_are_dragged_out() -> Result<()> {
    let desktop = Desktop::open("true").await?;
    let (home, out) = (&desktop.home, desktop.outside()?);
    let here = home.path("home/tree");
    fs::create_dir(&here)?;
    fs::write(here.join("inner.txt"), "in a folder\n")?;
    home.gangway(&["folder", "create", "data"])?;
    home.gangway(&["cp", "-r", "tree", "folder://data/tree"])?;
    desktop.window.go("/folders?open=data").await?;
    let tree = desktop.remote("tree").await?;
    let got = desktop.manager.receive_from(tree)?;
    let inner = only_path(&got)?.join("inner.txt");
    ensure!(fs::read_to_string(inner)? == "in a folder\n", "{got:?}");
    let answer = desktop.manager.receive_as(tree, &Way::Save(out.clone()))?;
    ensure!(answer == ["S"], "{answer:?}");
    eventually("the directory that was dragged out", PATIENCE, || {
        let inner = fs::read_to_string(out.join("tree/inner.txt"));
        Ok(inner.is_ok_and(|it| it == "in a folder\n").then_some(()))
    })?;
    desktop.window.close().await
}

/// What can't be had says why: what is gone, a place that nobody can write to.
#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_dragged_out_says_why() -> Result<()> {
    let desktop = Desktop::open("echo small > small.txt; mkdir gone").await?;
    let small = desktop.remote("small.txt").await?;
    let nowhere = Way::Save(PathBuf::from("/proc"));
    desktop.manager.receive_as(small, &nowhere)?;
    eventually("the transfer to fail", PATIENCE, || {
        let all = desktop.transfers()?;
        Ok(all.iter().any(|it| it["state"] == "failed").then_some(()))
    })?;
    let gone = desktop.remote("gone").await?;
    desktop
        .home
        .gangway(&["session", "exec", SESSION, "--", "rmdir", "gone"])?;
    let pane = desktop.place("files.pane.local").await?;
    desktop.manager.drag_between(gone, pane)?;
    let said = desktop.window.css(".ant-message-error").await?;
    let said = said.text().await?;
    ensure!(said.contains("(file_not_found)"), "{said}");
    desktop.picture("gone").await?;
    desktop.window.close().await
}

/// The path of the one address.
fn only_path(got: &[String]) -> Result<PathBuf> {
    ensure!(got.len() == 1, "{got:?}");
    let path = got.first().and_then(|it| it.strip_prefix("file://"));
    let path = percent_decoded(path.with_context(|| format!("{got:?}"))?)?;
    Ok(PathBuf::from(path))
}

/// The middle of an element, in pixels of the page.
async fn middle_of(window: &Window, id: &str) -> Result<(i16, i16)> {
    let element = window.find(id).await?;
    let (x, y, width, height) = element.rectangle().await?;
    // Near the beginning: a row is dragged by its name.
    Ok((
        (x + (width / 2.0).min(60.0)) as i16,
        (y + height / 2.0) as i16,
    ))
}

fn percent_decoded(text: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                u8::from_str_radix(std::str::from_utf8(&digits)?, 16)?
            }
            byte => byte,
        });
    }
    Ok(String::from_utf8(bytes)?)
}

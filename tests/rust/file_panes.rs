//! The file panes of the real window: arranging, looking, editing, finding, by keyboard and by
//! dragging.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fantoccini::wd::TimeoutConfiguration;
use serde_json::json;
use tests::home::Home;
use tests::repository;
use tests::screen::{RETURN, Screen};
use tests::window::{PATIENCE, Window};

const SESSION: &str = "panes";
const ENTER: &str = "\u{e007}";
const TAB: &str = "\u{e004}";

/// F1 to F12.
fn f(number: u32) -> String {
    char::from_u32(0xe030 + number).into_iter().collect()
}

struct Panes {
    home: Home,
    window: Window,
}

impl Panes {
    async fn open() -> Result<Self> {
        let home = Home::desktop()?;
        let window = Window::app(&home).await?;
        window.click("login.this-computer").await?;
        window.find("start.page").await?;
        Ok(Self { home, window })
    }

    /// A session, with its files beside those of this computer.
    async fn with_session() -> Result<Self> {
        let panes = Self::open().await?;
        let session = panes.home.gangway(&["session", "launch", SESSION])?;
        let id = session["id"].as_str().context("id")?;
        panes.in_session("echo of the session > /home/work/there.txt")?;
        let place = format!("/sessions?open={id}&tab=files");
        panes.window.go(&place).await?;
        panes.window.find("files.row.remote.there.txt").await?;
        Ok(panes)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path("home").join(name)
    }

    fn in_session(&self, command: &str) -> Result<String> {
        let arguments = ["session", "exec", SESSION, "--", "sh", "-c", command];
        let answer = self.home.gangway(&arguments)?;
        Ok(answer["stdout"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until a command in the session prints `text`.
    async fn session_says(&self, command: &str, text: &str) -> Result<()> {
        let started = Instant::now();
        loop {
            let said = self.in_session(command)?;
            if said == text {
                return Ok(());
            }
            ensure!(
                started.elapsed() < PATIENCE,
                "{command} never said {text:?}; at last it said {said:?}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn picture(&self, name: &str) -> Result<()> {
        let folder = repository::root().join("target/screenshots/files");
        self.window
            .screenshot(&folder.join(format!("{name}.png")))
            .await
    }

    async fn reload(&self, side: &str) -> Result<()> {
        let button = format!("[data-testid=\"files.pane.{side}\"] .lucide-refresh-cw");
        self.window.click_css(&button).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_by_keyboard() -> Result<()> {
    let panes = Panes::open().await?;
    fs::write(panes.file("one.txt"), "first\n")?;
    fs::write(panes.file("two.txt"), "second\n")?;
    let session = panes.home.gangway(&["session", "launch", SESSION])?;
    let id = session["id"].as_str().context("id")?;
    let window = &panes.window;
    window.go(&format!("/sessions?open={id}&tab=files")).await?;

    // Typing the beginning of a name goes to it; F5 copies it to the other side.
    window.click("files.row.local.one.txt").await?;
    window.keys("tw").await?;
    window.keys(&f(5)).await?;
    window.find("files.row.remote.two.txt").await?;
    panes.session_says("cat two.txt", "second\n").await?;

    // Tab goes over; a new directory, a new name, a new file.
    window.keys(TAB).await?;
    window.keys(&f(7)).await?;
    window.fill("files.name", "made").await?;
    window.keys(ENTER).await?;
    window.find("files.row.remote.made").await?;
    panes
        .session_says("test -d made && echo yes", "yes\n")
        .await?;
    window.click("files.row.remote.two.txt").await?;
    window.keys(&f(2)).await?;
    window.fill("files.name", "zwei.txt").await?;
    window.keys(ENTER).await?;
    window.find("files.row.remote.zwei.txt").await?;

    // What is looked into shows its text; Escape leaves it.
    window.click("files.row.remote.zwei.txt").await?;
    window.keys(&f(3)).await?;
    window.text_with("files.look", "second").await?;
    panes.picture("quick-look").await?;
    window.keys("\u{e00c}").await?;
    window.gone("files.look").await?;

    // F6 moves: it arrives, and is gone where it was.
    window.click("files.row.remote.zwei.txt").await?;
    window.keys(&f(6)).await?;
    window.click("files.move-confirm").await?;
    window.find("files.row.local.zwei.txt").await?;
    window.gone("files.row.remote.zwei.txt").await?;
    ensure!(fs::read_to_string(panes.file("zwei.txt"))? == "second\n");

    // F8 deletes, after a question.
    window.click("files.row.local.two.txt").await?;
    window.keys(&f(8)).await?;
    window.click("files.remove-confirm").await?;
    window.gone("files.row.local.two.txt").await?;
    ensure!(!panes.file("two.txt").exists());

    // Permissions.
    window.click("files.row.local.zwei.txt").await?;
    window.click("files.mode.local").await?;
    window.fill("files.mode-number", "640").await?;
    panes.picture("permissions").await?;
    window.click("files.mode-submit").await?;
    let file = panes.file("zwei.txt");
    window
        .eventually("other permissions", async || {
            let mode = fs::metadata(&file)?.permissions().mode() & 0o777;
            Ok((mode == 0o640).then_some(()))
        })
        .await?;
    panes.picture("two-panes").await?;
    panes.window.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_session_in_the_users_own_editor() -> Result<()> {
    let panes = Panes::with_session().await?;
    let window = &panes.window;
    // An editor that adds a line and saves, as often as it is opened.
    let editor = panes.home.path("bin/my-editor");
    fs::write(&editor, "#!/bin/sh\necho \"mine $1\" >> \"$2\"\n")?;
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755))?;
    window.go("/settings").await?;
    window.fill("settings.editor", "my-editor --flag").await?;
    window.keys(ENTER).await?;
    window.click("nav.sessions").await?;
    let session = panes.home.gangway(&["session", "show", SESSION])?;
    let id = session["id"].as_str().context("id")?;
    window.go(&format!("/sessions?open={id}&tab=files")).await?;

    window.click("files.row.remote.there.txt").await?;
    window.keys(&f(4)).await?;
    window
        .css("[data-testid=\"files.editing.there.txt\"][data-state=\"same\"]")
        .await?;
    panes
        .session_says("cat there.txt", "of the session\nmine --flag\n")
        .await?;

    // Changed elsewhere as well: nothing is overwritten until the user has said which stays.
    panes.in_session("echo elsewhere >> there.txt")?;
    window.click("files.row.remote.there.txt").await?;
    window.keys(&f(4)).await?;
    window
        .css("[data-testid=\"files.editing.there.txt\"][data-state=\"conflict\"]")
        .await?;
    panes.picture("edit-conflict").await?;
    panes
        .session_says("tail -n 1 there.txt", "elsewhere\n")
        .await?;
    window.click("files.keep-theirs.there.txt").await?;
    panes
        .session_says(
            "tail -n 1 there.txt; tail -n 1 there.txt.mine 2>/dev/null || true",
            "elsewhere\nmine --flag\n",
        )
        .await?;
    window.click("files.edit-close.there.txt").await?;
    window.gone("files.editing.there.txt").await?;
    panes.window.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn found_remembered_and_dragged() -> Result<()> {
    let panes = Panes::with_session().await?;
    let window = &panes.window;
    panes.in_session("mkdir -p deep/er && touch deep/er/needle-1.csv deep/er/hay.txt")?;
    panes.reload("remote").await?;

    // Dragged in the page, from one pane to the other.
    fs::write(panes.file("dragged.txt"), "dragged\n")?;
    panes.reload("local").await?;
    window.find("files.row.local.dragged.txt").await?;
    let drag = "const data = new DataTransfer();
        const fire = (id, type) => document.querySelector(`[data-testid=\"${id}\"]`)
            .dispatchEvent(new DragEvent(type, {bubbles: true, cancelable: true, dataTransfer: data}));
        fire(arguments[0], 'dragstart');
        fire(arguments[1], 'dragover');
        fire(arguments[1], 'drop');";
    let from_to = vec![
        "files.row.local.dragged.txt".into(),
        "files.pane.remote".into(),
    ];
    window.client().execute(drag, from_to).await?;
    window.find("files.row.remote.dragged.txt").await?;

    // From the desktop's file manager: the shell tells the page what was dropped where.
    let outside = panes.home.path("outside.txt");
    fs::write(&outside, "from outside\n")?;
    let drop = "const pane = document.querySelector('[data-testid=\"files.pane.remote\"]');
        const {left, top} = pane.getBoundingClientRect();
        window.dispatchEvent(new CustomEvent('shell:files', {detail:
            {what: 'drop', paths: [arguments[0]], x: left + 40, y: top + 120}}));";
    let path = outside.display().to_string();
    window.client().execute(drop, vec![path.into()]).await?;
    panes
        .session_says("cat outside.txt dragged.txt", "from outside\ndragged\n")
        .await?;

    // Found below, by a pattern; Enter goes there.
    window.click("files.search.remote").await?;
    window.fill("files.search-field", "needle*.csv").await?;
    window.find("files.found.deep/er/needle-1.csv").await?;
    window
        .css("[data-testid=\"files.search-state\"][data-over=\"true\"]")
        .await?;
    panes.picture("search").await?;
    let open = "const row = document.querySelector(
            '[data-testid=\"files.found.deep/er/needle-1.csv\"]');
        row.dispatchEvent(new MouseEvent('dblclick', {bubbles: true}));";
    window.client().execute(open, Vec::new()).await?;
    window.find("files.row.remote.needle-1.csv").await?;

    // A bookmark brings the pane back, in another run of the program too.
    window.click("files.bookmark.remote").await?;
    let pressed = "[data-testid=\"files.bookmark.remote\"][aria-pressed=\"true\"]";
    window.css(pressed).await?;
    let settings = fs::read_to_string(panes.home.path("gangway/config/config.toml"))
        .or_else(|_| fs::read_to_string(panes.home.path("gangway/config.toml")))?;
    ensure!(settings.contains("deep/er"), "{settings}");
    panes.window.close().await
}

/// An editor that saves while the program is off is heard at its next start, whatever page it shows.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_editor_saved_meanwhile_is_put_back_at_the_next_start() -> Result<()> {
    let panes = Panes::with_session().await?;
    let editor = panes.home.path("bin/my-editor");
    let opened = panes.home.path("opened");
    let script = format!("#!/bin/sh\nprintf %s \"$1\" > '{}'\n", opened.display());
    fs::write(&editor, script)?;
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755))?;
    let mut settings = panes.home.gangway(&["call", "settings.get", "{}"])?;
    settings["editor"] = "my-editor".into();
    panes
        .home
        .gangway(&["call", "settings.set", &settings.to_string()])?;
    panes.window.click("files.row.remote.there.txt").await?;
    panes.window.keys(&f(4)).await?;
    let copy = panes
        .window
        .eventually("the editor to be started", async || {
            Ok(fs::read_to_string(&opened).ok().filter(|it| !it.is_empty()))
        })
        .await?;
    panes
        .window
        .css("[data-testid=\"files.editing.there.txt\"][data-state=\"same\"]")
        .await?;
    let Panes { home, window } = panes;
    window.close().await?;
    fs::write(&copy, "saved meanwhile\n")?;
    let window = Window::app(&home).await?;
    window.find("nav.sessions").await?;
    let panes = Panes { home, window };
    panes
        .session_says("cat there.txt", "saved meanwhile\n")
        .await?;
    panes.window.close().await
}

/// A data folder beside this computer, what is hidden, and a picture.
#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_hidden_files_and_a_picture() -> Result<()> {
    const PIXEL: &[u8] = include_bytes!("../../icons/32x32.png");
    let panes = Panes::open().await?;
    panes.home.gangway(&["folder", "create", "pictures"])?;
    fs::write(panes.file("pixel.png"), PIXEL)?;
    fs::write(panes.file(".secret"), "hidden\n")?;
    let window = &panes.window;
    // Made by another program: known once the page asks anew.
    window.client().refresh().await?;
    window.click("nav.files").await?;
    window.click("files.row.local.pixel.png").await?;

    // The other pane shows the folder, and takes the picture.
    window.click("files.places.remote").await?;
    let choice = ".ant-select-item-option[title=\"pictures\"]";
    window.click_css(choice).await?;
    window.click("files.row.local.pixel.png").await?;
    window.keys(&f(5)).await?;
    window.find("files.row.remote.pixel.png").await?;
    let listed = panes.home.gangway(&["folder", "files", "pictures"])?;
    ensure!(listed.to_string().contains("pixel.png"), "{listed}");

    // It is shown as it lies in the folder.
    window.click("files.row.remote.pixel.png").await?;
    window.keys(&f(3)).await?;
    window
        .css("[data-testid=\"files.look\"][data-kind=\"picture\"] img")
        .await?;
    window
        .until(
            "the picture to be drawn",
            "return document.querySelector('[data-testid=\"files.look\"] img')?.naturalWidth === 32",
        )
        .await?;
    panes.picture("picture").await?;
    window.keys("\u{e00c}").await?;
    window.gone("files.look").await?;

    // Ctrl-H shows what is hidden, and hides it again.
    window.click("files.row.local.pixel.png").await?;
    ensure!(!window.there("files.row.local..secret").await?);
    window.keys("\u{e009}h\u{e000}").await?;
    window.find("files.row.local..secret").await?;
    window.keys("\u{e009}h\u{e000}").await?;
    window.gone("files.row.local..secret").await?;
    panes.window.close().await
}

/// The dialog is the system's own, so the display is typed on and not the page.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_saved_where_the_user_says() -> Result<()> {
    let panes = Panes::with_session().await?;
    let window = &panes.window;
    let session = panes.home.gangway(&["session", "show", SESSION])?;
    let id = session["id"].as_str().context("id")?;
    window.go(&format!("/sessions?open={id}&tab=log")).await?;
    window.click("drawer.log-download").await?;
    let screen = Screen::of(&panes.home)?;
    let dialog = screen.window("Save").await?;
    let target = panes.home.path("home/kept.log");
    // Of the name that is offered, the dialog has the part before ".log" typed over.
    let script = target.with_extension("").display().to_string();
    // The dialog takes the keys once it is drawn; until then they are lost.
    window
        .eventually("the log on the disk", async || {
            if screen.windows("Save")?.contains(&dialog) {
                screen.type_into(dialog, &script)?;
                screen.press(dialog, RETURN)?;
            }
            tokio::time::sleep(Duration::from_millis(1500)).await;
            Ok(target.exists().then_some(()))
        })
        .await?;
    let log = panes
        .home
        .gangway(&["call", "session.logs", &json!({"session": id}).to_string()])?;
    ensure!(log["text"].as_str() == Some(fs::read_to_string(&target)?.as_str()));
    panes.window.close().await
}

/// A directory as large as they come: it opens, scrolls to its end and back.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: cargo xtask test --full"]
async fn a_hundred_thousand_entries() -> Result<()> {
    let panes = Panes::open().await?;
    let folder = panes.file("many");
    fs::create_dir(&folder)?;
    for number in 0..100_000 {
        fs::write(folder.join(format!("file-{number:06}.txt")), "")?;
    }
    let window = &panes.window;
    window.click("nav.files").await?;
    window.find("files.row.local.many").await?;
    let started = Instant::now();
    window
        .fill("files.path.local", &folder.display().to_string())
        .await?;
    window.keys(ENTER).await?;
    window
        .css("[data-testid=\"files.pane.local\"] [data-rows=\"100000\"]")
        .await?;
    let opened = started.elapsed();
    println!("opened in {:.2} s", opened.as_secs_f64());
    // Busy machines without a graphics card are slow; what is lost in the number of entries is
    // slower by far.
    ensure!(opened < Duration::from_secs(30), "opened in {opened:?}");
    window.click("files.row.local.file-000003.txt").await?;
    let started = Instant::now();
    window.keys("\u{e010}").await?;
    window.find("files.row.local.file-099999.txt").await?;
    let scrolled = started.elapsed();
    println!("to its end in {:.2} s", scrolled.as_secs_f64());
    ensure!(
        scrolled < Duration::from_secs(10),
        "at its end in {scrolled:?}"
    );
    // Frames that were drawn while it scrolled through everything.
    let scroll = "const [done] = arguments;
        const body = document.querySelector('[data-testid=\"files.pane.local\"] [data-rows] > div + div');
        const times = []; let last = performance.now(); let step = 0;
        const draw = (now) => {
            times.push(now - last); last = now; step += 1;
            body.scrollTop = body.scrollHeight * step / 120;
            if (step < 120) requestAnimationFrame(draw);
            else done(times.slice(2).sort((a, b) => a - b));
        };
        requestAnimationFrame(draw);";
    // A machine without a graphics card may need longer than a script is given by itself.
    let patience = TimeoutConfiguration::new(Some(Duration::from_secs(180)), None, None);
    window.client().update_timeouts(patience).await?;
    let times = window.client().execute_async(scroll, Vec::new()).await?;
    let times: Vec<f64> = serde_json::from_value(times)?;
    println!(
        "frames: median {:.1} ms, 95 % {:.1} ms, longest {:.1} ms",
        times[times.len() / 2],
        times[times.len() * 95 / 100],
        times[times.len() - 1]
    );
    ensure!(
        times[times.len() / 2] < 400.0,
        "half of the frames are late"
    );
    ensure!(times[times.len() - 1] < 3000.0, "the window stood still");
    panes.window.close().await
}

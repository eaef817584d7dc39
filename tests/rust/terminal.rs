//! The terminal of the real window: shells that outlive it, splits, search, copying and pasting,
//! Korean and Japanese, and a flood of output.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::chromium::Chromium;
use tests::computer::Computer;
use tests::home::Home;
use tests::process::{Running, eventually, run};
use tests::repository;
use tests::window::{PATIENCE, Window};

const SESSION: &str = "shells";
const OPEN: &str = "[data-testid=\"terminal.view\"][data-state=\"open\"] textarea";
/// The screen that has the keys, as xterm.js keeps it.
const SCREEN: &str = "const view = document.querySelector('[data-testid=\"terminal.view\"]');
    const terminal = [...view.querySelectorAll('div')].find((it) => it.terminal)?.terminal;
    if (!terminal) return '';
    const buffer = terminal.buffer.active;
    const lines = [];
    for (let at = 0; at < buffer.length; at += 1) {
        lines.push(buffer.getLine(at).translateToString(true));
    }
    return lines.join('\\n').trimEnd();";

struct Shells {
    home: Home,
    id: String,
}

impl Shells {
    async fn launch() -> Result<(Self, Window)> {
        let home = Home::desktop()?;
        let window = Window::app(&home).await?;
        window.click("login.this-computer").await?;
        window.find("start.page").await?;
        let session = home.gangway(&["session", "launch", SESSION])?;
        let id = session["id"].as_str().context("id")?.to_owned();
        let shells = Self { home, id };
        shells.open(&window).await?;
        Ok((shells, window))
    }

    async fn open(&self, window: &Window) -> Result<()> {
        let place = format!("/sessions?open={}&tab=terminal", self.id);
        window.go(&place).await?;
        window.css(OPEN).await?;
        Ok(())
    }

    async fn says(&self, window: &Window, text: &str) -> Result<String> {
        let started = Instant::now();
        let mut last = String::new();
        while started.elapsed() < PATIENCE {
            let said = window.client().execute(SCREEN, Vec::new()).await?;
            last = said.as_str().unwrap_or_default().to_owned();
            if last.contains(text) {
                return Ok(last);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("the screen never showed {text:?}; at last it showed {last:?}")
    }

    async fn typed(&self, window: &Window, text: &str) -> Result<()> {
        window.css(OPEN).await?.send_keys(text).await?;
        Ok(())
    }

    /// What the session itself says of its shells.
    fn kept(&self) -> Result<serde_json::Value> {
        let address = "http://127.0.0.1:7681/shells";
        let arguments = ["session", "exec", SESSION, "--", "curl", "-s", address];
        let answer = self.home.gangway(&arguments)?;
        let text = answer["stdout"].as_str().unwrap_or_default().to_owned();
        serde_json::from_str(&text).context(text)
    }

    fn file(&self, name: &str) -> Result<String> {
        let arguments = ["session", "exec", SESSION, "--", "cat", name];
        let answer = self.home.gangway(&arguments)?;
        Ok(answer["stdout"].as_str().unwrap_or_default().to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_outlives_its_tab_and_the_program() -> Result<()> {
    let (shells, window) = Shells::launch().await?;
    shells
        .typed(&window, "KEPT=forty-two; echo begun\n")
        .await?;
    shells.says(&window, "begun").await?;

    // Split: two shells side by side, and the new one has the keys.
    window.click("terminal.split-right").await?;
    window
        .until(
            "two shells",
            "return document.querySelectorAll('.xterm').length === 2",
        )
        .await?;
    shells.typed(&window, "echo the-$((1 + 1))nd\n").await?;
    shells.says(&window, "the-2nd").await?;
    let pictures = repository::root().join("target/screenshots/terminal");
    window.screenshot(&pictures.join("split.png")).await?;

    // The program ends and starts again: the same arrangement, the same shells.
    let before = shells.kept()?;
    ensure!(
        before.as_array().is_some_and(|shells| shells.len() == 2),
        "{before}"
    );
    window.close().await?;
    let meanwhile = shells.kept()?;
    ensure!(
        before[0]["id"] == meanwhile[0]["id"],
        "{before} became {meanwhile}"
    );
    let window = Window::app(&shells.home).await?;
    window.find("start.page").await?;
    shells.open(&window).await?;
    window
        .until(
            "both shells again",
            "return document.querySelectorAll('.xterm').length === 2",
        )
        .await?;
    shells.says(&window, "begun").await?;
    shells.typed(&window, "echo is-$KEPT\n").await?;
    shells.says(&window, "is-forty-two").await?;

    // A tab that is closed leaves its shells; one of them is taken up again.
    window.click_css(".ant-tabs-tab-remove").await?;
    window
        .css("[data-testid=\"terminal.closed\"][data-count=\"2\"]")
        .await?;
    window.click("terminal.closed").await?;
    window.click_css(".ant-dropdown-menu-item").await?;
    window
        .until(
            "a shell that was closed",
            "return document.querySelectorAll('.ant-tabs-tab .ant-tabs-tab-remove').length === 2",
        )
        .await?;
    shells.typed(&window, "echo still-$KEPT\n").await?;
    shells.says(&window, "still-forty-two").await?;

    // Ended is ended.
    window.click("terminal.end").await?;
    window
        .css("[data-testid=\"terminal.closed\"][data-count=\"1\"]")
        .await?;
    window.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn copying_pasting_searching_and_other_scripts() -> Result<()> {
    let (shells, window) = Shells::launch().await?;
    shells
        .typed(
            &window,
            "echo 안녕하세요-こんにちは > greeting; cat greeting\n",
        )
        .await?;
    shells.says(&window, "\n안녕하세요-こんにちは").await?;
    ensure!(shells.file("greeting")? == "안녕하세요-こんにちは\n");
    // Wide characters take two columns each.
    let wide = "const view = document.querySelector('[data-testid=\"terminal.view\"]');
        const {terminal} = [...view.querySelectorAll('div')].find((it) => it.terminal);
        const buffer = terminal.buffer.active;
        for (let at = 0; at < buffer.length; at += 1) {
            const line = buffer.getLine(at);
            if (line.translateToString(true).startsWith('안녕')) {
                terminal.select(0, at, 21);
                return line.getCell(0).getWidth() === 2;
            }
        }
        return false;";
    window.until("wide characters", wide).await?;

    // Ctrl-Shift-C puts the selection on the clipboard of the system; another field takes it.
    shells.typed(&window, "\u{e009}\u{e008}c\u{e000}").await?;
    window.click("nav.palette").await?;
    window
        .find("palette.input")
        .await?
        .send_keys("\u{e009}v\u{e000}")
        .await?;
    window
        .until(
            "what was copied",
            "return document.querySelector('[data-testid=\"palette.input\"]').value
                .startsWith('안녕하세요-こんにちは')",
        )
        .await?;
    window.keys("\u{e00c}").await?;
    window.gone("palette.dialog").await?;
    // And back: Ctrl-Shift-V types it.
    shells.typed(&window, "printf '%s' '").await?;
    shells.typed(&window, "\u{e009}\u{e008}v\u{e000}").await?;
    shells.typed(&window, "' | wc -m > count\n").await?;
    window
        .eventually("what was pasted", async || {
            Ok((shells.file("count")?.trim() == "11").then_some(()))
        })
        .await?;

    // Search counts what is on the screen and above it.
    shells
        .typed(&window, "seq -f 'line-%g' 1 300; echo all\n")
        .await?;
    shells.says(&window, "\nall").await?;
    shells.typed(&window, "\u{e009}\u{e008}f\u{e000}").await?;
    window
        .find("terminal.search-field")
        .await?
        .send_keys("line-29")
        .await?;
    window.text_with("terminal.search-count", "/11").await?;
    let pictures = repository::root().join("target/screenshots/terminal");
    window.screenshot(&pictures.join("search.png")).await?;
    window.keys("\u{e00c}").await?;
    window.gone("terminal.search-field").await?;

    // A link is shown whole before it is opened.
    shells
        .typed(&window, "clear; echo https://example.org/a?b=c\n")
        .await?;
    shells.says(&window, "\nhttps://example.org").await?;
    let click = "const view = document.querySelector('[data-testid=\"terminal.view\"]');
        const screen = view.querySelector('.xterm-screen');
        const {terminal} = [...view.querySelectorAll('div')].find((it) => it.terminal);
        const rows = [...Array(terminal.rows).keys()];
        const row = rows.find((at) => terminal.buffer.active.getLine(
            terminal.buffer.active.viewportY + at).translateToString(true).startsWith('https:'));
        const box = screen.getBoundingClientRect();
        const at = {bubbles: true, clientX: box.left + 60,
            clientY: box.top + (row + 0.5) * box.height / terminal.rows};
        for (const type of ['mousemove', 'mousedown', 'mouseup', 'click']) {
            screen.dispatchEvent(new MouseEvent(type, at));
        }";
    window
        .eventually("the question", async || {
            window.client().execute(click, Vec::new()).await?;
            tokio::time::sleep(Duration::from_millis(300)).await;
            Ok(window.there("terminal.link-open").await?.then_some(()))
        })
        .await?;
    window.click("terminal.link-open").await?;
    let opened = window
        .eventually("the browser to be asked", async || {
            Ok(shells.home.opened_in_browser())
        })
        .await?;
    ensure!(opened == "https://example.org/a?b=c", "{opened}");
    window.close().await
}

/// Through an input method, as its steps reach the page: what is not decided yet is shown and not
/// sent, and each word arrives once and whole.
#[tokio::test(flavor = "multi_thread")]
async fn korean_and_japanese_through_an_input_method() -> Result<()> {
    let computer = Computer::logged_in()?;
    let id = computer.launch(SESSION, &[])?;
    let mut server = computer.command(&["ui"]);
    let _server = Running::start(server.stdout(Stdio::null()).stderr(Stdio::null()))?;
    let address = eventually("the browser to be asked", PATIENCE, || {
        Ok(computer.home().opened_in_browser())
    })?;
    let browser = Chromium::open(computer.home()).await?;
    browser.client().goto(&address).await?;
    browser.css("[data-testid=\"nav.sessions\"]").await?;
    let go = "location.hash = given[0]";
    let place = format!("/sessions?open={id}&tab=terminal");
    browser.script(go, vec![json!(place)]).await?;
    let terminal = browser.css(OPEN).await?;
    terminal.send_keys("cat > words\n").await?;
    eventually("cat to wait for words", PATIENCE, || {
        Ok(computer.ok(SESSION, "test -e words").is_ok().then_some(()))
    })?;

    // Two syllables; the first is decided by the key that begins the second.
    for step in ["ㅎ", "하", "한"] {
        browser.compose(step).await?;
    }
    let shown = "return document.querySelector('.composition-view.active')?.textContent ?? ''";
    browser
        .eventually("the syllable that is not decided", async || {
            let text = browser.script(shown, Vec::new()).await?;
            Ok((text == "한").then_some(()))
        })
        .await?;
    let pictures = repository::root().join("target/screenshots/terminal");
    browser
        .screenshot(&pictures.join("input-method.png"))
        .await?;
    browser.decide("한").await?;
    for step in ["ㄱ", "그", "글"] {
        browser.compose(step).await?;
    }
    browser.decide("글").await?;
    // Kana that become three Chinese characters, a key of its own at once after them.
    for step in ["に", "にほ", "にほん", "にほんご", "日本語"] {
        browser.compose(step).await?;
    }
    browser.decide("日本語").await?;
    browser.css(OPEN).await?.send_keys("!\n").await?;
    browser
        .css(OPEN)
        .await?
        .send_keys("\u{e009}d\u{e000}")
        .await?;
    let mut last = String::new();
    let arrived = eventually("the words in the shell", PATIENCE, || {
        last = computer.ok(SESSION, "cat words")?;
        Ok((last == "한글日本語!").then_some(()))
    });
    arrived.with_context(|| format!("the shell got {last:?}"))?;
    browser.close().await
}

/// 100 MB at full speed: the window answers all the time, and Ctrl-C is heard.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: cargo xtask test --full"]
async fn a_hundred_megabytes_do_not_freeze_the_window() -> Result<()> {
    flood(100_000_000).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: cargo xtask test --full"]
async fn a_flood_does_not_freeze_the_window() -> Result<()> {
    flood(8_000_000).await
}

async fn flood(bytes: usize) -> Result<()> {
    let (shells, window) = Shells::launch().await?;
    let line = format!(
        "head -c {bytes} /dev/zero | tr '\\0' x | fold -w 99; echo; echo end-$((40 + 2))\n"
    );
    let started = Instant::now();
    shells.typed(&window, &line).await?;
    // Frames are drawn while it pours.
    let frame = "const [done] = arguments; const begun = performance.now();
        requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begun)));";
    let mut waits = Vec::new();
    let last_line = "const view = document.querySelector('[data-testid=\"terminal.view\"]');
        const {terminal} = [...view.querySelectorAll('div')].find((it) => it.terminal);
        const buffer = terminal.buffer.active;
        const lines = [...Array(6).keys()].map((back) =>
            buffer.getLine(buffer.baseY + buffer.cursorY - back)?.translateToString(true) ?? '');
        return lines.some((text) => text.includes('end-42'));";
    loop {
        let wait = window.client().execute_async(frame, Vec::new()).await?;
        waits.push(wait.as_f64().unwrap_or_default());
        if window.client().execute(last_line, Vec::new()).await? == true {
            break;
        }
        ensure!(
            started.elapsed() < Duration::from_secs(600),
            "it never came to its end"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    waits.sort_by(f64::total_cmp);
    println!(
        "{} MB in {:.1} s; two frames took {:.0} ms at the median, {:.0} ms at most",
        bytes / 1_000_000,
        started.elapsed().as_secs_f64(),
        waits[waits.len() / 2],
        waits[waits.len() - 1]
    );
    // Generous: on a busy machine without a graphics card a frame takes long by itself.
    ensure!(waits[waits.len() / 2] < 1000.0, "frames are late");
    ensure!(
        waits[waits.len() - 1] < 15_000.0,
        "the window stood still for {:.0} ms",
        waits[waits.len() - 1]
    );
    // What never ends is ended by Ctrl-C.
    shells.typed(&window, "yes to-the-end\n").await?;
    shells.says(&window, "to-the-end\nto-the-end").await?;
    shells.typed(&window, "\u{e009}c\u{e000}").await?;
    shells.typed(&window, "echo heard-$((40 + 2))\n").await?;
    shells.says(&window, "heard-42").await?;
    window.close().await
}

/// The button hands the session to the terminal program that the user has.
#[tokio::test(flavor = "multi_thread")]
async fn the_users_own_terminal_is_started_with_ssh() -> Result<()> {
    let (shells, window) = Shells::launch().await?;
    let (program, notes) = (
        shells.home.path("bin/x-terminal-emulator"),
        shells.home.path("started"),
    );
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" > '{0}.new' && mv '{0}.new' '{0}'\n",
        notes.display()
    );
    fs::write(&program, script)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    window.click("terminal.external").await?;
    let words = window
        .eventually("the terminal program to be started", async || {
            Ok(fs::read_to_string(&notes).ok())
        })
        .await?;
    let words: Vec<&str> = words.lines().collect();
    ensure!(words[..2] == ["-e", "ssh"], "{words:?}");
    let host = format!("work@{SESSION}");
    ensure!(words.last() == Some(&host.as_str()), "{words:?}");
    // What it was given works.
    let mut ssh = shells.home.command(words[1]);
    ssh.args(["-o", "BatchMode=yes"])
        .args(&words[2..])
        .args(["echo", "reached"])
        .stdin(Stdio::null());
    ensure!(run(&mut ssh)? == "reached\n");
    window.close().await
}

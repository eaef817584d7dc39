//! Korean and Japanese typed into the terminal of the real window, through a real input method of
//! the desktop.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::home::Home;
use tests::process::{Running, eventually, finish};
use tests::repository;
use tests::screen::{RETURN, Screen};
use tests::window::{PATIENCE, Window};

const SESSION: &str = "words";
const SPACE: u32 = 0x20;

/// Fcitx with one engine, on from the beginning.
fn input_method(home: &mut Home, engine: &str) -> Result<Running> {
    let folder = home.path("home/.config/fcitx5");
    fs::create_dir_all(&folder)?;
    let profile = format!(
        "[Groups/0]\nName=Default\nDefault Layout=us\nDefaultIM={engine}\n\
         [Groups/0/Items/0]\nName=keyboard-us\nLayout=\n\
         [Groups/0/Items/1]\nName={engine}\nLayout=\n[GroupOrder]\n0=Default\n"
    );
    fs::write(folder.join("profile"), profile)?;
    let settings = "[Behavior]\nActiveByDefault=True\nShareInputState=All\n";
    fs::write(folder.join("config"), settings)?;
    home.set("GTK_IM_MODULE", "fcitx");
    let mut command = home.command("fcitx5");
    command.args(["--disable", "wayland,notificationitem,kimpanel"]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let running = Running::start(command.stderr(Stdio::null()))?;
    eventually("the input method", PATIENCE, || {
        let mut asked = home.command("fcitx5-remote");
        let said = finish(asked.arg("-q"))?.stdout;
        Ok((said == b"Default\n").then_some(()))
    })?;
    Ok(running)
}

/// Switches the input method off (1) or on (2), as its icon in the panel does.
fn switch(home: &Home, how: &str, wanted: u8) -> Result<()> {
    eventually("the input method to be switched", PATIENCE, || {
        finish(home.command("fcitx5-remote").arg(how))?;
        let state = finish(&mut home.command("fcitx5-remote"))?.stdout;
        Ok((state == format!("{wanted}\n").into_bytes()).then_some(()))
    })
}

/// Types with an engine: `keys` are those of a keyboard, `shown` is what stands at the cursor then and
/// is not decided, `words` is what has to arrive after `more` keys.
async fn typed(engine: &str, keys: &str, shown: &str, more: &[u32], words: &str) -> Result<()> {
    let mut home = Home::desktop()?;
    let _method = input_method(&mut home, engine)?;
    let window = Window::app(&home).await?;
    window.click("login.this-computer").await?;
    window.find("start.page").await?;
    let session = home.gangway(&["session", "launch", SESSION])?;
    let id = session["id"].as_str().context("id")?;
    window
        .go(&format!("/sessions?open={id}&tab=terminal"))
        .await?;
    let open = "[data-testid=\"terminal.view\"][data-state=\"open\"] textarea";
    window.css(open).await?;
    let focused = "return document.activeElement?.matches('.xterm textarea') === true";
    window
        .until("the terminal to have the keys", focused)
        .await?;
    let screen = Screen::of(&home)?;
    let frame = screen.window("Gangway").await?;
    // Without a field that takes text there is nothing to switch.
    screen.focus(frame)?;
    switch(&home, "-c", 1)?;
    window.css(open).await?.send_keys("cat > words\n").await?;
    let read = || -> Result<Option<String>> {
        let ask = "test -e words && cat words && echo . || true";
        let said = home.gangway(&["session", "exec", SESSION, "--", "sh", "-c", ask])?;
        let text = said["stdout"]
            .as_str()
            .and_then(|it| it.strip_suffix(".\n"));
        Ok(text.map(str::to_owned))
    };
    eventually("cat to wait for words", PATIENCE, &read)?;

    switch(&home, "-o", 2)?;
    for key in keys.chars() {
        screen.press(frame, u32::from(key))?;
        // As fast as nobody types.
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    let undecided = format!(
        "return document.querySelector('.composition-view.active')?.textContent === '{shown}'"
    );
    window
        .until("what is not decided, at the cursor", &undecided)
        .await?;
    for key in more {
        tokio::time::sleep(Duration::from_millis(400)).await;
        screen.press(frame, *key)?;
    }
    tokio::time::sleep(Duration::from_millis(400)).await;
    let pictures = repository::root().join("target/screenshots/terminal");
    window
        .screenshot(&pictures.join(format!("{engine}.png")))
        .await?;
    // Decided by this key, or ended by it.
    screen.press(frame, RETURN)?;
    let mut last = String::new();
    let arrived = eventually("the words in the shell", PATIENCE, || {
        last = read()?.unwrap_or_default();
        Ok((last.trim_end() == words).then_some(()))
    });
    arrived.with_context(|| format!("the shell got {last:?}"))?;
    ensure!(last == format!("{words}\n"));
    window.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn korean() -> Result<()> {
    typed("hangul", "gksrmf", "글", &[], "한글").await
}

#[tokio::test(flavor = "multi_thread")]
async fn japanese() -> Result<()> {
    // Kana, made Chinese characters by the space bar, decided by the first of two Returns.
    let more = [SPACE, RETURN];
    typed("anthy", "nihongo", "にほんご", &more, "日本語").await
}

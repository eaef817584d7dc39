//! Files dragged from and to another program of the desktop.

use std::fs;

use anyhow::{Context, Result, ensure};
use tests::drag::FileManager;
use tests::editing::session_has;
use tests::home::{Home, Keyring};
use tests::screen::Screen;
use tests::window::Window;

const SESSION: &str = "panes";

/// From the desktop's file manager into a session, and from this computer's pane to it, by the
/// protocol that they speak.
#[tokio::test(flavor = "multi_thread")]
async fn dragged_from_and_to_the_desktops_file_manager() -> Result<()> {
    // Room for another window beside ours.
    let home = Home::desktop_of(Keyring::Unlocked, 1800, 900)?;
    let window = Window::app(&home).await?;
    window.click("login.this-computer").await?;
    window.find("start.page").await?;
    let session = home.gangway(&["session", "launch", SESSION])?;
    let file = |name: &str| home.path("home").join(name);
    let id = session["id"].as_str().context("id")?;
    for name in ["out one.txt", "ü.txt"] {
        fs::write(file(name), name)?;
    }
    window.go(&format!("/sessions?open={id}&tab=files")).await?;
    window.find("files.row.local.out one.txt").await?;
    let screen = Screen::of(&home)?;
    let frame = screen.window("Gangway").await?;
    let (x, y, width) = screen.place(frame)?;
    ensure!(x + i16::try_from(width)? < 1500, "no room beside it");
    let manager = FileManager::open(&home, (1520, 200), (250, 400))?;

    // In: dropped onto the pane of the session, it goes there.
    let inside = home.path("inside.txt");
    fs::write(&inside, "from the file manager\n")?;
    let middle = middle_of(&window, "files.pane.remote").await?;
    let place = (x + middle.0, y + middle.1);
    let address = format!("file://{}\r\n", inside.display());
    manager.drop_onto(frame, place, &address)?;
    session_has(&home, SESSION, "inside.txt", "from the file manager\n")?;

    // Out: the file manager gets the addresses of files that are there.
    for name in ["out one.txt", "ü.txt"] {
        let middle = middle_of(&window, &format!("files.row.local.{name}")).await?;
        let got = manager.receive_from((x + middle.0, y + middle.1))?;
        let path = got.first().and_then(|it| it.strip_prefix("file://"));
        let path = percent_decoded(path.with_context(|| format!("{got:?}"))?)?;
        ensure!(path == file(name).display().to_string(), "{got:?}");
        ensure!(got.len() == 1 && fs::read_to_string(path)? == name);
    }
    window.close().await
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

//! Ports of a session, brought to this computer from the window.

use std::net::UdpSocket;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::home::Home;
use tests::local_port::{get, get_at};
use tests::repository;
use tests::window::Window;

const SESSION: &str = "forwards";
const PORT: u16 = 28_642;

fn picture(name: &str) -> PathBuf {
    let folder = repository::root().join("target/screenshots/forward");
    folder.join(format!("{name}.png"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_is_opened_forwarded_and_shown_to_others_from_the_window() -> Result<()> {
    let home = Home::desktop()?;
    let window = Window::app(&home).await?;
    window.click("login.this-computer").await?;
    window.find("start.page").await?;
    let session = home.gangway(&["session", "launch", SESSION])?;
    let id = session["id"].as_str().context("id")?;
    let script = "mkdir -p web && echo 'from inside' > web/index.html && cd web && \
                  (setsid python3 -m http.server 8000 --bind 127.0.0.1 >/dev/null 2>&1 &)";
    home.gangway(&["session", "exec", SESSION, "--", "/bin/sh", "-c", script])?;
    window.go(&format!("/sessions?open={id}&tab=apps")).await?;

    // It was found: opened as a page, it is the browser's alone.
    let found = window.eventually("the port to be found", async || {
        if window.there("drawer.port-open.8000").await? {
            return Ok(Some(()));
        }
        window.click("drawer.ports-look").await?;
        Ok(None)
    });
    found.await?;
    window.click("drawer.port-open.8000").await?;
    let asked = window.eventually("the browser to be asked", async || {
        Ok(home.opened_in_browser())
    });
    let address = asked.await?;
    ensure!(address.contains("gangway-ticket="), "{address}");
    let port = address.split([':', '/']).find_map(|it| it.parse().ok());
    ensure!(get(port.context("a port")?, "/")?.starts_with("HTTP/1.1 403"));

    // The same for any program, on a port of the user's choice.
    window.click("drawer.port-forward.8000").await?;
    window.fill("forward.local-port", &PORT.to_string()).await?;
    window.screenshot(&picture("dialog")).await?;
    window.click("forward.submit").await?;
    window.gone("forward.dialog").await?;
    let reached = window.eventually("what is behind the port", async || {
        let page = get(PORT, "/").ok();
        Ok(page.filter(|page| page.contains("from inside")))
    });
    reached.await?;
    window.screenshot(&picture("panel")).await?;

    // No packet is sent: the address from which one would be.
    let probe = UdpSocket::bind("0.0.0.0:0")?;
    if probe.connect("192.0.2.1:9").is_err() {
        eprintln!("this computer has no network");
        return window.close().await;
    }
    let ours = probe.local_addr()?.ip();
    ensure!(get_at(ours, PORT, "/").is_err(), "others get in unasked");
    window.click("drawer.port-forward").await?;
    window.fill("forward.remote-port", "8000").await?;
    window
        .fill("forward.local-port", &(PORT + 1).to_string())
        .await?;
    window.click("forward.open").await?;
    window.fill("forward.allow", &ours.to_string()).await?;
    window.screenshot(&picture("public")).await?;
    window.click("forward.submit").await?;
    window.gone("forward.dialog").await?;
    ensure!(get_at(ours, PORT + 1, "/")?.contains("from inside"));
    window.click("status.tunnels").await?;
    window.whole_page(&picture("list")).await?;
    window.click("status.tunnels").await?;
    for (theme, language) in [("dark", "ko"), ("light", "ja")] {
        let mut settings = home.gangway(&["call", "settings.get", "{}"])?;
        settings["theme"] = json!(theme);
        settings["language"] = json!(language);
        home.gangway(&["call", "settings.set", &settings.to_string()])?;
        window.client().refresh().await?;
        let shown = format!("return document.documentElement.lang === '{language}'");
        window.until("the language", &shown).await?;
        window.click("drawer.port-forward").await?;
        window.click("forward.open").await?;
        let picture = picture(&format!("public-{theme}-{language}"));
        window.whole_page(&picture).await?;
    }
    window.close().await
}

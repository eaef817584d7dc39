//! The app ends while something is under way: what the user has opened stays open.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::home::Home;
use tests::process::{answers_http, eventually, run};
use tests::window::Window;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_outlives_the_app_and_comes_back_to_it() -> Result<()> {
    let home = Home::desktop()?;
    let window = Window::app(&home).await?;
    window.click("login.this-computer").await?;
    window.find("start.page").await?;
    home.gangway(&["session", "launch", "stays"])?;
    let opened = home.gangway(&["app", "open", "stays", "ttyd", "--print-url"])?;
    let port = opened["local_port"].as_u64().context("local_port")?;
    ensure!(
        answers_http(port),
        "the web terminal does not answer on port {port}"
    );
    window.text_with("status.tunnels", "1").await?;

    let [app] = home.processes("gangway-desktop")[..] else {
        anyhow::bail!("not one app: {:?}", home.processes("gangway-desktop"));
    };
    run(Command::new("kill").args(["-s", "TERM", &app.to_string()]))?;
    eventually("the app to end", SOON, || {
        Ok(home.processes("gangway-desktop").is_empty().then_some(()))
    })?;
    drop(window);
    eventually("the tunnel in the proxy host", SOON, || {
        Ok(answers_http(port).then_some(()))
    })?;

    let window = Window::app(&home).await?;
    window.find("start.page").await?;
    window.text_with("status.tunnels", "1").await?;
    eventually("the tunnel in the app", SOON, || {
        Ok(answers_http(port).then_some(()))
    })?;
    let open = home.gangway(&["tunnel", "ls"])?;
    let id = open["tunnels"][0]["id"].as_str().context("id")?;
    home.gangway(&["tunnel", "close", id])?;
    window.text_with("status.tunnels", "0").await?;
    ensure!(
        !answers_http(port),
        "the port still answers after its tunnel was closed"
    );
    window.close().await
}

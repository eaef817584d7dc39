//! The real desktop app under a virtual display: the whole main job, and what a window must not do.

use std::net::TcpListener;

use anyhow::{Result, ensure};
use serde_json::json;
use tests::home::Home;
use tests::journey;
use tests::repository;
use tests::window::Window;

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_from_the_first_start_to_the_last_warning() -> Result<()> {
    let home = Home::desktop()?;
    let pictures = repository::root().join("target/screenshots/main-job");
    let mut steps = 0;
    journey::main_job(&home, pictures, &mut |step| {
        steps += 1;
        println!("{:>7.2} s  {}", step.took.as_secs_f64(), step.name);
    })
    .await?;
    ensure!(steps == 9, "only {steps} steps were played");
    Ok(())
}

/// Pages of sessions, or of anybody else, must never get hold of the bridge.
#[tokio::test(flavor = "multi_thread")]
async fn the_window_stays_on_its_own_pages() -> Result<()> {
    let foreign = TcpListener::bind("127.0.0.1:0")?;
    foreign.set_nonblocking(true)?;
    let address = format!("http://{}/", foreign.local_addr()?);
    let home = Home::desktop()?;
    let window = Window::app(&home).await?;
    window.find("login.page").await?;
    let own = window.client().current_url().await?;
    let tries = "const [address, done] = arguments;
        window.open(address);
        const frame = document.createElement('iframe');
        frame.src = address;
        document.body.append(frame);
        fetch(address).catch(() => undefined);
        window.location.href = address;
        setTimeout(() => done(window.location.href), 500);";
    let now = window
        .client()
        .execute_async(tries, vec![address.into()])
        .await?;
    ensure!(now.as_str() == Some(own.as_str()), "{own} became {now}");
    window.find("login.page").await?;
    let asked = foreign.accept();
    ensure!(
        asked.is_err(),
        "the page reached a foreign server: {asked:?}"
    );
    window.close().await
}

/// What the page may ask of the shell is the bridge, and nothing of Tauri's own plugins.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_may_ask_for_nothing_but_the_bridge() -> Result<()> {
    let home = Home::desktop()?;
    let window = Window::app(&home).await?;
    window.find("login.page").await?;
    let ask = "const [name, payload, done] = arguments;
        window.__TAURI_INTERNALS__.invoke(name, payload)
            .then(() => done('done'), (error) => done(String(error)));";
    for name in [
        "plugin:dialog|open",
        "plugin:opener|open_url",
        "plugin:opener|open_path",
        "plugin:updater|check",
        "plugin:window|close",
        "plugin:webview|create_webview_window",
        "plugin:path|resolve_directory",
    ] {
        let answer = window
            .client()
            .execute_async(ask, vec![name.into(), json!({})])
            .await?;
        let answer = answer.as_str().unwrap_or_default();
        ensure!(answer.contains("not allowed"), "{name}: {answer}");
    }
    let payload = json!({"name": "app.info", "payload": {}, "callId": "test"});
    let answer = window
        .client()
        .execute_async(ask, vec!["call".into(), payload])
        .await?;
    ensure!(answer.as_str() == Some("done"), "call: {answer}");
    window.close().await
}

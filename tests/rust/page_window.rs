//! Session apps in windows of their own: what a page there may do.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::home::Home;
use tests::screen::Screen;
use tests::window::{PATIENCE, Window};

/// Asks the shell for everything that it can be asked for, and tells its own server the answers.
const PAGE: &str = "<!doctype html><title>Notebook</title><script>
    const ask = (name, payload) => {
      const internals = window.__TAURI_INTERNALS__;
      if (!internals) return Promise.resolve('no shell');
      return internals.invoke(name, payload).then(() => 'DONE', (error) => String(error));
    };
    Promise.all([
      ask('call', {name: 'whoami', payload: {}, callId: 'page'}),
      ask('plugin:event|listen', {event: 'shell:navigate', target: {kind: 'Any'}, handler: 1}),
    ]).then((answers) => fetch('/told?' + encodeURIComponent(answers.join('|'))));
    </script>";

/// A page on a loopback port; what it was asked for comes out of the channel.
fn serve() -> Result<(u16, Receiver<String>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let (asked, all) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut line = String::new();
            let read = BufReader::new(&stream).read_line(&mut line);
            if read.is_err() || asked.send(line).is_err() {
                return;
            }
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n";
            let length = PAGE.len();
            // A reader that has gone is the test's end.
            let _ = write!(stream, "{head}Content-Length: {length}\r\n\r\n{PAGE}");
        }
    });
    Ok((port, all))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_in_a_window_gets_nothing_of_the_shell() -> Result<()> {
    let home = Home::desktop()?;
    let window = Window::app(&home).await?;
    window.click("login.this-computer").await?;
    window.find("start.page").await?;
    window.go("#/settings").await?;
    window
        .click_css("[data-testid=\"settings.apps-in\"] label:last-child")
        .await?;
    window
        .until(
            "windows to be chosen",
            "return document.querySelector('[data-testid=\"settings.apps-in\"] label:last-child \
             input').checked",
        )
        .await?;

    let (port, asked) = serve()?;
    let address = format!("http://app.demo.localhost:{port}/?ticket=1");
    open(&window, &address).await?;
    let answers = told(asked).await?;
    ensure!(
        !answers.contains("DONE"),
        "the page got something: {answers}"
    );

    let screen = Screen::of(&home)?;
    let place = format!("app.demo.localhost:{port}");
    screen.window("Notebook").await?;
    open(&window, &address).await?;
    ensure!(
        screen.windows(&place)?.len() == 1,
        "a second window for the same app"
    );
    ensure!(
        home.opened_in_browser().is_none(),
        "the browser was opened too"
    );
    window.close().await
}

/// As the page's own buttons do.
async fn open(window: &Window, address: &str) -> Result<()> {
    let ask = "const [payload, done] = arguments;
        window.__TAURI_INTERNALS__.invoke('call', payload)
            .then(() => done('done'), (error) => done(JSON.stringify(error)));";
    let payload =
        json!({"name": "host.open_url", "payload": {"url": address}, "callId": "test-open"});
    let answer = window.client().execute_async(ask, vec![payload]).await?;
    ensure!(answer.as_str() == Some("done"), "{answer}");
    Ok(())
}

async fn told(asked: Receiver<String>) -> Result<String> {
    let waiting = tokio::task::spawn_blocking(move || {
        loop {
            let line = asked.recv_timeout(PATIENCE)?;
            if line.starts_with("GET /told?") {
                return anyhow::Ok(line);
            }
        }
    });
    waiting.await?.context("the page told nothing")
}

//! Apps of a session in a real browser, through the local proxy; and who is kept away from them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::chromium::Chromium;
use tests::computer::{Computer, named, rows};
use tests::manager::Manager;
use tests::repository;

/// What the terminal on the page shows.
async fn screen(browser: &Chromium) -> Result<String> {
    let text = browser
        .script(
            "return document.querySelector('.xterm-rows')?.innerText ?? ''",
            vec![],
        )
        .await?;
    Ok(text.as_str().unwrap_or_default().replace('\u{a0}', " "))
}

async fn shows(browser: &Chromium, part: &str) -> Result<String> {
    browser
        .eventually(&format!("the terminal to show {part:?}"), async || {
            Ok(Some(screen(browser).await?).filter(|text| text.contains(part)))
        })
        .await
}

async fn type_in(browser: &Chromium, text: &str) -> Result<()> {
    browser
        .eventually("the terminal to take keys", async || {
            let terminal = browser.css(".xterm textarea").await?;
            Ok(Some(terminal.send_keys(text).await?))
        })
        .await
}

/// Opens an app and returns its address, without a slash at the end, and its port.
fn open_app(computer: &Computer, session: &str, app: &str) -> Result<(String, u16)> {
    let opened = computer.gangway(&["app", "open", session, app, "--print-url"])?;
    tests::computer::has_keys(&opened, &["url", "app", "local_port", "session"])?;
    let url = opened["url"].as_str().context("url")?.to_owned();
    let port = u16::try_from(opened["local_port"].as_u64().context("local_port")?)?;
    ensure!(
        url.starts_with(&format!("http://127.0.0.1:{port}")),
        "{opened}"
    );
    Ok((url, port))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_web_terminal_in_a_browser() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("on-the-web", &[])?;
    let (url, port) = open_app(&computer, "on-the-web", "ttyd")?;
    let browser = Chromium::open(computer.home()).await?;
    let outcome = use_terminal(&computer, &browser, &url, port).await;
    browser
        .screenshot(&repository::root().join("target/screenshots/web/terminal.png"))
        .await?;
    browser.close().await?;
    outcome
}

async fn use_terminal(computer: &Computer, browser: &Chromium, url: &str, port: u16) -> Result<()> {
    browser.client().goto(url).await?;
    shows(browser, "$").await?;
    type_in(
        browser,
        "echo typed-$((40 + 2)) | tee typed.txt; tty; export KEPT=yes\n",
    )
    .await?;
    shows(browser, "typed-42").await?;
    shows(browser, "/dev/pts/").await?;
    ensure!(computer.ok("on-the-web", "cat typed.txt")? == "typed-42");
    type_in(browser, "stty size; echo ünïcode-한글\n").await?;
    shows(browser, "ünïcode-한글").await?;

    // A page that is loaded again shows what was there, and it is the same shell.
    browser.client().refresh().await?;
    shows(browser, "typed-42").await?;
    type_in(browser, "echo still-$KEPT\n").await?;
    shows(browser, "still-yes").await?;
    // A closed page does not end it; another page shares it.
    browser.client().goto("about:blank").await?;
    browser.client().goto(url).await?;
    shows(browser, "still-yes").await?;

    // The engine is killed under the page: when it is back, the page goes on by itself.
    computer.kill_engine()?;
    computer.gangway(&["engine", "start"])?;
    browser
        .eventually("the page to connect again", async || {
            type_in(browser, "echo again-$((1 + 1))\n").await?;
            Ok(screen(browser).await?.contains("again-2").then_some(()))
        })
        .await?;
    another_page_does_not_get_in(browser, port).await
}

/// In the browser itself: a page of another origin, and a name that was pointed at this computer.
async fn another_page_does_not_get_in(browser: &Chromium, port: u16) -> Result<()> {
    let elsewhere = foreign_page()?;
    browser
        .client()
        .goto(&format!("http://127.0.0.1:{elsewhere}/"))
        .await?;
    let attempt = "const [port] = given;
         const socket = await new Promise((done) => {
             const it = new WebSocket(`ws://127.0.0.1:${port}/ws?id=main`);
             it.onopen = () => done('open'); it.onerror = () => done('refused'); });
         const page = await fetch(`http://127.0.0.1:${port}/`).then((it) => it.text(), () => 'refused');
         const post = await fetch(`http://127.0.0.1:${port}/`, {method: 'POST', mode: 'no-cors'})
             .then((it) => it.type, () => 'refused');
         return {socket, page, post};";
    let outcome = browser.script(attempt, vec![json!(port)]).await?;
    ensure!(
        outcome["socket"] == "refused" && outcome["page"] == "refused",
        "a foreign page got {outcome}"
    );
    // The name resolves to 127.0.0.1 in this browser, as an attacker's would.
    browser
        .client()
        .goto(&format!("http://rebound.example:{port}/"))
        .await?;
    let source = browser.client().source().await?;
    ensure!(!source.contains("xterm"), "a rebound name got the terminal");
    Ok(())
}

/// A server of somebody else.
fn foreign_page() -> Result<u16> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let port = server.local_addr()?.port();
    thread::spawn(move || {
        for mut stream in server.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\
                  Connection: close\r\n\r\nhello",
            );
        }
    });
    Ok(port)
}

/// The first line of the answer to a request written by hand.
fn answer_to(port: u16, head: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(head.replace('\n', "\r\n").as_bytes())?;
    let mut bytes = Vec::new();
    let mut block = [0; 4096];
    while !bytes.contains(&b'\n') {
        let read = stream.read(&mut block)?;
        if read == 0 {
            break;
        }
        bytes.extend_from_slice(&block[..read]);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// What comes until `end`, the end of the connection, or a reset.
fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut block = [0; 4096];
    while !text.contains(end) {
        match stream.read(&mut block) {
            Ok(0) | Err(_) => break,
            Ok(read) => text.push_str(&String::from_utf8_lossy(&block[..read])),
        }
    }
    text
}

#[test]
fn only_this_computers_own_pages_reach_an_app() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("on-the-web", &[])?;
    let (_, port) = open_app(&computer, "on-the-web", "ttyd")?;
    let get = |host: &str, more: &str| {
        answer_to(
            port,
            &format!("GET / HTTP/1.1\nHost: {host}\n{more}Connection: close\n\n"),
        )
    };
    let upgrade = |origin: &str| {
        answer_to(
            port,
            &format!(
                "GET /ws?id=x HTTP/1.1\nHost: 127.0.0.1:{port}\nOrigin: {origin}\n\
                 Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n\n"
            ),
        )
    };
    let own = format!("127.0.0.1:{port}");
    ensure!(get(&own, "")?.contains(" 200 "), "{}", get(&own, "")?);
    ensure!(get(&format!("localhost:{port}"), "")?.contains(" 200 "));
    for host in [
        "attacker.example",
        &format!("attacker.example:{port}"),
        "127.0.0.1:1",
        "",
    ] {
        let line = get(host, "")?;
        ensure!(line.contains(" 4"), "Host {host:?} got {line:?}");
    }
    ensure!(upgrade(&format!("http://{own}"))?.contains(" 101 "));
    for origin in [
        "http://attacker.example",
        "https://127.0.0.1",
        "null",
        "http://127.0.0.1:1",
    ] {
        let line = upgrade(origin)?;
        ensure!(line.contains(" 4"), "Origin {origin:?} got {line:?}");
    }
    // The guard looks at every request of a connection, and not only at the first.
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {own}\r\n\r\n")?;
    let first = read_until(&mut stream, "</html>");
    ensure!(first.starts_with("HTTP/1.1 200"), "{first}");
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: attacker.example\r\nConnection: close\r\n\r\n"
    )?;
    let second = read_until(&mut stream, "</html>");
    ensure!(
        !second.contains("HTTP/1.1 200"),
        "the second request got through with a foreign Host: {second}"
    );
    // Nothing of it can be reached from outside of this computer.
    let addresses = tests::process::run(std::process::Command::new("hostname").arg("-I"))?;
    for address in addresses
        .split_whitespace()
        .filter(|it| !it.starts_with("127."))
    {
        let reached = address.parse::<std::net::IpAddr>().is_ok_and(|ip| {
            TcpStream::connect_timeout(&(ip, port).into(), Duration::from_secs(2)).is_ok()
        });
        ensure!(!reached, "the tunnel listens on {address}");
    }
    Ok(())
}

/// From PyPI into the session, started as a service, its page and a kernel used in a browser.
#[tokio::test(flavor = "multi_thread")]
async fn jupyterlab_is_installed_and_computes() -> Result<()> {
    let computer = Computer::logged_in()?;
    let mem = ["--mem", "1500m"];
    let session = computer.gangway(
        &[
            &["session", "launch", "notebooks", "--cpu", "1"][..],
            &mem[..],
        ]
        .concat(),
    )?;
    let id = session["id"].as_str().context("id")?;
    computer
        .refused(&["app", "open", "notebooks", "jupyterlab", "--print-url"])?
        .is(1, "app_missing")?;
    let manager = Manager::of(&computer)?;
    let started = std::time::Instant::now();
    let installed = manager
        .post(
            &format!("/gangway/session/{id}/install"),
            &json!({"app": "jupyterlab"}),
        )
        .await?;
    let lines = String::from_utf8_lossy(&installed.bytes).into_owned();
    ensure!(
        lines.contains("event: line") && lines.contains("\"ok\":true"),
        "{}",
        lines
            .chars()
            .rev()
            .take(2000)
            .collect::<String>()
            .chars()
            .rev()
            .collect::<String>()
    );
    println!(
        "jupyterlab installed in {:.0} s",
        started.elapsed().as_secs_f64()
    );
    let apps = computer.gangway(&["app", "ls", "notebooks"])?;
    ensure!(
        named(rows(&apps, "apps")?, "jupyterlab")?["state"] != "missing",
        "{apps}"
    );

    let (url, _) = open_app(&computer, "notebooks", "jupyterlab")?;
    let browser = Chromium::open(computer.home()).await?;
    let outcome = use_notebook(&browser, &url).await;
    browser
        .screenshot(&repository::root().join("target/screenshots/web/jupyterlab.png"))
        .await?;
    browser.close().await?;
    outcome?;
    // Started once; opening it again leads to the same.
    ensure!(open_app(&computer, "notebooks", "jupyterlab")?.0 == url);
    Ok(())
}

async fn use_notebook(browser: &Chromium, url: &str) -> Result<()> {
    browser.client().goto(url).await?;
    browser.css("#jp-main-dock-panel, .jp-Launcher").await?;
    let answer = browser.script(KERNEL, vec![]).await?;
    ensure!(answer == "{'sum': 42}", "the kernel said {answer}");
    // And what a person sees: the launcher with the kernel's card.
    browser.css(".jp-LauncherCard").await?;
    Ok(())
}

/// Starts a kernel and runs a line in it over the kernel's WebSocket, as the page's own code does.
const KERNEL: &str = "
    const base = document.getElementById('jupyter-config-data');
    const config = base ? JSON.parse(base.textContent) : {};
    const root = config.baseUrl || '/';
    const token = config.token || new URLSearchParams(location.search).get('token') || '';
    const cookie = (document.cookie.match(/_xsrf=([^;]+)/) || [])[1] || '';
    const headers = {'Content-Type': 'application/json', 'X-XSRFToken': cookie};
    if (token) headers.Authorization = `token ${token}`;
    const made = await fetch(`${root}api/kernels`, {method: 'POST', headers, body: '{}'});
    if (!made.ok) throw new Error(`${made.status} ${await made.text()}`);
    const kernel = await made.json();
    const query = token ? `?token=${token}` : '';
    const socket = new WebSocket(
        `ws://${location.host}${root}api/kernels/${kernel.id}/channels${query}`);
    return await new Promise((done, failed) => {
        const late = setTimeout(() => failed(new Error('the kernel did not answer')), 50000);
        socket.onerror = () => failed(new Error('the WebSocket failed'));
        socket.onopen = () => socket.send(JSON.stringify({
            header: {msg_id: 'one', username: 'x', session: 'y', msg_type: 'execute_request',
                     version: '5.3', date: new Date().toISOString()},
            parent_header: {}, metadata: {}, channel: 'shell', buffers: [],
            content: {code: '{\"sum\": 40 + 2}', silent: false, store_history: true,
                      user_expressions: {}, allow_stdin: false, stop_on_error: true}}));
        socket.onmessage = (message) => {
            const it = JSON.parse(message.data);
            if (it.msg_type === 'error') failed(new Error(it.content.evalue));
            if (it.msg_type === 'execute_result') {
                clearTimeout(late); socket.close(); done(it.content.data['text/plain']); }
        };
    });";

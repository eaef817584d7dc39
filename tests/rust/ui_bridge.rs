//! `gangway ui`: the whole user interface in the user's own browser, behind a one-time token.

use anyhow::{Context, Result, ensure};
use fantoccini::Locator;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tests::chromium::Chromium;
use tests::computer::{Computer, PATIENCE};
use tests::gateway::Gateway;
use tests::peer::with_line;
use tests::repository;
use tests::served_ui::Ui;

async fn refused(what: &str, answer: Response) -> Result<()> {
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(status.is_client_error(), "{what}: {status} {text}");
    Ok(())
}

async fn failure_code(answer: Response) -> Result<String> {
    ensure!(!answer.status().is_success(), "{answer:?}");
    let body: Value = serde_json::from_str(&answer.text().await?)?;
    let failure = body.get("error").unwrap_or(&body);
    Ok(failure["code"]
        .as_str()
        .with_context(|| body.to_string())?
        .to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_opens_once() -> Result<()> {
    let ui = Ui::new()?;
    let client = Ui::client()?;
    let page = client.get(&ui.address).send().await?;
    ensure!(page.status() == StatusCode::OK, "{page:?}");
    let policy = page
        .headers()
        .get("content-security-policy")
        .context("no CSP")?
        .to_str()?;
    ensure!(
        policy.contains("default-src") && !policy.contains("unsafe-eval"),
        "{policy}"
    );
    ensure!(
        !page.text().await?.contains(&ui.token),
        "the token is in the page"
    );

    let call = |path: &str| ui.post(&client, path, &json!({}));
    refused("nobody", call("/api/call/whoami").send().await?).await?;
    let wrong = ui.post(
        &client,
        "/api/enter",
        &json!({"token": "x".repeat(ui.token.len())}),
    );
    refused("a wrong token", wrong.send().await?).await?;
    let cookie = ui.enter(&client).await?;
    let again = ui.post(&client, "/api/enter", &json!({"token": ui.token}));
    refused("the token again", again.send().await?).await?;
    refused(
        "a made-up cookie",
        call("/api/call/whoami")
            .header("Cookie", "gangway=x")
            .send()
            .await?,
    )
    .await?;

    let account = call("/api/call/whoami")
        .header("Cookie", &cookie)
        .send()
        .await?;
    let status = account.status();
    let account: Value = serde_json::from_str(&account.text().await?)?;
    ensure!(
        status.is_success() && account["role"] == "superadmin",
        "{status} {account}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_own_page_may_call() -> Result<()> {
    let ui = Ui::new()?;
    let client = Ui::client()?;
    let cookie = ui.enter(&client).await?;
    let port = ui.address.rsplit(':').next().unwrap_or_default();
    let list = || {
        client
            .post(format!("{}/api/call/session.list", ui.address))
            .header("Content-Type", "application/json")
            .header("Cookie", &cookie)
            .body("{}")
    };
    for origin in [
        "http://attacker.example",
        "http://127.0.0.1:1",
        "null",
        "https://127.0.0.1",
    ] {
        refused(origin, list().header("Origin", origin).send().await?).await?;
    }
    for host in ["attacker.example", &format!("attacker.example:{port}")] {
        let answer = list()
            .header("Origin", &ui.address)
            .header("Host", host)
            .send()
            .await?;
        refused(host, answer).await?;
        refused(
            host,
            client.get(&ui.address).header("Host", host).send().await?,
        )
        .await?;
    }
    let form = client
        .post(format!("{}/api/call/session.list", ui.address))
        .header("Cookie", &cookie)
        .header("Origin", &ui.address)
        .header("Content-Type", "text/plain")
        .body("{}")
        .send()
        .await?;
    refused("what a form of another page could send", form).await?;
    ensure!(
        list()
            .header("Origin", &ui.address)
            .send()
            .await?
            .status()
            .is_success()
    );

    // Secrets do not come into a page, programs and files of the host only when asked for again.
    let own = |path: &str| {
        ui.post(&client, &format!("/api/call/{path}"), &json!({}))
            .header("Cookie", &cookie)
    };
    ensure!(failure_code(own("keypair.show").send().await?).await? == "not_allowed_here");
    ensure!(failure_code(own("no.such").send().await?).await? == "unknown_command");
    ensure!(failure_code(own("ssh.config_install").send().await?).await? == "confirmation_needed");
    ensure!(!ui.computer.path(".ssh/config").exists());
    let confirmed = own("ssh.config_install")
        .header("X-Gangway-Confirmed", "yes")
        .send()
        .await?;
    ensure!(confirmed.status().is_success(), "{confirmed:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_the_whole_app_in_a_browser() -> Result<()> {
    let ui = Ui::new()?;
    ui.computer.launch("seen-in-browser", &[])?;
    let browser = Chromium::open(ui.computer.home()).await?;
    let outcome = look_around(&ui, &browser).await;
    browser
        .screenshot(&repository::root().join("target/screenshots/web/ui.png"))
        .await?;
    browser.close().await?;
    outcome
}

/// A list that was right before the network went is right again after it is back, by itself.
#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_right_again_after_the_network_was_gone() -> Result<()> {
    let server = Computer::logged_in()?;
    let endpoint = server.engine()?["endpoint"].clone();
    let gateway = Gateway::before(endpoint.as_str().context("endpoint")?)?;
    let keys = server.gangway(&["keypair", "show", "--secret"])?;
    let text = |key: &str| keys[key].as_str().context("keypair");
    let computer = Computer::new()?;
    let mut login = computer.command(&[
        "login",
        "--endpoint",
        &gateway.address(),
        "--access-key",
        text("access_key")?,
        "--secret-key-stdin",
        "--keychain",
        "file",
        "--as",
        "lab",
    ]);
    let output = with_line(&mut login, text("secret_key")?)?;
    ensure!(output.status.success(), "{output:?}");
    server.launch("stays", &[])?;
    server.launch("goes", &[])?;
    let ui = Ui::on(computer)?;
    let browser = Chromium::open(ui.computer.home()).await?;
    let outcome = away_and_back(&ui, &server, &gateway, &browser).await;
    browser.close().await?;
    outcome
}

async fn away_and_back(
    ui: &Ui,
    server: &Computer,
    gateway: &Gateway,
    browser: &Chromium,
) -> Result<()> {
    let row = |name: &str| format!("[data-testid=\"sessions.row.{name}\"]");
    browser.client().goto(&ui.url).await?;
    browser
        .css("[data-testid=\"nav.sessions\"]")
        .await?
        .click()
        .await?;
    browser.css(&row("stays")).await?;
    browser.css(&row("goes")).await?;
    gateway.cut(true);
    server.gangway(&["session", "rm", "--yes", "goes"])?;
    server.launch("came", &[])?;
    gateway.cut(false);
    browser.css(&row("came")).await?;
    let started = std::time::Instant::now();
    while !browser
        .client()
        .find_all(Locator::Css(&row("goes")))
        .await?
        .is_empty()
    {
        ensure!(
            started.elapsed() < PATIENCE,
            "it still shows what has ended"
        );
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    browser.css(&row("stays")).await?;
    Ok(())
}

async fn look_around(ui: &Ui, browser: &Chromium) -> Result<()> {
    browser.client().goto(&ui.url).await?;
    browser.css("[data-testid=\"start.page\"]").await?;
    let address = browser.client().current_url().await?;
    ensure!(
        !address.as_str().contains(&ui.token),
        "the token stayed in {address}"
    );
    browser
        .css("[data-testid=\"nav.sessions\"]")
        .await?
        .click()
        .await?;
    browser
        .css("[data-testid=\"sessions.row.seen-in-browser\"]")
        .await?;
    // The cookie goes on when the page is loaded again, and it tells what changes by itself.
    browser.client().refresh().await?;
    browser
        .css("[data-testid=\"sessions.row.seen-in-browser\"]")
        .await?;
    ui.computer.launch("came-later", &[])?;
    browser
        .css("[data-testid=\"sessions.row.came-later\"]")
        .await?;
    Ok(())
}

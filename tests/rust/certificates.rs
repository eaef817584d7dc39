//! Managers with certificates for which nobody vouches: the user says which one is right, and only
//! that one is trusted, for that host.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::computer::Computer;
use tests::home::Home;
use tests::peer;
use tests::process::run;
use tests::secured::secured;
use tests::window::Window;

const HOST: &str = "IP:127.0.0.1";

/// Logs in by keypair; the JSON answer, or the JSON error.
fn log_in(
    computer: &Computer,
    server: &Computer,
    endpoint: &str,
    more: &[&str],
) -> Result<(i32, Value)> {
    let keys = server.gangway(&["keypair", "show", "--secret"])?;
    let access_key = keys["access_key"].as_str().context("access key")?;
    let secret_key = keys["secret_key"].as_str().context("secret key")?;
    let output = peer::log_in_by_keypair(computer, endpoint, (access_key, secret_key), more)?;
    let said = match output.status.success() {
        true => output.stdout,
        false => output.stderr,
    };
    Ok((
        output.status.code().unwrap_or(-1),
        serde_json::from_slice(&said)?,
    ))
}

#[test]
fn one_certificate_is_trusted_for_one_host_and_no_other() -> Result<()> {
    let server = Computer::logged_in()?;
    let account = server.gangway(&["whoami"])?;
    let manager = account["endpoint"].as_str().context("endpoint")?;
    let manager = manager.trim_start_matches("http://").parse()?;
    let endpoint = format!("https://{}", secured(manager, &server.path(""), HOST)?);

    let computer = Computer::new()?;
    let (status, refused) = log_in(&computer, &server, &endpoint, &[])?;
    ensure!(
        status == 5 && refused["error"]["code"] == "certificate_untrusted",
        "{refused}"
    );
    let hint = refused["error"]["hint"].as_str().context("hint")?;
    let (_, rest) = hint.split_once("SHA256:").context("no fingerprint")?;
    let shown = rest.split(' ').next().unwrap_or_default().to_owned();
    let openssl = [
        "x509",
        "-noout",
        "-fingerprint",
        "-sha256",
        "-in",
        "cert.pem",
    ];
    let mut ask = std::process::Command::new("openssl");
    let said = run(ask.args(openssl).current_dir(server.path("")))?;
    ensure!(said.contains(&shown), "{shown} is not the one of {said}");

    let other = shown.replace(|digit: char| digit.is_ascii_digit(), "F");
    let (_, refused) = log_in(
        &computer,
        &server,
        &endpoint,
        &["--trust-certificate", &other],
    )?;
    ensure!(
        refused["error"]["code"] == "certificate_untrusted",
        "{refused}"
    );
    let wanted = ["--trust-certificate", &format!("SHA256:{shown}")];
    let (status, account) = log_in(&computer, &server, &endpoint, &wanted)?;
    ensure!(status == 0 && account["endpoint"] == endpoint, "{account}");

    // Requests, and what becomes a stream of bytes.
    computer.launch("guarded", &[])?;
    let ssh = ["ssh", "guarded", "--", "echo", "by", "ssh"];
    ensure!(run(&mut computer.command(&ssh))? == "by ssh\n");
    computer.gangway(&["session", "rm", "guarded", "--yes"])?;

    // Somebody else with a certificate for the same name.
    let folder = server.path("second");
    fs::create_dir(&folder)?;
    let second = format!("https://{}", secured(manager, &folder, HOST)?);
    let (status, refused) = log_in(&computer, &server, &second, &["--as", "second"])?;
    ensure!(
        status == 5 && refused["error"]["code"] == "certificate_untrusted",
        "{refused}"
    );
    Ok(())
}

/// In the window the fingerprint is shown to be compared; trusted, and forgotten in the settings.
#[tokio::test(flavor = "multi_thread")]
async fn the_login_page_asks_about_the_certificate() -> Result<()> {
    let server = Computer::logged_in()?;
    let account = server.gangway(&["whoami"])?;
    let manager = account["endpoint"].as_str().context("endpoint")?;
    let manager = manager.trim_start_matches("http://").parse()?;
    let endpoint = format!("https://{}", secured(manager, &server.path(""), HOST)?);
    let home = Home::desktop()?;
    let window = Window::app(&home).await?;
    window.click("login.other").await?;
    window.fill("login.address", &endpoint).await?;
    window.click("login.find").await?;
    window.find("certificate.question").await?;
    let pictures = tests::repository::root().join("target/screenshots/certificate");
    fs::create_dir_all(&pictures)?;
    window.screenshot(&pictures.join("question.png")).await?;
    window.click("certificate.trust").await?;
    window.find("login.found").await?;

    let (access_key, secret_key) = {
        let keys = server.gangway(&["keypair", "show", "--secret"])?;
        let key = |name: &str| keys[name].as_str().context("key").map(str::to_owned);
        (key("access_key")?, key("secret_key")?)
    };
    window
        .click_css("[data-testid=\"login.kind\"] label:last-child")
        .await?;
    window.fill("login.access-key", &access_key).await?;
    window.fill("login.secret-key", &secret_key).await?;
    window.click("login.submit").await?;
    window.find("start.page").await?;

    window.go("#/settings").await?;
    window.text_with("certificate.kept", "127.0.0.1").await?;
    window.screenshot(&pictures.join("settings.png")).await?;
    window.click("certificate.forget.127.0.0.1").await?;
    window.gone("certificate.kept").await?;
    window.close().await
}

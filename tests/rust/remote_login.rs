//! Another manager: a second computer's engine, logged in to by address, keypair and password.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::computer::{Computer, named, rows};
use tests::peer;

/// `gangway` with a line on its standard input: its JSON answer, or its JSON error.
fn with_line(computer: &Computer, arguments: &[&str], line: &str) -> Result<(i32, Value)> {
    let mut command = computer.command(&[&["--json"], arguments].concat());
    let output = peer::with_line(&mut command, line)?;
    let said = match output.status.success() {
        true => output.stdout,
        false => output.stderr,
    };
    let text = String::from_utf8_lossy(&said).into_owned();
    let value = serde_json::from_str(&text).with_context(|| format!("{arguments:?}: {text}"))?;
    Ok((output.status.code().unwrap_or(-1), value))
}

#[test]
fn a_second_computer_works_on_the_first_ones_engine() -> Result<()> {
    let server = Computer::logged_in()?;
    let endpoint = server.gangway(&["whoami"])?["endpoint"].clone();
    let endpoint = endpoint.as_str().context("endpoint")?;
    let keys = server.gangway(&["keypair", "show", "--secret"])?;
    let access_key = keys["access_key"].as_str().context("access key")?;
    let secret_key = keys["secret_key"].as_str().context("secret key")?;

    let computer = Computer::new()?;
    let login = [
        "login",
        "--endpoint",
        endpoint,
        "--access-key",
        access_key,
        "--secret-key-stdin",
        "--keychain",
        "file",
        "--as",
        "lab",
    ];
    let (status, refused) = with_line(&computer, &login, "a wrong secret key")?;
    ensure!(
        status == 4 && refused["error"]["code"] == "bad_credentials",
        "{refused}"
    );
    computer.refused(&["whoami"])?.is(4, "not_logged_in")?;

    let (status, account) = with_line(&computer, &login, secret_key)?;
    ensure!(
        status == 0
            && account["profile"] == "lab"
            && account["endpoint"] == endpoint
            && account["role"] == "superadmin"
            && account["project"] == "default",
        "{account}"
    );
    ensure!(computer.gangway(&["whoami"])? == account, "forgotten");

    // The computer has an engine of its own that was never started: all this runs on the other.
    computer.launch("far-away", &[])?;
    ensure!(computer.ok("far-away", "echo hello")? == "hello");
    let there = server.gangway(&["session", "ls"])?;
    named(rows(&there, "sessions")?, "far-away")?;
    computer.gangway(&["session", "rm", "far-away", "--yes"])?;
    ensure!(computer.gangway(&["engine", "status"])?["running"] == false);

    let profiles = computer.gangway(&["profile", "ls"])?;
    let profiles = profiles["profiles"].as_array().context("profiles")?;
    ensure!(
        profiles
            .iter()
            .any(|it| it["name"] == "lab" && it["current"] == true),
        "{profiles:?}"
    );
    computer.gangway(&["logout"])?;
    computer
        .refused(&["session", "ls"])?
        .is(4, "not_logged_in")?;
    Ok(())
}

#[test]
fn an_address_that_is_no_manager_says_what_it_is() -> Result<()> {
    let server = Computer::logged_in()?;
    let account = server.gangway(&["whoami"])?;
    let endpoint = account["endpoint"].as_str().context("endpoint")?;
    let plain = endpoint.replace("http://", "https://");
    let ask = |address: &str| {
        let login = [
            "login",
            "--endpoint",
            address,
            "--email",
            "user@example.com",
            "--password-stdin",
        ];
        with_line(&server, &login, "secret")
    };
    for (address, status, code) in [
        (plain.as_str(), 5, "wrong_scheme"),
        ("http://127.0.0.1:9", 5, "manager_unreachable"),
        ("ftp://example.com", 2, "invalid_input"),
        (endpoint, 4, "bad_credentials"),
    ] {
        let (ended, said) = ask(address)?;
        ensure!(
            ended == status && said["error"]["code"] == code,
            "{address}: {ended} {said}"
        );
    }
    // One that takes connections and says nothing is given up while somebody still looks.
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let (ended, said) = ask(&format!("http://{}", silent.local_addr()?))?;
    ensure!(
        ended == 5
            && said["error"]["code"] == "manager_unreachable"
            && said["error"]["message"]
                .as_str()
                .is_some_and(|it| it.contains("has not answered for 10 s")),
        "{ended} {said}"
    );
    // This computer's own login is untouched by all that.
    ensure!(server.gangway(&["whoami"])? == account, "another account");
    Ok(())
}

//! What a real Backend.AI cluster asks for at the login beside a password: a new password, an older
//! login to be ended, a one-time password. An administrator's keypair sets it up.
//! `cargo xtask test --peer backendai` runs it.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::computer::{Computer, PATIENCE};
use tests::home::Home;
use tests::manager::Manager;
use tests::peer::{Peer, with_line};
use tests::process::{eventually, run};

const MAX_AGE: &str = "ai/backend/config/manager/auth/max_password_age";
/// Until the manager has heard of a change of its configuration.
const HEARD: Duration = Duration::from_secs(2);

/// Logs in by password; the account, or the error with its exit code.
fn log_in(home: &Home, peer: &Peer, address: &str, more: &[&str]) -> Result<(i32, Value)> {
    let mut command = home.command(home.program("gangway"));
    command
        .args(["--json", "login", "--keychain", "file", "--as", "peer"])
        .args(["--endpoint", address, "--email", &peer.email])
        .arg("--password-stdin")
        .args(more);
    let output = with_line(&mut command, &peer.password)?;
    let said = match output.status.success() {
        true => output.stdout,
        false => output.stderr,
    };
    let text = String::from_utf8_lossy(&said).into_owned();
    let said = serde_json::from_str(&text).with_context(|| text)?;
    Ok((output.status.code().unwrap_or(-1), said))
}

fn refused(outcome: &(i32, Value), code: &str) -> Result<()> {
    ensure!(
        outcome.0 != 0 && outcome.1["error"]["code"] == code,
        "{code} was expected: {outcome:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs another manager: cargo xtask test --peer backendai"]
async fn peer_an_expired_password_is_told() -> Result<()> {
    let peer = Peer::expected()?;
    let admin = peer.administrator()?;
    let computer = Computer::new()?;
    let home = computer.home();
    let set = json!({"key": MAX_AGE, "value": "1s"});
    admin.post("/config/set", &set).await?.ok()?;
    tokio::time::sleep(HEARD).await;
    let outcomes = [&peer.manager, &peer.web].map(|address| log_in(home, &peer, address, &[]));
    let delete = json!({"key": MAX_AGE, "prefix": false});
    admin.post("/config/delete", &delete).await?.ok()?;
    tokio::time::sleep(HEARD).await;
    for outcome in outcomes {
        refused(&outcome?, "password_expired")?;
    }
    peer.log_in_by_password(home, &peer.web)?;
    Ok(())
}

/// An expired password is changed where it is asked for, which logs in at once.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs another manager: cargo xtask test --peer backendai"]
async fn peer_an_expired_password_is_changed_at_the_login() -> Result<()> {
    let peer = Peer::expected()?;
    let admin = peer.administrator()?;
    let computer = Computer::new()?;
    let set = json!({"key": MAX_AGE, "value": "20s"});
    admin.post("/config/set", &set).await?.ok()?;
    tokio::time::sleep(HEARD).await;
    let mut changed = peer.clone();
    let outcome = renewed(&computer, &mut changed);
    let delete = json!({"key": MAX_AGE, "prefix": false});
    admin.post("/config/delete", &delete).await?.ok()?;
    tokio::time::sleep(HEARD).await;
    if changed.password != peer.password {
        let back = json!({
            "old_password": changed.password,
            "new_password": peer.password, "new_password2": peer.password,
        });
        let user = peer.signer()?;
        user.post("/auth/update-password", &back).await?.ok()?;
    }
    outcome?;
    peer.log_in_by_password(computer.home(), &peer.web)?;
    Ok(())
}

fn renewed(computer: &Computer, peer: &mut Peer) -> Result<()> {
    let home = computer.home();
    for (round, address) in [peer.manager.clone(), peer.web.clone()].iter().enumerate() {
        eventually("the password to be too old", PATIENCE, || {
            let (_, said) = log_in(home, peer, address, &[])?;
            Ok((said["error"]["code"] == "password_expired").then_some(()))
        })?;
        let new = format!("battery-staple-{round}");
        let mut both = peer.clone();
        both.password = format!("{}\n{new}", peer.password);
        let (status, account) = log_in(home, &both, address, &["--new-password-stdin"])?;
        ensure!(status == 0, "{account}");
        peer.password = new;
        computer.gangway(&["session", "ls"])?;
    }
    Ok(())
}

/// A keypair is no login that the manager counts: only the web server's logins are.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs another manager: cargo xtask test --peer backendai"]
async fn peer_an_older_login_is_ended_only_when_asked_for() -> Result<()> {
    let peer = Peer::expected()?;
    let admin = peer.administrator()?;
    let first = Computer::new()?;
    let second = Computer::new()?;
    log_in(first.home(), &peer, &peer.web, &["--force"])?;
    limit_logins(&admin, json!(1)).await?;
    let outcome = taken_over(&peer, &first, &second);
    limit_logins(&admin, Value::Null).await?;
    outcome
}

fn taken_over(peer: &Peer, first: &Computer, second: &Computer) -> Result<()> {
    let (status, account) = log_in(first.home(), peer, &peer.web, &["--force"])?;
    ensure!(status == 0, "{account}");
    first.gangway(&["session", "ls"])?;
    refused(
        &log_in(second.home(), peer, &peer.web, &[])?,
        "logged_in_elsewhere",
    )?;
    first.gangway(&["session", "ls"])?;
    let (status, account) = log_in(second.home(), peer, &peer.web, &["--force"])?;
    ensure!(status == 0, "{account}");
    second.gangway(&["session", "ls"])?;
    first.refused(&["session", "ls"])?.is(4, "login_expired")?;
    second.gangway(&["logout"])?;
    // Logged out there, there is room again.
    let (status, account) = log_in(first.home(), peer, &peer.web, &[])?;
    ensure!(status == 0, "{account}");
    first.gangway(&["logout"])?;
    Ok(())
}

async fn limit_logins(admin: &Manager, most: Value) -> Result<()> {
    let body = json!({
        "query": "mutation($name: String!, $input: UpdateUserResourcePolicyInput!) {
            adminUpdateUserResourcePolicyV2(name: $name, input: $input) {
                userResourcePolicy { name } } }",
        "variables": {"name": "default", "input": {"maxConcurrentLogins": most}},
    });
    let said = admin.post("/admin/gql/strawberry", &body).await?.ok()?;
    ensure!(said["errors"].is_null(), "{said}");
    Ok(())
}

/// Only where the manager's configuration allows its plug-in for one-time passwords
/// (`allowed-plugins` in `manager.toml`), which no API can change.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs another manager: cargo xtask test --peer backendai"]
async fn peer_a_one_time_password_is_asked_for() -> Result<()> {
    let peer = Peer::expected()?;
    let user = peer.signer()?;
    let offered = user.get("/totp").await?;
    if offered.status == 404 {
        println!("not tried: the manager does not load its plug-in for one-time passwords");
        return Ok(());
    }
    offered.ok()?;
    let computer = Computer::new()?;
    let home = computer.home();
    let made = user.post("/totp", &json!({})).await?.ok()?;
    let key = made["totp_key"].as_str().context("totp_key")?;
    let verify = json!({"otp": one_time(key)?});
    user.post("/totp/verify", &verify).await?.ok()?;
    let outcome = with_one_time(&peer, home, key);
    user.send("DELETE", "/totp", None).await?.ok()?;
    outcome?;
    peer.log_in_by_password(home, &peer.web)?;
    Ok(())
}

fn with_one_time(peer: &Peer, home: &Home, key: &str) -> Result<()> {
    for address in [&peer.manager, &peer.web] {
        refused(&log_in(home, peer, address, &[])?, "otp_needed")?;
        let wrong = log_in(home, peer, address, &["--otp", "000000"])?;
        refused(&wrong, "otp_wrong")?;
        let right = one_time(key)?;
        let (status, account) = log_in(home, peer, address, &["--otp", &right])?;
        ensure!(
            status == 0 && account["email"] == peer.email.as_str(),
            "{account}"
        );
    }
    Ok(())
}

/// What an authenticator shows now (RFC 6238).
fn one_time(key: &str) -> Result<String> {
    const SCRIPT: &str = "
import base64, hmac, struct, sys, time
key = base64.b32decode(sys.argv[1])
digest = hmac.new(key, struct.pack('>Q', int(time.time()) // 30), 'sha1').digest()
at = digest[-1] & 15
print(f'{(struct.unpack(\">I\", digest[at:at + 4])[0] & 0x7fffffff) % 1000000:06}', end='')
";
    run(Command::new("python3").args(["-c", SCRIPT, key]))
}

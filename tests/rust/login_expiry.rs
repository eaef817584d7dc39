//! A login that is over while work goes on: everything waits, nothing is lost, and it goes on by
//! itself as soon as somebody has logged in again, in whichever program.

use std::fs;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::computer::{Computer, PATIENCE, rows};
use tests::files;
use tests::local_port::get;
use tests::manager::Manager;
use tests::peer::{log_in_by_keypair, with_line};
use tests::process::{Running, eventually};
use tests::served_ui::Ui;
use tests::web_server::WebServer;

const PASSWORD: &str = "correct-horse-1";
const MAX_AGE: &str = "ai/backend/config/manager/auth/max_password_age";

/// A computer whose engine others log in to, by its owner's e-mail address and password.
struct Lab {
    server: Computer,
    email: String,
}

impl Lab {
    async fn new() -> Result<Self> {
        let server = Computer::logged_in()?;
        let email = server.gangway(&["whoami"])?["email"].clone();
        let email = email.as_str().context("email")?.to_owned();
        let change = json!({
            "old_password": "", "new_password": PASSWORD, "new_password2": PASSWORD,
        });
        let manager = Manager::of(&server)?;
        manager.post("/auth/update-password", &change).await?.ok()?;
        Ok(Self { server, email })
    }

    fn endpoint(&self) -> Result<String> {
        let engine = self.server.engine()?;
        Ok(engine["endpoint"].as_str().context("endpoint")?.to_owned())
    }

    /// Logs in there by password; the account, or the error.
    fn log_in(
        &self,
        computer: &Computer,
        address: &str,
        lines: &str,
        more: &[&str],
    ) -> Result<Value> {
        let mut command = computer.command(&[
            "--json",
            "login",
            "--endpoint",
            address,
            "--email",
            &self.email,
            "--password-stdin",
            "--keychain",
            "file",
            "--as",
            "lab",
        ]);
        let output = with_line(command.args(more), lines)?;
        let said = match output.status.success() {
            true => output.stdout,
            false => output.stderr,
        };
        Ok(serde_json::from_slice(&said)?)
    }

    fn logged_in(&self, computer: &Computer, address: &str) -> Result<()> {
        let account = self.log_in(computer, address, PASSWORD, &[])?;
        ensure!(account["profile"] == "lab", "{account}");
        Ok(())
    }
}

/// A session with a page; the port of a tunnel to it.
fn faraway(computer: &Computer) -> Result<u16> {
    computer.launch("faraway", &[])?;
    computer.serve("faraway", "hello from afar")?;
    let open = [
        "tunnel",
        "open",
        "faraway",
        "8000",
        "--http",
        "--background",
    ];
    let tunnel = computer.gangway(&open)?;
    Ok(u16::try_from(
        tunnel["local_port"].as_u64().context("local_port")?,
    )?)
}

fn shows(port: u16, part: &str) -> Result<String> {
    eventually(part, PATIENCE, || {
        Ok(get(port, "/").ok().filter(|page| page.contains(part)))
    })
}

fn only(computer: &Computer, verb: &str, key: &str) -> Result<Value> {
    let list = computer.gangway(&[verb, "ls"])?;
    let rows = rows(&list, key)?;
    ensure!(rows.len() == 1, "{list}");
    Ok(rows[0].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_and_tunnels_wait_for_the_next_login() -> Result<()> {
    const SIZE: u64 = 32 << 20;
    let lab = Lab::new().await?;
    let web = WebServer::before(&lab.endpoint()?)?;
    let computer = Computer::new()?;
    lab.logged_in(&computer, &web.address())?;
    let port = faraway(&computer)?;
    computer.gangway(&["folder", "create", "store"])?;
    let page = |part: &'static str| shows(port, part);
    page("hello from afar")?;
    let host = computer.host_pid()?;

    for (name, to) in [
        ("up.bin", "faraway:up.bin"),
        ("kept.bin", "folder://store/kept.bin"),
    ] {
        let file = computer.path(name);
        files::big(&file, SIZE)?;
        let mut copy = computer.command(&["--json", "cp", "--limit", "8M", name, to]);
        let mut copy = Running::start(copy.stdout(Stdio::null()))?;
        eventually("some of the file", PATIENCE, || {
            let list = computer.gangway(&["transfer", "ls"])?;
            let transfer = rows(&list, "transfers")?.first();
            let bytes = transfer.and_then(|it| it["bytes"].as_u64());
            Ok(bytes.filter(|bytes| *bytes > SIZE / 8))
        })?;
        web.end_logins();
        if name == "up.bin" {
            let waits = eventually("the transfer to wait for a login", PATIENCE, || {
                let transfer = only(&computer, "transfer", "transfers")?;
                ensure!(transfer["state"] != "failed", "{transfer}");
                Ok((transfer["failure"]["code"] == "login_expired").then_some(transfer))
            })?;
            ensure!(waits["state"] == "waiting", "{waits}");
            computer
                .refused(&["session", "ls"])?
                .is(4, "login_expired")?;
            let said = page("does not accept the login")?;
            ensure!(said.contains("Log in again"), "{said}");
            let waits = only(&computer, "tunnel", "tunnels")?;
            ensure!(
                waits["state"] == "waiting" && waits["last_error"]["code"] == "login_expired",
                "{waits}"
            );
        }
        ensure!(copy.child().try_wait()?.is_none(), "the copy was given up");

        lab.logged_in(&computer, &web.address())?;
        // By itself: nobody uses the tunnel, nobody tells the transfer.
        eventually("the tunnel to be open again", PATIENCE, || {
            let tunnel = only(&computer, "tunnel", "tunnels")?;
            Ok((tunnel["state"] == "open").then_some(()))
        })?;
        eventually("the transfer to be done", PATIENCE, || {
            let transfer = only(&computer, "transfer", "transfers")?;
            ensure!(transfer["state"] != "failed", "{transfer}");
            Ok((transfer["state"] == "done").then_some(()))
        })?;
        page("hello from afar")?;
        eventually("the terminal to be told", PATIENCE, || {
            Ok(copy.child().try_wait()?)
        })?;
        computer.gangway(&["transfer", "clear"])?;
    }
    ensure!(computer.host_pid()? == host, "another process did it");
    let digest = files::sha256(&computer.path("up.bin"))?;
    ensure!(computer.ok("faraway", "sha256sum up.bin | cut -d' ' -f1")? == digest);
    computer.gangway(&["cp", "folder://store/kept.bin", "back.bin"])?;
    ensure!(
        files::sha256(&computer.path("back.bin"))? == files::sha256(&computer.path("kept.bin"))?
    );
    Ok(())
}

/// A keypair that an administrator takes back, and another one at the same profile.
#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_goes_on_with_another_keypair() -> Result<()> {
    let lab = Lab::new().await?;
    let manager = Manager::of(&lab.server)?;
    let graphql = async |query: &str, variables: Value| -> Result<Value> {
        let body = json!({ "query": query, "variables": variables });
        let said = manager.post("/admin/gql", &body).await?.ok()?;
        ensure!(said["errors"].is_null(), "{said}");
        Ok(said["data"].clone())
    };
    let mut keys = Vec::new();
    for _ in 0..2 {
        let made = graphql(
            "mutation($user: String!, $props: KeyPairInput!) {
                create_keypair(user_id: $user, props: $props) {
                    ok msg keypair { access_key secret_key } } }",
            json!({ "user": lab.email, "props": {
                "is_active": true, "is_admin": true, "resource_policy": "default",
                "concurrency_limit": 0, "rate_limit": 10000,
            }}),
        )
        .await?;
        let keypair = &made["create_keypair"]["keypair"];
        let text = |key: &str| Some(keypair[key].as_str()?.to_owned());
        keys.push((
            text("access_key").with_context(|| made.to_string())?,
            text("secret_key").context("secret key")?,
        ));
    }
    let computer = Computer::new()?;
    let endpoint = lab.endpoint()?;
    let log_in = |(access_key, secret_key): &(String, String)| -> Result<()> {
        let keypair = (access_key.as_str(), secret_key.as_str());
        let output = log_in_by_keypair(&computer, &endpoint, keypair, &["--as", "lab"])?;
        ensure!(output.status.success(), "{output:?}");
        Ok(())
    };
    log_in(&keys[0])?;
    let port = faraway(&computer)?;
    let page = |part: &'static str| shows(port, part);
    page("hello from afar")?;
    graphql(
        "mutation($key: String!, $props: ModifyKeyPairInput!) {
            modify_keypair(access_key: $key, props: $props) { ok msg } }",
        json!({ "key": keys[0].0, "props": { "is_active": false } }),
    )
    .await?;
    page("does not accept the login")?;
    ensure!(only(&computer, "tunnel", "tunnels")?["state"] == "waiting");
    log_in(&keys[1])?;
    // The session is the user's, whichever keypair started it.
    eventually("the tunnel to be open again", PATIENCE, || {
        let tunnel = only(&computer, "tunnel", "tunnels")?;
        Ok((tunnel["state"] == "open").then_some(()))
    })?;
    Ok(())
}

/// What was saved in an editor while nobody was logged in is put back after the next login.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_an_editor_waits_for_the_next_login() -> Result<()> {
    let lab = Lab::new().await?;
    let web = WebServer::before(&lab.endpoint()?)?;
    let computer = Computer::new()?;
    lab.logged_in(&computer, &web.address())?;
    computer.launch("faraway", &[])?;
    computer.ok("faraway", "echo first > notes.txt")?;
    let ui = Ui::on(computer)?;
    let computer = &ui.computer;
    let cookie = ui.enter(&Ui::client()?).await?;
    ui.call(&cookie, "settings.set", &json!({ "editor": "true" }))
        .await?;
    let session = computer.gangway(&["session", "show", "faraway"])?["id"].clone();
    let location = json!({ "kind": "session", "session": session, "path": "notes.txt" });
    let list = ui
        .call(&cookie, "file.edit", &json!({ "location": location }))
        .await?;
    let copy = list["edits"][0]["copy"]
        .as_str()
        .context("copy")?
        .to_owned();
    web.end_logins();
    fs::write(&copy, "second\n")?;
    let edit = wait_for(&ui, &cookie, "waiting").await?;
    ensure!(edit["failure"]["code"] == "login_expired", "{edit}");
    lab.logged_in(computer, &web.address())?;
    wait_for(&ui, &cookie, "same").await?;
    ensure!(computer.ok("faraway", "cat notes.txt")? == "second");
    Ok(())
}

async fn wait_for(ui: &Ui, cookie: &str, state: &str) -> Result<Value> {
    let started = std::time::Instant::now();
    loop {
        let list = ui.call(cookie, "file.edits", &json!({})).await?;
        let edit = list["edits"][0].clone();
        if edit["state"] == state {
            return Ok(edit);
        }
        ensure!(edit["state"] != "failed", "{edit}");
        ensure!(started.elapsed() < PATIENCE, "not {state}: {edit}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// Who logs out, or has the profile forgotten, leaves no login behind that somebody could use.
#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_is_forgotten_is_logged_out() -> Result<()> {
    let lab = Lab::new().await?;
    let web = WebServer::before(&lab.endpoint()?)?;
    let computer = Computer::new()?;
    for verb in [&["logout"][..], &["profile", "rm", "lab"]] {
        lab.logged_in(&computer, &web.address())?;
        ensure!(web.logins() == 1);
        computer.gangway(&[&["--yes"], verb].concat())?;
        ensure!(web.logins() == 0, "{verb:?} left the login");
    }
    Ok(())
}

/// At the manager and at a web server before it.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_password_is_changed_at_the_login() -> Result<()> {
    let lab = Lab::new().await?;
    let manager = Manager::of(&lab.server)?;
    let web = WebServer::before(&lab.endpoint()?)?;
    let computer = Computer::new()?;
    let mut password = PASSWORD.to_owned();
    for (round, address) in [lab.endpoint()?, web.address()].into_iter().enumerate() {
        let set = json!({ "key": MAX_AGE, "value": "10s" });
        manager.post("/config/set", &set).await?.ok()?;
        eventually("the password to be too old", PATIENCE, || {
            let said = lab.log_in(&computer, &address, &password, &[])?;
            Ok((said["error"]["code"] == "password_expired").then_some(()))
        })?;
        let log_in = |lines: &str| {
            let more = ["--new-password-stdin"];
            lab.log_in(&computer, &address, lines, &more)
        };
        let new = format!("battery-staple-{round}");
        let weak = log_in(&format!("{password}\nshort"))?;
        ensure!(weak["error"]["code"] == "password_weak", "{weak}");
        let wrong = log_in(&format!("not it\n{new}"))?;
        ensure!(wrong["error"]["code"] == "bad_credentials", "{wrong}");
        let account = log_in(&format!("{password}\n{new}"))?;
        ensure!(account["profile"] == "lab", "{account}");
        computer.gangway(&["session", "ls"])?;
        let old = lab.log_in(&computer, &address, &password, &[])?;
        ensure!(old["error"]["code"] == "bad_credentials", "{old}");
        password = new;
    }
    Ok(())
}

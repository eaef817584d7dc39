//! What goes wrong is refused in the manager's own form, said in words by the terminal, and leaves
//! nothing half-made.

use std::fs;
use std::net::TcpListener;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::computer::{Computer, PATIENCE, kill, rows};
use tests::manager::Manager;
use tests::process::{eventually, finish, program};

mod full_disk;

const IMAGE: &str = "local/host:latest";

fn create(name: &str, image: &str, resources: Value, mounts: &[&str]) -> Value {
    json!({
        "session_name": name, "image": image, "session_type": "interactive", "group": "default",
        "domain": "default", "reuse": false, "enqueue_only": true,
        "config": {"resources": resources, "mounts": mounts, "environ": {}},
    })
}

fn enough() -> Value {
    json!({"cpu": 1, "mem": "512m"})
}

/// Nothing is alive, nothing waits, no folder of a session is left.
fn nothing_is_left(computer: &Computer) -> Result<()> {
    let list = computer.gangway(&["session", "ls"])?;
    ensure!(rows(&list, "sessions")?.is_empty(), "half-made: {list}");
    let status = computer.gangway(&["engine", "status"])?;
    ensure!(status["sessions"] == 0, "{status}");
    eventually("the sandboxes to be gone", PATIENCE, || {
        let left = computer.processes();
        let sandbox = |line: &str| line.contains("gangway-runner") || line.contains("bwrap");
        Ok((!left.iter().any(|(_, line)| sandbox(line))).then_some(()))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_not_signed_well() -> Result<()> {
    let computer = Computer::logged_in()?;
    let manager = Manager::of(&computer)?;
    ensure!(manager.get("/auth").await?.ok()?["authorized"] == "yes");

    let mut wrong = manager.clone();
    wrong.secret_key.push('x');
    wrong.get("/auth").await?.refused(401, "auth-failed")?;
    let mut unknown = manager.clone();
    unknown.access_key = "AKIANOBODYHASTHISKEY".into();
    unknown.get("/auth").await?.refused(401, "auth-failed")?;
    for minutes in [-16, 16, -60 * 24 * 400] {
        let mut late = manager.clone();
        late.date = Some((jiff::Timestamp::now() + jiff::Span::new().minutes(minutes)).to_string());
        let body = late
            .get("/auth")
            .await?
            .refused(400, "invalid-auth-params")?;
        ensure!(
            body["msg"]
                .as_str()
                .unwrap_or_default()
                .contains("Date/time sync error"),
            "{body}"
        );
    }
    let mut early = manager.clone();
    early.date = Some((jiff::Timestamp::now() - jiff::Span::new().minutes(14)).to_string());
    early.get("/auth").await?.ok()?;

    // A signature is for one request: another path, another method, another host is none.
    let client = reqwest::Client::builder().no_proxy().build()?;
    let bare = client
        .get(format!("{}/auth", manager.endpoint))
        .send()
        .await?;
    ensure!(bare.status() == 401, "{bare:?}");
    let garbage = client
        .get(format!("{}/auth", manager.endpoint))
        .header("Date", jiff::Timestamp::now().to_string())
        .header("Authorization", "BackendAI nonsense")
        .send()
        .await?;
    ensure!(garbage.status() == 400, "{garbage:?}");
    // Ways to make the engine do what a page of another origin wants.
    let foreign = client
        .get(format!("{}/auth", manager.endpoint))
        .header("Host", "attacker.example")
        .send()
        .await?;
    ensure!(foreign.status().is_client_error(), "{foreign:?}");
    // Unknown addresses and methods have the protocol's own answers too.
    manager
        .get("/no-such-thing")
        .await?
        .refused(404, "url-not-found")?;
    manager
        .send("DELETE", "/auth", None)
        .await?
        .refused(405, "method-not-allowed")?;
    let body = client
        .post(format!("{}/auth/authorize", manager.endpoint))
        .body("{")
        .send()
        .await?;
    ensure!(body.status() == 400, "{body:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_can_not_be() -> Result<()> {
    let computer = Computer::logged_in()?;
    let manager = Manager::of(&computer)?;
    let long = "n".repeat(65);
    let cases: &[(&str, Value, u16, &str)] = &[
        (
            "unknown image",
            create("good-name", "local/nothing:1", enough(), &[]),
            404,
            "object-not-found",
        ),
        (
            "name too short",
            create("abc", IMAGE, enough(), &[]),
            400,
            "invalid-api-params",
        ),
        (
            "name too long",
            create(&long, IMAGE, enough(), &[]),
            400,
            "invalid-api-params",
        ),
        (
            "name with a path",
            create("../../etc", IMAGE, enough(), &[]),
            400,
            "invalid-api-params",
        ),
        (
            "name with a space",
            create("two words", IMAGE, enough(), &[]),
            400,
            "invalid-api-params",
        ),
        (
            "less than none",
            create("good-name", IMAGE, json!({"cpu": -1, "mem": "1g"}), &[]),
            400,
            "invalid-resource-slot-quantity",
        ),
        (
            "words for numbers",
            create("good-name", IMAGE, json!({"cpu": "many", "mem": "1g"}), &[]),
            400,
            "invalid-api-params",
        ),
        (
            "unknown slot",
            create(
                "good-name",
                IMAGE,
                json!({"cpu": 1, "mem": "1g", "warp.drive": 1}),
                &[],
            ),
            400,
            "unknown-resource-slot-type",
        ),
        (
            "folder not there",
            create("good-name", IMAGE, enough(), &["no-such-folder"]),
            404,
            "object-not-found",
        ),
        (
            "folder with ..",
            create("good-name", IMAGE, enough(), &["../etc"]),
            404,
            "object-not-found",
        ),
    ];
    for (what, body, status, slug) in cases {
        let answer = manager.post("/session", body).await?;
        if *slug == "invalid-api-params"
            && answer.body["type"]
                .as_str()
                .is_some_and(|it| it.ends_with("/generic-bad-request"))
        {
            // Both are the manager's, for parameters that are wrong.
            answer
                .refused(*status, "generic-bad-request")
                .context(*what)?;
        } else {
            answer.refused(*status, slug).context(*what)?;
        }
    }
    // More than this computer has.
    let body = create("good-name", IMAGE, json!({"cpu": 9999, "mem": "512m"}), &[]);
    let answer = manager.post("/session", &body).await?;
    ensure!((400..=412).contains(&answer.status), "{answer:?}");
    ensure!(answer.body["type"].is_string(), "{answer:?}");

    // What is taken: the session that has it goes on.
    let first = manager
        .post("/session", &create("taken", IMAGE, enough(), &[]))
        .await?
        .ok()?;
    let again = manager
        .post("/session", &create("taken", IMAGE, enough(), &[]))
        .await?;
    let body = again.refused(400, "session-already-exists")?;
    ensure!(
        body["data"]["existingSessionId"] == first["sessionId"],
        "{body}"
    );
    manager
        .get("/session/nobody")
        .await?
        .refused(404, "object-not-found")?;
    manager
        .send("DELETE", "/session/taken?forced=true", None)
        .await?
        .ok()?;
    eventually("the session to end", PATIENCE, || {
        let list = computer.gangway(&["session", "ls"])?;
        Ok(rows(&list, "sessions")?.is_empty().then_some(()))
    })?;
    nothing_is_left(&computer)
}

#[test]
fn the_terminal_says_it_in_words() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.gangway(&["folder", "create", "data"])?;
    let long = "n".repeat(65);
    let launch: &[(&[&str], &[&str])] = &[
        (
            &["good-name", "--image", "local/nothing:1"],
            &["image_not_found"],
        ),
        (&["abc"], &["invalid_input"]),
        (&[&long], &["invalid_input"]),
        (&["good-name", "--mem", "0"], &["invalid_input"]),
        (&["good-name", "--cpu", "0"], &["invalid_input"]),
        (
            &["good-name", "--mem", "900t"],
            &["resource_limit", "quota_exceeded"],
        ),
        (
            &["good-name", "--cpu", "9999"],
            &["resource_limit", "quota_exceeded"],
        ),
        (
            &["good-name", "--mount", "no-such-folder"],
            &["folder_not_found"],
        ),
        (
            &["good-name", "--mount", "data:../../etc"],
            &["bad_path", "invalid_input", "manager_rejected"],
        ),
    ];
    for (arguments, codes) in launch {
        let all = [&["session", "launch"], *arguments].concat();
        let refused = computer.refused(&all)?;
        ensure!(
            codes.contains(&refused.code.as_str()) && (1..=6).contains(&refused.status),
            "{arguments:?}: expected {codes:?}, got {refused:?}"
        );
        let (status, words) = computer.refused_in_words(&all)?;
        ensure!(
            status == refused.status,
            "{arguments:?}: {status} in words, {} in JSON",
            refused.status
        );
        ensure!(
            words.contains(refused.message.lines().next().unwrap_or_default()),
            "{words}"
        );
    }
    computer
        .refused(&["session", "rm", "--yes", "nobody"])?
        .is(3, "session_not_found")?;
    computer
        .refused(&["session", "exec", "nobody", "--", "true"])?
        .is(3, "session_not_found")?;
    computer
        .refused(&["folder", "files", "nothing"])?
        .is(3, "folder_not_found")?;
    let double = computer.refused(&["folder", "create", "data"])?;
    double.is(6, "folder_name_taken")?;
    ensure!(double.error["hint"].is_string(), "{double:?}");
    for name in ["a/b", "..", ".bashrc", &long] {
        computer.refused(&["folder", "create", name])?;
    }
    computer
        .refused(&["history", "relaunch", "nothing"])?
        .is(3, "launch_not_found")?;
    computer.launch("taken", &[])?;
    computer
        .refused(&["session", "launch", "taken"])?
        .is(6, "session_name_taken")?;
    computer
        .refused(&["app", "open", "taken", "no-such-app", "--print-url"])?
        .is(3, "app_not_found")?;
    // What it printed says more than that it failed.
    let script = "mkdir -p ~/.local/bin && cd ~/.local/bin && \
                  printf '#!/bin/sh\\necho no module six\\nexit 3\\n' > tensorboard && \
                  chmod +x tensorboard";
    computer.ok("taken", script)?;
    let (status, words) = computer.refused_in_words(&["app", "open", "taken", "tensorboard"])?;
    ensure!(
        status == 1 && words.contains("  | no module six\n"),
        "{words}"
    );
    for target in ["0", "99999"] {
        computer
            .refused(&["tunnel", "open", "taken", target])?
            .is(2, "invalid_input")?;
    }
    computer
        .refused(&["cp", "no-such-file", "taken:"])?
        .is(3, "file_not_found")?;
    let gone = computer.refused(&["cp", "taken:no-such-file", "."])?;
    gone.is(3, "file_not_found")?;
    ensure!(gone.message.contains("no-such-file"), "{gone:?}");
    computer
        .refused(&["cp", "passwd", "taken:/etc/passwd"])
        .err();
    fs::write(computer.path("file"), "x")?;
    let forbidden = computer.refused(&["cp", "file", "taken:/etc/new"])?;
    ensure!([1, 4].contains(&forbidden.status), "{forbidden:?}");
    // Only what was meant is there.
    let all = computer.gangway(&["session", "ls", "--all"])?;
    let names: Vec<_> = rows(&all, "sessions")?
        .iter()
        .map(|it| it["name"].clone())
        .collect();
    ensure!(names == ["taken"], "{names:?}");
    computer.gangway(&["session", "rm", "--yes", "--force", "taken"])?;
    nothing_is_left(&computer)
}

#[test]
fn a_busy_port_and_an_engine_that_is_gone() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("session", &[])?;
    let busy = TcpListener::bind("127.0.0.1:0")?;
    let port = busy.local_addr()?.port().to_string();
    let refused = computer.refused(&[
        "tunnel",
        "open",
        "session",
        "8000",
        "--local",
        &port,
        "--background",
    ])?;
    refused.is(6, "port_busy")?;
    ensure!(refused.message.contains(&port), "{refused:?}");
    let list = computer.gangway(&["tunnel", "ls"])?;
    ensure!(rows(&list, "tunnels")?.is_empty(), "half-made: {list}");

    // The engine's own port is taken when it comes back: it listens elsewhere and says where.
    let endpoint = computer.engine()?["endpoint"]
        .as_str()
        .context("endpoint")?
        .to_owned();
    computer.kill_engine()?;
    let address = endpoint.trim_start_matches("http://").to_owned();
    // Its threads may outlive their process by a moment.
    let taken = eventually("the port to be free", PATIENCE, || {
        Ok(TcpListener::bind(&address).ok())
    })?;
    for arguments in [
        &["session", "show", "session"][..],
        &["session", "launch", "another"],
        &["folder", "create", "data"],
        &["session", "exec", "session", "--", "true"],
        &["cp", "passphrase", "session:"],
    ] {
        let refused = computer.refused(arguments)?;
        ensure!(
            [3, 5].contains(&refused.status),
            "{arguments:?}: {refused:?}"
        );
    }
    let gone = computer.refused(&["session", "show", "session"])?;
    ensure!(
        gone.status == 5 && gone.error["hint"].is_string(),
        "{gone:?}"
    );
    // The list is still to be seen, marked with its age.
    let list = computer.gangway(&["session", "ls"])?;
    ensure!(
        list["stale"] == true && list["failure"]["code"].is_string(),
        "{list}"
    );
    ensure!(rows(&list, "sessions")?.len() == 1, "{list}");

    computer.gangway(&["engine", "start"])?;
    let now = computer.engine()?["endpoint"].clone();
    ensure!(now != endpoint.as_str(), "two listen on {endpoint}");
    ensure!(
        computer.ok("session", "echo found")? == "found",
        "the profile kept the old address"
    );
    drop(taken);
    // Asked for by name, a busy port is an error and not another port.
    let mut second = computer.home().command(program("gangway-engine"));
    second.args(["--listen", &format!("127.0.0.1:{port}")]);
    second.arg("--data-dir").arg(computer.home().path("second"));
    let output = finish(&mut second)?;
    ensure!(!output.status.success(), "{output:?}");
    ensure!(
        String::from_utf8_lossy(&output.stderr).contains(&port),
        "{output:?}"
    );
    Ok(())
}

#[test]
fn a_proxy_host_that_is_gone_is_started_again() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("session", &[])?;
    let opened = computer.gangway(&["tunnel", "open", "session", "8000", "--background"])?;
    let host = computer.gangway(&["proxy", "status"])?;
    kill(host["pid"].as_u64().context("pid")?)?;
    let list = computer.gangway(&["tunnel", "ls"])?;
    ensure!(
        rows(&list, "tunnels")?[0]["local_port"] == opened["local_port"],
        "{list}"
    );
    computer.gangway(&["proxy", "stop"])?;
    ensure!(computer.gangway(&["proxy", "status"])?["running"] == false);
    Ok(())
}

#[test]
fn a_keychain_that_is_not_there_or_stays_shut() -> Result<()> {
    let computer = Computer::new()?;
    computer.gangway(&["engine", "start"])?;
    // No session bus: there is no keychain, and nothing is kept anywhere else instead.
    let absent = computer.refused(&["login"])?;
    absent.is(4, "keychain_absent")?;
    ensure!(
        absent.error["hint"]
            .as_str()
            .unwrap_or_default()
            .contains("--keychain file"),
        "{absent:?}"
    );
    computer.refused(&["whoami"])?.is(4, "not_logged_in")?;

    computer.gangway(&["login", "--keychain", "file"])?;
    // The file can't be opened; on this computer the engine's own socket knows who we are.
    let passphrase = computer.home().path("passphrase");
    fs::write(&passphrase, "another one\n")?;
    computer.gangway(&["session", "ls"])?;
    fs::write(&passphrase, "only for this test\n")?;

    computer.gangway(&["logout"])?;
    computer
        .refused(&["session", "ls"])?
        .is(4, "not_logged_in")?;
    Ok(())
}

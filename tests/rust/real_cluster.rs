//! A real Backend.AI cluster as the manager: what people do there from the first login to the last
//! terminated session, through each of its doors. `cargo xtask test --peer backendai` runs it.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::computer::{Computer, PATIENCE, has_keys, named, rows};
use tests::files;
use tests::local_port::get;
use tests::peer::{Peer, with_line};
use tests::process::{eventually, finish};

const SURROUNDINGS: &str = "needs another manager: cargo xtask test --peer backendai";

/// A computer that is logged in through one of the doors, and cleans up after itself.
struct Guest {
    peer: Peer,
    computer: Computer,
}

impl Guest {
    fn at_the_manager() -> Result<Self> {
        let peer = Peer::expected()?;
        // The keypair, as every other test that runs on a peer.
        let computer = Computer::new()?.log_in()?;
        Ok(Self { peer, computer })
    }

    fn at_the_web_server() -> Result<Self> {
        let guest = Self::at_the_manager()?;
        guest
            .peer
            .log_in_by_password(guest.computer.home(), &guest.peer.web)?;
        Ok(guest)
    }
}

#[test]
#[ignore = "needs another manager: cargo xtask test --peer backendai"]
fn peer_every_door_leads_in() -> Result<()> {
    let peer = Peer::expected().context(SURROUNDINGS)?;
    let computer = Computer::new()?;
    let home = computer.home();
    for (door, account) in [
        ("keypair", peer.log_in(home)?),
        ("manager", peer.log_in_by_password(home, &peer.manager)?),
        ("web server", peer.log_in_by_password(home, &peer.web)?),
    ] {
        ensure!(
            account["email"] == peer.email.as_str()
                && account["role"] == "user"
                && account["domain"] == "default"
                && account["project"] == "default",
            "{door}: {account}"
        );
    }
    for address in [&peer.manager, &peer.web] {
        let account = peer.log_in_by_password(home, address)?;
        ensure!(computer.gangway(&["whoami"])? == account, "{address}");
        computer.gangway(&["session", "ls"])?;
        let images = computer.gangway(&["image", "ls"])?;
        ensure!(!rows(&images, "images")?.is_empty(), "{address}: {images}");
        computer.gangway(&["logout"])?;
        computer
            .refused(&["session", "ls"])?
            .is(4, "not_logged_in")?;

        let mut command = computer.command(&["--json", "login", "--endpoint", address]);
        command.args(["--email", &peer.email, "--password-stdin"]);
        let output = with_line(&mut command, "not-the-password")?;
        let said: Value = serde_json::from_slice(&output.stderr)?;
        ensure!(
            output.status.code() == Some(4) && said["error"]["code"] == "bad_credentials",
            "{address}: {said}"
        );
    }
    Ok(())
}

#[test]
#[ignore = "needs another manager: cargo xtask test --peer backendai"]
fn peer_a_first_session_at_the_manager() -> Result<()> {
    first_session(&Guest::at_the_manager()?.computer)
}

#[test]
#[ignore = "needs another manager: cargo xtask test --peer backendai"]
fn peer_a_first_session_through_the_web_server() -> Result<()> {
    first_session(&Guest::at_the_web_server()?.computer)
}

/// The cluster keeps whether a job has failed, and not its exit code.
#[test]
#[ignore = "needs another manager: cargo xtask test --peer backendai"]
fn peer_a_job_ends_with_its_result_and_its_log() -> Result<()> {
    let computer = Guest::at_the_manager()?.computer;
    for (name, job, status, result) in [
        ("good-job", "echo from the job", 0, "success"),
        ("bad-job", "echo from the job; exit 4", 1, "failure"),
    ] {
        let ran = finish(&mut computer.command(&[
            "--json",
            "session",
            "launch",
            name,
            "--cpu",
            "1",
            "--mem",
            "256m",
            "--batch",
            job,
            "--wait-result",
        ]))?;
        ensure!(ran.status.code() == Some(status), "{ran:?}");
        let session: Value = serde_json::from_slice(&ran.stdout)?;
        ensure!(
            session["type"] == "batch" && session["result"] == result,
            "{session}"
        );
        let id = session["id"].as_str().context("id")?;
        let logs = computer.text(&["session", "logs", id])?;
        ensure!(logs.contains("from the job"), "{logs}");
    }
    Ok(())
}

fn first_session(computer: &Computer) -> Result<()> {
    data_folder(computer)?;
    launch_and_look(computer)?;
    work(computer)?;
    apps(computer)?;
    ssh(computer)?;
    copies(computer)?;
    rename_and_end(computer)?;
    relaunch(computer)
}

fn data_folder(computer: &Computer) -> Result<()> {
    let folder = computer.gangway(&["folder", "create", "data"])?;
    has_keys(&folder, &["id", "name", "host", "permission", "status"])?;
    let list = computer.gangway(&["folder", "ls"])?;
    ensure!(
        named(rows(&list, "folders")?, "data")?["id"] == folder["id"],
        "{list}"
    );
    computer.gangway(&["folder", "mkdir", "data", "in/side"])?;
    // Larger than one piece of an upload.
    let big = computer.path("big.bin");
    files::big(&big, 20 << 20)?;
    let digest = files::sha256(&big)?;
    computer.gangway(&["cp", "big.bin", "folder://data/in/side/big.bin"])?;
    computer.gangway(&["cp", "folder://data/in/side/big.bin", "back.bin"])?;
    ensure!(files::sha256(&computer.path("back.bin"))? == digest);
    fs::write(computer.path("empty"), "")?;
    computer.gangway(&["cp", "empty", "folder://data/empty"])?;
    let inner = computer.gangway(&["folder", "files", "data", "in/side"])?;
    ensure!(
        named(rows(&inner, "entries")?, "big.bin")?["size"] == 20 << 20,
        "{inner}"
    );
    computer.gangway(&["folder", "mv", "data", "empty", "still-empty"])?;
    let all = computer.gangway(&["folder", "files", "data"])?;
    let entries = rows(&all, "entries")?;
    ensure!(
        named(entries, "in")?["kind"] == "directory" && named(entries, "still-empty")?["size"] == 0,
        "{all}"
    );
    computer.gangway(&["folder", "rm", "--yes", "data", "still-empty"])?;
    let shown = computer.gangway(&["folder", "show", "data"])?;
    ensure!(shown["id"] == folder["id"], "{shown}");
    Ok(())
}

fn launch_and_look(computer: &Computer) -> Result<()> {
    let limits = computer.gangway(&["call", "resource.limits", "{}"])?;
    has_keys(&limits, &["presets", "resource_groups"])?;
    ensure!(!rows(&limits, "slots")?.is_empty(), "{limits}");
    let session = computer.gangway(&[
        "session",
        "launch",
        "first-steps",
        "--cpu",
        "1",
        "--mem",
        "512m",
        "--mount",
        "data",
        "--env",
        "GREETING=good day, world",
    ])?;
    ensure!(
        session["status"] == "RUNNING"
            && session["type"] == "interactive"
            && session["cluster_size"] == 1
            && session["project"] == "default"
            && session["mounts"][0] == "data"
            && session["terminated_at"].is_null()
            && session["occupied_slots"]["cpu"] == "1",
        "{session}"
    );
    let id = session["id"].as_str().context("id")?;
    let list = computer.gangway(&["session", "ls"])?;
    ensure!(
        named(rows(&list, "sessions")?, "first-steps")?["id"] == id,
        "{list}"
    );
    for reference in ["first-steps", id, &id[..8], "first-st"] {
        let shown = computer.gangway(&["session", "show", reference])?;
        ensure!(shown["id"] == id, "{reference} led to {shown}");
    }
    computer
        .refused(&["session", "show", "nobody-here"])?
        .is(3, "session_not_found")?;
    let taken = [
        "session",
        "launch",
        "first-steps",
        "--cpu",
        "1",
        "--mem",
        "256m",
    ];
    computer.refused(&taken)?.is(6, "session_name_taken")?;
    let logs = computer.text(&["session", "logs", "first-steps"])?;
    ensure!(logs.contains("ttyd"), "{logs}");
    Ok(())
}

fn work(computer: &Computer) -> Result<()> {
    let said = computer.sh("first-steps", "echo out; echo err >&2; exit 3")?;
    ensure!(
        said.status == 3 && said.stdout == "out\n" && said.stderr == "err\n",
        "{said:?}"
    );
    ensure!(
        computer.ok("first-steps", "cd && pwd && id -un && echo $GREETING")?
            == "/home/work\nwork\ngood day, world"
    );
    // Longer than one answer waits.
    ensure!(computer.ok("first-steps", "sleep 5; echo done")? == "done");
    computer.ok("first-steps", "echo kept > data/in/side/kept.txt")?;
    let files = computer.gangway(&["folder", "files", "data", "in/side"])?;
    ensure!(
        named(rows(&files, "entries")?, "kept.txt")?["size"] == 5,
        "{files}"
    );
    Ok(())
}

/// A web app of the image, through the local proxy.
fn apps(computer: &Computer) -> Result<()> {
    let apps = computer.gangway(&["app", "ls", "first-steps"])?;
    let apps = rows(&apps, "apps")?;
    named(apps, "sshd")?;
    let web = apps
        .iter()
        .find(|app| app["protocol"] == "http" && app["name"] != "ttyd");
    let name = web.context("no web app")?["name"]
        .as_str()
        .context("name")?;
    computer.ok("first-steps", "echo seen-through > index.html")?;
    let tunnel = computer.gangway(&["tunnel", "open", "first-steps", name, "--background"])?;
    let port = u16::try_from(tunnel["local_port"].as_u64().context("local_port")?)?;
    let page = eventually("the app's page", PATIENCE, || {
        Ok(get(port, "/").ok().filter(|page| page.contains("200 OK")))
    })?;
    ensure!(page.contains("seen-through"), "{page}");
    let opened = computer.gangway(&["app", "open", "first-steps", "ttyd", "--print-url"])?;
    let url = opened["url"].as_str().context("url")?;
    ensure!(url.starts_with("http://"), "{opened}");
    Ok(())
}

fn ssh(computer: &Computer) -> Result<()> {
    let arguments = ["ssh", "first-steps", "--", "echo $((40 + 2)); exit 7"];
    let output = finish(&mut computer.command(&arguments))?;
    ensure!(
        output.stdout == b"42\n" && output.status.code() == Some(7),
        "{output:?}"
    );
    // Standard input goes both ways unharmed, and its end is told.
    let file = computer.path("back.bin");
    let mut through = computer.command(&["ssh", "first-steps", "--", "cat"]);
    let through = through.stdin(fs::File::open(&file)?).output()?;
    ensure!(
        through.status.success() && through.stdout == fs::read(&file)?,
        "cat changed bytes: {:?}",
        through.status
    );
    Ok(())
}

fn copies(computer: &Computer) -> Result<()> {
    let digest = files::sha256(&computer.path("big.bin"))?;
    computer.gangway(&["cp", "--checksum", "big.bin", "first-steps:up.bin"])?;
    ensure!(computer.ok("first-steps", "sha256sum up.bin | cut -d' ' -f1")? == digest);
    computer.gangway(&["cp", "first-steps:up.bin", "down.bin"])?;
    ensure!(files::sha256(&computer.path("down.bin"))? == digest);
    let tree = computer.path("tree");
    files::many(&tree, 60)?;
    computer.gangway(&["cp", "-r", "tree", "first-steps:"])?;
    computer.gangway(&["cp", "-r", "first-steps:tree", "tree-back"])?;
    files::same(&tree, &computer.path("tree-back"))?;
    computer.gangway(&["cp", "-r", "tree", "folder://data/"])?;
    computer.gangway(&["cp", "-r", "folder://data/tree", "from-folder"])?;
    files::same(&tree, &computer.path("from-folder"))
}

fn rename_and_end(computer: &Computer) -> Result<()> {
    let renamed = computer.gangway(&["session", "rename", "first-steps", "second-steps"])?;
    ensure!(renamed["name"] == "second-steps", "{renamed}");
    computer.ok("second-steps", "cat data/in/side/kept.txt")?;
    computer
        .refused(&["session", "rm", "second-steps"])?
        .is(4, "confirmation_needed")?;
    computer.gangway(&["session", "rm", "--yes", "second-steps"])?;
    let all = computer.gangway(&["session", "ls", "--all"])?;
    let gone = named(rows(&all, "sessions")?, "second-steps")?;
    ensure!(
        gone["status"] == "TERMINATED" && !gone["terminated_at"].is_null(),
        "{gone}"
    );
    let list = computer.gangway(&["session", "ls"])?;
    ensure!(rows(&list, "sessions")?.is_empty(), "{list}");
    Ok(())
}

fn relaunch(computer: &Computer) -> Result<()> {
    let history = computer.gangway(&["history", "ls"])?;
    let id = rows(&history, "launches")?[0]["id"]
        .as_str()
        .context("id")?;
    let again = computer.gangway(&["history", "relaunch", id])?;
    ensure!(
        again["status"] == "RUNNING" && again["name"] == "first-steps",
        "{again}"
    );
    ensure!(
        computer.ok("first-steps", "cat data/in/side/kept.txt; echo $GREETING")?
            == "kept\ngood day, world"
    );
    computer.gangway(&["session", "rm", "--yes", "first-steps"])?;
    // A mounted folder is free once its session has gone.
    computer.gangway(&["folder", "rm", "--yes", "data"])?;
    let list = computer.gangway(&["folder", "ls"])?;
    ensure!(rows(&list, "folders")?.is_empty(), "{list}");
    Ok(())
}

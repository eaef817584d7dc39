//! Sessions as containers of a real Podman, by resource group or image, as their users see them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use podman::{IMAGE, Podman};
use serde_json::{Value, json};
use tests::computer::{Computer, PATIENCE};
use tests::manager::Manager;
use tests::process::{eventually, run};
use tests::registry::{Image, Registry, Relay, outcome};

#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "shared with tests that end at the first surprise and use other parts"
)]
#[path = "../../src-tauri/runtime/tests/support/podman.rs"]
mod podman;

/// A computer whose engine finds `podman`.
fn computer(podman: &Podman) -> Result<Computer> {
    let computer = Computer::new()?;
    let folder = computer.home().path("gangway/config");
    fs::create_dir_all(&folder)?;
    let text = format!("container_socket = \"{}\"\n", podman.socket().display());
    fs::write(folder.join("config.toml"), text)?;
    computer.log_in()
}

/// `gangway` about something in the background: with what it ended.
fn task(computer: &Computer, arguments: &[&str]) -> Result<String> {
    outcome(&run(computer.command(arguments).arg("--json"))?)
}

fn ended(computer: &Computer, id: &str) -> Result<Value> {
    eventually("the end", PATIENCE, || {
        let shown = computer.gangway(&["session", "show", id])?;
        Ok((shown["status"] == "TERMINATED").then_some(shown))
    })
}

#[test]
fn a_container_becomes_an_image_and_leaves_its_home() -> Result<()> {
    let podman = Podman::start();
    let computer = computer(&podman)?;
    computer.launch("boxed", &["--image", IMAGE])?;
    computer.ok("boxed", "echo kept > /opt/open/file; echo mine > note")?;
    let saved = task(&computer, &["session", "commit", "boxed", "mine"])?;
    ensure!(
        saved.starts_with("localhost/default/gangway-test:1-customized_"),
        "{saved}"
    );
    // Who runs it by himself gets what the image was before, and none of our marks.
    let described = podman.run(&["image", "inspect", &saved]);
    let described: Value = serde_json::from_str(&described)?;
    let config = &described[0]["Config"];
    ensure!(config["Entrypoint"] == json!(["/bin/sh"]), "{config}");
    ensure!(config["Labels"]["ai.gangway.engine"] == "", "{config}");
    ensure!(
        config["Labels"]["ai.backend.customized-image.name"] == "mine",
        "{config}"
    );

    // Saved under the same name it takes the other's place, of which nothing is left.
    computer.ok("boxed", "echo more > /opt/open/more")?;
    ensure!(task(&computer, &["session", "commit", "boxed", "mine"])? == saved);
    let nameless = podman.run(&["images", "--filter", "dangling=true", "--quiet"]);
    ensure!(nameless.is_empty(), "{nameless}");
    computer.gangway(&["--yes", "session", "rm", "boxed"])?;
    let second = computer.launch("second", &["--image", &saved])?;
    let said = computer.ok(
        "second",
        "cat /opt/open/file /opt/open/more; cat note 2>/dev/null || echo no home",
    )?;
    ensure!(said == "kept\nmore\nno home", "{said}");

    // Nobody ended it: what it had at home is kept for a while, as the sandbox does.
    computer.gangway(&["folder", "create", "rescued"])?;
    computer.ok("second", "mkdir deep && echo work > deep/result")?;
    let containers = podman.containers();
    ensure!(containers.len() == 1, "{containers:?}");
    podman.run(&["kill", &containers[0]]);
    let shown = ended(&computer, &second)?;
    ensure!(shown["status_info"] == "self-terminated", "{shown}");
    ensure!(podman.containers().is_empty());
    let kept = computer.gangway(&["session", "save", &second, "rescued:from-there"])?;
    ensure!(kept["files"] == 1, "{kept}");
    let files = computer.gangway(&["folder", "files", "rescued", "from-there/deep"])?;
    ensure!(files.to_string().contains("result"), "{files}");

    // Forgotten, it goes with the last session that runs from it.
    computer.launch("third", &["--image", &saved])?;
    computer.gangway(&["--yes", "image", "rm", &saved])?;
    let refused = computer.refused(&["session", "launch", "fourth", "--image", &saved])?;
    ensure!(refused.code == "image_not_found", "{refused:?}");
    ensure!(computer.ok("third", "cat /opt/open/more")? == "more");
    computer.gangway(&["--yes", "session", "rm", "third"])?;
    eventually("the image to go", PATIENCE, || {
        let images = podman.run(&["images", "--all", "--format", "{{.Repository}}:{{.Tag}}"]);
        Ok((!images.contains("customized_")).then_some(()))
    })?;
    ensure!(
        podman
            .run(&["images", "--format", "{{.Repository}}"])
            .contains("gangway-test")
    );
    Ok(())
}

fn add(computer: &Computer, url: &str, login: (&str, &str)) -> Result<()> {
    let mut command = computer.command(&["registry", "add", url]);
    command.args(["--username", login.0, "--password-stdin"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    writeln!(child.stdin.take().context("stdin")?, "{}", login.1)?;
    ensure!(child.wait()?.success(), "registry add");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_get_their_images_from_where_the_sandbox_gets_them() -> Result<()> {
    // In the common alphabet of base64 this one has signs that Podman does not take.
    let login = ("somebody", "a secret: ~~~???>>>");
    let registry = Registry::start(Some(login))?;
    let labels = json!({
        "ai.backend.kernelspec": "1", "ai.backend.role": "COMPUTE",
        "ai.backend.resource.min.cpu": "1", "ai.backend.resource.min.mem": "64m",
        "ai.backend.envs.corecount": "TOOL_THREADS",
    });
    let small = Image::small(&labels, 4096)?;
    registry.push("lab/small", "1.0-static", &small).await?;
    registry.push("lab/gone", "1.0-static", &small).await?;
    let podman = Podman::start();
    let computer = computer(&podman)?;
    let host = registry.name();
    add(&computer, &format!("http://{host}"), login)?;
    task(&computer, &["image", "rescan"])?;
    let manager = Manager::of(&computer)?;
    set_runtime(&computer, "container").await?;

    // It is fetched when a session needs it, and only then.
    let name = format!("{host}/lab/small:1.0-static");
    computer.launch("first", &["--image", &name])?;
    ensure!(podman.containers().len() == 1);
    let said = computer.ok("first", "cat /etc/flavour; echo $FLAVOUR $TOOL_THREADS")?;
    ensure!(said == "small\nsmall 1", "{said}");
    let history = manager.get("/session/first/status-history").await?.ok()?;
    ensure!(history["PULLING"].is_string(), "{history}");
    computer.launch("second", &["--image", &name])?;
    let history = manager.get("/session/second/status-history").await?.ok()?;
    ensure!(history["PULLING"].is_null(), "{history}");

    // What can't be had is said in plain words.
    computer.gangway(&["--yes", "session", "rm", "first", "second"])?;
    computer.gangway(&["--yes", "registry", "rm", &host])?;
    add(&computer, &format!("http://{host}"), ("somebody", "wrong"))?;
    let gone = format!("{host}/lab/gone:1.0-static");
    let size = ["--cpu", "1", "--mem", "128m"];
    let launch = |name: &str, image: &str| {
        let words = ["session", "launch", name, "--image", image];
        computer.refused_in_words(&[&words[..], &size[..]].concat())
    };
    let refused = launch("third", &gone)?.1;
    ensure!(
        refused.contains("pull the image") && refused.contains("authentication"),
        "{refused}"
    );
    let refused = launch("fourth", "local/host:latest")?.1;
    ensure!(refused.contains("choose another image"), "{refused}");
    Ok(())
}

/// How much of an image is here, as whoever waits for it sees it: in the sandbox, which fetches by
/// itself, and in Podman, which tells how far it is.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_an_image_sees_how_far_it_is() -> Result<()> {
    const SIZE: u64 = 8 << 20;
    let registry = Registry::start(None)?;
    let labels = json!({
        "ai.backend.kernelspec": "1", "ai.backend.role": "COMPUTE",
        "ai.backend.resource.min.cpu": "1", "ai.backend.resource.min.mem": "64m",
    });
    let large = Image::small(&labels, usize::try_from(SIZE)?)?;
    registry.push("lab/large", "1.0-static", &large).await?;
    let relay = Relay::before(registry.port)?;
    let podman = Podman::start();
    let computer = computer(&podman)?;
    let host = relay.name();
    computer.gangway(&["registry", "add", &format!("http://{host}")])?;
    task(&computer, &["image", "rescan"])?;
    let image = format!("{host}/lab/large:1.0-static");
    for (name, runtime) in [("in-the-sand", "sandbox"), ("in-a-box", "container")] {
        set_runtime(&computer, runtime).await?;
        // Eight seconds or so for all of it.
        relay.pause(Duration::from_millis(16));
        let words = ["session", "launch", name, "--image", &image, "--no-wait"];
        computer.gangway(&[&words[..], &["--cpu", "1", "--mem", "128m"]].concat())?;
        let part = eventually("a part of the image", PATIENCE, || {
            let shown = computer.gangway(&["session", "show", name])?;
            let (bytes, total) = (&shown["pulling"]["bytes"], &shown["pulling"]["total"]);
            ensure!(shown["status"] != "RUNNING", "{name}: {shown}");
            let some = bytes.as_u64().is_some_and(|bytes| bytes > 1 << 20);
            Ok(some.then(|| (bytes.as_u64(), total.as_u64())))
        })?;
        ensure!(part.0 < part.1 && part.1 >= Some(SIZE), "{name}: {part:?}");
        let said = computer.text(&["session", "show", name])?;
        ensure!(said.contains(" of 9.") && said.contains("Image:"), "{said}");
        relay.pause(Duration::ZERO);
        let shown = eventually("the session", PATIENCE, || {
            let shown = computer.gangway(&["session", "show", name])?;
            Ok((shown["status"] == "RUNNING").then_some(shown))
        })?;
        ensure!(shown["pulling"].is_null(), "{shown}");
        computer.gangway(&["--yes", "session", "rm", name])?;
    }
    Ok(())
}

/// What the sessions of the resource group run in.
async fn set_runtime(computer: &Computer, runtime: &str) -> Result<()> {
    let options = json!({ "runtime": runtime }).to_string();
    let query = format!(
        "mutation {{ modify_scaling_group(name: \"default\", props: {{ scheduler_opts: {} }}) \
         {{ ok msg }} }}",
        json!(options)
    );
    let query = json!({ "query": query });
    let changed = Manager::of(computer)?.post("/admin/gql", &query).await?;
    ensure!(changed.ok()?["data"]["modify_scaling_group"]["ok"] == true);
    Ok(())
}

fn launch(computer: &Computer, name: &str, image: &str, job: &str) -> Result<Value> {
    computer.gangway(&[
        "session", "launch", name, "--image", image, "--cpu", "1", "--mem", "128m", "--batch", job,
    ])
}

#[test]
fn logs_are_told_as_they_are_written() -> Result<()> {
    let podman = Podman::start();
    let computer = computer(&podman)?;
    for (name, image) in [("in-a-box", IMAGE), ("in-the-sand", "local/host:latest")] {
        // A job that waits for a word says afterwards more than one look could hold.
        let job = "echo begun; while [ ! -e go ]; do sleep 0.1; done; i=0; \
                   while [ $i -lt 4000 ]; do echo \"line $i of many that are to be read\"; i=$((i+1)); done; \
                   echo over";
        launch(&computer, name, image, job)?;
        let mut following = computer
            .command(&["session", "logs", "--follow", name])
            .stdout(Stdio::piped())
            .spawn()?;
        let output = following.stdout.take().context("stdout")?;
        let mut lines = BufReader::new(output).lines();
        let first = lines.next().context("a line")??;
        ensure!(first == "begun", "{first}");
        computer.ok(name, "touch go")?;
        let rest: Vec<String> = lines.collect::<std::io::Result<_>>()?;
        ensure!(following.wait()?.success());
        let numbered = rest.len() == 4001
            && (0..4000).all(|i| rest[i] == format!("line {i} of many that are to be read"));
        ensure!(
            numbered && rest[4000] == "over",
            "{} lines: {:?}",
            rest.len(),
            rest.last()
        );
    }
    Ok(())
}

#[test]
fn a_log_is_followed_over_the_death_of_the_engine() -> Result<()> {
    let computer = Computer::logged_in()?;
    let job = "echo one; while [ ! -e go ]; do sleep 0.1; done; echo two";
    launch(&computer, "talks", "local/host:latest", job)?;
    let mut following = computer
        .command(&["session", "logs", "--follow", "talks"])
        .stdout(Stdio::piped())
        .spawn()?;
    let output = following.stdout.take().context("stdout")?;
    let mut lines = BufReader::new(output).lines();
    ensure!(lines.next().context("a line")?? == "one");
    computer.kill_engine()?;
    computer.gangway(&["engine", "start"])?;
    computer.ok("talks", "touch go")?;
    let rest: Vec<String> = lines.collect::<std::io::Result<_>>()?;
    ensure!(following.wait()?.success());
    ensure!(rest == ["two"], "{rest:?}");
    Ok(())
}

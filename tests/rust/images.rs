//! Images from a real registry: fetched, gone on with, checked, worked in, saved, forgotten.

use std::io::Write;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::computer::{Computer, PATIENCE};
use tests::manager::Manager;
use tests::process::{eventually, run};
use tests::registry::{Image, Registry, Relay, outcome};

fn labels() -> Value {
    json!({
        "ai.backend.kernelspec": "1",
        "ai.backend.role": "COMPUTE",
        "ai.backend.base-distro": "static-gnu",
        "ai.backend.service-ports": "tool:http:8099",
        "ai.backend.resource.min.cpu": "1",
        "ai.backend.resource.min.mem": "64m",
        "ai.backend.envs.corecount": "TOOL_THREADS",
    })
}

/// `gangway` about something in the background: with what it ended.
fn task(computer: &Computer, arguments: &[&str]) -> Result<String> {
    outcome(&run(computer.command(arguments).arg("--json"))?)
}

fn image(computer: &Computer, name: &str) -> Result<Option<Value>> {
    let list = computer.gangway(&["image", "ls"])?;
    let images = list["images"].as_array().context("images")?;
    Ok(images.iter().find(|image| image["name"] == name).cloned())
}

fn add(computer: &Computer, url: &str, login: Option<(&str, &str)>) -> Result<()> {
    let mut command = computer.command(&["registry", "add", url]);
    if let Some((user, _)) = login {
        command.args(["--username", user, "--password-stdin"]);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let mut input = child.stdin.take().context("stdin")?;
    writeln!(input, "{}", login.map_or("", |(_, password)| password))?;
    drop(input);
    ensure!(child.wait()?.success(), "registry add");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_a_fetched_image_is_saved_and_launched_again() -> Result<()> {
    let login = ("somebody", "a secret: with signs");
    let registry = Registry::start(Some(login))?;
    registry
        .push("lab/small", "1.0-static", &Image::small(&labels(), 4096)?)
        .await?;
    registry
        .push("lab/plain", "1", &Image::small(&json!({}), 16)?)
        .await?;
    let computer = Computer::logged_in()?;
    let host = registry.name();
    let url = format!("http://{host}");

    // Without the right password nothing is told.
    add(&computer, &url, Some(("somebody", "wrong")))?;
    let refused = computer.refused_in_words(&["image", "rescan"])?.1;
    ensure!(refused.contains("does not let us in"), "{refused}");
    computer.gangway(&["--yes", "registry", "rm", &host])?;
    add(&computer, &url, Some(login))?;
    let shown = computer.text(&["registry", "ls"])?;
    ensure!(
        shown.contains(&host) && !shown.contains("secret"),
        "{shown}"
    );
    let said = task(&computer, &["image", "rescan"])?;
    ensure!(said.contains("1 images, 1 that are not made"), "{said}");
    let name = format!("{host}/lab/small:1.0-static");
    let found = image(&computer, &name)?.context("the image")?;
    ensure!(
        found["installed"] == false && found["min"]["mem"] == 64 << 20,
        "{found}"
    );
    ensure!(found["service_ports"][0]["name"] == "tool", "{found}");

    // It is fetched when a session needs it.
    computer.gangway(&["image", "alias", "small", &name])?;
    computer.launch("first", &["--image", "small"])?;
    ensure!(image(&computer, &name)?.context("the image")?["installed"] == true);
    let said = computer.ok(
        "first",
        "cat /etc/flavour; echo $FLAVOUR $TOOL_THREADS; id -un",
    )?;
    ensure!(said == "small\nsmall 1\nwork", "{said}");
    computer.ok(
        "first",
        "mkdir /opt/new && echo kept > /opt/new/file && rm /opt/tool/old && echo lost > ~/file",
    )?;
    let seen = run(&mut computer.command(&["ssh", "first", "--", "cat", "/opt/new/file"]))?;
    ensure!(seen == "kept\n", "{seen}");

    // A session becomes an image of its owner's.
    let manager = Manager::of(&computer)?;
    let bad = json!({ "image_name": "mine/x", "image_visibility": "user" });
    manager
        .post("/session/first/imagify", &bad)
        .await?
        .refused(400, "invalid-api-params")?;
    let all = json!({ "image_name": "mine", "image_visibility": "project" });
    manager
        .post("/session/first/imagify", &all)
        .await?
        .refused(400, "invalid-api-params")?;
    let saved = task(&computer, &["session", "commit", "first", "mine"])?;
    ensure!(
        saved.starts_with("local/default/small:1.0-static-customized_"),
        "{saved}"
    );
    computer.gangway(&["--yes", "session", "rm", "first"])?;
    computer.launch("second", &["--image", &saved])?;
    let said = computer.ok(
        "second",
        "cat /opt/new/file; ls /opt/tool; ls ~/file 2>/dev/null || echo no home",
    )?;
    ensure!(said == "kept\nno home", "{said}");
    // Saved under the same name it takes the other's place.
    computer.ok("second", "echo more > /opt/new/more")?;
    ensure!(task(&computer, &["session", "commit", "second", "mine"])? == saved);
    let nodes = manager
        .post(
            "/admin/gql",
            &json!({ "query": "query { customized_images { row_id tag labels { key value } } }" }),
        )
        .await?
        .ok()?;
    let own = nodes["data"]["customized_images"]
        .as_array()
        .context("images")?;
    ensure!(own.len() == 1, "{nodes}");

    // Forgotten: no new session starts from it, the one that runs goes on.
    computer.gangway(&["--yes", "image", "rm", &saved])?;
    ensure!(image(&computer, &saved)?.is_none());
    let refused = computer.refused(&["session", "launch", "third", "--image", &saved])?;
    ensure!(refused.code == "image_not_found", "{refused:?}");
    ensure!(computer.ok("second", "cat /opt/new/more")? == "more");
    // With its last session its layers leave the disk.
    let layers = computer.home().path("gangway");
    let layers = run(std::process::Command::new("find")
        .arg(layers)
        .args(["-name", "layers"]))?;
    let layers = layers.trim().to_owned();
    let count = || -> Result<usize> { Ok(std::fs::read_dir(&layers)?.count()) };
    let before = count()?;
    computer.gangway(&["--yes", "session", "rm", "second"])?;
    eventually("unneeded layers to go", PATIENCE, || {
        let now = count()?;
        Ok((now < before).then_some(()))
    })?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_download_goes_on_where_it_was() -> Result<()> {
    const SIZE: u64 = 6 << 20;
    let registry = Registry::start(None)?;
    let small = Image::small(&labels(), usize::try_from(SIZE)?)?;
    registry.push("lab/big", "1", &small).await?;
    let relay = Relay::before(registry.port)?;
    let computer = Computer::logged_in()?;
    add(&computer, &format!("http://{}", relay.name()), None)?;
    let name = format!("{}/lab/big:1", relay.name());

    // Cut for good in the middle of the layer: the pull fails, the engine is killed.
    relay.cut_after(SIZE / 2, true);
    let refused = computer.refused_in_words(&["image", "pull", &name])?.1;
    ensure!(relay.cuts() == 1, "{refused}");
    ensure!(refused.contains("can't be reached"), "{refused}");
    computer.kill_engine()?;
    computer.gangway(&["engine", "start"])?;
    relay.open();
    // Cut once more, it goes on by itself.
    relay.cut_after(SIZE / 4, false);
    task(&computer, &["image", "pull", &name])?;
    ensure!(relay.cuts() == 2);
    let brought = relay.brought();
    let whole: u64 = small.layers.iter().map(|it| it.packed.len() as u64).sum();
    ensure!(
        brought < whole + SIZE / 4,
        "{brought} bytes came of an image of {whole}: something came twice"
    );
    computer.launch("large", &["--image", &name])?;
    ensure!(
        computer
            .ok("large", "ls -l /data/noise")?
            .contains(&SIZE.to_string())
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_what_it_says_is_refused() -> Result<()> {
    let registry = Registry::start(None)?;
    let small = Image::small(&labels(), 1 << 20)?;
    registry.push("lab/bad", "1", &small).await?;
    registry.spoil(&small.layers[1].packed)?;
    let computer = Computer::logged_in()?;
    add(&computer, &format!("http://{}", registry.name()), None)?;
    let name = format!("{}/lab/bad:1", registry.name());
    let refused = computer.refused_in_words(&["image", "pull", &name])?.1;
    ensure!(refused.contains("is not what its digest says"), "{refused}");
    ensure!(image(&computer, &name)?.is_none_or(|image| image["installed"] == false));
    let missing = format!("{}/lab/none:1", registry.name());
    let refused = computer.refused_in_words(&["image", "pull", &missing])?.1;
    ensure!(refused.contains("the registry has no"), "{refused}");

    // The same image from a folder is whole.
    let folder = small.layout(&computer.path("layout"))?;
    let folder = folder.to_str().context("path")?;
    let name = task(
        &computer,
        &["image", "import", folder, "--name", "lab/good:2"],
    )?;
    ensure!(name == "local/lab/good:2", "{name}");
    computer.launch("good", &["--image", &name])?;
    ensure!(computer.ok("good", "cat /etc/flavour")? == "small");
    Ok(())
}

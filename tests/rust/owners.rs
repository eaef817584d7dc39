//! Images whose files have several owners, from the import to the last file of theirs, as root and
//! as ordinary users with and without ids that the system has set aside for them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use tests::computer::{Computer, PATIENCE, named, rows};
use tests::process::{eventually, run};
use tests::registry::{Image, outcome};

const SEEN: &str =
    "busybox stat -c '%u:%g %a %n' /etc /opt/tool /opt/far /srv/data /srv/data/secret";
const OWNERS: &str = "0:0 755 /etc\n0:0 4755 /opt/tool\n1000:1000 644 /opt/far\n\
                      33:33 2775 /srv/data\n999:999 600 /srv/data/secret";

fn task(computer: &Computer, arguments: &[&str]) -> Result<String> {
    outcome(&run(computer.command(arguments).arg("--json"))?)
}

fn import(computer: &Computer) -> Result<String> {
    let folder = Image::of_several_owners()?.layout(&computer.path("layout"))?;
    // Who runs the engine may be somebody else than who runs the test.
    run(std::process::Command::new("chmod")
        .args(["-R", "a+rX"])
        .arg(&folder))?;
    let folder = folder.to_str().context("path")?;
    task(
        computer,
        &["image", "import", folder, "--name", "lab/owners:1"],
    )
}

/// Where the engine keeps something.
fn kept(computer: &Computer, name: &str) -> PathBuf {
    computer.home().path("gangway/data/engine").join(name)
}

fn several_owners(computer: &Computer) -> Result<()> {
    let doctor = computer.gangway(&["doctor"])?;
    let check = named(rows(&doctor, "checks")?, "owners")?;
    ensure!(check["state"] == "ok", "{check}");
    let image = import(computer)?;
    computer.gangway(&["folder", "create", "data"])?;
    computer.launch("first", &["--image", &image, "--mount", "data"])?;
    ensure!(computer.ok("first", SEEN)? == OWNERS);
    let shown = computer.gangway(&["session", "show", "first"])?;
    ensure!(shown.to_string().contains("image-simplified"), "{shown}");

    // It may change what others own, but gives nothing away: folders stay its user's.
    let said = computer.ok(
        "first",
        "echo more >> /srv/data/secret && echo new > /srv/data/new && id -u && \
         cp /opt/tool ~/tool && echo mine > ~/data/mine && \
         { busybox chown 999 ~/data/mine 2>/dev/null || echo refused; } && \
         busybox stat -c %u:%g /srv/data/new ~/tool ~/data/mine",
    )?;
    ensure!(
        said == "1000\nrefused\n1000:33\n1000:1000\n1000:1000",
        "{said}"
    );
    let found = run(std::process::Command::new("find")
        .arg(kept(computer, "folders"))
        .args(["-name", "mine"]))?;
    let mine = fs::metadata(found.trim())?;
    let folder = fs::metadata(PathBuf::from(found.trim()).parent().context("folder")?)?;
    ensure!((mine.uid(), mine.gid()) == (folder.uid(), folder.gid()));
    ensure!(mine.uid() != 0);

    // Files of others over SFTP.
    let copy = computer.path("copy");
    let target = copy.to_str().context("path")?;
    computer.gangway(&["cp", "first:/srv/data/secret", target])?;
    ensure!(fs::read_to_string(&copy)? == "srv/data/secretmore\n");
    let list = run(&mut computer.command(&["ssh", "first", "--", "ls", "-ln", "/srv/data"]))?;
    ensure!(list.contains(" 999 ") && list.contains(" 33 "), "{list}");

    let saved = task(computer, &["session", "commit", "first", "mine"])?;
    computer.gangway(&["--yes", "session", "rm", "first"])?;
    computer.launch("second", &["--image", &saved])?;
    ensure!(computer.ok("second", SEEN)? == OWNERS);
    ensure!(
        computer.ok(
            "second",
            "cat /srv/data/secret && busybox stat -c %u:%g /srv/data/new"
        )? == "srv/data/secretmore\n1000:33"
    );

    // A killed engine's successor knows the ids, and what it removes is gone.
    computer.ok("second", "rm /srv/data/new && mkdir /srv/data/in")?;
    computer.kill_engine()?;
    computer.gangway(&["engine", "start"])?;
    ensure!(computer.ok("second", SEEN)? == OWNERS);
    computer.gangway(&["--yes", "session", "rm", "second"])?;
    for name in [&image, &saved] {
        computer.gangway(&["--yes", "image", "rm", name])?;
    }
    for name in ["kernels", "images/layers"] {
        eventually(&format!("{name} to be empty"), PATIENCE, || {
            let left = fs::read_dir(kept(computer, name))?.count();
            Ok((left == 0).then_some(()))
        })?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owners_of_an_images_files_are_kept() -> Result<()> {
    let computer = Computer::logged_in()?;
    if !nix::unistd::geteuid().is_root() && !kept(&computer, "session-ids").is_file() {
        eprintln!("this user has no ids set aside: {SEEN} is not tried");
        return Ok(());
    }
    several_owners(&computer)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_user_with_ids_set_aside_has_them_too() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        // The test above is of that user then.
        return Ok(());
    }
    let computer = Computer::of_user_with_ids()?.log_in()?;
    several_owners(&computer)?;
    // None of what was there was root's.
    let engine = computer.engine()?["pid"].as_u64().context("pid")?;
    ensure!(fs::metadata(format!("/proc/{engine}"))?.uid() == 54_322);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_ids_set_aside_all_files_are_the_sessions_own() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let computer = Computer::of_ordinary_user()?.log_in()?;
    let doctor = computer.gangway(&["doctor"])?;
    let check = named(rows(&doctor, "checks")?, "owners")?;
    ensure!(check["state"] == "warning", "{check}");
    ensure!(check["fix"].to_string().contains("subuid"), "{check}");
    let image = import(&computer)?;
    computer.launch("alone", &["--image", &image])?;
    let said = computer.ok("alone", SEEN)?;
    ensure!(
        said == "1000:1000 755 /etc\n1000:1000 755 /opt/tool\n1000:1000 644 /opt/far\n\
                 1000:1000 775 /srv/data\n1000:1000 600 /srv/data/secret",
        "{said}"
    );
    let shown = computer.gangway(&["session", "show", "alone"])?;
    ensure!(shown.to_string().contains("image-simplified"), "{shown}");
    computer.ok("alone", "echo more >> /srv/data/secret")?;
    task(&computer, &["session", "commit", "alone", "mine"])?;
    Ok(())
}

//! `gangway cp`: files and folders to and from sessions and data folders.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::computer::{Computer, PATIENCE, has_keys, kill, rows};
use tests::files;
use tests::process::{Running, eventually};

#[test]
fn a_file_goes_up_and_comes_back() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("carry", &[])?;
    let file = computer.path("notes.bin");
    files::big(&file, 16 << 20)?;
    let digest = files::sha256(&file)?;
    let path = file.to_string_lossy();

    let answer = computer.gangway(&["cp", "--checksum", &path, "carry:/home/work/up.bin"])?;
    let transfer = only(&answer)?;
    has_keys(
        transfer,
        &[
            "id", "src", "dst", "bytes", "total", "state", "seconds", "sha256",
        ],
    )?;
    ensure!(
        transfer["state"] == "done"
            && transfer["bytes"] == 16 << 20
            && transfer["total"] == 16 << 20
            && transfer["sha256"] == digest.as_str(),
        "{transfer}"
    );
    ensure!(computer.ok("carry", "sha256sum up.bin | cut -d' ' -f1")? == digest);
    computer.gangway(&["cp", "carry:up.bin", "back.bin"])?;
    ensure!(files::sha256(&computer.path("back.bin"))? == digest);

    // Into a directory, under its own name, like cp.
    computer.ok("carry", "mkdir box")?;
    computer.gangway(&["cp", &path, "carry:box/"])?;
    computer.gangway(&["cp", "--overwrite", "always", &path, "carry:box"])?;
    ensure!(computer.ok("carry", "ls box")? == "notes.bin");
    // An empty file is a file.
    fs::write(computer.path("empty"), "")?;
    computer.gangway(&["cp", "empty", "carry:"])?;
    ensure!(computer.ok("carry", "stat -c %s empty")? == "0");
    // Several at once, and what each of them became.
    let answer = computer.gangway(&[
        "cp",
        "--overwrite",
        "always",
        "empty",
        "notes.bin",
        "carry:box/",
    ])?;
    ensure!(rows(&answer, "transfers")?.len() == 2, "{answer}");
    // Nothing half-made is left beside the files.
    ensure!(computer.ok("carry", "ls -A box")? == "empty\nnotes.bin");
    Ok(())
}

#[test]
fn folders_keep_their_names_contents_and_modes() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("carry", &[])?;
    computer.gangway(&["folder", "create", "store"])?;
    let tree = computer.path("tree");
    files::many(&tree, 300)?;
    for name in [
        "with space",
        "-dash",
        "ünïcode-한글-日本",
        "quote'\"$(x)",
        "new\nline",
        "back\\slash",
        "per%20cent?&#",
        "a:b",
    ] {
        fs::create_dir(tree.join(name))?;
        fs::write(tree.join(name).join(name), name)?;
    }
    fs::create_dir_all(tree.join("empty/inner"))?;
    let script = tree.join("run.sh");
    fs::write(&script, "#!/bin/sh\necho ran\n")?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;

    computer.refused(&["cp", "tree", "carry:"])?; // without -r
    let answer = computer.gangway(&["cp", "-r", "tree", "carry:"])?;
    ensure!(only(&answer)?["state"] == "done", "{answer}");
    ensure!(
        computer.ok("carry", "tree/run.sh")? == "ran",
        "the mode was not kept"
    );
    computer.gangway(&["cp", "-r", "carry:tree", "back"])?;
    files::same(&tree, &computer.path("back"))?;

    computer.gangway(&["cp", "-r", "tree", "folder://store/"])?;
    computer.gangway(&["cp", "-r", "folder://store/tree", "from-folder"])?;
    files::same(&tree, &computer.path("from-folder"))?;
    // From one far place to the other.
    computer.gangway(&["cp", "-r", "folder://store/tree", "carry:from-store"])?;
    computer.gangway(&["cp", "-r", "carry:from-store", "round"])?;
    files::same(&tree, &computer.path("round"))
}

#[test]
fn what_is_there_already_is_treated_as_asked() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("carry", &[])?;
    computer.gangway(&["folder", "create", "store"])?;
    for place in ["carry:file", "folder://store/file"] {
        let put = |text: &str, overwrite: &str| -> Result<Value> {
            fs::write(computer.path("file"), text)?;
            computer.gangway(&["cp", "--overwrite", overwrite, "file", place])
        };
        let there = || -> Result<String> {
            computer.gangway(&["cp", "--overwrite", "always", place, "seen"])?;
            Ok(fs::read_to_string(computer.path("seen"))?)
        };
        put("first", "never").with_context(|| place.to_owned())?;
        ensure!(there()? == "first");
        put("second", "never")?;
        ensure!(there()? == "first", "{place}: 'never' wrote");
        put("third, longer", "always")?;
        ensure!(
            there()? == "third, longer",
            "{place}: 'always' did not write"
        );

        // Nobody can be asked.
        fs::write(computer.path("file"), "fourth")?;
        let asked = computer.refused(&["cp", "--overwrite", "ask", "file", place])?;
        ensure!(asked.status == 6, "{asked:?}");
        ensure!(there()? == "third, longer", "{place}: 'ask' wrote");

        // An older file does not replace a newer one.
        let old = computer.path("file");
        fs::File::options()
            .write(true)
            .open(&old)?
            .set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000))?;
        computer.gangway(&["cp", "--overwrite", "newer", "file", place])?;
        ensure!(
            there()? == "third, longer",
            "{place}: 'newer' wrote an older file"
        );
        let later = std::time::SystemTime::now() + Duration::from_secs(3600);
        fs::File::options()
            .write(true)
            .open(&old)?
            .set_modified(later)?;
        computer.gangway(&["cp", "--overwrite", "newer", "file", place])?;
        ensure!(
            there()? == "fourth",
            "{place}: 'newer' did not write a newer file"
        );
    }
    Ok(())
}

/// The proxy host is killed in the middle; the next command finds the transfer and goes on.
#[test]
fn a_transfer_goes_on_after_a_kill() -> Result<()> {
    const SIZE: u64 = 48 << 20;
    let computer = Computer::logged_in()?;
    computer.launch("carry", &[])?;
    let file = computer.path("long.bin");
    files::big(&file, SIZE)?;
    for (src, dst) in [
        ("long.bin", "carry:long.bin"),
        ("carry:long.bin", "down.bin"),
    ] {
        let mut copy = computer.command(&["--json", "cp", "--limit", "8M", src, dst]);
        let copy = Running::start(copy.stdout(std::process::Stdio::null()))?;
        let before = eventually("some of the file", PATIENCE, || {
            let list = computer.gangway(&["transfer", "ls"])?;
            let running = rows(&list, "transfers")?
                .iter()
                .find(|it| it["state"] == "running");
            Ok(running
                .and_then(|it| it["bytes"].as_u64())
                .filter(|bytes| *bytes > SIZE / 4))
        })?;
        let host = computer.gangway(&["proxy", "status"])?;
        kill(host["pid"].as_u64().with_context(|| host.to_string())?)?;
        drop(copy);

        // How far it was is written down about once a second, so some of it is sent again.
        // Any command that needs the proxy host starts it again, and it takes up its work.
        let mut least = u64::MAX;
        eventually("the transfer to be done", PATIENCE, || {
            let list = computer.gangway(&["transfer", "ls"])?;
            let transfers = rows(&list, "transfers")?;
            let last = transfers
                .iter()
                .max_by_key(|it| it["created_at"].as_str().unwrap_or_default())
                .context("no transfer is left")?;
            ensure!(last["state"] != "failed", "{last}");
            let bytes = last["bytes"].as_u64().unwrap_or_default();
            // 0: it is still looking how much is there.
            if last["state"] == "running" && bytes > 0 {
                least = least.min(bytes);
            }
            Ok((last["state"] == "done").then_some(()))
        })?;
        ensure!(
            least >= before / 4,
            "{dst} was begun anew: {before} bytes were there, then {least}"
        );
    }
    let digest = files::sha256(&file)?;
    ensure!(computer.ok("carry", "sha256sum long.bin | cut -d' ' -f1")? == digest);
    ensure!(files::sha256(&computer.path("down.bin"))? == digest);
    Ok(())
}

#[test]
fn nothing_leads_out_of_a_data_folder() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.gangway(&["folder", "create", "store"])?;
    computer.launch("carry", &["--mount", "store"])?;
    fs::write(computer.path("file"), "mine")?;
    let outside = computer.home().path("gangway/outside");
    fs::create_dir(&outside)?;
    fs::write(outside.join("secret"), "not for you")?;
    for path in ["../x", "a/../../x", "/../../x", "..", "%2e%2e/x/../../y"] {
        let place = format!("folder://store/{path}");
        let up = computer.refused(&["cp", "file", &place])?;
        ensure!([2, 3, 4, 1].contains(&up.status), "{place}: {up:?}");
        let refused = computer.refused(&["folder", "mkdir", "store", path])?;
        ensure!(!refused.message.is_empty());
    }
    // The session can write any link into its mounted folder; the engine, which may read more
    // than the session, must not follow it.
    let links = [
        ("shadow", "/etc/shadow".to_owned()),
        ("etc", "/etc".to_owned()),
        ("outside", outside.display().to_string()),
        ("up", "../../../../../../../../..".to_owned()),
    ];
    for (name, target) in &links {
        computer.ok("carry", &format!("ln -s {target} store/{name}"))?;
    }
    for path in ["shadow", "etc/shadow", "outside/secret", "up/etc/shadow"] {
        let place = format!("folder://store/{path}");
        let down = computer.refused(&["cp", &place, "got"])?;
        ensure!(
            !computer.path("got").exists(),
            "{place} was given out: {down:?}"
        );
    }
    for path in ["outside/new", "up/tmp/gangway-escaped"] {
        let place = format!("folder://store/{path}");
        computer.refused(&["cp", "file", &place])?;
    }
    for path in ["outside/dir", "etc/gangway-dir"] {
        computer.refused(&["folder", "mkdir", "store", path])?;
    }
    computer.refused(&["folder", "files", "store", "outside"])?;
    ensure!(!fs::exists("/etc/gangway-dir")? && !fs::exists("/tmp/gangway-escaped")?);
    let names: Vec<_> = fs::read_dir(&outside)?
        .flatten()
        .map(|it| it.file_name())
        .collect();
    ensure!(names == ["secret"], "{names:?}");
    // Removing the folder removes the links, and not what they lead to.
    computer.gangway(&["session", "rm", "--yes", "--force", "carry"])?;
    computer.gangway(&["folder", "rm", "--yes", "store"])?;
    ensure!(outside.join("secret").exists());
    Ok(())
}

/// A session is not trusted by the computer either.
#[test]
fn a_session_can_not_write_elsewhere_on_this_computer() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("carry", &[])?;
    let aim = computer.path("aim");
    fs::create_dir(&aim)?;
    // A link that is followed on arrival would take the files after it somewhere else.
    computer.ok(
        "carry",
        &format!(
            "mkdir -p set && ln -s {} set/a-link && ln -s /etc/passwd set/passwd && echo x > set/z",
            aim.display()
        ),
    )?;
    computer.gangway(&["cp", "-r", "carry:set", "set"])?;
    for name in ["a-link", "passwd"] {
        let kind = fs::symlink_metadata(computer.path("set").join(name)).map(|it| it.file_type());
        ensure!(
            !kind.as_ref().is_ok_and(|it| it.is_file()),
            "the link {name} became a copy of what it leads to here"
        );
    }
    // A second copy of a directory with the link's name must not go through the link.
    computer.ok(
        "carry",
        "rm set/a-link && mkdir set/a-link && echo planted > set/a-link/planted",
    )?;
    if !computer.path("set/a-link").exists() {
        symlink(&aim, computer.path("set/a-link"))?;
    }
    let _ = computer.gangway(&["cp", "-r", "--overwrite", "always", "carry:set/.", "set"]);
    ensure!(
        fs::read_dir(&aim)?.next().is_none(),
        "files were planted behind a link"
    );
    Ok(())
}

fn only(answer: &Value) -> Result<&Value> {
    let list = rows(answer, "transfers")?;
    ensure!(list.len() == 1, "{answer}");
    Ok(&list[0])
}

/// Out of a data folder, whose files have no place but the manager's; and what is never moved.
#[test]
fn a_move_empties_a_data_folder_and_leaves_homes_alone() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.gangway(&["folder", "create", "store"])?;
    computer.launch("carry", &[])?;
    let tree = computer.path("tree");
    files::many(&tree, 120)?;
    computer.gangway(&["cp", "-r", "tree", "folder://store/tree"])?;
    computer.gangway(&["cp", "-r", "tree/00", "folder://store/stays"])?;
    let start = |src: Value, dst: Value| {
        json!({"items": [{"src": src, "dst": dst}], "remove_source": true}).to_string()
    };
    let folder = |path: &str| json!({"kind": "folder", "folder": "store", "path": path});
    let session = |path: &str| json!({"kind": "session", "session": "carry", "path": path});
    let here = |path| json!({"kind": "local", "path": path});
    for home in [
        folder("/"),
        session("/home/work/"),
        session("~"),
        here(computer.path("")),
    ] {
        let request = start(home, here(computer.path("moved")));
        let refused = computer.refused(&["call", "transfer.start", &request])?;
        ensure!(refused.code == "bad_path", "{refused:?}");
    }
    let request = start(folder("tree"), here(computer.path("moved")));
    computer.gangway(&["call", "transfer.start", &request])?;
    eventually("the move to be over", PATIENCE, || {
        let list = computer.gangway(&["call", "transfer.list", "{}"])?;
        let list = rows(&list, "transfers")?.clone();
        let moving = list.iter().find(|it| it["remove_source"] == true);
        let moving = moving.context("the move")?;
        ensure!(moving["state"] != "failed", "{moving}");
        Ok((moving["state"] == "done" && moving["source_left"] == 0).then_some(()))
    })?;
    files::same(&tree, &computer.path("moved"))?;
    let left = computer.gangway(&["folder", "files", "store"])?;
    let left: Vec<&Value> = rows(&left, "entries")?
        .iter()
        .map(|it| &it["name"])
        .collect();
    ensure!(left == ["stays"], "{left:?}");
    Ok(())
}

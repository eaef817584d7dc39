//! A disk without room: told as such, and nothing is half-made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tests::computer::{Computer, rows};
use tests::process::run;

/// A small file system; unmounted when this value goes.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, size: &str) -> Result<Self> {
        fs::create_dir_all(at)?;
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(at))?;
        Ok(Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        println!("only root can mount a small disk");
        return Ok(());
    }
    let computer = Computer::new()?;
    let disk = SmallDisk::mount(&computer.home().path("gangway/data"), "48m")?;
    let outcome = fill_up(&computer);
    // What runs holds the file system.
    let _ = computer.gangway(&["session", "rm", "--yes", "--force", "filled"]);
    let _ = computer.gangway(&["session", "rm", "--yes", "--force", "no-room"]);
    let _ = computer.gangway(&["proxy", "stop"]);
    let _ = computer.gangway(&["engine", "stop"]);
    drop(disk);
    outcome
}

fn fill_up(computer: &Computer) -> Result<()> {
    computer.gangway(&["engine", "start"])?;
    computer.gangway(&["login", "--keychain", "file"])?;
    computer.gangway(&["folder", "create", "store"])?;
    computer.launch("filled", &["--mount", "store"])?;
    let file = computer.path("big.bin");
    tests::files::big(&file, 64 << 20)?;
    for place in [
        "filled:big.bin",
        "filled:store/big.bin",
        "folder://store/big.bin",
    ] {
        let refused = computer.refused(&["cp", "big.bin", place])?;
        refused.is(6, "disk_full").context(place)?;
        let left = computer.ok("filled", "find . -size +1M")?;
        // A part may be kept to go on from; under its final name it would look whole.
        ensure!(
            !left.lines().any(|line| line.ends_with("/big.bin")),
            "{place} left {left}"
        );
        computer.gangway(&["transfer", "clear"])?;
        computer.ok("filled", "find . -size +1M -delete")?;
    }
    // Full to the last byte: what can still be said is said, and nothing is half-made.
    let _ = computer.sh("filled", "cat /dev/zero > fill; sync");
    let refused = computer.refused(&[
        "session", "launch", "no-room", "--cpu", "1", "--mem", "512m",
    ]);
    if let Ok(refused) = &refused {
        ensure!(
            !refused.message.is_empty() && !refused.message.contains("panicked"),
            "{refused:?}"
        );
    }
    // What frees space still works, whichever way one comes.
    run(&mut computer.command(&["ssh", "filled", "--", "true"]))?;
    computer.ok("filled", "rm -f fill")?;
    let list = computer.gangway(&["session", "ls"])?;
    for session in rows(&list, "sessions")? {
        ensure!(
            session["status"] == "RUNNING",
            "neither running nor gone: {session}"
        );
    }
    ensure!(computer.ok("filled", "echo alive")? == "alive");
    // A start that ran into a full disk may be tried again with success.
    if refused.is_ok() {
        computer.launch("no-room", &[])?;
    }
    Ok(())
}

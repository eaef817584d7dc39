//! Data folders in the terminal: one that may be copied becomes another of one's own.

use std::fs;

use anyhow::{Result, ensure};
use tests::computer::{Computer, named, rows};
use tests::process::run;
use tests::registry::outcome;

#[test]
fn a_folder_is_copied() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.gangway(&["folder", "create", "plain"])?;
    computer.gangway(&["folder", "create", "model", "--cloneable"])?;
    fs::write(computer.path("weights"), "0.5\n")?;
    computer.gangway(&["cp", "weights", "folder://model/deep/weights"])?;

    let (_, refused) = computer.refused_in_words(&["folder", "clone", "plain", "mine"])?;
    ensure!(refused.contains("not permitted to be cloned"), "{refused}");
    let clone = ["folder", "clone", "model", "mine", "--json"];
    let said = outcome(&run(&mut computer.command(&clone))?)?;
    ensure!(said == "model is copied", "{said}");
    let (_, refused) = computer.refused_in_words(&["folder", "clone", "model", "mine"])?;
    ensure!(refused.contains("already exists"), "{refused}");

    let list = computer.gangway(&["folder", "ls"])?;
    let mine = named(rows(&list, "folders")?, "mine")?;
    ensure!(
        mine["status"] == "ready" && mine["cloneable"] == false,
        "{mine}"
    );
    computer.gangway(&["cp", "folder://mine/deep/weights", "back"])?;
    ensure!(fs::read_to_string(computer.path("back"))? == "0.5\n");
    Ok(())
}

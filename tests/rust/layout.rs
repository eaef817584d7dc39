//! The repository's own shape.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use tests::repository;

/// Everything that may lie in the root, and nothing else.
const TOP_LEVEL: &[&str] = &[
    ".cargo",
    ".ci",
    ".clippy.toml",
    ".deny.toml",
    ".git",
    ".gitignore",
    ".rustfmt.toml",
    ".taurignore",
    "ARCHITECTURE.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "icons",
    "src-tauri",
    "tauri.conf.json",
    "tests",
    "ui",
];

/// What building leaves there; git ignores it.
const BUILT: &[&str] = &["target", "gen"];

/// Longer files want to be two.
const LINES: usize = 500;

#[test]
fn the_root_holds_what_it_should() -> Result<()> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(repository::root())? {
        found.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    for name in BUILT {
        found.remove(*name);
    }
    let wanted: BTreeSet<String> = TOP_LEVEL.iter().map(|name| (*name).to_owned()).collect();
    let extra: Vec<_> = found.difference(&wanted).collect();
    let missing: Vec<_> = wanted
        .difference(&found)
        .filter(|name| *name != ".git")
        .collect();
    ensure!(
        extra.is_empty() && missing.is_empty(),
        "not expected: {extra:?}; missing: {missing:?}"
    );
    Ok(())
}

#[test]
fn no_source_file_is_too_long() -> Result<()> {
    let root = repository::root();
    let mut long = Vec::new();
    for folder in ["src-tauri", "ui/src"] {
        for file in repository::sources(&root.join(folder), &["rs", "ts", "tsx", "css"])? {
            let lines = std::fs::read_to_string(&file)?.lines().count();
            if lines > LINES && !file.components().any(|it| it.as_os_str() == "generated") {
                long.push(format!("{}: {lines} lines", file.display()));
            }
        }
    }
    ensure!(
        long.is_empty(),
        "longer than {LINES} lines:\n{}",
        long.join("\n")
    );
    Ok(())
}

#[test]
fn every_crate_says_what_it_hides() -> Result<()> {
    for entry in std::fs::read_dir(repository::root().join("src-tauri"))? {
        let source = entry?.path().join("src");
        let main = ["lib.rs", "main.rs"].map(|name| source.join(name));
        let Some(first) = main.iter().find(|file| file.exists()) else {
            continue;
        };
        let text = std::fs::read_to_string(first)?;
        let told = text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .count();
        ensure!(
            told >= 3,
            "{} opens with {told} lines about the crate",
            first.display()
        );
    }
    Ok(())
}

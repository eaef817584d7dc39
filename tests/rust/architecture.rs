//! Who may use whom: arrows point down only.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use tests::repository;

/// Our crates and which of ours each may name in its dependencies; ARCHITECTURE.md draws it.
const MAY_USE: &[(&str, &[&str])] = &[
    ("app", &["commands"]),
    ("cli", &["commands"]),
    (
        "commands",
        &[
            "client", "proxy", "keychain", "settings", "protocol", "history", "transfer", "tunnel",
            "ssh",
        ],
    ),
    ("client", &["protocol", "settings", "websocket"]),
    (
        "proxy",
        &[
            "tunnel", "transfer", "history", "ssh", "db", "settings", "protocol",
        ],
    ),
    ("tunnel", &["protocol", "settings", "websocket"]),
    ("transfer", &["db", "ssh", "settings", "protocol"]),
    ("history", &["db", "settings", "protocol"]),
    (
        "engine",
        &[
            "protocol",
            "db",
            "removal",
            "scheduler",
            "runtime",
            "settings",
            "websocket",
        ],
    ),
    ("runtime", &["protocol", "removal", "settings"]),
    ("runner", &["protocol", "removal", "ssh"]),
    ("scheduler", &["protocol"]),
    ("ssh", &["protocol", "settings"]),
    ("db", &[]),
    ("keychain", &[]),
    ("settings", &[]),
    ("protocol", &[]),
    ("removal", &[]),
    ("websocket", &[]),
    ("xtask", &[]),
    ("tests", &[]),
];

/// Which of our crates alone may name a family of other people's crates.
const ONLY: &[(&str, &[&str])] = &[
    ("tauri", &["app"]),
    ("russh", &["ssh"]),
    ("async-graphql", &["engine"]),
    ("bollard", &["runtime"]),
    ("oci-", &["runtime", "engine"]),
    ("rusqlite", &["db", "engine", "history", "proxy"]),
    ("keyring", &["keychain"]),
    ("zbus-secret-service", &["keychain"]),
    ("gtk", &["app"]),
    ("webkit2gtk", &["app"]),
    ("clap", &["cli", "engine"]),
];

/// Each of our crates with the names of its direct dependencies, build and test ones left out.
fn crates() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let metadata = repository::metadata(false)?;
    let packages = metadata["packages"].as_array().context("packages")?;
    let mut crates = BTreeMap::new();
    for package in packages {
        let name = package["name"].as_str().context("name")?.to_owned();
        let dependencies = package["dependencies"].as_array().context("dependencies")?;
        let names = dependencies
            .iter()
            .filter(|dependency| dependency["kind"].is_null())
            .filter_map(|dependency| dependency["name"].as_str().map(str::to_owned))
            .collect();
        crates.insert(name, names);
    }
    Ok(crates)
}

#[test]
fn dependencies_point_down_only() -> Result<()> {
    let crates = crates()?;
    let rules: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let mut wrong = Vec::new();
    for (name, dependencies) in &crates {
        let Some(allowed) = rules.get(name.as_str()) else {
            wrong.push(format!(
                "{name} is not in the picture: say here whom it may use"
            ));
            continue;
        };
        for dependency in dependencies.iter().filter(|it| crates.contains_key(*it)) {
            if !allowed.contains(&dependency.as_str()) {
                wrong.push(format!("{name} must not use {dependency}"));
            }
        }
    }
    for (name, _) in MAY_USE {
        if !crates.contains_key(*name) {
            wrong.push(format!(
                "{name} is in the picture, but there is no such crate"
            ));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn each_secret_stays_in_its_crate() -> Result<()> {
    let mut wrong = Vec::new();
    for (name, dependencies) in crates()? {
        for dependency in &dependencies {
            for (family, owners) in ONLY {
                if dependency.starts_with(family) && !owners.contains(&name.as_str()) {
                    wrong.push(format!(
                        "{name} must not use {dependency}: that is for {owners:?}"
                    ));
                }
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The command line has to run on machines without any desktop libraries.
#[test]
fn nothing_but_the_app_links_a_window_library() -> Result<()> {
    let metadata = repository::metadata(true)?;
    let nodes = metadata["resolve"]["nodes"].as_array().context("nodes")?;
    let edges: BTreeMap<&str, Vec<&str>> = nodes
        .iter()
        .filter_map(|node| {
            let dependencies = node["deps"]
                .as_array()?
                .iter()
                .filter_map(|it| it["pkg"].as_str());
            Some((node["id"].as_str()?, dependencies.collect()))
        })
        .collect();
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .context("packages")?
        .iter()
        .filter_map(|package| Some((package["id"].as_str()?, package["name"].as_str()?)))
        .collect();
    let ours = metadata["workspace_members"]
        .as_array()
        .context("members")?;
    for member in ours.iter().filter_map(|it| it.as_str()) {
        let name = names.get(member).copied().unwrap_or_default();
        if name == "app" {
            continue;
        }
        let mut seen = BTreeSet::from([member]);
        let mut next = vec![member];
        while let Some(package) = next.pop() {
            for dependency in edges.get(package).into_iter().flatten() {
                if seen.insert(dependency) {
                    next.push(dependency);
                }
            }
        }
        for package in seen {
            let used = names.get(package).copied().unwrap_or_default();
            ensure!(
                !["gtk", "webkit2gtk", "tauri"].contains(&used),
                "{name} links {used}"
            );
        }
    }
    Ok(())
}

/// Only the bridge of the user interface knows that there is Tauri.
#[test]
fn only_the_bridge_names_tauri() -> Result<()> {
    let ui = repository::root().join("ui/src");
    let bridge = ui.join("bridge");
    for file in repository::sources(&ui, &["ts", "tsx"])? {
        let text = std::fs::read_to_string(&file)?;
        ensure!(
            file.starts_with(&bridge)
                || !(text.contains("@tauri-apps/") || text.contains("__TAURI")),
            "{} names Tauri",
            file.display()
        );
    }
    Ok(())
}

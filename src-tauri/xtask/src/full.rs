//! `cargo xtask test --full`: what takes too long for every commit.

use anyhow::{Result, bail};

use crate::build;
use crate::figures::Figures;
use crate::package::{self, Packages};
use crate::properties;
use crate::run::{Steps, cargo, command, has, output, root, shown};
use crate::setup::{self, Need, RUNNER_TARGET};

/// Programs that both kinds of packages have to hold.
const PROGRAMS: &[&str] = &[
    "gangway",
    "gangway-desktop",
    "gangway-engine",
    "gangway-runner",
];

/// What is measured, beside its peers where it has some, in one run each.
const BENCHES: &[(&str, &[&str])] = &[
    ("sftp", &["mib=512", "files=2000", "rounds=3"]),
    ("sftp", &["delay=25", "mib=128", "files=100", "rounds=2"]),
    (
        "sftp",
        &[
            "server=no-limits",
            "mib=256",
            "files=1000",
            "rounds=3",
            "tools=sftp",
        ],
    ),
    (
        "sftp",
        &[
            "server=dropbear",
            "mib=256",
            "files=1000",
            "rounds=3",
            "tools=sftp",
        ],
    ),
    ("tunnel", &["--mib", "512", "--rounds", "3"]),
    ("pump", &["1024", "5"]),
    ("cycle", &["25"]),
];

/// Release builds, one package updated to the next, large counts, and the licence check by
/// cargo-deny. Leaves its figures in `tests/figures.md`.
pub(crate) fn everything(steps: &mut Steps) -> Result<()> {
    let mut figures = Figures::new();
    steps.step("set-up of the long tests", || setup::everything(Need::Full))?;
    steps.step("licences, bans and sources (cargo deny)", deny)?;
    steps.step("lints of the runner on its own target", || {
        let mut clippy = cargo();
        clippy.args([
            "clippy",
            "--locked",
            "-p",
            "runner",
            "--all-targets",
            "--target",
            RUNNER_TARGET,
        ]);
        shown(clippy.args(["--", "-D", "warnings"]))
    })?;
    steps.step(
        "what peers send, made up (property tests)",
        properties::many_cases,
    )?;
    steps.step("release builds", package::release)?;
    let packages = steps.step("two packages, signed", package::two_versions)?;
    steps.step("packages hold what they should", || contents(&packages))?;
    steps.step("one package updated to the next", || {
        update(&packages, &mut figures)
    })?;
    steps.step("benches", || benches(&mut figures))?;
    steps.step("large counts and long runs", || long_tests(&mut figures))?;
    figures.write(steps.done(), steps.took())
}

/// Runs the tests that are left out of every commit against release builds. Those that wait for
/// surroundings which another test makes are no tests by themselves.
fn long_tests(figures: &mut Figures) -> Result<()> {
    figures.of_tests(
        build::workspace("test")
            .args([
                "--tests",
                "--no-fail-fast",
                "--",
                "--ignored",
                "--test-threads=1",
            ])
            .args(["--nocapture", "--skip", "package_", "--skip", "inside_"])
            .args(["--skip", "peer_"])
            .env("GANGWAY_PROGRAMS", package::release_dir()),
    )
}

fn benches(figures: &mut Figures) -> Result<()> {
    for (name, arguments) in BENCHES {
        let mut bench = build::workspace("bench");
        bench.args(["--bench", name, "--"]).args(*arguments);
        bench
            .env("GANGWAY_PROGRAMS", package::release_dir())
            // The proxy of Node that tunnels are compared with finds its WebSockets there.
            .env("NODE_PATH", root().join("ui/node_modules"));
        let shown = format!("cargo bench --bench {name} -- {}", arguments.join(" "));
        figures.of_bench(shown.trim(), &mut bench)?;
    }
    Ok(())
}

fn deny() -> Result<()> {
    if !has("cargo-deny") {
        shown(cargo().args(["install", "--locked", "cargo-deny"]))?;
    }
    shown(command("cargo-deny").args([
        "--config",
        ".deny.toml",
        "check",
        "licenses",
        "bans",
        "sources",
    ]))
}

/// Both kinds of packages hold every program.
fn contents(packages: &Packages) -> Result<()> {
    let deb = output(command("dpkg-deb").arg("--contents").arg(&packages.old))?;
    let rpm = output(command("rpm").args(["-qlp"]).arg(&packages.rpm))?;
    for (kind, list) in [(".deb", deb), (".rpm", rpm)] {
        for program in PROGRAMS {
            // One lists paths from the root, the other from where it unpacks.
            let path = format!("usr/bin/{program}");
            let is_there = |line: &str| {
                let listed = line.rsplit(' ').next().unwrap_or_default();
                listed.trim_start_matches(['.', '/']) == path
            };
            if !list.lines().any(is_there) {
                bail!("the {kind} package lacks /{path}:\n{list}");
            }
        }
    }
    Ok(())
}

/// The test installs the packages: its programs are the installed ones.
fn update(packages: &Packages, figures: &mut Figures) -> Result<()> {
    figures.of_tests(
        build::workspace("test")
            .args(["--test", "update", "--", "--ignored", "--nocapture"])
            .env("GANGWAY_PROGRAMS", "/usr/bin")
            .env("GANGWAY_OLD_PACKAGE", &packages.old)
            .env("GANGWAY_NEW_PACKAGE", &packages.new)
            .env("GANGWAY_NEW_VERSION", package::NEXT_VERSION),
    )
}

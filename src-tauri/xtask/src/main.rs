//! `cargo xtask`: everything that a developer does to Gangway besides editing it.
//!
//! Hides which system packages, toolchain parts, UI packages and build flags the product needs,
//! and in which order. Has next to no dependencies, since it is the first thing that anyone builds.

mod attempts;
mod build;
mod display;
mod figures;
mod full;
mod launch;
mod package;
mod packages;
mod peer;
mod properties;
mod run;
mod setup;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask app [--demo]    install what is missing, build everything, open the desktop app
                            (--demo: play the main job through it and print each step)
cargo xtask test [--full]   what every commit has to pass (--full: also what takes long)
cargo xtask test --long     only what --full adds to the tests of every commit
cargo xtask test --peer backendai
                            the tests of the whole product on a real Backend.AI cluster, brought up
                            by the scripts in the folder that GANGWAY_PEER_BACKENDAI names
cargo xtask package         .deb and .rpm packages under target/release/bundle
cargo xtask setup           only install what is missing";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["app"] => launch::app(),
        ["app", "--demo"] => launch::demo(),
        ["test"] => test::every_commit(),
        ["test", "--full"] => test::long(true),
        ["test", "--long"] => test::long(false),
        ["test", "--peer", name] => peer::test(name),
        ["package"] => package::package(),
        ["setup"] => setup::everything(setup::Need::Test),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

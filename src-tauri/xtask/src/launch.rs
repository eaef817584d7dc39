//! `cargo xtask app`: the product, from nothing to an open window.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::build;
use crate::display::{self, Virtual};
use crate::run::{Steps, command, debug_dir, root, shown};
use crate::setup::{self, Need};

/// How long the window may take to draw itself before the picture is taken.
const DRAWN: Duration = Duration::from_secs(6);

/// Builds everything and opens the app; ends when the app does.
pub(crate) fn app() -> Result<()> {
    prepare(Need::App)?;
    let program = debug_dir().join("gangway-desktop");
    if display::present() {
        println!("\nOpening {}", program.display());
        return shown(&mut command(program));
    }
    let screen = Virtual::start()?;
    println!(
        "\nThere is no display here, so the app opens on a virtual one ({}).\n\
         To look at it with your own eyes, run this on a desktop, or `gangway ui` in a browser.",
        screen.name()
    );
    let mut app = command(program).env("DISPLAY", screen.name()).spawn()?;
    let started = Instant::now();
    while started.elapsed() < DRAWN {
        if let Some(status) = app.try_wait()? {
            bail!("the app ended at once ({status})");
        }
        thread::sleep(Duration::from_millis(100));
    }
    let picture = root().join("target/screenshots/app.png");
    screen.screenshot(&picture)?;
    println!(
        "Screenshot: {}\nThe app goes on running; Ctrl-C ends it.",
        picture.display()
    );
    let status = app.wait()?;
    if !status.success() {
        bail!("the app ended with {status}");
    }
    Ok(())
}

/// Builds everything and plays the main job through the app.
pub(crate) fn demo() -> Result<()> {
    prepare(Need::Drive)?;
    println!();
    shown(&mut command(debug_dir().join("gangway-demo")))
}

fn prepare(need: Need) -> Result<()> {
    let mut steps = Steps::new();
    steps.step("set-up", || setup::everything(need))?;
    steps.step("user interface", build::ui)?;
    steps.step("programs", build::programs)
}

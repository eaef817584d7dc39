//! A virtual display for machines without one.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use anyhow::{Context, Result};

use crate::run::{command, shown};

/// Whether somebody can look at a window here.
pub(crate) fn present() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// An Xvfb of our own; ends with this value.
pub(crate) struct Virtual {
    server: Child,
    name: String,
}

impl Virtual {
    /// Starts on the first free display number.
    pub(crate) fn start() -> Result<Self> {
        let mut server = command("Xvfb")
            .args([
                "-displayfd",
                "1",
                "-screen",
                "0",
                "1280x800x24",
                "-nolisten",
                "tcp",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("Xvfb can't be started")?;
        let mut number = String::new();
        if let Some(stdout) = server.stdout.take() {
            BufReader::new(stdout).read_line(&mut number)?;
        }
        let name = format!(":{}", number.trim());
        let display = Self { server, name };
        if number.trim().is_empty() {
            anyhow::bail!("Xvfb ended without opening a display");
        }
        Ok(display)
    }

    /// The value for DISPLAY.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Writes what the display shows as a PNG.
    pub(crate) fn screenshot(&self, file: &Path) -> Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        shown(
            command("import")
                .args(["-display", &self.name, "-window", "root"])
                .arg(file),
        )
    }
}

impl Drop for Virtual {
    fn drop(&mut self) {
        // An Xvfb that is gone already is what we want.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

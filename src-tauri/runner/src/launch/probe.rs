//! Tries, for `gangway doctor`, what starting a sandbox takes, as the user that sandboxes run as.

use std::{
    io::{self, Read},
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use protocol::probe::{ProbeAnswer, ProbeOrder};

use super::{LaunchError, become_user, enter::make_namespaces, link::loopback_up};

/// Reads a [`ProbeOrder`] on standard input and writes a [`ProbeAnswer`].
pub(crate) fn probe() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    let order: ProbeOrder = serde_json::from_str(&text)?;
    let answer = attempt(&order);
    println!("{}", serde_json::to_string(&answer)?);
    Ok(ExitCode::SUCCESS)
}

fn attempt(order: &ProbeOrder) -> ProbeAnswer {
    let made = become_user(order.become_user)
        .and_then(|()| make_namespaces(false, None))
        .and_then(|()| loopback_up());
    let namespaces = made.err().map(|error: LaunchError| error.to_string());
    let bubblewrap = match &namespaces {
        None => sandbox(&order.bubblewrap).err(),
        Some(_) => Some("not tried".to_owned()),
    };
    ProbeAnswer {
        namespaces,
        bubblewrap,
    }
}

/// The smallest sandbox of the kind that sessions get.
fn sandbox(bubblewrap: &Path) -> Result<(), String> {
    let output = Command::new(bubblewrap)
        .args([
            "--unshare-user",
            "--uid",
            "1000",
            "--gid",
            "1000",
            "--unshare-pid",
            "--unshare-ipc",
            "--unshare-uts",
            "--die-with-parent",
            "--cap-drop",
            "ALL",
            "--clearenv",
            "--ro-bind",
            "/",
            "/",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--tmpfs",
            "/run",
            "/bin/true",
        ])
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", bubblewrap.display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(if said.is_empty() {
        format!("it ended with {}", output.status)
    } else {
        said
    })
}

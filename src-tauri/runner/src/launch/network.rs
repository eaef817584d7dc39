//! The session's way out: pasta joins the network namespace from outside.

use std::{
    io::{self, BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

use protocol::runner::launch::Network;

/// Starts pasta and waits until the network is configured. Nothing to do for no network.
pub(super) fn start(
    network: &Network,
    sandbox: &Child,
    mut ready: io::PipeReader,
) -> io::Result<Option<Child>> {
    let Network::Pasta {
        program,
        mark,
        dns_forward,
        ..
    } = network
    else {
        return Ok(None);
    };
    // One byte when the namespaces are made; end of file when making them failed.
    let mut byte = [0];
    if ready.read(&mut byte)? == 0 {
        return Err(io::Error::other("the namespaces could not be made"));
    }
    let mut command = Command::new(program);
    command.arg0(mark);
    command.args(["--foreground", "--quiet", "--config-net"]);
    // Neither this computer's own servers nor the session's may be reached from the other side.
    command.args([
        "--no-map-gw",
        "-t",
        "none",
        "-u",
        "none",
        "-T",
        "none",
        "-U",
        "none",
    ]);
    if let Some(address) = dns_forward {
        command.args(["--dns-forward", address]);
    }
    let mut pasta = command
        // Written when all is set up: the only sign of readiness that pasta gives.
        .args(["--pid", "/dev/stdout"])
        .arg(sandbox.id().to_string())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(out) = pasta.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    if line.trim().is_empty() {
        let status = pasta.wait()?;
        return Err(io::Error::other(format!("pasta gave up ({status})")));
    }
    Ok(Some(pasta))
}

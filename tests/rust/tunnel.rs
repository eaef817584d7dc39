//! Tunnels and SSH as people use them: ports that nobody announced, a session that is launched
//! again, a lent agent.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::computer::{Computer, PATIENCE, rows};
use tests::local_port::{get, get_at};
use tests::process::{eventually, run};

fn port_of(tunnel: &Value) -> Result<u16> {
    let port = tunnel["local_port"].as_u64();
    Ok(u16::try_from(port.with_context(|| tunnel.to_string())?)?)
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key]
        .as_str()
        .with_context(|| format!("{key} in {value}"))
}

#[test]
fn a_port_that_nobody_announced_is_found_and_a_session_launched_again_keeps_its_tunnel()
-> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("again", &[])?;
    computer.serve("again", "the first one")?;
    let found = eventually("the port to be found", PATIENCE, || {
        let list = computer.gangway(&["tunnel", "ports", "again"])?;
        let ports = rows(&list, "ports")?.to_vec();
        Ok(ports.into_iter().find(|port| port["port"] == 8000))
    })?;
    ensure!(text(&found, "program")?.contains("python"), "{found}");

    let open = ["tunnel", "open", "again", "8000", "--http", "--background"];
    let tunnel = computer.gangway(&open)?;
    let (id, port) = (text(&tunnel, "id")?, port_of(&tunnel)?);
    // Names of other managers' sessions say whose they are.
    let manager = match text(&tunnel, "profile")? {
        "local" => String::new(),
        other => format!(".{other}"),
    };
    ensure!(
        text(&tunnel, "named_url")? == format!("http://8000.again{manager}.localhost:{port}/"),
        "{tunnel}"
    );
    // A page with many files: each connection is served, whatever became of the one before.
    for _ in 0..20 {
        let page = get(port, "/")?;
        ensure!(page.contains("the first one"), "{page}");
    }

    computer.gangway(&["session", "rm", "--yes", "--force", "again"])?;
    // Its processes are ended after the answer.
    eventually("a page that says why", PATIENCE, || {
        let page = get(port, "/").ok();
        Ok(page.filter(|page| page.contains("The session again is not running.")))
    })?;
    let report = computer.gangway(&["tunnel", "report", id])?;
    let report = text(&report, "text")?;
    ensure!(
        report.contains("hop ") && report.contains("failed after"),
        "{report}"
    );

    computer.launch("again", &[])?;
    computer.serve("again", "the second one")?;
    eventually("the tunnel to lead to the new session", PATIENCE, || {
        Ok(get(port, "/")
            .ok()
            .filter(|page| page.contains("the second one")))
    })?;
    let list = computer.gangway(&["tunnel", "ls"])?;
    let row = &rows(&list, "tunnels")?[0];
    ensure!(text(row, "id")? == id && port_of(row)? == port, "{row}");

    let refused = computer.refused(&["tunnel", "open", "again", "8000", "--local", "80"])?;
    ensure!(refused.code == "invalid_input", "{refused:?}");
    let taken = port.to_string();
    let refused = computer.refused(&["tunnel", "open", "again", "9999", "--local", &taken])?;
    ensure!(
        refused.code == "port_busy" && refused.message.contains("in use by"),
        "{refused:?}"
    );

    // Whoever is connected at the logout is so no longer.
    let plain = computer.gangway(&["tunnel", "open", "again", "8000", "--background"])?;
    let mut held = TcpStream::connect(("127.0.0.1", port_of(&plain)?))?;
    held.write_all(b"GET / HTTP/1.0\r\n")?;
    held.set_read_timeout(Some(Duration::from_millis(500)))?;
    let open = held.read(&mut [0]).err().map(|error| error.kind());
    ensure!(
        open == Some(ErrorKind::WouldBlock),
        "it did not stay: {open:?}"
    );
    computer.gangway(&["logout"])?;
    held.set_read_timeout(Some(Duration::from_secs(5)))?;
    let ended = held.read(&mut [0]).map_err(|error| error.kind());
    ensure!(
        matches!(ended, Ok(0) | Err(ErrorKind::ConnectionReset)),
        "it is still open: {ended:?}"
    );
    // What was made ready before is used up first.
    eventually("a page that speaks of the login", PATIENCE, || {
        let page = get(port, "/").ok();
        Ok(page.filter(|page| page.contains("does not accept the login")))
    })?;
    Ok(())
}

/// A port that was asked for at launch is an app of its own; one that is taken is refused before the
/// session is made, with the reason.
#[test]
fn a_port_that_was_asked_for_at_launch_is_opened_by_its_number() -> Result<()> {
    let computer = Computer::logged_in()?;
    for taken in ["2200", "8090"] {
        let launch = ["session", "launch", "refused", "--preopen-port", taken];
        let refused = computer.refused(&launch)?;
        ensure!(refused.message.contains(taken), "{refused:?}");
    }
    computer.launch("asked-for", &["--preopen-port", "8500"])?;
    let script = "mkdir -p web && echo 'asked for' > web/index.html && cd web && \
                  (setsid python3 -m http.server 8500 --bind 127.0.0.1 >/dev/null 2>&1 &)";
    computer.ok("asked-for", script)?;
    let opened = computer.gangway(&["app", "open", "asked-for", "8500"])?;
    let page = eventually(
        "the page",
        PATIENCE,
        || Ok(get(port_of(&opened)?, "/").ok()),
    )?;
    ensure!(page.contains("asked for"), "{page}");
    Ok(())
}

#[test]
fn other_users_and_browsers_that_were_not_let_in_get_nothing() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("private", &[])?;
    computer.serve("private", "for my eyes only")?;
    let opened = computer.gangway(&[
        "tunnel",
        "open",
        "private",
        "8000",
        "--http",
        "--background",
    ])?;
    let port = port_of(&opened)?;
    eventually("the page", PATIENCE, || {
        Ok(get(port, "/")
            .ok()
            .filter(|it| it.contains("for my eyes only")))
    })?;

    // As root the one who asks can be somebody else.
    if nix::unistd::Uid::effective().is_root() {
        let script = format!(
            "exec 3<>/dev/tcp/127.0.0.1/{port} && \
             printf 'GET / HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\n\\r\\n' >&3; cat <&3"
        );
        let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        let mut other = Command::new("setpriv");
        let seen = other.args(nobody).args(["bash", "-c", &script]).output()?;
        let seen = String::from_utf8_lossy(&seen.stdout);
        ensure!(!seen.contains("my eyes"), "somebody else got {seen}");
    }
    Ok(())
}

#[test]
fn the_network_gets_in_only_when_it_is_let_in() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("shown", &[])?;
    computer.serve("shown", "for all to see")?;
    // No packet is sent: the address from which one would be.
    let probe = UdpSocket::bind("0.0.0.0:0")?;
    if probe.connect("192.0.2.1:9").is_err() {
        eprintln!("this computer has no network");
        return Ok(());
    }
    let address = probe.local_addr()?.ip();
    let ours = address.to_string();
    let open = |more: &[&str]| -> Result<(u16, String)> {
        let words = [&["tunnel", "open", "shown", "8000", "--background"], more].concat();
        let opened = computer.gangway(&words)?;
        Ok((port_of(&opened)?, text(&opened, "id")?.to_owned()))
    };
    let from_outside = |port: u16| {
        let page = get_at(address, port, "/");
        page.is_ok_and(|page| page.contains("for all to see"))
    };
    let (port, id) = open(&[])?;
    eventually("the page", PATIENCE, || {
        Ok(get(port, "/")
            .ok()
            .filter(|it| it.contains("for all to see")))
    })?;
    ensure!(!from_outside(port));
    computer.gangway(&["tunnel", "close", &id])?;

    let (port, id) = open(&["--public", "--allow", &ours])?;
    ensure!(get(port, "/")?.contains("for all to see") && from_outside(port));
    computer.gangway(&["tunnel", "close", &id])?;

    let (port, _) = open(&["--public", "--allow", "198.51.100.0/24"])?;
    ensure!(get(port, "/")?.contains("for all to see") && !from_outside(port));
    Ok(())
}

#[test]
fn a_lent_agent_is_reached_from_inside_and_only_when_it_is_lent() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("agents", &[])?;
    let key = computer.path("key").display().to_string();
    run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &key]))?;
    let script = format!(
        "ssh-add -q '{key}' && '{}' --json ssh-config install >/dev/null && \
         ssh -F \"$HOME/.ssh/config\" -A agents ssh-add -l; \
         ssh -F \"$HOME/.ssh/config\" agents 'echo \"[$SSH_AUTH_SOCK]\"'",
        tests::process::program("gangway").display()
    );
    let mut command = computer.home().command("ssh-agent");
    let seen = run(command.args(["sh", "-c", &script]))?;
    ensure!(seen.contains("(ED25519)"), "the key is not there: {seen}");
    ensure!(seen.contains("[]"), "lent without being asked: {seen}");
    Ok(())
}

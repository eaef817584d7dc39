//! Tunnels and SSH as people use them: ports that nobody announced, a session that is launched
//! again, a lent agent.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::computer::{Computer, PATIENCE, rows};
use tests::local_port::get;
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
    ensure!(
        text(&tunnel, "named_url")? == format!("http://8000.again.localhost:{port}/"),
        "{tunnel}"
    );
    // A page with many files: each connection is served, whatever became of the one before.
    for _ in 0..20 {
        let page = get(port, "/")?;
        ensure!(page.contains("the first one"), "{page}");
    }

    computer.gangway(&["session", "rm", "--yes", "--force", "again"])?;
    let page = get(port, "/")?;
    ensure!(
        page.starts_with("HTTP/1.1 50") && page.contains("again"),
        "no page that says why: {page}"
    );
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

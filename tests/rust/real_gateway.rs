//! A real Backend.AI cluster behind a gateway that passes no WebSockets: sessions are reached by the
//! cluster's app proxy then. `cargo xtask test --peer backendai` runs it.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use tests::computer::{Computer, PATIENCE};
use tests::files;
use tests::gateway::Gateway;
use tests::local_port::get;
use tests::peer::{Peer, web_app};
use tests::process::{eventually, run};

#[test]
#[ignore = "needs another manager: cargo xtask test --peer backendai"]
fn peer_sessions_are_reached_by_the_app_proxy() -> Result<()> {
    let mut peer = Peer::expected()?;
    let computer = Computer::new()?.log_in()?;
    let gateway = Gateway::before(&peer.manager)?;
    gateway.refuse_upgrades();
    peer.manager = gateway.address();
    peer.log_in(computer.home())?;
    computer.launch("way-round", &[])?;
    ensure!(computer.ok("way-round", "echo hello")? == "hello");

    let file = computer.path("big.bin");
    files::big(&file, 8 << 20)?;
    let digest = files::sha256(&file)?;
    computer.gangway(&["cp", "big.bin", "way-round:up.bin"])?;
    ensure!(computer.ok("way-round", "sha256sum up.bin | cut -d' ' -f1")? == digest);

    // What asks nobody for a key goes through the SSH server.
    let apps = computer.gangway(&["app", "ls", "way-round"])?;
    let name = web_app(&apps)?;
    computer.ok("way-round", "echo seen-through > index.html")?;
    let tunnel = computer.gangway(&["tunnel", "open", "way-round", name, "--background"])?;
    let port = u16::try_from(tunnel["local_port"].as_u64().context("local_port")?)?;
    let page = eventually("the app's page", PATIENCE, || {
        Ok(get(port, "/").ok().filter(|page| page.contains("200 OK")))
    })?;
    ensure!(page.contains("seen-through"), "{page}");
    // The same as one opens it from the list of apps.
    let opened = computer.gangway(&["app", "open", "way-round", name, "--print-url"])?;
    let port = u16::try_from(opened["local_port"].as_u64().context("local_port")?)?;
    ensure!(get(port, "/")?.contains("seen-through"), "{opened}");
    // Others get it from the app proxy itself, without a login.
    let share = |more: &[&str]| {
        let words = ["--yes", "app", "share", "way-round", name];
        computer.gangway(&[&words[..], more].concat())
    };
    let shared = share(&[])?;
    let url = shared["url"].as_str().context("url")?;
    ensure!(!url.contains("token"), "{url}");
    let shown = || run(Command::new("curl").args(["-fsS", "--max-time", "20", url]));
    let page = eventually("the shared page", PATIENCE, || Ok(shown().ok()))?;
    ensure!(page.contains("seen-through"), "{page}");
    computer
        .refused(&[
            "--yes",
            "app",
            "share",
            "way-round",
            name,
            "--allow",
            "everybody",
        ])?
        .is(2, "invalid_input")?;
    let asked = gateway.so_far();
    ensure!(
        asked.iter().any(|it| it.request.contains("/start-service")),
        "the app proxy was never asked for"
    );
    computer.gangway(&["session", "rm", "--yes", "way-round"])?;
    Ok(())
}

/// Where the app proxy's workers pass nothing but HTTP, a web app is reached by its owner's permit.
#[tokio::test]
#[ignore = "needs another manager: cargo xtask test --peer backendai"]
async fn peer_web_apps_where_the_app_proxy_passes_only_pages() -> Result<()> {
    let mut peer = Peer::expected()?;
    let computer = Computer::new()?.log_in()?;
    let gateway = Gateway::before(&peer.manager)?;
    gateway.refuse_upgrades();
    let direct = peer.signer()?;
    peer.manager = gateway.address();
    peer.log_in(computer.home())?;
    let id = computer.launch("pages", &[])?;
    let apps = computer.gangway(&["app", "ls", "pages"])?;
    let name = web_app(&apps)?;
    computer.ok("pages", "echo seen-through > index.html")?;

    // The coordinator is found where the manager says, and that has no worker for plain bytes.
    let body = serde_json::json!({ "app": name });
    let start = format!("/session/{id}/start-service");
    let started = direct.post(&start, &body).await?.ok()?;
    let coordinator = started["wsproxy_addr"].as_str().context("wsproxy_addr")?;
    let pages = Gateway::before(coordinator)?;
    pages.turn_away("protocol=tcp");
    gateway.show(coordinator.trim_end_matches('/'), &pages.address())?;

    let tunnel = computer.gangway(&["tunnel", "open", "pages", name, "--background"])?;
    let port = u16::try_from(tunnel["local_port"].as_u64().context("local_port")?)?;
    for _ in 0..3 {
        let page = get(port, "/")?;
        ensure!(
            page.contains("200 OK") && page.contains("seen-through"),
            "{page}"
        );
        ensure!(
            !page.contains("appproxy_permit"),
            "the permit is out: {page}"
        );
    }
    let asked: Vec<_> = pages.so_far().into_iter().map(|it| it.request).collect();
    ensure!(
        asked.iter().any(|it| it.contains("protocol=http")),
        "{asked:?}"
    );
    computer.gangway(&["session", "rm", "--yes", "pages"])?;
    Ok(())
}

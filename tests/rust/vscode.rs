//! VS Code, brought into a session by npm and opened through the local proxy.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tests::computer::{Computer, named, rows};
use tests::process::{figure, finish, program};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: compiles parts of code-server and fetches 700 MB"]
async fn vscode_is_installed_and_serves_its_page() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.gangway(&[
        "session", "launch", "editor", "--cpu", "2", "--mem", "3072m",
    ])?;
    let apps = computer.gangway(&["app", "ls", "editor"])?;
    let vscode = named(rows(&apps, "apps")?, "vscode")?;
    ensure!(
        vscode["state"] == "missing" && vscode["installable"] == true,
        "{vscode}"
    );

    // What a try that was broken off has left is no hindrance.
    computer.ok(
        "editor",
        "mkdir -p ~/.local/lib/code-server/node_modules/code-server",
    )?;
    let started = Instant::now();
    let installed = finish(
        computer
            .home()
            .command(program("gangway"))
            .args(["app", "install", "editor", "vscode"]),
    )?;
    let lines = String::from_utf8_lossy(&installed.stdout).into_owned()
        + &String::from_utf8_lossy(&installed.stderr);
    let apps = computer.gangway(&["app", "ls", "editor"])?;
    let state = &named(rows(&apps, "apps")?, "vscode")?["state"];
    if lines.contains("this computer lacks what that takes") {
        // The headers of some libraries are not there: it says which, and leaves nothing behind.
        ensure!(lines.contains("apt-get install"), "{lines}");
        ensure!(state == "missing" && !installed.status.success(), "{lines}");
        println!("code-server was not installed: headers are missing on this computer");
        return Ok(());
    }
    ensure!(installed.status.success() && state == "ready", "{lines}");
    let took = started.elapsed().as_secs_f64();
    figure("code-server installed from npm", "", format!("{took:.0} s"));

    let opened = computer.gangway(&["tunnel", "open", "editor", "vscode", "--background"])?;
    let port = opened["local_port"].as_u64().context("local_port")?;
    let page = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(60))
        .build()?
        .get(format!("http://127.0.0.1:{port}/"))
        .send()
        .await?;
    ensure!(page.status() == 200, "{}", page.status());
    let text = page.text().await?;
    ensure!(text.contains("code-server"), "{text}");
    Ok(())
}

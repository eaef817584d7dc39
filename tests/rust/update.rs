//! From one installed package to the next, through the app's own updater. Run by
//! `cargo xtask test --full`, which makes the two packages; installs and removes `gangway` on this
//! computer, so it wants to be root on a machine made for tests.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::home::Home;
use tests::local_port::answers_http;
use tests::process::{eventually, figure, run};
use tests::window::Window;

/// Where the test packages look for updates; the same address is in xtask.
const SERVER: &str = "127.0.0.1:8077";
const INSTALLED: &str = "/usr/bin/gangway-desktop";
const NEWS: &str = "What is new: nothing but the number.";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "installs packages on this computer"]
async fn package_is_updated_to_the_next_while_a_tunnel_stays_open() -> Result<()> {
    let old = from_environment("GANGWAY_OLD_PACKAGE")?;
    let new = from_environment("GANGWAY_NEW_PACKAGE")?;
    let version = std::env::var("GANGWAY_NEW_VERSION")?;
    let _installed = Installed::install(&old)?;
    let before = installed_version()?;
    let server = Server::start(&new, &version)?;

    let home = Home::desktop()?;
    let shim = home.path("bin/pkexec");
    std::fs::write(&shim, "#!/bin/sh\nexec \"$@\"\n")?;
    std::fs::set_permissions(&shim, std::fs::Permissions::from_mode(0o755))?;

    let window = Window::app_at(&home, Path::new(INSTALLED)).await?;
    window.click("login.this-computer").await?;
    window.find("start.page").await?;
    home.gangway(&["session", "launch", "kept"])?;
    let opened = home.gangway(&["app", "open", "kept", "ttyd", "--print-url"])?;
    let port = opened["local_port"].as_u64().context("local_port")?;
    ensure!(
        answers_http(port),
        "the web terminal does not answer before the update"
    );

    server.tamper.store(true, Ordering::Release);
    window.click("nav.settings").await?;
    window.click("settings.update-check").await?;
    window.text_with("settings.page", NEWS).await?;
    window.click("settings.update-install").await?;
    window.find("kit.error").await?;
    ensure!(
        installed_version()? == before,
        "a package with a wrong signature was installed"
    );

    server.tamper.store(false, Ordering::Release);
    window.click("settings.update-check").await?;
    window.text_with("settings.page", NEWS).await?;
    let asked = Instant::now();
    window.click("settings.update-install").await?;
    eventually("the new version", Duration::from_secs(60), || {
        Ok(installed_version()?.starts_with(&version).then_some(()))
    })?;
    eventually(
        "the tunnel on its old port",
        Duration::from_secs(20),
        || Ok(answers_http(port).then_some(())),
    )?;
    figure(
        "from \"Install\" to the next version, its tunnel on the old port",
        "",
        format!("{:.1} s", asked.elapsed().as_secs_f64()),
    );
    Ok(())
}

fn from_environment(name: &str) -> Result<PathBuf> {
    Ok(std::env::var_os(name)
        .with_context(|| format!("{name} is not set"))?
        .into())
}

fn installed_version() -> Result<String> {
    run(Command::new("dpkg-query").args(["-W", "-f=${Version}", "gangway"]))
}

/// The package on this computer; removed with this value.
struct Installed;

impl Installed {
    fn install(package: &Path) -> Result<Self> {
        run(Command::new("dpkg").arg("-i").arg(package))?;
        Ok(Self)
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let _ = Command::new("dpkg").args(["-r", "gangway"]).output();
    }
}

/// Offers the new package; damaged by one byte while `tamper` is set.
struct Server {
    tamper: Arc<AtomicBool>,
}

impl Server {
    fn start(package: &Path, version: &str) -> Result<Self> {
        let bytes = std::fs::read(package)?;
        let signature = std::fs::read_to_string(format!("{}.sig", package.display()))?;
        let offer = json!({
            "version": version,
            "notes": NEWS,
            "pub_date": "2026-01-01T00:00:00Z",
            "platforms": {"linux-x86_64-deb": {
                "url": format!("http://{SERVER}/package.deb"),
                "signature": signature.trim(),
            }},
        });
        let listener = TcpListener::bind(SERVER)?;
        let tamper = Arc::new(AtomicBool::new(false));
        let damaged = tamper.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                let mut body = bytes.clone();
                if damaged.load(Ordering::Acquire) {
                    let middle = body.len() / 2;
                    body[middle] ^= 1;
                }
                let _ = serve(stream, &offer.to_string(), &body);
            }
        });
        Ok(Self { tamper })
    }
}

fn serve(mut stream: TcpStream, offer: &str, package: &[u8]) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let body = if request.contains("latest.json") {
        offer.as_bytes()
    } else {
        package
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(body)
}

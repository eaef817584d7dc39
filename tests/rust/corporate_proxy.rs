//! Another manager behind an organisation's proxy: everything that goes there goes through it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::computer::{Computer, PATIENCE};
use tests::corporate::{CorporateProxy, Kind, MANAGER, NAME, PASSWORD, PASSWORD_IN_ADDRESS};
use tests::local_port::get;
use tests::process::{eventually, run};
use tests::secured::secured;
use tests::{files, peer};

/// The manager: an engine of its own, with its account's keys.
struct Server {
    _computer: Computer,
    address: SocketAddr,
    access_key: String,
    secret_key: String,
}

impl Server {
    fn start() -> Result<Self> {
        let computer = Computer::logged_in()?;
        let account = computer.gangway(&["whoami"])?;
        let endpoint = account["endpoint"].as_str().context("endpoint")?;
        let address = endpoint.trim_start_matches("http://").parse()?;
        let keys = computer.gangway(&["keypair", "show", "--secret"])?;
        let key = |name: &str| keys[name].as_str().context("key").map(str::to_owned);
        Ok(Self {
            address,
            access_key: key("access_key")?,
            secret_key: key("secret_key")?,
            _computer: computer,
        })
    }

    fn log_in(&self, computer: &Computer, endpoint: &str) -> Result<Value> {
        let keypair = (self.access_key.as_str(), self.secret_key.as_str());
        let output = peer::log_in_by_keypair(computer, endpoint, keypair, &["--as", "lab"])?;
        ensure!(output.status.success(), "{output:?}");
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

fn set(computer: &Computer, change: &Value) -> Result<Value> {
    let mut settings = computer.gangway(&["call", "settings.get", "{}"])?;
    for (name, value) in change.as_object().context("an object")? {
        settings[name] = value.clone();
    }
    computer.gangway(&["call", "settings.set", &settings.to_string()])
}

/// Everything that a session is used by: requests, a tunnel, files.
fn works(computer: &Computer, name: &str) -> Result<()> {
    computer.launch(name, &[])?;
    computer.serve(name, "behind the proxy")?;
    let open = ["tunnel", "open", name, "8000", "--http", "--background"];
    let tunnel = computer.gangway(&open)?;
    let port = u16::try_from(tunnel["local_port"].as_u64().context("local_port")?)?;
    eventually("the page", PATIENCE, || {
        let page = get(port, "/").ok();
        Ok(page.filter(|page| page.contains("behind the proxy")))
    })?;
    let file = computer.path("file");
    files::big(&file, 3 << 20)?;
    computer.gangway(&["cp", "file", &format!("{name}:up")])?;
    computer.gangway(&["cp", &format!("{name}:up"), "back"])?;
    ensure!(files::sha256(&file)? == files::sha256(&computer.path("back"))?);
    let ssh = ["ssh", name, "--", "echo", "by", "ssh"];
    ensure!(run(&mut computer.command(&ssh))? == "by ssh\n");
    computer.gangway(&["session", "rm", "--yes", "--force", name])?;
    Ok(())
}

/// Whether any file below the folder holds one of the texts.
fn holds(folder: &Path, texts: &[&str]) -> Result<bool> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let found = match fs::symlink_metadata(&path)? {
            it if it.is_dir() => holds(&path, texts)?,
            it if it.is_file() => {
                let bytes = fs::read(&path)?;
                texts.iter().any(|text| {
                    bytes
                        .windows(text.len())
                        .any(|part| part == text.as_bytes())
                })
            }
            _ => false,
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Neither shown, nor written anywhere in the clear.
fn keeps_the_password(computer: &Computer, shown: &Value) -> Result<()> {
    let all = shown.to_string();
    for text in [PASSWORD, PASSWORD_IN_ADDRESS] {
        ensure!(!all.contains(text), "{all}");
    }
    for place in ["gangway/config", "gangway/state"] {
        let folder = computer.home().path(place);
        let found = folder.exists() && holds(&folder, &[PASSWORD, PASSWORD_IN_ADDRESS])?;
        ensure!(!found, "the password lies in {place}");
    }
    Ok(())
}

fn proxied(kind: Kind, secure: bool) -> Result<()> {
    let server = Server::start()?;
    let mut computer = Computer::new()?;
    computer.home_mut().set("RUST_LOG", "debug");
    let (scheme, address) = match secure {
        true => (
            "https",
            secured(
                server.address,
                &computer.path(""),
                &format!("DNS:{MANAGER}"),
            )?,
        ),
        false => ("http", server.address),
    };
    let endpoint = format!("{scheme}://{MANAGER}:{}", address.port());
    let proxy = CorporateProxy::start(kind, true, address)?;
    let scheme = match kind {
        Kind::Http => "http",
        Kind::Socks => "socks5h",
    };
    let at = |who: &str| format!("{scheme}://{who}127.0.0.1:{}", proxy.port());
    let ca_file = secure.then(|| computer.path("cert.pem"));
    let test = |who: &str| {
        let request = json!({ "endpoint": endpoint, "proxy": at(who), "ca_file": ca_file });
        computer.refused(&["call", "network.test", &request.to_string()])
    };
    for who in ["", "worker:wr0ng-w0rd@"] {
        let refused = test(who)?;
        ensure!(
            refused.code == "manager_unreachable" && !refused.error.to_string().contains("wr0ng"),
            "{refused:?}"
        );
        let hint = refused.error["hint"].as_str().unwrap_or_default();
        ensure!(hint.contains("the proxy refused"), "{refused:?}");
    }
    ensure!(proxy.seen().contains(&"refused".to_owned()));

    let change =
        json!({ "proxy": at(&format!("{NAME}:{PASSWORD_IN_ADDRESS}@")), "ca_file": ca_file });
    let settings = set(&computer, &change)?;
    ensure!(settings["proxy"] == at(&format!("{NAME}@")), "{settings}");
    keeps_the_password(&computer, &settings)?;
    let asked = json!({ "endpoint": endpoint, "proxy": settings["proxy"], "ca_file": ca_file });
    let tested = computer.gangway(&["call", "network.test", &asked.to_string()])?;
    ensure!(tested["endpoint"] == endpoint.as_str(), "{tested}");

    let account = server.log_in(&computer, &endpoint)?;
    ensure!(account["endpoint"] == endpoint.as_str(), "{account}");
    let before = proxy.seen().len();
    works(&computer, "behind")?;
    let seen = proxy.seen();
    let connects = seen[before..].iter().filter(|it| it.starts_with("CONNECT"));
    ensure!(connects.count() >= 3, "{seen:?}");
    // Nobody but the proxy knows that name, so nothing can have gone another way.
    let spared = set(&computer, &json!({ "no_proxy": MANAGER }))?;
    let before = proxy.seen().len();
    let refused = computer.refused(&["folder", "ls"])?;
    ensure!(refused.code == "manager_unreachable", "{refused:?}");
    ensure!(proxy.seen().len() == before);
    keeps_the_password(&computer, &json!([spared, refused.error]))?;

    // This computer's own engine needs none, whatever is set.
    set(&computer, &json!({ "no_proxy": null }))?;
    computer.gangway(&["--profile", "local", "login", "--keychain", "file"])?;
    computer.gangway(&["--profile", "local", "session", "ls"])?;
    ensure!(proxy.seen().len() == before, "{:?}", proxy.seen());
    Ok(())
}

#[test]
fn a_secured_manager_behind_a_proxy_that_wants_a_password() -> Result<()> {
    proxied(Kind::Http, true)
}

/// Such a proxy reads the requests, and can pass no upgrades on.
#[test]
fn a_plain_manager_behind_a_proxy_that_reads_requests() -> Result<()> {
    proxied(Kind::Http, false)
}

#[test]
fn a_secured_manager_behind_socks() -> Result<()> {
    proxied(Kind::Socks, true)
}

#[test]
fn the_systems_own_proxy_is_used_where_no_other_is_set() -> Result<()> {
    let server = Server::start()?;
    let mut computer = Computer::new()?;
    let address = secured(
        server.address,
        &computer.path(""),
        &format!("DNS:{MANAGER}"),
    )?;
    let proxy = CorporateProxy::start(Kind::Http, false, address)?;
    let at = format!("http://127.0.0.1:{}", proxy.port());
    computer.home_mut().set("HTTPS_PROXY", &at);
    set(&computer, &json!({ "ca_file": computer.path("cert.pem") }))?;
    let endpoint = format!("https://{MANAGER}:{}", address.port());
    server.log_in(&computer, &endpoint)?;
    works(&computer, "by-itself")?;
    ensure!(proxy.seen().iter().all(|it| it.starts_with("CONNECT")));

    // Without the certificate the same manager is refused, and why is said.
    let no_certificate = set(&computer, &json!({ "ca_file": null }))?;
    ensure!(no_certificate["ca_file"].is_null());
    computer.gangway(&["proxy", "stop"])?;
    let refused = computer.refused(&["folder", "ls"])?;
    ensure!(refused.code == "certificate_untrusted", "{refused:?}");
    Ok(())
}

#[test]
fn a_script_for_browsers_is_refused_with_the_reason() -> Result<()> {
    let computer = Computer::new()?;
    let mut settings = computer.gangway(&["call", "settings.get", "{}"])?;
    settings["proxy"] = json!("http://wpad.corp.test/proxy.pac");
    let refused = computer.refused(&["call", "settings.set", &settings.to_string()])?;
    ensure!(
        refused.code == "invalid_input" && refused.message.contains("PAC"),
        "{refused:?}"
    );
    settings["proxy"] = json!("corp.test:3128");
    computer
        .refused(&["call", "settings.set", &settings.to_string()])?
        .is(2, "invalid_input")?;
    Ok(())
}

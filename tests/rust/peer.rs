//! A manager that is not ours, as the test's surroundings tell of it: the same tests run there.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::computer::Computer;
use crate::home::Home;
use crate::manager::Manager;
use crate::process::finish;

/// A web app among the answers of `gangway app ls` that is more than the terminal of every image.
///
/// # Errors
/// When the image brings none.
pub fn web_app(apps: &Value) -> Result<&str> {
    let apps = apps["apps"].as_array().context("apps")?;
    let mut web = apps.iter().filter(|app| app["protocol"] == "http");
    let app = web
        .find(|app| app["name"] != "ttyd")
        .context("no web app")?;
    app["name"].as_str().context("name")
}

/// An account on somebody else's manager.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Address of the manager itself.
    pub manager: String,
    /// Address of its web server.
    pub web: String,
    /// E-mail address of the account.
    pub email: String,
    /// Its password.
    pub password: String,
    /// Public half of its keypair.
    pub access_key: String,
    /// Secret half of its keypair.
    pub secret_key: String,
    /// The keypair of a superadministrator, where there is one.
    administrator: Option<(String, String)>,
}

impl Peer {
    /// What `cargo xtask test --peer` has set; `None` where the tests run on our own engine.
    ///
    /// # Errors
    /// When only a part of it is set.
    pub fn from_env() -> Result<Option<Self>> {
        let read = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
        let Ok(manager) = read("GANGWAY_TEST_MANAGER") else {
            return Ok(None);
        };
        Ok(Some(Self {
            manager,
            web: read("GANGWAY_TEST_WEB")?,
            email: read("GANGWAY_TEST_EMAIL")?,
            password: read("GANGWAY_TEST_PASSWORD")?,
            access_key: read("GANGWAY_TEST_ACCESS_KEY")?,
            secret_key: read("GANGWAY_TEST_SECRET_KEY")?,
            administrator: read("GANGWAY_TEST_ADMIN_ACCESS_KEY")
                .and_then(|access| Ok((access, read("GANGWAY_TEST_ADMIN_SECRET_KEY")?)))
                .ok(),
        }))
    }

    /// The same, for tests that make no sense elsewhere.
    ///
    /// # Errors
    /// When nothing is set.
    pub fn expected() -> Result<Self> {
        Self::from_env()?.context("run by: cargo xtask test --peer backendai")
    }

    /// The manager's API by hand, as the account.
    ///
    /// # Errors
    /// When no connection can be prepared.
    pub fn signer(&self) -> Result<Manager> {
        Manager::at(&self.manager, &self.access_key, &self.secret_key)
    }

    /// The manager's API by hand, as one who may change the manager's settings.
    ///
    /// # Errors
    /// When nobody is known who may.
    pub fn administrator(&self) -> Result<Manager> {
        let (access_key, secret_key) = self
            .administrator
            .as_ref()
            .context("no administrator's keypair is known")?;
        Manager::at(&self.manager, access_key, secret_key)
    }

    /// Logs in at the manager itself with the keypair, keeping it in the encrypted file.
    ///
    /// # Errors
    /// When the manager refuses.
    pub fn log_in(&self, home: &Home) -> Result<Value> {
        let login = ["--access-key", &self.access_key, "--secret-key-stdin"];
        self.login(home, &self.manager, &login, &self.secret_key)
    }

    /// Logs in by e-mail address and password: at the web server, or at the manager itself.
    ///
    /// # Errors
    /// When it refuses.
    pub fn log_in_by_password(&self, home: &Home, address: &str) -> Result<Value> {
        let login = ["--email", &self.email, "--password-stdin"];
        self.login(home, address, &login, &self.password)
    }

    fn login(&self, home: &Home, address: &str, who: &[&str], secret: &str) -> Result<Value> {
        let mut command = home.command(home.program("gangway"));
        command
            .args(["--json", "login", "--keychain", "file", "--as", "peer"])
            .args(["--endpoint", address])
            .args(who);
        let output = with_line(&mut command, secret)?;
        ensure!(output.status.success(), "{output:?}");
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Ends the account's sessions and deletes its data folders for good: the next test finds the
    /// manager as this one did.
    pub fn clean(&self, home: &Home) {
        let gangway = |arguments: &[&str]| {
            let mut command = home.command(home.program("gangway"));
            // The profile is one of the test's own: what fails was not there.
            let _ = finish(command.args(["--quiet", "--yes"]).args(arguments));
        };
        for (list, key) in [
            (&["session", "ls"][..], "sessions"),
            (&["folder", "ls"], "folders"),
            (&["folder", "trash"], "folders"),
        ] {
            let Ok(answer) = home.gangway(list) else {
                continue;
            };
            let ids = answer[key].as_array().into_iter().flatten();
            for id in ids.filter_map(|row| row["id"].as_str()) {
                match key {
                    "sessions" => gangway(&["session", "rm", "--force", id]),
                    _ => {
                        gangway(&["folder", "rm", id]);
                        gangway(&["folder", "purge", id]);
                    }
                }
            }
        }
        gangway(&["proxy", "stop"]);
    }
}

/// `gangway login` at another manager by a keypair, which goes into the encrypted file; `more` are
/// further words.
///
/// # Errors
/// When it can't be started.
pub fn log_in_by_keypair(
    computer: &Computer,
    endpoint: &str,
    (access_key, secret_key): (&str, &str),
    more: &[&str],
) -> Result<std::process::Output> {
    let mut login = computer.command(&["--json", "login", "--endpoint", endpoint]);
    login.args(["--access-key", access_key, "--secret-key-stdin"]);
    with_line(login.args(["--keychain", "file"]).args(more), secret_key)
}

/// Runs a command to its end with one line on its standard input.
///
/// # Errors
/// When it can't be started.
pub fn with_line(command: &mut Command, line: &str) -> Result<std::process::Output> {
    let mut running = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = running.stdin.take().context("stdin")?;
    writeln!(input, "{line}")?;
    drop(input);
    Ok(running.wait_with_output()?)
}

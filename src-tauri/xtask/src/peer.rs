//! `cargo xtask test --peer backendai`: the tests of the whole product on a manager that is not
//! ours. What it needs is brought up by scripts from outside of the repository.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::run::{Steps, command, has, output, shown};
use crate::{build, setup};

/// Names the folder of the scripts.
const FOLDER: &str = "GANGWAY_PEER_BACKENDAI";

/// Test files, and of those with tests that need our own engine, the tests that do not.
const TESTS: &[(&str, &[&str])] = &[
    ("real_cluster", &["peer_"]),
    ("real_gateway", &["peer_"]),
    ("real_login", &["peer_"]),
    ("real_window", &["peer_"]),
    ("many_sessions", &["peer_"]),
    (
        "transfer",
        &[
            "a_file_goes_up_and_comes_back",
            "what_is_there_already_is_treated_as_asked",
            "a_transfer_goes_on_after_a_kill",
            "a_session_can_not_write_elsewhere_on_this_computer",
        ],
    ),
    ("tunnel", &["a_port_that_nobody_announced_is_found"]),
    ("peers", &["ports_are_forwarded_both_ways"]),
    (
        "ssh_names",
        &[
            "the_users_own_key_opens_new_sessions",
            "an_editor_is_started_on_the_sessions_files",
        ],
    ),
    (
        "forward",
        &["a_port_is_opened_forwarded_and_shown_to_others_from_the_window"],
    ),
];

/// Tests that would fail there for a reason of the cluster's own.
const LEFT_OUT: &[(&str, &str)] = &[
    (
        "main_job: a_batch_job_ends_with_its_own_status_and_its_log",
        "the manager keeps whether a job has failed, and not its exit code",
    ),
    (
        "peers: ssh_runs_commands",
        "where the agent's containers have no /dev/pts of their own, sessions have no terminals",
    ),
    (
        "peers: small_files_come_back_the_same, git_clones_and_pushes, a_big_file_comes_back_the_same",
        "the image has neither rsync nor git",
    ),
    (
        "session_life: sessions_in_their_owners_hands",
        "managers from 26 on restart no sessions",
    ),
    (
        "session: statistics_follow_what_the_session_does, what_would_be_lost_is_saved_into_a_folder",
        "saving a home is our own engine's; from 26 on, managers take live statistics from a \
         Prometheus that the cluster does not have",
    ),
    (
        "real_login: one-time passwords",
        "the manager loads its plug-in for them only where its manager.toml names it in \
         allowed-plugins; there the test tries them",
    ),
    (
        "transfer: folders_keep_their_names_contents_and_modes",
        "the storage proxy can't send a file with a line break in its name",
    ),
    (
        "transfer: nothing_leads_out_of_a_data_folder",
        "what becomes of links in a data folder is the storage proxy's business",
    ),
    (
        "login_expiry: transfers_and_tunnels_wait_for_the_next_login",
        "its web server keeps a login alive that was ended while a stream of it is open: it stores \
         the session once more when the stream closes",
    ),
    (
        "folder_verbs: a_folder_is_copied",
        "it expects the words of our own engine; copying a folder itself works",
    ),
    (
        "ssh_names: sessions_of_two_managers_have_names_of_their_own",
        "it needs two managers of which one is our own",
    ),
    (
        "vscode: vscode_is_installed_and_serves_its_page",
        "the image announces no such app, and installing one is our own engine's",
    ),
    (
        "environment: an_environment_is_read_by_consent, what_is_no_environment_of_the_home_is_refused",
        "environments of this computer are shown to sessions of our own engine alone",
    ),
    (
        "everything of the engine, the sandbox and containers, and what the window's other tests do",
        "it is not about the manager",
    ),
];

/// Runs them on the manager called `name`.
pub(crate) fn test(name: &str) -> Result<()> {
    if name != "backendai" {
        bail!("there is no peer {name:?}, only \"backendai\"");
    }
    let scripts = scripts()?;
    let mut steps = Steps::new();
    let outcome = everything(&mut steps, &scripts);
    steps.summary();
    outcome?;
    println!("\nAll tests passed. Left out, for reasons of the cluster's own:");
    for (test, reason) in LEFT_OUT {
        println!("  {test}: {reason}");
    }
    Ok(())
}

fn everything(steps: &mut Steps, scripts: &Path) -> Result<()> {
    steps.step("set-up", || setup::everything(setup::Need::Test))?;
    steps.step("user interface: build", build::ui)?;
    // No engine of ours.
    steps.step("programs", || {
        shown(build::workspace("build").args(["--bin", "gangway", "--bin", "gangway-desktop"]))
    })?;
    let peer = steps.step("the cluster comes up", || Peer::up(scripts))?;
    let outcome = TESTS.iter().try_for_each(|(file, tests)| {
        steps.step(&format!("{file} on the cluster"), || peer.run(file, tests))
    });
    let down = steps.step("the cluster goes down", || {
        shown(&mut command(scripts.join("down.sh")))
    });
    outcome.and(down)
}

/// The folder of the scripts, if a cluster can be had on this machine at all.
fn scripts() -> Result<PathBuf> {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        bail!(
            "{FOLDER} has to name the folder whose up.sh brings a Backend.AI cluster up, and whose \
             down.sh takes it down"
        );
    };
    for script in ["up.sh", "down.sh"] {
        let path = folder.join(script);
        if !path.is_file() {
            bail!(
                "{} is not there ({FOLDER} has to name its folder)",
                path.display()
            );
        }
    }
    if output(command("id").arg("-u"))?.trim() != "0" {
        bail!("the cluster can't be brought up: its Docker and its agent run as root only");
    }
    if !has("dockerd") && !has("apt-get") {
        bail!("the cluster can't be brought up: there is no Docker here, and no apt to install it");
    }
    Ok(folder)
}

/// An account on a cluster that runs.
#[derive(Debug, PartialEq, Eq)]
struct Peer {
    manager: String,
    web: String,
    email: String,
    password: String,
    access_key: String,
    secret_key: String,
    /// The keypair of one who may change the cluster's settings.
    administrator: [String; 2],
}

impl Peer {
    /// Brings it up, with its output shown, or finds it running.
    fn up(scripts: &Path) -> Result<Self> {
        let script = scripts.join("up.sh");
        let mut running = Command::new(&script)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} can't be started", script.display()))?;
        let mut said = String::new();
        let out = running.stdout.take().context("no output")?;
        for line in BufReader::new(out).lines() {
            let line = line?;
            println!("{line}");
            said.push_str(&line);
            said.push('\n');
        }
        let status = running.wait()?;
        if !status.success() {
            bail!(
                "the cluster did not come up ({} ended with {status}); where Docker can't run, \
                 neither can these tests",
                script.display()
            );
        }
        Self::from_output(&said).context("up.sh has not said where the cluster is, and for whom")
    }

    /// Reads the lines `manager URL …` and `webserver URL …`, and from the table of accounts
    /// (`E-MAIL PASSWORD ROLE ACCESS-KEY SECRET-KEY`) the first that is an ordinary user's, and a
    /// superadministrator's keypair.
    fn from_output(said: &str) -> Option<Self> {
        let lines = || {
            said.lines()
                .map(|line| line.split_whitespace().collect::<Vec<_>>())
        };
        let address = |name: &str| {
            lines().find_map(|words| match words[..] {
                [first, url, ..] if first == name && url.starts_with("http") => {
                    Some(url.to_owned())
                }
                _ => None,
            })
        };
        let account = |wanted: &str| {
            lines().find_map(|words| match words[..] {
                [email, password, role, access_key, secret_key] if role == wanted => {
                    Some([email, password, access_key, secret_key].map(str::to_owned))
                }
                _ => None,
            })
        };
        let [email, password, access_key, secret_key] = account("user")?;
        let [_, _, admin_access_key, admin_secret_key] = account("superadmin")?;
        Some(Self {
            manager: address("manager")?,
            web: address("webserver")?,
            email,
            password,
            access_key,
            secret_key,
            administrator: [admin_access_key, admin_secret_key],
        })
    }

    /// One at a time: they share the account.
    fn run(&self, file: &str, tests: &[&str]) -> Result<()> {
        let mut cargo = build::workspace("test");
        cargo
            .args([
                "--test",
                file,
                "--",
                "--include-ignored",
                "--test-threads=1",
            ])
            .args(tests);
        for (name, value) in [
            ("MANAGER", &self.manager),
            ("WEB", &self.web),
            ("EMAIL", &self.email),
            ("PASSWORD", &self.password),
            ("ACCESS_KEY", &self.access_key),
            ("SECRET_KEY", &self.secret_key),
            ("ADMIN_ACCESS_KEY", &self.administrator[0]),
            ("ADMIN_SECRET_KEY", &self.administrator[1]),
        ] {
            cargo.env(format!("GANGWAY_TEST_{name}"), value);
        }
        shown(&mut cargo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_account_is_read_from_what_the_script_prints() {
        let said = "[12:00:00] services\n\n\
            manager   http://127.0.0.1:8091   (API mode: keypair)\n\
            webserver http://127.0.0.1:8090   (session mode, Web UI: e-mail + password)\n\n\
            e-mail  password  role  access key  secret key\n\
            admin@example.com  one  superadmin  AKIAADMIN  secret/1\n\
            user@example.com   two  user        AKIAUSER   secret/2\n\
            other@example.com  six  user        AKIAOTHER  secret/3\n";
        let peer = Peer::from_output(said).unwrap();
        assert_eq!(peer.manager, "http://127.0.0.1:8091");
        assert_eq!(peer.web, "http://127.0.0.1:8090");
        assert_eq!((&*peer.email, &*peer.password), ("user@example.com", "two"));
        assert_eq!(
            (&*peer.access_key, &*peer.secret_key),
            ("AKIAUSER", "secret/2")
        );
        assert_eq!(peer.administrator, ["AKIAADMIN", "secret/1"]);
        assert_eq!(
            Peer::from_output(&said.replace("manager ", "the manager ")),
            None
        );
        assert_eq!(Peer::from_output(&said.replace("user  ", "owner ")), None);
    }
}

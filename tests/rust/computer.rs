//! A computer on which the engine runs and somebody is logged in, seen through the terminal.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::home::Home;
use crate::peer::Peer;
use crate::process::{eventually, finish, run};

/// How long anything may take that a busy build machine does.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A home with a passphrase file for its encrypted keychain, and whatever of Gangway a test starts
/// in it. Everything ends with this value, also what the programs themselves left behind.
#[derive(Debug)]
pub struct Computer {
    /// Whose manager is used instead of the computer's own engine.
    peer: Option<Peer>,
    // Dropped first: it asks sessions and engine to end.
    home: Home,
    leftovers: Leftovers,
}

/// How a command failed.
#[derive(Debug)]
pub struct Refusal {
    /// The exit status.
    pub status: i32,
    /// `error.code`.
    pub code: String,
    /// `error.message`.
    pub message: String,
    /// The whole `error` object.
    pub error: Value,
}

/// What a command in a session said.
#[derive(Debug)]
pub struct Said {
    /// The exit status of the command in the session.
    pub status: i64,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Computer {
    /// Nothing runs yet, nobody has ever logged in.
    ///
    /// # Errors
    /// When the folders can't be made.
    pub fn new() -> Result<Self> {
        Self::at(Home::new()?)
    }

    /// The same for an ordinary user, also when root runs the test.
    ///
    /// # Errors
    /// When the folders can't be made.
    pub fn of_ordinary_user() -> Result<Self> {
        Self::at(Home::of_ordinary_user()?)
    }

    /// The same for one for whom the system has set ids aside.
    ///
    /// # Errors
    /// When the folders or the account can't be made.
    pub fn of_user_with_ids() -> Result<Self> {
        Self::at(Home::of_user_with_ids()?)
    }

    fn at(mut home: Home) -> Result<Self> {
        let passphrase = home.path("passphrase");
        fs::write(&passphrase, "only for this test\n")?;
        home.set("GANGWAY_PASSPHRASE_FILE", &passphrase);
        let leftovers = Leftovers::of(&home.path(""));
        Ok(Self {
            peer: None,
            home,
            leftovers,
        })
    }

    /// The engine runs, and its owner has logged in with the encrypted file as keychain.
    ///
    /// # Errors
    /// When engine or login fail.
    pub fn logged_in() -> Result<Self> {
        Self::new()?.log_in()
    }

    /// Starts the engine and logs its owner in, with the encrypted file as keychain. Where the
    /// surroundings name another manager, it is that one's account.
    ///
    /// # Errors
    /// When engine or login fail.
    pub fn log_in(mut self) -> Result<Self> {
        if let Some(peer) = Peer::from_env()? {
            peer.log_in(&self.home)?;
            // A test that was ended may have left something.
            peer.clean(&self.home);
            self.peer = Some(peer);
            return Ok(self);
        }
        self.gangway(&["engine", "start"])?;
        self.gangway(&["login", "--keychain", "file"])?;
        Ok(self)
    }

    /// The home, for its paths and for other programs.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The home, to set variables.
    pub fn home_mut(&mut self) -> &mut Home {
        &mut self.home
    }

    /// A path in the user's own folder.
    #[must_use]
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.home.path("home").join(name)
    }

    /// `gangway` with these arguments, not yet started. It is ended after some minutes, so that
    /// what hangs is a failed test.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.command("timeout");
        command
            .args(["--kill-after=5", "180"])
            .arg(self.home.program("gangway"));
        command.args(arguments).stdin(std::process::Stdio::null());
        command
    }

    /// The JSON answer of `gangway`.
    ///
    /// # Errors
    /// When it fails or prints no JSON.
    pub fn gangway(&self, arguments: &[&str]) -> Result<Value> {
        self.home.gangway(arguments)
    }

    /// What `gangway` prints for people.
    ///
    /// # Errors
    /// When it fails.
    pub fn text(&self, arguments: &[&str]) -> Result<String> {
        run(&mut self.command(arguments))
    }

    /// Expects `gangway` to fail and to say so as the contract wants: one JSON object on standard
    /// error, and nothing on standard output but the transfers that failed.
    ///
    /// # Errors
    /// When it succeeds or fails in another form.
    pub fn refused(&self, arguments: &[&str]) -> Result<Refusal> {
        let with_json = [&["--json"], arguments].concat();
        let refusal = refusal(&finish(&mut self.command(&with_json))?)
            .with_context(|| format!("gangway {arguments:?}"))?;
        Ok(refusal)
    }

    /// The same without JSON: exit status, and what a person reads.
    ///
    /// # Errors
    /// When it succeeds, or does not say `error: …`.
    pub fn refused_in_words(&self, arguments: &[&str]) -> Result<(i32, String)> {
        let output = finish(&mut self.command(arguments))?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(
            !output.status.success() && text.lines().any(|line| line.starts_with("error: ")),
            "gangway {arguments:?} ended with {} and said {text:?}",
            output.status
        );
        ensure!(!text.contains("panicked"), "{text}");
        Ok((output.status.code().unwrap_or(-1), text))
    }

    /// Launches a session of 1 core and 512 MiB and waits until it runs; its id.
    ///
    /// # Errors
    /// When it does not get to RUNNING.
    pub fn launch(&self, name: &str, more: &[&str]) -> Result<String> {
        let mut arguments = vec!["session", "launch", name, "--cpu", "1", "--mem", "512m"];
        arguments.extend(more);
        let session = self.gangway(&arguments)?;
        ensure!(session["status"] == "RUNNING", "{session}");
        Ok(session["id"].as_str().context("id")?.to_owned())
    }

    /// Runs a shell script in a session.
    ///
    /// # Errors
    /// When it can't be run; its own exit status is in the answer.
    pub fn sh(&self, session: &str, script: &str) -> Result<Said> {
        let output = finish(&mut self.command(&[
            "--json", "session", "exec", session, "--", "/bin/sh", "-c", script,
        ]))?;
        let answer: Value = serde_json::from_slice(&output.stdout).with_context(|| {
            format!(
                "exec {script:?} ended with {} and printed {}{}",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )
        })?;
        Ok(Said {
            status: answer["exit_code"].as_i64().context("exit_code")?,
            stdout: answer["stdout"].as_str().context("stdout")?.to_owned(),
            stderr: answer["stderr"].as_str().context("stderr")?.to_owned(),
        })
    }

    /// Runs a shell script in a session that has to succeed; its output without the last newline.
    ///
    /// # Errors
    /// When it ends with another status than 0.
    pub fn ok(&self, session: &str, script: &str) -> Result<String> {
        let said = self.sh(session, script)?;
        ensure!(said.status == 0, "{script}\n{said:?}");
        Ok(said.stdout.trim_end_matches('\n').to_owned())
    }

    /// What the engine wrote down about itself.
    ///
    /// # Errors
    /// When it has not.
    pub fn engine(&self) -> Result<Value> {
        let file = self.home.path("gangway/data/engine/engine.json");
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Kills the engine the hard way and waits until it is gone.
    ///
    /// # Errors
    /// When there is none.
    pub fn kill_engine(&self) -> Result<()> {
        kill(self.engine()?["pid"].as_u64().context("pid")?)
    }

    /// The process that owns tunnels and transfers.
    ///
    /// # Errors
    /// When there is none.
    pub fn host_pid(&self) -> Result<u64> {
        let status = self.gangway(&["proxy", "status"])?;
        status["pid"].as_u64().with_context(|| status.to_string())
    }

    /// Serves a page with `text` on port 8000 of a session.
    ///
    /// # Errors
    /// When the session refuses.
    pub fn serve(&self, session: &str, text: &str) -> Result<()> {
        let script = format!(
            "mkdir -p web && echo '{text}' > web/index.html && cd web && \
             (setsid python3 -m http.server 8000 --bind 127.0.0.1 >/dev/null 2>&1 &)"
        );
        self.ok(session, &script).map(drop)
    }

    /// Processes that belong to this home.
    #[must_use]
    pub fn processes(&self) -> Vec<(u64, String)> {
        self.leftovers.processes()
    }
}

impl Drop for Computer {
    fn drop(&mut self) {
        if let Some(peer) = &self.peer {
            peer.clean(&self.home);
        }
    }
}

/// Sends KILL and waits until the process is gone.
///
/// # Errors
/// When it stays.
pub fn kill(pid: u64) -> Result<()> {
    run(Command::new("kill").args(["-9", &pid.to_string()]))?;
    eventually("the process to be gone", PATIENCE, || {
        Ok((!alive(pid)).then_some(()))
    })
}

/// Whether a process is there and not only waiting to be reaped.
#[must_use]
pub fn alive(pid: u64) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit(") ")
            .next()
            .is_some_and(|rest| !rest.starts_with('Z'))
    })
}

/// Reads how a command failed; see [`Computer::refused`].
///
/// # Errors
/// When it succeeded, or failed in another form.
pub fn refusal(output: &Output) -> Result<Refusal> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    ensure!(!output.status.success(), "it succeeded: {stdout}");
    let answer: Value = serde_json::from_str(&stderr)
        .with_context(|| format!("{}: not a JSON error: {stderr}{stdout}", output.status))?;
    let error = &answer["error"];
    for key in ["code", "message", "hint", "details", "retryable"] {
        ensure!(error.get(key).is_some(), "no {key} in {answer}");
    }
    // A transfer that failed is shown as well.
    let shown: Result<Value, _> = serde_json::from_str(&stdout);
    ensure!(
        stdout.is_empty() || shown.is_ok_and(|it| it["transfers"].is_array()),
        "a failure printed {stdout}"
    );
    Ok(Refusal {
        status: output.status.code().context("ended by a signal")?,
        code: error["code"].as_str().context("code")?.to_owned(),
        message: error["message"].as_str().context("message")?.to_owned(),
        error: error.clone(),
    })
}

impl Refusal {
    /// Expects one of these exit statuses and this code.
    ///
    /// # Errors
    /// When it is another.
    pub fn is(&self, status: i32, code: &str) -> Result<&Self> {
        ensure!(
            self.status == status && self.code == code,
            "expected status {status} and code {code}, got status {} and {}",
            self.status,
            self.error
        );
        Ok(self)
    }
}

/// Expects an object to have all these keys.
///
/// # Errors
/// Names those that are missing.
pub fn has_keys(object: &Value, keys: &[&str]) -> Result<()> {
    let missing: Vec<_> = keys
        .iter()
        .filter(|key| object.get(**key).is_none())
        .collect();
    ensure!(missing.is_empty(), "no {missing:?} in {object}");
    Ok(())
}

/// The elements of a list answer.
///
/// # Errors
/// When it is no list.
pub fn rows<'a>(answer: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    answer[key]
        .as_array()
        .with_context(|| format!("no list of {key} in {answer}"))
}

/// The element whose `name` is this.
///
/// # Errors
/// When there is none.
pub fn named<'a>(list: &'a [Value], name: &str) -> Result<&'a Value> {
    match list.iter().find(|row| row["name"] == name) {
        Some(row) => Ok(row),
        None => bail!("no {name} in {}", json!(list)),
    }
}

/// What is still running for a home that has gone.
#[derive(Debug)]
struct Leftovers {
    folder: PathBuf,
}

impl Leftovers {
    fn of(folder: &Path) -> Self {
        // Without the slash that joining an empty name leaves.
        let folder = folder.components().collect();
        Self { folder }
    }

    fn processes(&self) -> Vec<(u64, String)> {
        let Ok(all) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        let own = fs::metadata("/proc/self/ns/mnt").map(|it| it.ino()).ok();
        all.flatten()
            .filter_map(|entry| {
                let pid: u64 = entry.file_name().to_str()?.parse().ok()?;
                let folder = self.folder.as_os_str();
                let path = entry.path();
                let cmdline = fs::read(path.join("cmdline")).ok()?;
                let environ = fs::read(path.join("environ")).unwrap_or_default();
                let ours = mentions(&cmdline, folder)
                    || mentions(&environ, folder)
                    || (fs::metadata(path.join("ns/mnt")).map(|it| it.ino()).ok() != own
                        && self.is_mounted_in(&path));
                let name = String::from_utf8_lossy(&cmdline).replace('\0', " ");
                (ours && alive(pid) && pid != u64::from(std::process::id())).then_some((pid, name))
            })
            .collect()
    }

    /// A sandbox shows a part of our folder: the fourth field is the source of a bind mount.
    fn is_mounted_in(&self, process: &Path) -> bool {
        fs::read_to_string(process.join("mountinfo")).is_ok_and(|mounts| {
            mounts.lines().any(|line| {
                line.split(' ')
                    .nth(3)
                    .is_some_and(|source| Path::new(source).starts_with(&self.folder))
            })
        })
    }
}

fn mentions(bytes: &[u8], folder: &OsStr) -> bool {
    let folder = folder.as_encoded_bytes();
    bytes.windows(folder.len()).any(|part| part == folder)
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        for (pid, name) in self.processes() {
            eprintln!("still running after its home has gone: {pid} {name}");
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).output();
        }
        // What a process wrote while the folder was being removed.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

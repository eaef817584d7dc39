//! The official Backend.AI client, from its own package, against our engine. What each command is
//! expected to say stands here; `tests/official-client.md` is the list for people.
//!
//! The client is installed once into `target/official-client`, with the versions that it was tried
//! with. Where its Python is not on the computer, the test says so and that nothing was tried.

use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::computer::Computer;
use tests::local_port;
use tests::manager::Manager;
use tests::process::{Running, eventually, finish, run};
use tests::repository;

/// A release of the client, and the Python that it is made for.
struct Release {
    version: &'static str,
    python: &'static str,
}

const OLD: Release = Release {
    version: "23.9.10",
    python: "3.11",
};
const NEW: Release = Release {
    version: "26.9.6",
    python: "3.13",
};

impl Release {
    /// An interpreter of this series: on PATH, or made by pyenv.
    fn interpreter(&self) -> Option<PathBuf> {
        let name = format!("python{}", self.python);
        let mut candidates = vec![PathBuf::from(&name)];
        let pyenv = std::env::var_os("PYENV_ROOT").map_or_else(
            || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".pyenv"),
            PathBuf::from,
        );
        let made = fs::read_dir(pyenv.join("versions"))
            .ok()
            .into_iter()
            .flatten();
        candidates.extend(made.flatten().map(|one| one.path().join("bin").join(&name)));
        candidates.into_iter().find(|python| {
            let asked = Command::new(python)
                .args(["-c", "import venv, ssl"])
                .output();
            asked.is_ok_and(|asked| asked.status.success())
        })
    }

    /// Installs the client unless it is there; its program.
    fn install(&self, python: &Path) -> Result<PathBuf> {
        let folder = repository::root()
            .join("target/official-client")
            .join(self.version);
        let program = folder.join("bin/backend.ai");
        let complete = folder.join("complete");
        if complete.exists() {
            return Ok(program);
        }
        let pins = repository::root().join(format!("tests/official-client-{}.txt", self.version));
        run(Command::new(python)
            .args(["-m", "venv", "--clear"])
            .arg(&folder))?;
        run(Command::new(folder.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(pins))?;
        fs::write(complete, "")?;
        Ok(program)
    }
}

/// The client of somebody who has set it up for this computer's engine.
struct Client {
    computer: Computer,
    program: PathBuf,
    variables: Vec<(&'static str, OsString)>,
}

impl Client {
    /// `None` when there is no Python for it, which is said.
    fn new(release: &Release) -> Result<Option<Self>> {
        let Some(python) = release.interpreter() else {
            println!(
                "SKIPPED: backend.ai-client {} needs Python {}, which is not on this computer",
                release.version, release.python
            );
            return Ok(None);
        };
        let program = release.install(&python)?;
        let computer = Computer::logged_in()?;
        let manager = Manager::of(&computer)?;
        fs::create_dir(computer.path(".ssh"))?;
        let variables = vec![
            ("BACKEND_ENDPOINT", manager.endpoint.into()),
            ("BACKEND_ENDPOINT_TYPE", "api".into()),
            ("BACKEND_ACCESS_KEY", manager.access_key.into()),
            ("BACKEND_SECRET_KEY", manager.secret_key.into()),
            ("PYTHONWARNINGS", "ignore".into()),
        ];
        Ok(Some(Self {
            computer,
            program,
            variables,
        }))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.computer.home().command("timeout");
        command
            .args(["--kill-after=5", "600"])
            .arg(&self.program)
            .args(arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    fn output(&self, arguments: &[&str]) -> Result<Output> {
        finish(&mut self.command(arguments))
    }

    /// Runs a command that has to succeed; what it printed.
    fn ok(&self, arguments: &[&str]) -> Result<String> {
        let output = self.output(arguments)?;
        let text = printed(&output);
        // Some commands print that they failed and end with 0 all the same.
        ensure!(
            output.status.success() && !text.contains('✘') && !text.contains("BackendAPIError"),
            "backend.ai {arguments:?} ended with {}\n{text}",
            output.status
        );
        println!("works: backend.ai {}", arguments.join(" "));
        Ok(text)
    }

    /// Runs a command that has to succeed and to print `text`.
    fn says(&self, arguments: &[&str], text: &str) -> Result<()> {
        let said = self.ok(arguments)?;
        ensure!(
            said.contains(text),
            "backend.ai {arguments:?} printed\n{said}"
        );
        Ok(())
    }

    fn file(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.computer.path(name), text).context(name.to_owned())
    }

    /// A file that a command has to have made again.
    fn fetched(&self, name: &str, text: &str, arguments: &[&str]) -> Result<()> {
        let file = self.computer.path(name);
        fs::remove_file(&file)?;
        self.ok(arguments)?;
        ensure!(
            fs::read_to_string(&file)? == text,
            "{name} came back changed"
        );
        Ok(())
    }
}

fn printed(output: &Output) -> String {
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
    format!("{stdout}{stderr}")
}

/// What both releases have under the same names.
fn everyday(client: &Client) -> Result<()> {
    let image = "local/host:latest";
    let create = [
        "session", "create", "--name", "lab-1", "-r", "cpu=1", "-r", "mem=512m", image,
    ];
    client.says(&create, "ready")?;
    client.says(&["session", "list"], "lab-1")?;
    // It takes nothing but the id there.
    let shown = client.computer.gangway(&["session", "show", "lab-1"])?;
    let id = shown["id"].as_str().context("id")?;
    client.says(&["session", "info", id], "RUNNING")?;
    client.ok(&["session", "logs", "lab-1"])?;
    app(client)?;
    client.says(&["session", "commit", "lab-1"], "Request to commit")?;
    client.file("up.txt", "data\n")?;
    client.ok(&["session", "upload", "lab-1", "up.txt"])?;
    client.says(&["session", "ls", "lab-1", "."], "up.txt")?;
    client.fetched(
        "up.txt",
        "data\n",
        &["session", "download", "lab-1", "up.txt"],
    )?;
    client.says(
        &["ssh", "lab-1", "--", "echo", "out-of-the-session"],
        "out-of-the-session",
    )?;
    client.file("copy.txt", "copied\n")?;
    client.ok(&["scp", "lab-1", "copy.txt", "work@localhost:/home/work/"])?;
    client.says(&["session", "ls", "lab-1", "."], "copy.txt")?;
    client.ok(&["session", "restart", "lab-1"])?;
    client.says(&["session", "ls", "lab-1", "."], "copy.txt")?;
    client.ok(&["session", "rename", "lab-1", "lab-2"])?;

    client.ok(&["vfolder", "create", "data-1", "local:default"])?;
    client.says(&["vfolder", "list"], "data-1")?;
    client.file("in.txt", "folder\n")?;
    client.ok(&["vfolder", "upload", "data-1", "in.txt"])?;
    client.says(&["vfolder", "ls", "data-1"], "in.txt")?;
    client.ok(&["vfolder", "mkdir", "data-1", "sub"])?;
    client.says(&["vfolder", "info", "data-1"], "data-1")?;
    client.fetched(
        "in.txt",
        "folder\n",
        &["vfolder", "download", "data-1", "in.txt"],
    )?;
    client.ok(&[
        "vfolder",
        "create",
        "model-1",
        "local:default",
        "--cloneable",
    ])?;
    client.ok(&["vfolder", "upload", "model-1", "in.txt"])?;
    client.ok(&["vfolder", "clone", "model-1", "copy-1", "local:default"])?;
    client.says(&["vfolder", "ls", "copy-1"], "in.txt")?;
    client.ok(&["vfolder", "rename", "data-1", "data-2"])?;
    client.ok(&["vfolder", "delete", "data-2"])?;

    lists(client)?;
    client.ok(&["session", "destroy", "lab-2"])?;
    jobs(client)?;
    dotfiles(client)
}

/// An app of the session at a port of this computer.
fn app(client: &Client) -> Result<()> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let bind = format!("127.0.0.1:{port}");
    let mut proxy = client.command(&["app", "lab-1", "ttyd", "--bind", &bind]);
    let _proxy = Running::start(proxy.stdout(Stdio::null()).stderr(Stdio::null()))?;
    let page = eventually("the page of the terminal", Duration::from_secs(60), || {
        Ok(local_port::get(port, "/").ok())
    })?;
    ensure!(page.contains("<html"), "{page}");
    println!("works: backend.ai app");
    Ok(())
}

/// What administrators list.
fn lists(client: &Client) -> Result<()> {
    let (me, policy) = ("root@localhost", "default");
    for (what, text) in [
        ("user", me),
        ("keypair", me),
        ("group", "default"),
        ("domain", "default"),
        ("scaling-group", "default"),
        ("keypair-resource-policy", policy),
        ("image", "local"),
        ("session", "lab-2"),
        ("vfolder", "model-1"),
        ("storage", "local:default"),
        ("agent", ""),
    ] {
        client.says(&["admin", what, "list"], text)?;
    }
    client.says(&["admin", "resource", "query-slots"], "cpu")?;
    client.says(&["admin", "domain", "info", "default"], "default")?;
    let policy_info = ["admin", "keypair-resource-policy", "info", policy];
    client.says(&policy_info, policy)?;
    client.ok(&["admin", "resource", "usage-per-month", "202601"])?;
    client.ok(&["admin", "resource", "recalculate-usage"])?;
    client.says(&["admin", "manager", "status"], "running")?;
    client.ok(&["admin", "manager", "freeze"])?;
    client.says(&["admin", "manager", "status"], "frozen")?;
    client.ok(&["admin", "manager", "unfreeze"])?;
    let words = "it rests tonight";
    client.ok(&["admin", "announcement", "update", "-m", words])?;
    client.says(&["admin", "announcement", "get"], words)?;
    client.says(&["server-logs", "list"], "Total log count: 0")?;
    client.says(&["admin", "vfolder", "list-hosts"], "local:default")?;
    client.ok(&["admin", "permission", "list"]).map(|_| ())
}

/// Sessions of one program each; the client has no other verb that executes something.
fn jobs(client: &Client) -> Result<()> {
    let image = "local/host:latest";
    client.file("task.py", "print(6 * 7)\n")?;
    let run = ["run", "--rm", "-r", "cpu=1", "-r", "mem=512m"];
    let file = ["--exec", "python3 task.py", image, "task.py"];
    client.says(&[&run[..], &file[..]].concat(), "42")?;
    let code = ["-c", "print(3 * 5)", image];
    client.says(&[&run[..], &code[..]].concat(), "15")
}

fn dotfiles(client: &Client) -> Result<()> {
    client.file("rc", "set editing-mode vi\n")?;
    client.ok(&["dotfile", "create", ".testrc", "-f", "rc"])?;
    client.says(&["dotfile", "list"], ".testrc")?;
    client.says(&["dotfile", "get", ".testrc"], "editing-mode vi")?;
    client.file("rc", "set editing-mode emacs\n")?;
    client.ok(&["dotfile", "update", ".testrc", "-f", "rc"])?;
    client.says(&["dotfile", "get", ".testrc"], "editing-mode emacs")?;
    client
        .ok(&["dotfile", "delete", "-f", ".testrc"])
        .map(|_| ())
}

#[test]
#[ignore = "long: cargo xtask test --full"]
fn the_client_of_2023_works() -> Result<()> {
    let Some(client) = Client::new(&OLD)? else {
        return Ok(());
    };
    everyday(&client)?;
    // The other one fails at it by itself.
    let create = [
        "session", "create", "--name", "lab-3", "-r", "cpu=1", "-r", "mem=512m",
    ];
    client.ok(&[&create[..], &["local/host:latest"]].concat())?;
    client.says(&["session", "status-history", "lab-3"], "RUNNING")?;
    client.ok(&["session", "destroy", "lab-3"]).map(|_| ())
}

#[test]
#[ignore = "long: cargo xtask test --full"]
fn the_client_of_2026_works() -> Result<()> {
    let Some(client) = Client::new(&NEW)? else {
        return Ok(());
    };
    everyday(&client)?;
    // The other one has no such verb.
    let history = ["scheduling-history", "session", "list"];
    client.says(&history, "schedule-sessions")
}

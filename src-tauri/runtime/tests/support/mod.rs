//! A real sandbox for tests: bubblewrap, pasta, the real runner.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on stops where it is"
)]
#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use futures_util::StreamExt;
use runtime::{
    Execute, ExecuteCode, Kernel, KernelId, KernelSpec, OpenMode, Output, Runtime,
    sandbox::{Sandbox, SandboxConfig},
};
use tokio::{io::AsyncReadExt, net::TcpListener, process::Command};

/// The runner, built beforehand; a test without it says how to build it.
pub(crate) fn runner() -> PathBuf {
    if let Some(path) = std::env::var_os("GANGWAY_RUNNER") {
        return path.into();
    }
    let target =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/x86_64-unknown-linux-musl");
    let found = ["debug", "release"].map(|profile| target.join(profile).join("gangway-runner"));
    match found.iter().find(|path| path.is_file()) {
        Some(path) => path.canonicalize().unwrap(),
        None => panic!(
            "gangway-runner is missing: run `cargo build -p runner --target x86_64-unknown-linux-musl`, \
             or name it in GANGWAY_RUNNER"
        ),
    }
}

/// A sandbox in a directory of its own; what still runs is ended with it.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) sandbox: Sandbox,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut SandboxConfig)) -> Self {
        let dir = tempfile::Builder::new().prefix("gw").tempdir().unwrap();
        // As an engine's data directory is: nobody else may enter.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let sandbox = Sandbox::open(config(dir.path(), change)).unwrap();
        Self { dir, sandbox }
    }

    /// A sandbox as a later engine would open it.
    pub(crate) fn reopened(&self) -> Sandbox {
        Sandbox::open(config(self.dir.path(), |_| {})).unwrap()
    }

    pub(crate) async fn start(&self, change: impl FnOnce(&mut KernelSpec)) -> Arc<dyn Kernel> {
        let mut spec = KernelSpec::minimal(KernelId::new_v4(), "test");
        change(&mut spec);
        self.sandbox.start(spec).await.unwrap()
    }

    /// A data folder as the engine makes them.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::create_dir(&path).unwrap();
        if let Some(owner) = self.sandbox.owner() {
            std::os::unix::fs::chown(&path, Some(owner.uid), Some(owner.gid)).unwrap();
        }
        path
    }

    pub(crate) async fn close(self) {
        self.sandbox.sweep(&[]).await.unwrap();
    }
}

/// A test that fails never gets as far as [`World::close`]; its sessions end all the same.
impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        // The test's own executor can't be waited on from within it.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let executor = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                // Another panic during this one would end all tests of the file.
                if let Ok(executor) = executor {
                    let _ = executor.block_on(self.sandbox.sweep(&[]));
                }
            });
        });
    }
}

fn config(dir: &Path, change: impl FnOnce(&mut SandboxConfig)) -> SandboxConfig {
    let mut config = SandboxConfig::new(dir.join("data"), dir.join("run"), runner());
    change(&mut config);
    config
}

pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) exit_code: i32,
}

/// Runs shell text inside and waits for its end.
pub(crate) async fn sh(kernel: &dyn Kernel, text: &str) -> Ran {
    let order = Execute {
        run_id: "test".to_owned(),
        code: ExecuteCode::Shell(text.to_owned()),
        stdin: None,
        log: false,
    };
    run(kernel, order).await
}

pub(crate) async fn run(kernel: &dyn Kernel, order: Execute) -> Ran {
    let mut stream = kernel.execute(order).await.unwrap();
    let mut ran = Ran {
        stdout: String::new(),
        stderr: String::new(),
        exit_code: -1,
    };
    while let Some(output) = stream.next().await {
        match output.unwrap() {
            Output::Stdout { text } => ran.stdout.push_str(&text),
            Output::Stderr { text } => ran.stderr.push_str(&text),
            Output::Finished { exit_code } => ran.exit_code = exit_code,
        }
    }
    ran
}

/// A loopback port that leads to the session's SSH server, and the key to it.
pub(crate) struct SshDoor {
    pub(crate) port: u16,
    pub(crate) key: PathBuf,
    pub(crate) known_hosts: PathBuf,
    _dir: tempfile::TempDir,
}

impl SshDoor {
    pub(crate) async fn open(kernel: Arc<dyn Kernel>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut text = String::new();
        let mut file = kernel
            .open_file("id_container", OpenMode::Read)
            .await
            .unwrap();
        file.read_to_string(&mut text).await.unwrap();
        let key = dir.path().join("id");
        std::fs::write(&key, text).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let known_hosts = dir.path().join("known_hosts");
        let info = kernel.ssh_info().await.unwrap();
        std::fs::write(
            &known_hosts,
            format!("[127.0.0.1]:{port} {}\n", info.host_key),
        )
        .unwrap();
        tokio::spawn(async move {
            while let Ok((mut outer, _)) = listener.accept().await {
                let kernel = kernel.clone();
                tokio::spawn(async move {
                    let mut inner = kernel.connect(2200).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
                });
            }
        });
        Self {
            port,
            key,
            known_hosts,
            _dir: dir,
        }
    }

    /// `ssh`, `sftp` or `scp` with everything set but the target.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let port = if program == "ssh" { "-p" } else { "-P" };
        command.args([port, &self.port.to_string()]);
        command.arg("-i").arg(&self.key);
        command.arg("-F").arg("/dev/null");
        for option in [
            format!("UserKnownHostsFile={}", self.known_hosts.display()),
            "StrictHostKeyChecking=yes".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "BatchMode=yes".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    pub(crate) async fn ssh(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = self.command("ssh");
        command.arg("work@127.0.0.1").args(arguments);
        within(command.output()).await.unwrap()
    }
}

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work)
        .await
        .expect("took too long")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

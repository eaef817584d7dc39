//! An OpenSSH or Dropbear server of our own on a loopback port, with keys made for the test.

use std::net::{TcpListener, TcpStream as StdStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ssh::client::{Connection, HostKey, Login, PrivateKey, PublicKey};
use tokio::net::TcpStream;

/// The server; it ends with the value.
pub(crate) struct Sshd {
    folder: tempfile::TempDir,
    server: Child,
    pub(crate) port: u16,
    pub(crate) key: PrivateKey,
    pub(crate) host_key: PublicKey,
}

impl Sshd {
    /// Starts a server and waits until it answers. `extra` is added to its configuration.
    pub(crate) fn start(extra: &str) -> Self {
        Self::with_sftp(|_| "internal-sftp".to_owned(), extra)
    }

    /// The same with another program for SFTP: OpenSSH's own with more arguments. What it says of
    /// its work is in [`Self::sftp_log`].
    pub(crate) fn with_sftp_arguments(arguments: &str) -> Self {
        let program = |folder: &Path| {
            let (file, log) = (folder.join("sftp"), folder.join("sftp-log"));
            let script = format!(
                "#!/bin/sh\nexec /usr/lib/openssh/sftp-server -e {arguments} 2>>'{}'\n",
                log.display()
            );
            std::fs::write(&file, script).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&file, mode).unwrap();
            file.display().to_string()
        };
        Self::with_sftp(program, "")
    }

    fn with_sftp(sftp: impl FnOnce(&Path) -> String, extra: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let host = PrivateKey::from_seed(&rand::random());
        let key = PrivateKey::from_seed(&rand::random());
        host.write(&at("host_key")).unwrap();
        key.write(&at("id")).unwrap();
        std::fs::write(at("authorized_keys"), key.public().line()).unwrap();
        // As root, sshd wants its empty folder.
        let _ = std::fs::create_dir_all("/run/sshd");
        let port = free_port();
        let sftp = sftp(folder.path());
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\n\
             StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\n\
             PasswordAuthentication no\nMaxStartups 200\nSubsystem sftp {sftp}\n{extra}\n",
            at("host_key").display(),
            at("authorized_keys").display(),
        );
        std::fs::write(at("config"), config).unwrap();
        let server = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(at("config"))
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(at("log")).unwrap())
            .spawn()
            .expect("openssh-server is installed");
        let sshd = Self {
            port,
            key,
            host_key: host.public(),
            server,
            folder,
        };
        sshd.answering()
    }

    /// Starts Dropbear, with OpenSSH's program for SFTP, as small systems have it. It looks for
    /// keys in the home of whoever logs in, so it is shown another home.
    pub(crate) fn dropbear() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let key = PrivateKey::from_seed(&rand::random());
        key.write(&at("id")).unwrap();
        std::fs::create_dir_all(at("home/.ssh")).unwrap();
        std::fs::write(at("home/.ssh/authorized_keys"), key.public().line()).unwrap();
        let made = Command::new("dropbearkey")
            .args(["-t", "ed25519", "-f"])
            .arg(at("host_key"))
            .output()
            .expect("dropbear-bin is installed");
        let made = String::from_utf8(made.stdout).unwrap();
        let line = made.lines().find(|line| line.starts_with("ssh-ed25519"));
        let host_key = PublicKey::parse(line.unwrap()).unwrap();
        let port = free_port();
        let home = std::env::home_dir().unwrap();
        let mut command = Command::new("bwrap");
        command.args(["--die-with-parent", "--dev-bind", "/", "/", "--bind"]);
        command.arg(at("home")).arg(home);
        if user() == "root" {
            // It may change its user and groups, as it does for others.
            command.args(["--cap-add", "ALL"]);
        }
        command.args(["dropbear", "-F", "-E", "-s", "-m", "-r"]);
        command.arg(at("host_key")).arg("-P").arg(at("pid"));
        command.arg("-p").arg(format!("127.0.0.1:{port}"));
        let server = command
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(at("log")).unwrap())
            .spawn()
            .expect("bubblewrap is installed");
        let sshd = Self {
            port,
            key,
            host_key,
            server,
            folder,
        };
        sshd.answering()
    }

    fn answering(self) -> Self {
        for _ in 0..200 {
            if StdStream::connect(("127.0.0.1", self.port)).is_ok() {
                return self;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("the server does not answer: {}", self.log());
    }

    /// What the program for SFTP has said.
    pub(crate) fn sftp_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("sftp-log")).unwrap_or_default()
    }

    /// A folder for the test's files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn identity(&self) -> PathBuf {
        self.folder.path().join("id")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn login(&self) -> Login {
        Login {
            user: user(),
            key: self.key.clone(),
            host_key: HostKey::Exactly(self.host_key.clone()),
        }
    }

    pub(crate) async fn dial(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::connect(self.dial().await, &self.login())
            .await
            .unwrap_or_else(|error| panic!("{error}: {}", self.log()))
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

pub(crate) fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

//! An OpenSSH server of our own on a loopback port, with keys made for the test.

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
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let host = PrivateKey::from_seed(&rand::random());
        let key = PrivateKey::from_seed(&rand::random());
        host.write(&at("host_key")).unwrap();
        key.write(&at("id")).unwrap();
        std::fs::write(at("authorized_keys"), key.public().line()).unwrap();
        // As root, sshd wants its empty folder.
        let _ = std::fs::create_dir_all("/run/sshd");
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\n\
             StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\n\
             PasswordAuthentication no\nMaxStartups 200\nSubsystem sftp internal-sftp\n{extra}\n",
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
        for _ in 0..200 {
            if StdStream::connect(("127.0.0.1", port)).is_ok() {
                return sshd;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("sshd does not answer: {}", sshd.log());
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

pub(crate) fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

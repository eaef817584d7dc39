//! The tunnels that are compared. Each leads from a port of this computer to the same program.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::computer::Computer;
use tests::process::{Running, eventually, run};
use tests::secured::certificate;

use crate::load;

/// Names of those that others are compared with.
pub(crate) const DIRECT: &str = "direct";
pub(crate) const HOPS: &str = "two plain hops";
pub(crate) const SSH: &str = "ssh -L";

/// One way: where it begins, and what it costs.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    /// Processes of its client half.
    pub(crate) near: Vec<u32>,
    /// Processes of its other half.
    pub(crate) far: Vec<u32>,
    _running: Vec<Running>,
}

impl Peer {
    pub(crate) fn both(&self) -> Vec<u32> {
        [self.near.as_slice(), self.far.as_slice()].concat()
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// This program once more, as one of its helpers.
fn helper(words: &[&str]) -> Result<Running> {
    Running::start(Command::new(std::env::current_exe()?).args(words))
}

/// A line of `delay` each way to `port`; the port itself without one.
fn line(port: u16, delay: Duration) -> Result<(u16, Option<Running>)> {
    if delay.is_zero() {
        return Ok((port, None));
    }
    let near = free_port()?;
    let millis = delay.as_millis().to_string();
    let running = helper(&["delay", &local(near), &local(port), &millis])?;
    Ok((near, Some(running)))
}

fn checked(peer: Peer) -> Result<Peer> {
    ensure!(load::works(peer.port), "{} carries nothing", peer.name);
    Ok(peer)
}

/// The far end of all but the product, whose far end is in a session.
pub(crate) fn backend() -> Result<(u16, Running)> {
    let port = free_port()?;
    let running = helper(&["serve", &local(port)])?;
    Ok((port, running))
}

/// Nothing between.
pub(crate) fn direct(backend: u16, delay: Duration) -> Result<Peer> {
    let (port, running) = line(backend, delay)?;
    checked(Peer {
        name: DIRECT,
        port,
        near: Vec::new(),
        far: Vec::new(),
        _running: running.into_iter().collect(),
    })
}

/// Two copying hops and nothing else: what any tunnel of two halves costs at least.
pub(crate) fn relay(backend: u16) -> Result<Peer> {
    let (middle, port) = (free_port()?, free_port()?);
    let mut far = helper(&["relay", &local(middle), &local(backend)])?;
    let mut near = helper(&["relay", &local(port), &local(middle)])?;
    checked(Peer {
        name: HOPS,
        port,
        near: vec![near.child().id()],
        far: vec![far.child().id()],
        _running: vec![near, far],
    })
}

/// The system's `ssh -L` to the system's server, as they come.
pub(crate) fn ssh(backend: u16, delay: Duration, folder: &Path) -> Result<Peer> {
    let (server, port) = (free_port()?, free_port()?);
    let path = |name: &str| folder.join(name).display().to_string();
    for key in ["host", "user"] {
        if !folder.join(key).exists() {
            let mut make = Command::new("ssh-keygen");
            run(make.args(["-q", "-t", "ed25519", "-N", "", "-f", &path(key)]))?;
        }
    }
    fs::copy(folder.join("user.pub"), folder.join("authorized"))?;
    let config = format!(
        "ListenAddress 127.0.0.1:{server}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
         UsePAM no\nStrictModes no\nPasswordAuthentication no\nMaxStartups 500\nMaxSessions 500\n\
         PermitRootLogin yes\n",
        path("host"),
        path("authorized")
    );
    fs::write(folder.join("sshd_config"), config)?;
    let _ = fs::create_dir_all("/run/sshd");
    let mut sshd = Running::start(
        Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", &path("sshd_config")])
            .stderr(Stdio::null()),
    )?;
    // The client gives up at once when the line in between finds nobody behind it.
    eventually("sshd", Duration::from_secs(20), || {
        Ok(TcpStream::connect(("127.0.0.1", server)).ok())
    })?;
    let (dialled, delayed) = line(server, delay)?;
    let mut client = Running::start(
        Command::new("ssh")
            .args([
                "-F",
                "none",
                "-N",
                "-i",
                &path("user"),
                "-p",
                &dialled.to_string(),
            ])
            .args(["-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no"])
            .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"])
            .args([
                "-o",
                "ConnectionAttempts=50",
                "-o",
                "ExitOnForwardFailure=yes",
            ])
            .args(["-L", &format!("{port}:127.0.0.1:{backend}"), "127.0.0.1"]),
    )?;
    let (near, far) = (client.child().id(), sshd.child().id());
    let mut running = vec![client, sshd];
    running.extend(delayed);
    checked(Peer {
        name: SSH,
        port,
        near: vec![near],
        far: vec![far],
        _running: running,
    })
}

/// A WebSocket proxy of Node with `ws`, the kind that desktop apps have inside.
pub(crate) fn node(backend: u16, delay: Duration, folder: &Path) -> Result<Peer> {
    let script = folder.join("proxy.cjs");
    fs::write(&script, include_str!("proxy.cjs"))?;
    let (server, port) = (free_port()?, free_port()?);
    let node = |mode: &str, from: u16, to: u16| {
        Running::start(
            Command::new("node")
                .arg(&script)
                .args([mode, &from.to_string(), &to.to_string()])
                .stderr(Stdio::null()),
        )
    };
    let mut far = node("server", server, backend)?;
    let (dialled, delayed) = line(server, delay)?;
    let mut near = node("client", port, dialled)?;
    let (near_pid, far_pid) = (near.child().id(), far.child().id());
    let mut running = vec![near, far];
    running.extend(delayed);
    checked(Peer {
        name: "Node",
        port,
        near: vec![near_pid],
        far: vec![far_pid],
        _running: running,
    })
}

/// What stands between the product's client and its manager.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Between {
    Nothing,
    Line(Duration),
    Tls,
}

/// A session of the product with the far end inside.
pub(crate) struct Product {
    computer: Computer,
    engine: u32,
    endpoint: u16,
}

const INSIDE: u16 = 25_000;

impl Product {
    pub(crate) fn start() -> Result<Self> {
        let computer = Computer::logged_in()?;
        computer.gangway(&["session", "launch", "bench", "--cpu", "2", "--mem", "4g"])?;
        let exe = std::env::current_exe()?;
        let exe = exe.to_str().context("path")?;
        computer.gangway(&["cp", exe, "bench:/home/work/serve"])?;
        computer.ok(
            "bench",
            &format!(
                "chmod +x serve && (setsid ./serve serve {} >/dev/null 2>&1 &)",
                local(INSIDE)
            ),
        )?;
        let engine = computer.gangway(&["engine", "status"])?;
        let number = |value: &serde_json::Value| value.as_u64().context("a number");
        let endpoint = engine["endpoint"].as_str().context("endpoint")?;
        let endpoint = endpoint.rsplit_once(':').context("port")?.1.parse()?;
        Ok(Self {
            engine: u32::try_from(number(&engine["pid"])?)?,
            endpoint,
            computer,
        })
    }

    pub(crate) fn tunnel(&self, between: Between) -> Result<Peer> {
        let mut running = Vec::new();
        let endpoint = match between {
            Between::Nothing => None,
            Between::Line(delay) => {
                let (port, hop) = line(self.endpoint, delay)?;
                running.extend(hop);
                Some(format!("http://127.0.0.1:{port}"))
            }
            Between::Tls => {
                let port = free_port()?;
                let folder = self.computer.path("");
                certificate(&folder, "DNS:localhost")?;
                let folder = folder.display().to_string();
                let to = local(self.endpoint);
                running.push(helper(&["tls", &local(port), &to, &folder])?);
                Some(format!("https://localhost:{port}"))
            }
        };
        let far: Vec<u32> = std::iter::once(self.engine)
            .chain(
                running
                    .iter_mut()
                    .filter(|_| between == Between::Tls)
                    .map(|hop| hop.child().id()),
            )
            .collect();
        self.reach_at(endpoint.as_deref(), between)?;
        // A new host: nothing is left of another way.
        self.computer.gangway(&["proxy", "stop"])?;
        let port = INSIDE.to_string();
        let arguments = ["tunnel", "open", "bench", port.as_str(), "--background"];
        let tunnel = self.computer.gangway(&arguments)?;
        let host = self.computer.gangway(&["proxy", "status"])?;
        let port = tunnel["local_port"].as_u64().context("local_port")?;
        let near = host["pid"].as_u64().context("pid")?;
        checked(Peer {
            name: "Gangway",
            port: u16::try_from(port)?,
            near: vec![u32::try_from(near)?],
            far,
            _running: running,
        })
    }

    /// Makes the profile lead to the manager by another address.
    fn reach_at(&self, endpoint: Option<&str>, between: Between) -> Result<()> {
        let paths = self.computer.gangway(&["paths"])?;
        let file = paths["config"].as_str().context("config")?;
        let mut config: toml_edit::DocumentMut = fs::read_to_string(file)?.parse()?;
        let profile = &mut config["profiles"]["local"];
        match endpoint {
            Some(endpoint) => profile["endpoint"] = toml_edit::value(endpoint),
            None => {
                profile
                    .as_table_like_mut()
                    .map(|table| table.remove("endpoint"));
            }
        }
        if between == Between::Tls {
            let authority = self.computer.path("cert.pem").display().to_string();
            config["preferences"]["ca_file"] = toml_edit::value(authority);
        }
        fs::write(file, config.to_string())?;
        Ok(())
    }
}

//! A real image registry on loopback (Debian's docker-registry), what stands between it and the
//! engine, and an image to put into it.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::computer::PATIENCE;
use crate::local_port::answers_http;
use crate::process::{Running, eventually, run};

/// The registry. Ends with this value.
#[derive(Debug)]
pub struct Registry {
    _process: Running,
    folder: TempDir,
    /// Its port on loopback.
    pub port: u16,
    login: Option<(String, String)>,
}

impl Registry {
    /// Starts one; with `login` only that user gets in.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(login: Option<(&str, &str)>) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("gw-").tempdir()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let data = folder.path().join("data");
        let mut config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n\
             http: {{addr: \"127.0.0.1:{port}\"}}\n",
            data.display()
        );
        if let Some((user, password)) = login {
            let passwords = folder.path().join("htpasswd");
            let line = run(Command::new("htpasswd").args(["-Bbn", user, password]))?;
            fs::write(&passwords, line)?;
            config.push_str(&format!(
                "auth: {{htpasswd: {{realm: here, path: {}}}}}\n",
                passwords.display()
            ));
        }
        let path = folder.path().join("config.yml");
        fs::write(&path, config)?;
        let process = Running::start(
            Command::new("docker-registry")
                .arg("serve")
                .arg(&path)
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        )
        .context("the package docker-registry is needed")?;
        eventually("the registry", PATIENCE, || {
            Ok(answers_http(u64::from(port)).then_some(()))
        })?;
        Ok(Self {
            _process: process,
            folder,
            port,
            login: login.map(|(user, password)| (user.to_owned(), password.to_owned())),
        })
    }

    /// Host and port.
    #[must_use]
    pub fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Puts an image into it.
    ///
    /// # Errors
    /// When the registry does not take it.
    pub async fn push(&self, repository: &str, tag: &str, image: &Image) -> Result<()> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let base = format!("http://{}/v2/{repository}", self.name());
        let login = |request: reqwest::RequestBuilder| match &self.login {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        };
        let config = image.config.to_string().into_bytes();
        let mut layers = Vec::new();
        for blob in image
            .layers
            .iter()
            .map(|layer| &layer.packed)
            .chain([&config])
        {
            let begun = login(client.post(format!("{base}/blobs/uploads/")))
                .send()
                .await?
                .error_for_status()?;
            let place = begun.headers()["location"].to_str()?.to_owned();
            let separator = if place.contains('?') { '&' } else { '?' };
            let digest = digest(blob);
            login(client.put(format!("{place}{separator}digest={digest}")))
                .header("content-type", "application/octet-stream")
                .body(blob.clone())
                .send()
                .await?
                .error_for_status()?;
            layers.push(json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": digest,
                "size": blob.len(),
            }));
        }
        let mut last = layers.pop().context("the configuration")?;
        last["mediaType"] = json!("application/vnd.oci.image.config.v1+json");
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": last,
            "layers": layers,
        });
        login(client.put(format!("{base}/manifests/{tag}")))
            .header("content-type", "application/vnd.oci.image.manifest.v1+json")
            .body(manifest.to_string())
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// Changes a byte of a blob on the registry's disk.
    ///
    /// # Errors
    /// When there is no such blob.
    pub fn spoil(&self, blob: &[u8]) -> Result<()> {
        let digest = digest(blob);
        let hex = digest.trim_start_matches("sha256:");
        let path = self.folder.path().join(format!(
            "data/docker/registry/v2/blobs/sha256/{}/{hex}/data",
            &hex[..2]
        ));
        let mut content = fs::read(&path)?;
        let middle = content.len() / 2;
        content[middle] ^= 1;
        fs::write(&path, content)?;
        Ok(())
    }
}

/// `sha256:…` of bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// A layer.
#[derive(Debug)]
pub struct Layer {
    /// As it is stored.
    pub packed: Vec<u8>,
    plain: String,
}

/// An image.
#[derive(Debug)]
pub struct Image {
    /// Lowest first.
    pub layers: Vec<Layer>,
    config: Value,
}

impl Image {
    /// A small system (Debian's busybox-static), and above it a layer of `extra` bytes that can't
    /// be compressed.
    ///
    /// # Errors
    /// When a program that it is made with is missing.
    pub fn small(labels: &Value, extra: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (base, more) = (folder.path().join("base"), folder.path().join("more"));
        fs::create_dir_all(base.join("bin"))?;
        fs::copy("/bin/busybox", base.join("bin/busybox"))
            .context("the package busybox-static is needed")?;
        for name in [
            "sh", "cat", "ls", "id", "echo", "rm", "mkdir", "env", "sleep",
        ] {
            std::os::unix::fs::symlink("busybox", base.join("bin").join(name))?;
        }
        fs::create_dir_all(base.join("etc"))?;
        fs::write(base.join("etc/flavour"), "small\n")?;
        fs::create_dir_all(base.join("opt/tool"))?;
        fs::write(base.join("opt/tool/old"), "old\n")?;
        fs::create_dir_all(more.join("data"))?;
        let mut noise = vec![0; extra];
        fs::File::open("/dev/urandom")?.read_exact(&mut noise)?;
        fs::write(more.join("data/noise"), noise)?;
        Self::of(vec![layer(&base)?, layer(&more)?], labels)
    }

    /// The small system, and above it files of several owners: `srv/data` of 33, group-writable
    /// and handed down; in it `secret`, which 999 alone may read; `opt/tool`, set-user-id root; and
    /// `opt/far` of an id that no session has.
    ///
    /// # Errors
    /// When a program that it is made with is missing.
    pub fn of_several_owners() -> Result<Self> {
        let labels = json!({
            "ai.backend.kernelspec": "1",
            "ai.backend.role": "COMPUTE",
            "ai.backend.resource.min.cpu": "1",
            "ai.backend.resource.min.mem": "64m",
        });
        let mut image = Self::small(&labels, 16)?;
        let folder = tempfile::tempdir()?;
        let tar = folder.path().join("owned.tar");
        for (name, mode, owner) in [
            ("srv/data", 0o2775, 33),
            ("srv/data/secret", 0o600, 999),
            ("opt/tool", 0o4755, 0),
            ("opt/far", 0o644, 200_000),
        ] {
            let path = folder.path().join("root").join(name);
            if name == "srv/data" {
                fs::create_dir_all(&path)?;
            } else {
                fs::create_dir_all(path.parent().context("parent")?)?;
                fs::write(&path, name)?;
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            run(Command::new("tar")
                .arg(format!("--owner={owner}"))
                .arg(format!("--group={owner}"))
                .args(["--numeric-owner", "--no-recursion", "-C"])
                .arg(folder.path().join("root"))
                .arg("-rf")
                .arg(&tar)
                .arg(name))?;
        }
        image.layers.push(packed(&tar)?);
        Self::of(image.layers, &labels)
    }

    fn of(layers: Vec<Layer>, labels: &Value) -> Result<Self> {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => bail!("what do images call {other}?"),
        };
        let plain: Vec<&str> = layers.iter().map(|layer| layer.plain.as_str()).collect();
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": { "Env": ["PATH=/bin", "FLAVOUR=small"], "Labels": labels },
            "rootfs": { "type": "layers", "diff_ids": plain },
        });
        Ok(Self { layers, config })
    }

    /// Writes it as a folder (OCI image layout).
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn layout(&self, folder: &Path) -> Result<PathBuf> {
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        let keep = |bytes: &[u8]| -> Result<Value> {
            let digest = digest(bytes);
            fs::write(blobs.join(digest.trim_start_matches("sha256:")), bytes)?;
            Ok(json!({ "digest": digest, "size": bytes.len() }))
        };
        let config = keep(self.config.to_string().as_bytes())?;
        let layers: Vec<Value> = self
            .layers
            .iter()
            .map(|layer| keep(&layer.packed))
            .collect::<Result<_>>()?;
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
        let manifest = keep(manifest.to_string().as_bytes())?;
        let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
        fs::write(folder.join("index.json"), index.to_string())?;
        fs::write(
            folder.join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )?;
        Ok(folder.to_owned())
    }
}

fn layer(root: &Path) -> Result<Layer> {
    let tar = root.with_extension("tar");
    run(Command::new("tar")
        .args(["--owner=0", "--group=0", "--numeric-owner", "-C"])
        .arg(root)
        .arg("-cf")
        .arg(&tar)
        .arg("."))?;
    packed(&tar)
}

fn packed(tar: &Path) -> Result<Layer> {
    let plain = digest(&fs::read(tar)?);
    run(Command::new("gzip").arg("-1").arg(tar))?;
    let packed = fs::read(tar.with_extension("tar.gz"))?;
    Ok(Layer { packed, plain })
}

/// Stands between the engine and a registry and can break connections.
#[derive(Debug)]
pub struct Relay {
    /// Its port on loopback.
    pub port: u16,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// Bytes that one connection may bring; then it is cut.
    cut: AtomicU64,
    /// Whether it takes nobody after a cut.
    closes: AtomicBool,
    closed: AtomicBool,
    brought: AtomicU64,
    cuts: AtomicU64,
    /// Milliseconds for which it stops before each 16 KiB of the registry's answers.
    pause: AtomicU64,
}

impl Relay {
    /// Before the registry on `port`.
    ///
    /// # Errors
    /// When there is no port left.
    pub fn before(port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let own = listener.local_addr()?.port();
        let state = Arc::new(State {
            cut: AtomicU64::new(u64::MAX),
            closes: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            brought: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
            pause: AtomicU64::new(0),
        });
        let shared = Arc::clone(&state);
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.closed.load(Ordering::SeqCst) {
                    continue;
                }
                let state = Arc::clone(&shared);
                thread::spawn(move || pass(stream, port, &state));
            }
        });
        Ok(Self { port: own, state })
    }

    /// Host and port.
    #[must_use]
    pub fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The next connection that brings more than `bytes` is cut there, once; with `for_good` nobody
    /// gets through any more, until [`Relay::open`].
    pub fn cut_after(&self, bytes: u64, for_good: bool) {
        self.state.closes.store(for_good, Ordering::SeqCst);
        self.state.cut.store(bytes, Ordering::SeqCst);
    }

    /// Makes it slow: it stops for so long before each 16 KiB that the registry sends.
    pub fn pause(&self, pause: Duration) {
        let millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.state.pause.store(millis, Ordering::SeqCst);
    }

    /// Lets everybody through again.
    pub fn open(&self) {
        self.state.cut.store(u64::MAX, Ordering::SeqCst);
        self.state.closed.store(false, Ordering::SeqCst);
    }

    /// Bytes that the registry sent through it.
    #[must_use]
    pub fn brought(&self) -> u64 {
        self.state.brought.load(Ordering::SeqCst)
    }

    /// Connections that it cut.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.state.cuts.load(Ordering::SeqCst)
    }
}

fn pass(client: TcpStream, port: u16, state: &State) -> Option<()> {
    let registry = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    let (mut from, mut to) = (client.try_clone().ok()?, registry.try_clone().ok()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (registry, client);
    let mut buffer = vec![0; 16 << 10];
    let mut own: u64 = 0;
    loop {
        let read = from.read(&mut buffer).ok().filter(|read| *read > 0)?;
        // A connection that was open already is no way past the cut either: clients keep them.
        if state.closed.load(Ordering::SeqCst) {
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
            return None;
        }
        own += u64::try_from(read).ok()?;
        if own > state.cut.load(Ordering::SeqCst) {
            state.cut.store(u64::MAX, Ordering::SeqCst);
            state.cuts.fetch_add(1, Ordering::SeqCst);
            if state.closes.load(Ordering::SeqCst) {
                state.closed.store(true, Ordering::SeqCst);
            }
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
            return None;
        }
        let pause = state.pause.load(Ordering::SeqCst);
        thread::sleep(Duration::from_millis(pause));
        to.write_all(&buffer[..read]).ok()?;
        let read = u64::try_from(read).ok()?;
        state.brought.fetch_add(read, Ordering::SeqCst);
    }
}

/// The last line of what a command printed about something in the background.
///
/// # Errors
/// When it is not its end.
pub fn outcome(printed: &str) -> Result<String> {
    let last = printed.lines().last().context("nothing was printed")?;
    let last: Value = serde_json::from_str(last)?;
    ensure!(last["kind"] == "done", "{printed}");
    Ok(last["message"].as_str().unwrap_or_default().to_owned())
}

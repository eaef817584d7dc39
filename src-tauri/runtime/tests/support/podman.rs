//! A real Podman of the test's own: its storage, its networks, its API socket, one small image.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// Name of the image.
pub(crate) const IMAGE: &str = "localhost/gangway-test:1";

/// Programs of this computer that the image is made of, with the libraries that they need.
const PROGRAMS: &[&str] = &[
    "bash", "cat", "getent", "hostname", "id", "ls", "mkdir", "perl", "sleep", "ssh", "tail",
    "touch", "uname", "wc",
];

pub(crate) struct Podman {
    dir: tempfile::TempDir,
    service: Child,
}

impl Podman {
    /// Starts one and waits until it answers.
    pub(crate) fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = tempfile::Builder::new().prefix("gwp").tempdir().unwrap();
        let hard = |name: &str| {
            let text = fs::read_to_string("/proc/self/limits").unwrap();
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            let word = line[name.len()..].split_whitespace().nth(1).unwrap();
            word.parse::<u64>().unwrap_or(1 << 20)
        };
        // Podman raises limits, which needs a right that even root may lack; and each instance
        // needs names of its own for the bridges that all of them make on this computer.
        let processes: u64 = fs::read_to_string("/proc/sys/kernel/pid_max")
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let (files, processes) = (hard("Max open files"), hard("Max processes").min(processes));
        let networks = dir.path().join("networks");
        let subnet = 64 + (std::process::id() + number) % 150;
        let conf = format!(
            "[containers]\ndefault_ulimits = [\"nofile={files}:{files}\",\"nproc={processes}:{processes}\"]\n\
             log_driver = \"k8s-file\"\n\
             [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nruntime = \"runc\"\n\
             [network]\nnetwork_config_dir = \"{}\"\ndefault_subnet = \"10.{subnet}.0.0/16\"\n\
             default_network = \"gwt{}\"\n",
            networks.display(),
            std::process::id() % 100_000 * 10 + number % 10,
        );
        fs::write(dir.path().join("containers.conf"), conf).unwrap();
        // Registries of this computer speak plain HTTP.
        let registries =
            "[[registry]]\nprefix = \"127.0.0.1\"\nlocation = \"127.0.0.1\"\ninsecure = true\n";
        fs::write(dir.path().join("registries.conf"), registries).unwrap();
        let service = service(dir.path());
        let podman = Self { dir, service };
        podman.import();
        podman.wait();
        podman
    }

    /// kill -9 of the service; containers go on. Started again it answers at the same socket.
    pub(crate) fn kill_service(&mut self) {
        self.service.kill().unwrap();
        self.service.wait().unwrap();
    }

    pub(crate) fn start_service(&mut self) {
        // What a killed one left keeps another from listening.
        let _ = fs::remove_file(self.socket());
        self.service = service(self.dir.path());
        self.wait();
    }

    /// Whether somebody listens at its socket.
    pub(crate) fn answers(&self) -> bool {
        std::os::unix::net::UnixStream::connect(self.socket()).is_ok()
    }

    fn wait(&self) {
        let begun = Instant::now();
        while !self.answers() {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{}",
                fs::read_to_string(self.dir.path().join("service.log")).unwrap()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    /// Runs `podman` to its end; standard output.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.try_run(arguments);
        assert!(
            output.status.success(),
            "podman {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn try_run(&self, arguments: &[&str]) -> Output {
        command(self.dir.path()).args(arguments).output().unwrap()
    }

    /// Names of all containers, ended ones too.
    pub(crate) fn containers(&self) -> Vec<String> {
        let names = self.run(&["ps", "-a", "--format", "{{.Names}}"]);
        names.lines().map(str::to_owned).collect()
    }

    fn import(&self) {
        let root = self.dir.path().join("image");
        fs::create_dir(&root).unwrap();
        build(&root);
        let tar = self.dir.path().join("image.tar");
        let packed = Command::new("tar")
            .arg("-C")
            .arg(&root)
            .arg("-cf")
            .arg(&tar)
            .arg(".")
            .status()
            .unwrap();
        assert!(packed.success());
        self.run(&[
            "import",
            "--quiet",
            "--change",
            "ENV FROM_IMAGE=yes",
            "--change",
            "LABEL ai.backend.resource.min.mem=64m",
            "--change",
            "LABEL ai.backend.service-ports=web:http:8090",
            tar.to_str().unwrap(),
            IMAGE,
        ]);
        fs::remove_dir_all(&root).unwrap();
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = command(self.dir.path())
            .args(["rm", "--all", "--force", "--time", "0"])
            .output();
        let _ = self.service.kill();
        let _ = self.service.wait();
        // The storage is a mount of its own, and its directory can't be removed under it.
        for name in ["root/overlay", "run"] {
            let _ = Command::new("umount")
                .arg("--lazy")
                .arg(self.dir.path().join(name))
                .stderr(Stdio::null())
                .status();
        }
    }
}

fn service(dir: &Path) -> Child {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(dir.join("service.log"))
        .unwrap();
    command(dir)
        .args(["system", "service", "--time=0"])
        .arg(format!("unix://{}", dir.join("s").display()))
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("install podman: cargo xtask test does")
}

fn command(dir: &Path) -> Command {
    let mut command = Command::new("podman");
    command
        .env("CONTAINERS_CONF", dir.join("containers.conf"))
        .env("CONTAINERS_REGISTRIES_CONF", dir.join("registries.conf"))
        .env_remove("CONTAINER_HOST")
        .arg("--root")
        .arg(dir.join("root"))
        .arg("--runroot")
        .arg(dir.join("run"))
        .arg("--tmpdir")
        .arg(dir.join("tmp"))
        .arg("--log-level=error");
    command
}

/// Collects programs and their libraries below `root`.
fn build(root: &Path) {
    for name in [
        "etc", "home", "lib", "lib64", "proc", "root", "run", "sys", "dev", "tmp", "usr/bin",
    ] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    // Where a session's user may change the image.
    fs::create_dir_all(root.join("opt/open")).unwrap();
    fs::set_permissions(root.join("opt/open"), fs::Permissions::from_mode(0o777)).unwrap();
    symlink("usr/bin", root.join("bin")).unwrap();
    symlink("bash", root.join("usr/bin/sh")).unwrap();
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\n").unwrap();
    let mut libraries = BTreeSet::new();
    for name in PROGRAMS {
        let program = ["/usr/bin", "/bin"]
            .map(|place| Path::new(place).join(name))
            .into_iter()
            .find(|path| path.is_file())
            .unwrap_or_else(|| panic!("{name} is not on this computer"));
        fs::copy(&program, root.join("usr/bin").join(name)).unwrap();
        let output = Command::new("ldd").arg(&program).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        libraries.extend(
            text.split_whitespace()
                .filter(|word| word.starts_with('/'))
                .map(str::to_owned),
        );
    }
    for library in libraries {
        let to = root.join(library.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        if !to.exists() {
            fs::copy(&library, &to).unwrap();
        }
    }
    // Perl's sockets.
    for place in [
        "/usr/share/perl-base",
        "/usr/lib/x86_64-linux-gnu/perl-base",
    ] {
        if Path::new(place).is_dir() {
            let to = root.join(place.trim_start_matches('/'));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            let copied = Command::new("cp")
                .args(["-a", place])
                .arg(&to)
                .status()
                .unwrap();
            assert!(copied.success());
        }
    }
}

//! Transfers beside the tools that people use, all against the same server on loopback.
//!
//! `cargo bench -p transfer [-- NAME=VALUE…]` prints a Markdown table: medians over interleaved
//! rounds, and ratios to `sftp` inside each round, of time and of the client's processor time. A
//! busy machine moves the rates; the ratios hold better. Files lie in memory where there is such a
//! folder, so that the disk, the same for all, does not hide what the tools do; the queue's own
//! database is on the disk.
//!
//! | name | usual | what |
//! |---|---|---|
//! | `mib` | 1024 | length of the large file |
//! | `files` | 5000 | number of files of 4 KiB |
//! | `rounds` | 3 | |
//! | `delay` | 0 | milliseconds one way between client and server |
//! | `tools` | all that are installed | `sftp,scp,rsync,rclone` |
//! | `folder` | `/dev/shm` | where the files lie |
//! | `tasks` | `put,get,putdir,getdir` | |
//! | `server` | `openssh` | `no-limits`: OpenSSH's without `limits@openssh.com`; `dropbear` |
//! | `port`, `user`, `key`, `host_key` | a server of our own | another server: port, login name, files of its keys |
//! | `seen`, `at` | the same | another server's folder, as this computer and as the server names it |
//!
//! A session's own server is measured with `port` of a tunnel to its `sshd`, and `seen` the session's
//! home on this computer, `at=/home/work`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench ends at the first trouble"
)]

#[expect(dead_code, reason = "the relay is shared with the tests")]
#[path = "../tests/relay/mod.rs"]
mod relay;
#[expect(dead_code, reason = "the server is shared with other tests")]
#[path = "../../ssh/tests/sshd/mod.rs"]
mod sshd;
mod tools;

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use nix::sys::resource::{UsageWho, getrusage};
use relay::Relay;
use sshd::Sshd;
use tools::{Server, TOOLS, Tool};
use transfer::{
    Item, Links, Location, Options, Overwrite, Place, Places, Queue, SftpStore, Start, State,
    Store, StoreError,
};

const OURS: &str = "gangway";

struct Sessions {
    login: ssh::client::Login,
    port: u16,
}

impl Places for Sessions {
    fn open<'a>(
        &'a self,
        _profile: &'a str,
        _place: &'a Place,
    ) -> BoxFuture<'a, Result<Arc<dyn Store>, StoreError>> {
        async move {
            let store = SftpStore::reach(relay::dial(self.port), self.login.clone()).await?;
            Ok(Arc::new(store) as Arc<dyn Store>)
        }
        .boxed()
    }
}

/// What was asked for on the command line.
struct Wanted(HashMap<String, String>);

impl Wanted {
    fn read() -> Self {
        let pairs = std::env::args().filter_map(|word| {
            let (name, value) = word.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        });
        Self(pairs.collect())
    }

    fn number(&self, name: &str, usual: u64) -> u64 {
        self.0.get(name).map_or(usual, |it| it.parse().unwrap())
    }

    /// The path by which the server knows a file of this computer.
    fn at_the_server(&self, path: &Path) -> PathBuf {
        match (self.0.get("seen"), self.0.get("at")) {
            (Some(seen), Some(at)) => Path::new(at).join(path.strip_prefix(seen).unwrap()),
            _ => path.to_owned(),
        }
    }

    fn has(&self, name: &str, word: &str) -> bool {
        let list = self.0.get(name);
        list.is_none_or(|list| list.split(',').any(|it| it == word))
    }
}

/// One task done by one tool.
#[derive(Clone, Copy)]
struct Took {
    seconds: f64,
    cpu: f64,
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run(&Wanted::read()));
}

async fn run(wanted: &Wanted) {
    let (mebibytes, files) = (wanted.number("mib", 1024), wanted.number("files", 5000));
    let sshd = match wanted.0.get("server").map(String::as_str) {
        None | Some("openssh") => Sshd::start(""),
        Some("no-limits") => Sshd::with_sftp_arguments("-P limits"),
        Some("dropbear") => Sshd::dropbear(),
        Some(other) => panic!("no server {other:?}"),
    };
    let memory = Path::new("/dev/shm");
    let seen = wanted.0.get("seen");
    let folder = match seen.or_else(|| wanted.0.get("folder")) {
        Some(folder) => tempfile::tempdir_in(folder),
        None if memory.is_dir() => tempfile::tempdir_in(memory),
        None => tempfile::tempdir(),
    };
    let folder = folder.unwrap();
    let work = folder.path();
    open_to_all(work);
    let big = work.join("big");
    let block = vec![0xa5; 1 << 20];
    let mut file = std::fs::File::create(&big).unwrap();
    for _ in 0..mebibytes {
        std::io::Write::write_all(&mut file, &block).unwrap();
    }
    let small = work.join("small");
    std::fs::create_dir(&small).unwrap();
    for file in 0..files {
        std::fs::write(small.join(file.to_string()), &block[..4096]).unwrap();
    }
    let (mut server, login) = server(wanted, &sshd);
    // A connection that is set up anew for each task, as the other tools have to.
    let relay = match wanted.number("delay", 0) {
        0 => None,
        delay => Some(Relay::start(server.port, Duration::from_millis(delay)).await),
    };
    if let Some((relay, _)) = &relay {
        server.port = relay.port;
    }
    let tools: Vec<&Tool> = TOOLS
        .iter()
        .filter(|tool| wanted.has("tools", tool.name) && tool.is_there())
        .collect();

    for tool in TOOLS.iter().filter(|tool| !tool.is_there()) {
        println!("{} is not installed, and is left out.\n", tool.name);
    }
    println!("| task | tool | rate | × sftp | client CPU s | × sftp |\n|---|---|---|---|---|---|");
    for (task, up, folder) in [
        ("put", true, false),
        ("get", false, false),
        ("putdir", true, true),
        ("getdir", false, true),
    ] {
        if !wanted.has("tasks", task) {
            continue;
        }
        let src = if folder { &small } else { &big };
        let mut took: HashMap<&str, Vec<Took>> = HashMap::new();
        for round in 0..wanted.number("rounds", 3) {
            let copy = |name: &str| work.join(format!("{task}-{name}-{round}"));
            // As the one who reads and the one who writes name them.
            let named = |dst: &Path| match up {
                true => (src.clone(), wanted.at_the_server(dst)),
                false => (wanted.at_the_server(src), dst.to_owned()),
            };
            let dst = copy(OURS);
            let (from, to) = named(&dst);
            let ours = ours(&sshd, &server, &login, (&from, &to), up).await;
            took.entry(OURS).or_default().push(ours);
            check(src, &dst);
            for tool in &tools {
                let dst = copy(tool.name);
                let (from, to) = named(&dst);
                // `sftp` puts a folder into one that is there.
                if folder && up && tool.name == "sftp" {
                    std::fs::create_dir_all(&dst).unwrap();
                    open_to_all(&dst);
                }
                let command = tool.command(&server, work, (&from, &to), (up, folder));
                took.entry(tool.name).or_default().push(theirs(command));
                check(src, &dst);
            }
        }
        let amount = match folder {
            true => (files as f64, "files/s"),
            false => ((mebibytes << 20) as f64 / 1e6, "MB/s"),
        };
        for name in [OURS].into_iter().chain(tools.iter().map(|tool| tool.name)) {
            show(task, name, amount, &took);
        }
    }
}

/// Another server may write as another user.
fn open_to_all(directory: &Path) {
    let all = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(directory, all).unwrap();
}

fn server(wanted: &Wanted, sshd: &Sshd) -> (Server, ssh::client::Login) {
    let Some(port) = wanted.0.get("port") else {
        let server = Server {
            port: sshd.port,
            user: sshd::user(),
            key: sshd.identity(),
        };
        return (server, sshd.login());
    };
    let read = |name: &str| std::fs::read_to_string(&wanted.0[name]).unwrap();
    let server = Server {
        port: port.parse().unwrap(),
        user: wanted.0["user"].clone(),
        key: PathBuf::from(&wanted.0["key"]),
    };
    let login = ssh::client::Login {
        user: server.user.clone(),
        key: ssh::client::PrivateKey::parse(&read("key")).unwrap(),
        host_key: ssh::client::HostKey::Exactly(
            ssh::client::PublicKey::parse(read("host_key").trim()).unwrap(),
        ),
    };
    (server, login)
}

/// Compares lengths and counts; the tests compare bytes. A large copy makes room for the next; small
/// ones stay, for file systems may be slow to make files where many were removed a moment ago.
fn check(src: &Path, dst: &Path) {
    let count = |path: &Path| -> (u64, u64) {
        let data = std::fs::metadata(path).unwrap();
        match data.is_dir() {
            true => std::fs::read_dir(path).unwrap().fold((0, 0), |sum, it| {
                (sum.0 + 1, sum.1 + it.unwrap().metadata().unwrap().len())
            }),
            false => (1, data.len()),
        }
    };
    assert_eq!(count(src), count(dst));
    if dst.is_file() {
        std::fs::remove_file(dst).unwrap();
    }
}

fn cpu(who: UsageWho) -> f64 {
    let usage = getrusage(who).unwrap();
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

async fn ours(
    sshd: &Sshd,
    server: &Server,
    login: &ssh::client::Login,
    (src, dst): (&Path, &Path),
    up: bool,
) -> Took {
    let (start, before) = (Instant::now(), cpu(UsageWho::RUSAGE_SELF));
    let sessions = Sessions {
        login: login.clone(),
        port: server.port,
    };
    let options = Options {
        holder: "bench".to_owned(),
        boot: String::new(),
        parallel: 3,
        home: PathBuf::from("/"),
        silence: Options::SILENCE,
    };
    let database = sshd.folder().join("transfers.db");
    let queue = Queue::open(&database, options, Arc::new(sessions))
        .await
        .unwrap();
    let local = |path: &Path| Location::Local {
        path: path.to_string_lossy().into_owned(),
    };
    let remote = |path: &Path| Location::Session {
        session: "s".to_owned(),
        path: path.to_string_lossy().into_owned(),
    };
    let (src, dst) = if up {
        (local(src), remote(dst))
    } else {
        (remote(src), local(dst))
    };
    let wanted = Start {
        profile: "bench".to_owned(),
        items: vec![Item { src, dst }],
        overwrite: Overwrite::Always,
        links: Links::Keep,
        checksum: false,
        limit_bps: None,
        remove_source: false,
    };
    let id = queue.start(wanted).await.unwrap().remove(0).id;
    let done = queue.wait(&id).await.unwrap();
    assert_eq!(done.state, State::Done, "{:?}", done.failure);
    let took = Took {
        seconds: start.elapsed().as_secs_f64(),
        cpu: cpu(UsageWho::RUSAGE_SELF) - before,
    };
    queue.close().await;
    took
}

fn theirs(mut command: std::process::Command) -> Took {
    let (start, before) = (Instant::now(), cpu(UsageWho::RUSAGE_CHILDREN));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    Took {
        seconds: start.elapsed().as_secs_f64(),
        cpu: cpu(UsageWho::RUSAGE_CHILDREN) - before,
    }
}

fn show(task: &str, name: &str, (amount, unit): (f64, &str), took: &HashMap<&str, Vec<Took>>) {
    let mine = &took[name];
    let rate = median(mine.iter().map(|it| amount / it.seconds));
    let spent = median(mine.iter().map(|it| it.cpu));
    let ratios = took.get("sftp").map(|sftp| {
        let pairs = || mine.iter().zip(sftp);
        (
            median(pairs().map(|(mine, sftp)| sftp.seconds / mine.seconds)),
            median(pairs().map(|(mine, sftp)| mine.cpu / sftp.cpu)),
        )
    });
    let (faster, cheaper) = ratios.map_or((String::new(), String::new()), |(time, cpu)| {
        (format!("{time:.2}"), format!("{cpu:.2}"))
    });
    println!("| {task} | {name} | {rate:.0} {unit} | {faster} | {spent:.2} | {cheaper} |");
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

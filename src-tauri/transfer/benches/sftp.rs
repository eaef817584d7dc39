//! Transfers beside OpenSSH's own `sftp`, both against the same OpenSSH server on loopback.
//!
//! `cargo bench -p transfer [-- MEBIBYTES FILES ROUNDS]` prints a Markdown table: the median over
//! interleaved rounds, and the ratio to `sftp` inside each round. A busy machine moves the rates;
//! the ratios hold better.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench ends at the first trouble"
)]

#[expect(dead_code, reason = "the server is shared with other tests")]
#[path = "../../ssh/tests/sshd/mod.rs"]
mod sshd;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sshd::Sshd;
use transfer::{
    Item, Location, Options, Overwrite, Place, Places, Queue, SftpStore, Start, State, Store,
    StoreError,
};

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
            let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.set_nodelay(true)?;
            Ok(Arc::new(SftpStore::connect(stream, &self.login).await?) as Arc<dyn Store>)
        }
        .boxed()
    }
}

fn main() {
    let numbers: Vec<u64> = std::env::args()
        .filter_map(|word| word.parse().ok())
        .collect();
    let number = |at: usize, usual: u64| numbers.get(at).copied().unwrap_or(usual);
    let (mebibytes, files, rounds) = (number(0, 1024), number(1, 5000), number(2, 3));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run(mebibytes, files, rounds));
}

async fn run(mebibytes: u64, files: u64, rounds: u64) {
    let sshd = Sshd::start("");
    let here = sshd.folder().join("here");
    std::fs::create_dir(&here).unwrap();
    let block = vec![0xa5; 1 << 20];
    let mut big = std::fs::File::create(here.join("big")).unwrap();
    for _ in 0..mebibytes {
        std::io::Write::write_all(&mut big, &block).unwrap();
    }
    std::fs::create_dir(here.join("small")).unwrap();
    for file in 0..files {
        std::fs::write(here.join(format!("small/{file}")), &block[..4096]).unwrap();
    }
    let sessions = Sessions {
        login: sshd.login(),
        port: sshd.port,
    };
    let options = Options {
        holder: "bench".to_owned(),
        boot: String::new(),
        parallel: 3,
        home: here.clone(),
    };
    let database = sshd.folder().join("transfers.db");
    let queue = Queue::open(&database, options, Arc::new(sessions))
        .await
        .unwrap();

    let mut rates: BTreeMap<&str, Vec<[f64; 2]>> = BTreeMap::new();
    for round in 0..rounds {
        for (task, name, up, amount) in [
            ("1 put, MB/s", "big", true, (mebibytes << 20) as f64 / 1e6),
            ("2 get, MB/s", "big", false, (mebibytes << 20) as f64 / 1e6),
            ("3 put many, files/s", "small", true, files as f64),
            ("4 get many, files/s", "small", false, files as f64),
        ] {
            let there = sshd.folder().join(format!("there-{round}"));
            let back = sshd.folder().join(format!("back-{round}"));
            std::fs::create_dir_all(&there).unwrap();
            std::fs::create_dir_all(&back).unwrap();
            let (src, dst) = if up { (&here, &there) } else { (&there, &back) };
            let ours = timed(
                amount,
                queue_copies(&queue, &src.join(name), &dst.join(name), up),
            )
            .await;
            let theirs = dst.join(format!("{name}-by-sftp"));
            let sftp = timed(amount, async {
                sftp_copies(&sshd, &src.join(name), &theirs, up)
            })
            .await;
            rates.entry(task).or_default().push([ours, sftp]);
        }
        for folder in ["there", "back"] {
            let _ = std::fs::remove_dir_all(sshd.folder().join(format!("{folder}-{round}")));
        }
    }
    println!("| task | ours | sftp | ratio |\n|---|---|---|---|");
    for (task, rounds) in rates {
        let ours = median(rounds.iter().map(|pair| pair[0]));
        let sftp = median(rounds.iter().map(|pair| pair[1]));
        let ratio = median(rounds.iter().map(|pair| pair[0] / pair[1]));
        println!("| {} | {ours:.0} | {sftp:.0} | {ratio:.2} |", &task[2..]);
    }
}

async fn timed(amount: f64, work: impl Future<Output = ()>) -> f64 {
    let start = Instant::now();
    work.await;
    amount / start.elapsed().as_secs_f64()
}

async fn queue_copies(queue: &Queue, src: &Path, dst: &Path, up: bool) {
    let local = |path: &Path| Location::Local {
        path: path.to_string_lossy().into_owned(),
    };
    let remote = |path: &Path| Location::Session {
        session: "s".to_owned(),
        path: path.to_string_lossy().into_owned(),
    };
    let item = if up {
        Item {
            src: local(src),
            dst: remote(dst),
        }
    } else {
        Item {
            src: remote(src),
            dst: local(dst),
        }
    };
    let start = Start {
        profile: "bench".to_owned(),
        items: vec![item],
        overwrite: Overwrite::Always,
        checksum: false,
        limit_bps: None,
    };
    let id = queue.start(start).await.unwrap().remove(0).id;
    let done = queue.wait(&id).await.unwrap();
    assert_eq!(done.state, State::Done, "{:?}", done.failure);
}

fn sftp_copies(sshd: &Sshd, src: &Path, dst: &Path, up: bool) {
    let batch: PathBuf = sshd.folder().join("batch");
    let verb = if up { "put" } else { "get" };
    std::fs::write(
        &batch,
        format!("{verb} -pr {} {}\n", src.display(), dst.display()),
    )
    .unwrap();
    let status = Command::new("sftp")
        .args([
            "-q",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ])
        .args(["-o", "LogLevel=ERROR", "-P", &sshd.port.to_string(), "-i"])
        .arg(sshd.identity())
        .arg("-b")
        .arg(&batch)
        .arg(format!("{}@127.0.0.1", sshd::user()))
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

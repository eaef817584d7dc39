//! The queue against an OpenSSH server, with processes that are really killed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what went wrong by ending"
)]
#![cfg(unix)]
#![expect(dead_code, reason = "the server is shared with other tests")]

#[path = "../../../ssh/tests/sshd/mod.rs"]
mod sshd;

mod copy;
mod resume;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sshd::Sshd;
use transfer::{
    Item, Location, Options, Overwrite, Place, Places, Queue, SftpStore, Start, Store, StoreError,
    Transfer,
};

/// One session: the server. Fails as often as it is told to, first.
struct Sessions {
    login: ssh::client::Login,
    port: u16,
    failures: AtomicU32,
}

impl Places for Sessions {
    fn open<'a>(
        &'a self,
        _profile: &'a str,
        place: &'a Place,
    ) -> BoxFuture<'a, Result<Arc<dyn Store>, StoreError>> {
        async move {
            assert_eq!(*place, Place::Session("s".to_owned()));
            let left = self
                .failures
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(1)
                });
            if left.is_ok() {
                return Err(StoreError::unreachable("the link is down"));
            }
            let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.set_nodelay(true)?;
            Ok(Arc::new(SftpStore::connect(stream, &self.login).await?) as Arc<dyn Store>)
        }
        .boxed()
    }
}

fn options(folder: &Path) -> Options {
    Options {
        holder: "test".to_owned(),
        boot: "this".to_owned(),
        parallel: 3,
        home: folder.to_owned(),
    }
}

struct Bench {
    sshd: Sshd,
    queue: Queue,
    here: PathBuf,
    there: PathBuf,
}

impl Bench {
    async fn new() -> Self {
        Self::failing(0).await
    }

    async fn failing(failures: u32) -> Self {
        let sshd = Sshd::start("");
        let (here, there) = (sshd.folder().join("here"), sshd.folder().join("there"));
        std::fs::create_dir(&here).unwrap();
        std::fs::create_dir(&there).unwrap();
        let queue = open(&sshd, failures).await;
        Self {
            sshd,
            queue,
            here,
            there,
        }
    }

    fn local(&self, name: &str) -> Location {
        Location::Local {
            path: self.here.join(name).to_string_lossy().into_owned(),
        }
    }

    fn remote(&self, name: &str) -> Location {
        let path = self.there.join(name).to_string_lossy().into_owned();
        Location::Session {
            session: "s".to_owned(),
            path,
        }
    }

    async fn run(&self, src: Location, dst: Location, overwrite: Overwrite) -> Transfer {
        let start = start(src, dst, overwrite);
        let id = self.queue.start(start).await.unwrap().remove(0).id;
        self.queue.wait(&id).await.unwrap()
    }
}

async fn open(sshd: &Sshd, failures: u32) -> Queue {
    let sessions = Sessions {
        login: sshd.login(),
        port: sshd.port,
        failures: failures.into(),
    };
    let file = sshd.folder().join("transfers.db");
    Queue::open(&file, options(sshd.folder()), Arc::new(sessions))
        .await
        .unwrap()
}

fn start(src: Location, dst: Location, overwrite: Overwrite) -> Start {
    Start {
        profile: "local".to_owned(),
        items: vec![Item { src, dst }],
        overwrite,
        checksum: false,
        limit_bps: None,
    }
}

fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

//! The queue against an OpenSSH server, with processes that are really killed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what went wrong by ending"
)]
#![cfg(unix)]
#![expect(dead_code, reason = "the server is shared with other tests")]

#[path = "../relay/mod.rs"]
mod relay;
#[path = "../../../ssh/tests/sshd/mod.rs"]
mod sshd;

mod copy;
mod fault;
mod kill;
mod link;
mod moves;
mod order;
mod peers;
mod resume;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sshd::Sshd;
use transfer::{
    FailureCode, Item, Links, LocalStore, Location, Options, Overwrite, Place, Places, Queue,
    SftpStore, Start, Store, StoreError, Transfer,
};

/// Sessions, all of them the server. They fail as often as they are told to, first.
struct Sessions {
    login: ssh::client::Login,
    port: u16,
    failures: AtomicU32,
    /// The sessions have ended; what lay in them can be reached as a data folder.
    ended: AtomicBool,
}

impl Sessions {
    fn new(login: ssh::client::Login, port: u16) -> Self {
        Self {
            login,
            port,
            failures: AtomicU32::new(0),
            ended: AtomicBool::new(false),
        }
    }
}

impl Places for Sessions {
    fn open<'a>(
        &'a self,
        _profile: &'a str,
        place: &'a Place,
    ) -> BoxFuture<'a, Result<Arc<dyn Store>, StoreError>> {
        async move {
            if let Place::Folder(_) = place {
                // Paths are the same in all places of this computer.
                return Ok(Arc::new(LocalStore::new("/")) as Arc<dyn Store>);
            }
            assert!(matches!(place, Place::Session(_)), "{place:?}");
            if self.ended.load(Ordering::Relaxed) {
                return Err(StoreError::new(FailureCode::Gone, "the session has ended"));
            }
            let left = self
                .failures
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(1)
                });
            if left.is_ok() {
                return Err(StoreError::unreachable("the link is down"));
            }
            let store = SftpStore::reach(relay::dial(self.port), self.login.clone()).await?;
            Ok(Arc::new(store) as Arc<dyn Store>)
        }
        .boxed()
    }

    fn elsewhere<'a>(
        &'a self,
        _profile: &'a str,
        location: &'a Location,
    ) -> BoxFuture<'a, Option<Location>> {
        let other = matches!(location, Location::Session { .. }).then(|| Location::Folder {
            folder: "data".to_owned(),
            path: location.path().to_owned(),
        });
        async move { other }.boxed()
    }
}

fn options(folder: &Path) -> Options {
    Options {
        holder: "test".to_owned(),
        boot: "this".to_owned(),
        parallel: 3,
        home: folder.to_owned(),
        silence: Duration::from_secs(30),
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
        Self::at(Sshd::start(""), failures).await
    }

    async fn at(sshd: Sshd, failures: u32) -> Self {
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
    let sessions = Sessions::new(sshd.login(), sshd.port);
    sessions.failures.store(failures, Ordering::Relaxed);
    open_with(sshd, Arc::new(sessions), Options::SILENCE).await
}

async fn open_with(sshd: &Sshd, sessions: Arc<Sessions>, silence: Duration) -> Queue {
    let file = sshd.folder().join("transfers.db");
    let options = Options {
        silence,
        ..options(sshd.folder())
    };
    Queue::open(&file, options, sessions).await.unwrap()
}

fn start(src: Location, dst: Location, overwrite: Overwrite) -> Start {
    Start {
        profile: "local".to_owned(),
        items: vec![Item { src, dst }],
        overwrite,
        links: Links::Keep,
        checksum: false,
        limit_bps: None,
        remove_source: false,
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

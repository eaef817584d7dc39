//! Our client against our server, and OpenSSH's client against our server.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what went wrong by ending"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ssh::client::sftp::{Attributes, Open, Sftp, SftpError, StatusCode};
use ssh::client::{Connection, Error, Login, PrivateKey, PublicKey};
use ssh::server::{Host, HostKey, Order, Process, Server};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

/// A session without processes: files only.
struct Files {
    home: PathBuf,
    authorized: String,
}

#[async_trait]
impl Host for Files {
    async fn authorized_keys(&self) -> String {
        self.authorized.clone()
    }

    async fn spawn(&self, _order: Order) -> std::io::Result<Process> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    fn home(&self) -> PathBuf {
        self.home.clone()
    }

    fn sockets(&self) -> PathBuf {
        self.home.clone()
    }
}

/// Serves `home`; returns the port, and how to log in.
async fn serve(home: &Path) -> (u16, Login) {
    let key = PrivateKey::from_seed(&rand::random());
    let host_key = HostKey::from_seed(&rand::random());
    let login = Login {
        user: "work".to_owned(),
        key: key.clone(),
        host_key: ssh::client::HostKey::Exactly(PublicKey::parse(&host_key.public_line()).unwrap()),
    };
    let files = Files {
        home: home.to_owned(),
        authorized: key.public().line(),
    };
    let server = Server::new(&host_key, Arc::new(files));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let server = server.clone();
            tokio::spawn(async move { server.serve(stream).await });
        }
    });
    (port, login)
}

async fn sftp(home: &Path) -> Sftp {
    let (port, login) = serve(home).await;
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    Connection::connect(stream, &login)
        .await
        .unwrap()
        .sftp()
        .await
        .unwrap()
}

/// A link that is cut while we log in may work at the next try; a key that is refused never does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_during_the_login_is_no_refusal() {
    let home = tempfile::tempdir().unwrap();
    let (port, login) = serve(home.path()).await;
    let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut connected = false;
    for length in (0..6000).step_by(50) {
        let stream = TcpStream::connect(relay.local_addr().unwrap())
            .await
            .unwrap();
        let (near, _) = relay.accept().await.unwrap();
        let cut = tokio::spawn(async move {
            let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let (from_near, mut to_near) = near.into_split();
            let (mut from_far, mut to_far) = far.into_split();
            let mut some = from_near.take(length);
            // What ends first takes the other with it.
            tokio::select! {
                _ = tokio::io::copy(&mut some, &mut to_far) => {}
                _ = tokio::io::copy(&mut from_far, &mut to_near) => {}
            }
        });
        let connect = Connection::connect(stream, &login);
        let result = tokio::time::timeout(Duration::from_secs(20), connect)
            .await
            .unwrap();
        cut.abort();
        match result {
            // All of the login went through before the cut.
            Ok(_) => connected = true,
            Err(error) => assert!(!matches!(error, Error::Refused { .. }), "{length}: {error}"),
        }
        if connected {
            break;
        }
    }
    assert!(
        connected,
        "the login needs more bytes than were let through"
    );
    let stranger = Login {
        key: PrivateKey::from_seed(&rand::random()),
        ..login
    };
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let refused = Connection::connect(stream, &stranger).await.err();
    assert!(
        matches!(refused, Some(Error::Refused { .. })),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_files_and_many_small_ones_come_back_as_they_were_sent() {
    let home = tempfile::tempdir().unwrap();
    let sftp = sftp(home.path()).await;
    let none = Attributes::default();
    let content: Vec<u8> = (0..30_000_001u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let mut writer = sftp
        .open("big", Open::Create, &none)
        .await
        .unwrap()
        .writer(0);
    for piece in content.chunks(1 << 20) {
        writer
            .write(vec![Bytes::copy_from_slice(piece)])
            .await
            .unwrap();
    }
    let set = Attributes {
        modified: Some(1_000_000_000),
        ..none
    };
    assert_eq!(writer.finish(&set).await.unwrap(), Some(30_000_001));
    assert!(std::fs::read(home.path().join("big")).unwrap() == content);
    let file = sftp.open("big", Open::Read, &none).await.unwrap();
    let mut reader = file.reader(0, content.len() as u64);
    let mut back = Vec::new();
    while let Some(pieces) = reader.next().await.unwrap() {
        pieces
            .iter()
            .for_each(|piece| back.extend_from_slice(piece));
    }
    assert!(back == content);

    let small = (0..500).map(|number| {
        let sftp = &sftp;
        async move {
            let name = format!("small-{number}");
            let file = sftp
                .open(&name, Open::Create, &Attributes::default())
                .await
                .unwrap();
            let mut writer = file.writer(0);
            writer
                .write(vec![Bytes::from(name.clone().into_bytes())])
                .await
                .unwrap();
            writer.finish(&Attributes::default()).await.unwrap();
        }
    });
    futures_util::future::join_all(small).await;
    let names = sftp.read_dir(".").await.unwrap();
    assert_eq!(names.len(), 501);
    assert_eq!(
        std::fs::read(home.path().join("small-499")).unwrap(),
        b"small-499"
    );
}

#[tokio::test]
async fn names_links_and_failures_mean_the_same_on_both_ends() {
    let home = tempfile::tempdir().unwrap();
    let sftp = sftp(home.path()).await;
    let top = sftp.real_path(".").await.unwrap();
    assert_eq!(Path::new(&top), home.path().canonicalize().unwrap());
    sftp.make_dir("d").await.unwrap();
    assert!(sftp.make_dir("d").await.is_err());
    sftp.symlink("d", "link").await.unwrap();
    assert_eq!(
        std::fs::read_link(home.path().join("link")).unwrap(),
        Path::new("d")
    );
    assert_eq!(sftp.read_link("link").await.unwrap(), "d");
    assert!(sftp.stat("link", false).await.unwrap().is_symlink());
    assert!(sftp.stat("link", true).await.unwrap().is_dir());
    std::fs::write(home.path().join("a"), "a").unwrap();
    std::fs::write(home.path().join("b"), "b").unwrap();
    sftp.rename("a", "b").await.unwrap();
    assert_eq!(std::fs::read(home.path().join("b")).unwrap(), b"a");
    let missing = sftp.stat("nothing", true).await.unwrap_err();
    assert!(matches!(
        missing,
        SftpError::Status {
            code: StatusCode::NoSuchFile,
            ..
        }
    ));
    let is_a_folder = sftp.open("d", Open::Create, &Attributes::default()).await;
    assert!(is_a_folder.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_leaves_no_file_open() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("f"), vec![7; 1 << 20]).unwrap();
    let sftp = sftp(home.path()).await;
    let none = Attributes::default();
    // More than the server allows at once, each dropped at another moment.
    for round in 0..1500 {
        let read = async {
            let file = sftp.open("f", Open::Read, &none).await.unwrap();
            let mut reader = file.reader(0, 1 << 20);
            reader.next().await.unwrap();
        };
        let steps = async {
            for _ in 0..round % 7 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! { biased; () = read => {} () = steps => {} }
    }
    assert!(sftp.open("f", Open::Read, &none).await.is_ok());
}

/// The window of a channel does not hold a sender back, and a connection that is not read holds up
/// everything on it: neither may happen when one channel's far end takes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_nobody_reads_slows_its_sender_and_stops_no_other() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::AsyncWriteExt;

    let home = tempfile::tempdir().unwrap();
    let (port, login) = serve(home.path()).await;
    let stalled = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = stalled.local_addr().unwrap().port();
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let connection = Connection::connect(stream, &login).await.unwrap();
    let mut full = connection.direct_tcpip("127.0.0.1", target).await.unwrap();
    let _unread = stalled.accept().await.unwrap();

    let written = Arc::new(AtomicUsize::new(0));
    let counter = written.clone();
    let sender = tokio::spawn(async move {
        let block = vec![0; 1 << 20];
        loop {
            full.write_all(&block).await.unwrap();
            counter.fetch_add(block.len(), Ordering::Relaxed);
        }
    });
    // Sockets on the way take some of it; more than what may wait at full speed has to be under way.
    while written.load(Ordering::Relaxed) < 20 << 20 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let sftp = connection.sftp().await.unwrap();
    for round in 0..5 {
        let name = format!("file-{round}");
        let file = sftp
            .open(&name, Open::Create, &Attributes::default())
            .await
            .unwrap();
        let mut writer = file.writer(0);
        writer.write(vec![Bytes::from_static(b"x")]).await.unwrap();
        writer.finish(&Attributes::default()).await.unwrap();
    }
    let taken = written.load(Ordering::Relaxed);
    assert!(taken < 64 << 20, "{taken} bytes were taken");
    sender.abort();
}

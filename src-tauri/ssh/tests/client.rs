//! The client against an OpenSSH server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what went wrong by ending"
)]
#![cfg(all(unix, feature = "client"))]
#![expect(dead_code, reason = "the server is shared with other tests")]

mod sshd;

use bytes::Bytes;
use ssh::client::sftp::{Attributes, Open, SftpError, StatusCode};
use ssh::client::{Connection, Error, HostKey, KnownHosts, Login, PrivateKey, TerminalRequest};
use sshd::Sshd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn commands_give_back_output_and_status() {
    let sshd = Sshd::start("");
    let connection = sshd.connect().await;
    let output = connection
        .exec("printf out; printf err >&2; exit 7")
        .await
        .unwrap();
    assert_eq!(output.status, Some(7));
    assert_eq!(
        (&output.stdout[..], &output.stderr[..]),
        (&b"out"[..], &b"err"[..])
    );
    let nothing_to_read = connection.exec("cat").await.unwrap();
    assert_eq!(nothing_to_read.status, Some(0));
}

#[tokio::test]
async fn the_wrong_keys_are_told_apart() {
    let sshd = Sshd::start("");
    let other = PrivateKey::from_seed(&[1; 32]);
    let login = Login {
        key: other.clone(),
        ..sshd.login()
    };
    let refused = Connection::connect(sshd.dial().await, &login).await;
    assert!(matches!(refused.err(), Some(Error::Refused { .. })));
    let login = Login {
        host_key: HostKey::Exactly(other.public()),
        ..sshd.login()
    };
    let refused = Connection::connect(sshd.dial().await, &login).await;
    assert!(matches!(refused.err(), Some(Error::HostKeyChanged { .. })));

    let file = KnownHosts::new(sshd.folder().join("known_hosts"));
    let known = HostKey::Known {
        file: file.clone(),
        name: "train".to_owned(),
    };
    let login = Login {
        host_key: known,
        ..sshd.login()
    };
    Connection::connect(sshd.dial().await, &login)
        .await
        .unwrap();
    assert!(
        file.get("train").unwrap().unwrap().is_same(&sshd.host_key),
        "noted at first sight"
    );
    file.set("train", &other.public()).unwrap();
    let changed = Connection::connect(sshd.dial().await, &login).await;
    assert!(matches!(changed.err(), Some(Error::HostKeyChanged { name }) if name == "train"));
}

#[tokio::test]
async fn a_terminal_echoes_resizes_and_ends() {
    let sshd = Sshd::start("");
    let connection = sshd.connect().await;
    let request = TerminalRequest {
        term: "xterm-256color".to_owned(),
        rows: 31,
        columns: 97,
        command: Some("stty size; read line; stty size; echo got-$line; exit 3".to_owned()),
    };
    let mut terminal = connection.terminal(&request).await.unwrap();
    let mut shown = String::new();
    while !shown.contains("31 97") {
        shown += &String::from_utf8_lossy(&terminal.reader.next().await.expect(&shown));
    }
    terminal.writer.resize(20, 60).await.unwrap();
    terminal.writer.write(&b"hello\n"[..]).await.unwrap();
    while let Some(more) = terminal.reader.next().await {
        shown += &String::from_utf8_lossy(&more);
    }
    assert!(
        shown.contains("20 60") && shown.contains("got-hello"),
        "{shown}"
    );
    assert_eq!(terminal.reader.status(), Some(3));
}

#[tokio::test]
async fn a_port_of_the_other_side_is_reached() {
    let sshd = Sshd::start("");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
    });
    let connection = sshd.connect().await;
    let mut stream = connection.direct_tcpip("127.0.0.1", port).await.unwrap();
    stream.write_all(b"over there").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = String::new();
    stream.read_to_string(&mut back).await.unwrap();
    assert_eq!(back, "over there");
}

#[tokio::test]
async fn files_come_back_as_they_were_sent() {
    let sshd = Sshd::start("");
    let sftp = sshd.connect().await.sftp().await.unwrap();
    let none = Attributes::default();
    let path = |name: &str| sshd.folder().join(name).to_string_lossy().into_owned();
    // Around the chunk sizes, and in odd pieces.
    for length in [0, 1, 32_767, 261_119, 261_120, 261_121, 3_000_017] {
        let content: Vec<u8> = (0..length).map(|i: u32| ((i * 31) >> 3) as u8).collect();
        let name = path(&format!("file-{length}"));
        let mut writer = sftp
            .open(&name, Open::Create, &none)
            .await
            .unwrap()
            .writer(0);
        for piece in content.chunks(70_001) {
            writer
                .write(vec![Bytes::copy_from_slice(piece)])
                .await
                .unwrap();
        }
        let attributes = Attributes {
            permissions: Some(0o640),
            modified: Some(1_000_000_000),
            ..Attributes::default()
        };
        let seen = writer.finish(&attributes).await.unwrap();
        assert_eq!(seen, Some(u64::from(length)));
        assert_eq!(std::fs::read(&name).unwrap(), content);
        let stat = sftp.stat(&name, false).await.unwrap();
        assert_eq!(stat.modified, Some(1_000_000_000));
        assert_eq!(stat.permissions.unwrap() & 0o777, 0o640);

        // A wrong idea of the length may cost speed, and never bytes.
        for believed in [
            0,
            u64::from(length) / 2,
            u64::from(length),
            u64::from(length) * 3,
        ] {
            for offset in [0, length / 3] {
                let file = sftp.open(&name, Open::Read, &none).await.unwrap();
                let mut reader = file.reader(u64::from(offset), believed);
                let mut back = Vec::new();
                while let Some(pieces) = reader.next().await.unwrap() {
                    pieces
                        .iter()
                        .for_each(|piece| back.extend_from_slice(piece));
                }
                let expected = &content[offset as usize..];
                assert!(
                    back == expected,
                    "{length} from {offset}, believed {believed}"
                );
            }
        }
    }
}

#[tokio::test]
async fn writing_goes_on_at_an_offset() {
    let sshd = Sshd::start("");
    let sftp = sshd.connect().await.sftp().await.unwrap();
    let name = sshd.folder().join("f").to_string_lossy().into_owned();
    std::fs::write(&name, "0123456789").unwrap();
    let none = Attributes::default();
    let mut writer = sftp
        .open(&name, Open::Continue, &none)
        .await
        .unwrap()
        .writer(4);
    assert_eq!(
        writer
            .write(vec![Bytes::from_static(b"abc")])
            .await
            .unwrap(),
        4,
        "not sent yet"
    );
    assert_eq!(writer.flush().await.unwrap(), 7);
    writer.finish(&none).await.unwrap();
    assert_eq!(std::fs::read(&name).unwrap(), b"0123abc789");
}

#[tokio::test]
async fn folders_links_and_errors() {
    let sshd = Sshd::start("");
    let sftp = sshd.connect().await.sftp().await.unwrap();
    let path = |name: &str| sshd.folder().join(name).to_string_lossy().into_owned();
    sftp.make_dir(&path("d")).await.unwrap();
    for number in 0..300 {
        std::fs::write(path(&format!("d/{number}")), "x").unwrap();
    }
    sftp.symlink("0", &path("d/link")).await.unwrap();
    assert_eq!(sftp.read_link(&path("d/link")).await.unwrap(), "0");
    assert_eq!(
        std::fs::read_link(path("d/link")).unwrap(),
        std::path::Path::new("0")
    );
    let names = sftp.read_dir(&path("d")).await.unwrap();
    assert_eq!(names.len(), 301);
    assert!(
        names
            .iter()
            .any(|name| name.name == "link" && name.attributes.is_symlink())
    );
    assert!(sftp.stat(&path("d/link"), true).await.unwrap().is_file());

    std::fs::write(path("new"), "new").unwrap();
    std::fs::write(path("old"), "old").unwrap();
    sftp.rename(&path("new"), &path("old")).await.unwrap();
    assert_eq!(
        std::fs::read(path("old")).unwrap(),
        b"new",
        "a rename replaces"
    );

    let missing = sftp.stat(&path("nothing"), true).await.unwrap_err();
    assert!(matches!(
        missing,
        SftpError::Status {
            code: StatusCode::NoSuchFile,
            ..
        }
    ));
    assert!(
        sftp.remove_dir(&path("d")).await.is_err(),
        "it is not empty"
    );
    let home = sftp.real_path(".").await.unwrap();
    assert!(home.starts_with('/'), "{home}");
}

#[tokio::test]
async fn everyone_learns_that_the_server_is_gone() {
    let sshd = Sshd::start("");
    let connection = sshd.connect().await;
    let sftp = connection.sftp().await.unwrap();
    let waiting = tokio::spawn({
        let connection = connection.clone();
        async move { connection.exec("sleep 600").await }
    });
    tokio::task::yield_now().await;
    connection.close().await;
    assert!(waiting.await.unwrap().is_err());
    while !sftp.is_closed() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(sftp.stat("/", true).await, Err(SftpError::Closed)));
}

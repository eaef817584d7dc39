//! A session's network: outward yes, this computer's own servers no.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on stops where it is"
)]

mod support;

use std::{fs, io::Read, os::unix::fs::PermissionsExt};

use runtime::{Kernel, NoticeCode, Runtime};
use support::{World, sh};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};

/// Addresses by which a session might reach this computer: loopback, and its gateway.
async fn reaches(kernel: &dyn Kernel, address: &str, port: u16) -> bool {
    let ran = sh(
        kernel,
        &format!("timeout 3 bash -c 'exec 3<>/dev/tcp/{address}/{port} && head -c 5 <&3'"),
    )
    .await;
    ran.stdout.contains("hello")
}

#[tokio::test]
async fn the_hosts_loopback_is_shut_both_ways() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"hello").await;
        }
    });
    let kernel = world.start(|_| {}).await;
    let gateway = sh(&*kernel, "awk '$2==\"00000000\"{print $3}' /proc/net/route")
        .await
        .stdout;
    let mut addresses = vec![
        "127.0.0.1".to_owned(),
        "127.0.0.53".to_owned(),
        "localhost".to_owned(),
        "::1".to_owned(),
    ];
    if let Ok(number) = u32::from_str_radix(gateway.trim(), 16) {
        addresses.push(std::net::Ipv4Addr::from(number.to_be()).to_string());
    }
    for address in addresses {
        assert!(
            !reaches(&*kernel, &address, port).await,
            "{address} leads to this computer"
        );
    }
    // And back: a server of the session is not on the host's loopback.
    sh(
        &*kernel,
        "python3 -m http.server 18765 --bind 0.0.0.0 >/dev/null 2>&1 &",
    )
    .await;
    let mut inside = None;
    for _ in 0..100 {
        match kernel.connect(18765).await {
            Ok(stream) => {
                inside = Some(stream);
                break;
            }
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
    assert!(
        inside.is_some(),
        "the server is reachable through the engine"
    );
    assert!(std::net::TcpStream::connect("127.0.0.1:18765").is_err());
    world.close().await;
}

#[tokio::test]
async fn bytes_go_straight_between_engine_and_port() {
    let world = World::new();
    let kernel = world.start(|_| {}).await;
    let refused = kernel.connect(4321).await.unwrap_err();
    assert_eq!(refused.fault(), Some(runtime::FaultKind::Refused));
    let server = "import socket; s=socket.create_server((\"127.0.0.1\", 4321)); print(\"up\", flush=True); c,_=s.accept()\nwhile d:=c.recv(65536): c.sendall(d)";
    sh(
        &*kernel,
        &format!(
            "python3 -c '{server}' >/tmp/up 2>&1 & while ! grep -q up /tmp/up; do sleep 0.02; done"
        ),
    )
    .await;
    let mut stream = kernel.connect(4321).await.unwrap();
    let sent: Vec<u8> = (0..1_000_000_u32)
        .map(|number| (number % 251) as u8)
        .collect();
    let expected = sent.clone();
    let (mut reader, mut writer) = stream.split();
    let mut got = vec![0; expected.len()];
    let (wrote, read) = tokio::join!(writer.write_all(&sent), reader.read_exact(&mut got));
    wrote.unwrap();
    read.unwrap();
    assert_eq!(got, expected);
    world.close().await;
}

#[tokio::test]
async fn without_network_the_session_says_so_and_works() {
    let world = World::with(|config| config.network = false);
    let kernel = world.start(|_| {}).await;
    let notices = kernel.notices().await.unwrap();
    assert!(
        notices
            .iter()
            .any(|notice| notice.code == NoticeCode::NoNetwork)
    );
    assert!(
        world
            .sandbox
            .notices()
            .iter()
            .any(|notice| notice.code == NoticeCode::NoNetwork)
    );
    let ran = sh(
        &*kernel,
        "ls /sys/class/net 2>/dev/null; awk -F: 'NR>2{print $1}' /proc/net/dev",
    )
    .await;
    assert_eq!(ran.stdout.trim(), "lo");
    kernel.connect(2200).await.unwrap();
    world.close().await;
}

/// Answers every question for an address with 192.0.2.77.
async fn serve_names(socket: UdpSocket) {
    let mut buffer = [0; 512];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
        let mut end = 12;
        while end < length && buffer[end] != 0 {
            end += 1 + usize::from(buffer[end]);
        }
        let question = &buffer[12..end + 5];
        let is_address = question[question.len() - 4..] == [0, 1, 0, 1];
        let mut answer = buffer[..2].to_vec();
        answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
        answer.extend(question);
        if is_address {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 77]);
        }
        let _ = socket.send_to(&answer, peer).await;
    }
}

#[tokio::test]
async fn names_resolve_where_the_hosts_resolver_is_on_its_loopback() {
    // Only root may take port 53, and give pasta a resolv.conf other than the computer's own.
    let Ok(socket) = UdpSocket::bind("127.0.0.53:53").await else {
        return;
    };
    tokio::spawn(serve_names(socket));
    let own = tempfile::NamedTempFile::new().unwrap();
    fs::write(own.path(), "nameserver 127.0.0.53\n").unwrap();
    fs::set_permissions(own.path(), fs::Permissions::from_mode(0o644)).unwrap();
    let path = own.path().to_owned();
    let world = World::with(|config| config.resolv_conf = path);
    if world
        .sandbox
        .notices()
        .iter()
        .any(|notice| notice.code == NoticeCode::NoNetwork)
    {
        return;
    }
    let kernel = world.start(|_| {}).await;
    let ran = sh(
        &*kernel,
        "python3 -c 'import socket; print(socket.gethostbyname(\"example.gangway\"))'",
    )
    .await;
    let mut config = String::new();
    kernel
        .open_file(".bashrc", runtime::OpenMode::Read)
        .await
        .unwrap()
        .into_std()
        .await
        .read_to_string(&mut config)
        .unwrap();
    assert_eq!(
        ran.stdout,
        "192.0.2.77\n",
        "{} {}",
        ran.stderr,
        sh(&*kernel, "cat /etc/resolv.conf").await.stdout
    );
    world.close().await;
}
